"""Two days each of 163 patients in intensive care, hour by hour (`data/physionet.md`).

37 variables, from heart rate to blood gases; 79.7 % of the hourly cells have no reading, as at the bedside.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np

from ledgerfed.datasets.episodes import Kind, Layout, join_episodes
from ledgerfed.datasets.shipped import FOLDER, Shipped, read_arrays
from ledgerfed.errors import InvalidValueError
from ledgerfed.series.arrays import Floats
from ledgerfed.series.panel import Panel

PHYSIONET: Final = Shipped(
    FOLDER / "physionet.npz",
    ("readings",),
    "41125b39b9f7baae6f30d4399dc2b5ed9562e87b52df7d58df57b3065d41e348",
)
"""The shipped file; the digest is what `derive_physionet` prints."""
SCALE: Final = 1_000
"""Readings are stored as integers; the source has three decimals."""
MISSING: Final = -(2**31)
"""Stands where there is no reading."""
PATIENTS: Final = 163
HOURS: Final = 48
HOUR: Final = 3_600
TARGET: Final = "HR"
DAY_HOLD: Final = 24
STAY_HOLD: Final = 48

# fmt: off
VARIABLES: Final = (
    "ALP", "ALT", "AST", "Albumin", "BUN", "Bilirubin", "Cholesterol", "Creatinine", "DiasABP", "FiO2", "GCS",
    "Glucose", "HCO3", "HCT", "HR", "K", "Lactate", "MAP", "MechVent", "Mg", "NIDiasABP", "NIMAP", "NISysABP",
    "Na", "PaCO2", "PaO2", "Platelets", "RespRate", "SaO2", "SysABP", "Temp", "TroponinI", "TroponinT",
    "Urine", "WBC", "Weight", "pH",
)
"""The order of the shipped array: alphabetical, capitals first, as in the source."""

_VITALS: Final = {
    "HR": "bpm", "SysABP": "mmHg", "DiasABP": "mmHg", "MAP": "mmHg", "NISysABP": "mmHg", "NIDiasABP": "mmHg",
    "NIMAP": "mmHg", "RespRate": "1/min", "Temp": "degC",
}
_LABS: Final = {
    "ALP": "IU/L", "ALT": "IU/L", "AST": "IU/L", "Albumin": "g/dL", "BUN": "mg/dL", "Bilirubin": "mg/dL",
    "Cholesterol": "mg/dL", "Creatinine": "mg/dL", "Glucose": "mg/dL", "HCO3": "mmol/L", "HCT": "percent",
    "K": "mEq/L", "Lactate": "mmol/L", "Mg": "mmol/L", "Na": "mEq/L", "PaCO2": "mmHg", "PaO2": "mmHg",
    "Platelets": "1/nL", "SaO2": "percent", "TroponinI": "ug/L", "TroponinT": "ug/L", "WBC": "1/nL",
    "pH": "pH",
}
# fmt: on

LAYOUT: Final = Layout(
    VARIABLES,
    (
        Kind("vitals", _VITALS, DAY_HOLD),
        Kind("labs", _LABS, DAY_HOLD),
        Kind("neuro", {"GCS": "points"}, DAY_HOLD),
        Kind("ventilation", {"FiO2": "share", "MechVent": "flag"}, DAY_HOLD),
        Kind("urine", {"Urine": "mL"}, DAY_HOLD),
        Kind("static", {"Weight": "kg"}, STAY_HOLD),
    ),
    HOUR,
    "h",
)
"""A reading stands for a day, the weight for the whole stay. `AlignedModality.age` says how old it is."""


def load_health_patients() -> tuple[Panel, ...]:
    """Return one panel a patient, `patient-0` to `patient-162`: heart rate, hour by hour for 48 hours.

    The target `HR` is in beats a minute, NaN in an hour without a reading; patients 44, 49 and 110 have none
    at all. Every panel has the same modalities and channels; one that a patient never had is NaN throughout.
    Times are nominal: hour 0 is the hour of admission.

    Raises:
        StoreError: the shipped file is missing or not the one that this release was made with.
    """
    stays = _stays()
    return tuple(join_episodes(LAYOUT, f"patient-{i}", TARGET, [stay]) for i, stay in enumerate(stays))


def load_health_wards(size: int = 6) -> tuple[Panel, ...]:
    """Return one panel a ward, `ward-0` and on: `size` consecutive patients, one after another in time.

    What is left of 163 / `size` joins the last ward: every patient is in one. Between two patients lie
    `LAYOUT.gap` = 72 empty hours, which no lag up to 24 hours crosses, whatever is held;
    `ledgerfed.datasets.episodes` returns the rows of each patient.

    Raises:
        InvalidValueError: `size` is not in 1..163.
        StoreError: the shipped file is missing or not the one that this release was made with.
    """
    if not 1 <= size <= PATIENTS:
        raise InvalidValueError(f"a ward has 1..{PATIENTS} patients, not {size}")
    stays = _stays()
    starts = [size * ward for ward in range(PATIENTS // size)]
    stops = [*starts[1:], PATIENTS]
    return tuple(
        join_episodes(LAYOUT, f"ward-{i}", TARGET, stays[start:stop])
        for i, (start, stop) in enumerate(zip(starts, stops, strict=True))
    )


def _stays() -> Sequence[Floats]:
    stored = read_arrays(PHYSIONET)["readings"]
    readings = np.where(stored == MISSING, np.nan, stored / SCALE)
    return list(readings.transpose(1, 2, 0))
