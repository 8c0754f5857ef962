"""The bases of the scenarios: which columns a node's next value is explained by.

Pinned scales are public: round numbers near the spread of a channel around its level in the training windows,
as a clinician, or the range of an instrument, would give them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from ledgerfed.datasets.health import HOUR
from ledgerfed.datasets.industry import NOMINAL_PERIOD, UNSTATED
from ledgerfed.datasets.transit import DAY
from ledgerfed.exchange.basis import HELD, MICRO, OBSERVED, STANDARD, WEEKDAYS, Basis, ChannelTerm

# fmt: off
_CLINICAL: Final[Mapping[str, Mapping[str, float]]] = {
    "vitals": {
        "SysABP": 14, "DiasABP": 7, "MAP": 9, "NISysABP": 12, "NIDiasABP": 8, "NIMAP": 8, "RespRate": 3,
        "Temp": 0.5,
    },
    "labs": {
        "ALP": 10, "ALT": 100, "AST": 100, "Albumin": 0.25, "BUN": 3, "Bilirubin": 0.3, "Cholesterol": 20,
        "Creatinine": 0.2, "Glucose": 25, "HCO3": 2, "HCT": 2.5, "K": 0.4, "Lactate": 0.7, "Mg": 0.25,
        "Na": 1.5, "PaCO2": 5, "PaO2": 60, "Platelets": 30, "SaO2": 1, "TroponinI": 1, "TroponinT": 0.2,
        "WBC": 2, "pH": 0.05,
    },
    "neuro": {"GCS": 1.5},
    "ventilation": {"FiO2": 0.15},
    "urine": {"Urine": 90},
    "static": {"Weight": 1},
}
"""Spread of a channel within one patient over hours, in the channel's unit."""
_INSTRUMENT: Final[Mapping[str, Mapping[str, tuple[float, float]]]] = {
    "agitator": {"AgitatorPower": (100, 30), "AgitatorTorque": (20, 15), "AgitatorSpeed": (25, 15)},
    "pressures": {"DifferentialPressure": (0, 3), "DryerPressure": (250, 350)},
    "temperatures": {"JacketTemperature": (60, 30), "DryerTemp": (45, 20)},
    "level": {"CollectorTankLevel": (50, 25)},
}
"""Centre and spread of a tag, in the tag's unit."""
# fmt: on

TRANSIT_WEEKS: Final = Basis(
    "riders", "thousand/day", DAY, (1, 2, 3, 4, 5, 6, 7, 14, 21, 28), (), WEEKDAYS, intercept=False
)
"""A week of days, the same weekday of four weeks, and the weekday itself: 17 columns."""

HEART_RATE: Final = Basis("HR", "bpm", HOUR, (1, 2, 3), hold=24, scale=8 * MICRO, centre=85 * MICRO)
"""The last three hours of the heart rate itself, about a public centre: the mean of a few hours is a poor
estimate of a patient's level, and a model that returns to it returns too fast (Nickell 1981)."""


def _clinical_terms() -> tuple[ChannelTerm, ...]:
    held = (
        ChannelTerm(modality, (channel,), 1, HELD, scale=round(scale * MICRO))
        for modality, channels in _CLINICAL.items()
        for channel, scale in channels.items()
    )
    return (*held, ChannelTerm("ventilation", ("MechVent",), 1, OBSERVED))


ALL_CHANNELS: Final = replace(HEART_RATE, channels=_clinical_terms())
"""The heart rate with all 36 other channels an hour ago, against the patient's own mean."""


WARD: Final = replace(
    ALL_CHANNELS,
    channels=tuple(
        term
        for term in ALL_CHANNELS.channels
        if term.channels[0] in ("SysABP", "RespRate", "Temp", "FiO2", "GCS", "HCT", "pH")
    ),
)
"""The heart rate with the channels that most wards measure every few hours: 11 columns."""


def dryer_basis(target: str, padded: bool = False) -> Basis:
    """Return three samples of the target and two of each of the seven other measured tags.

    The two set points are left out: they move rarely, and one of them answers to the target. A `padded`
    basis lets nodes take part that lack some of the tags.
    """
    transform = HELD if padded else STANDARD
    units = {tag: unit for tags in _INSTRUMENT.values() for tag, unit in tags.items()}
    terms = tuple(
        ChannelTerm(modality, (tag,), lag, transform, round(scale * MICRO), round(centre * MICRO))
        for modality, tags in _INSTRUMENT.items()
        for tag, (centre, scale) in tags.items()
        for lag in (1, 2)
        if tag != target
    )
    centre, scale = units[target]
    return Basis(
        target,
        UNSTATED,
        NOMINAL_PERIOD,
        (1, 2, 3),
        terms,
        scale=round(scale * MICRO),
        centre=round(centre * MICRO),
    )
