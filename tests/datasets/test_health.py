from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from ledgerfed.datasets import episodes, load_health_patients, load_health_wards
from ledgerfed.datasets.derive_physionet import PLAUSIBLE
from ledgerfed.datasets.episodes import EPISODE, LONGEST_LAG
from ledgerfed.datasets.health import LAYOUT, PHYSIONET, TARGET, VARIABLES
from ledgerfed.datasets.shipped import digest, read_arrays
from ledgerfed.errors import InvalidValueError, StoreError
from ledgerfed.series import Panel, align


@cache
def patients() -> tuple[Panel, ...]:
    return load_health_patients()


@cache
def readings(variable: str) -> np.ndarray:
    """All readings of a variable, float64 [163, 48], from the panels."""
    if variable == TARGET:
        return np.array([p.target for p in patients()])
    kind = next(i for i, k in enumerate(LAYOUT.kinds) if variable in k.units)
    at = patients()[0].modalities[kind].channels.index(variable)
    return np.array([p.modalities[kind].values[:, at] for p in patients()])


def correlation(a: str, b: str) -> float:
    x, y = readings(a), readings(b)
    both = ~np.isnan(x + y)
    return float(np.corrcoef(x[both], y[both])[0, 1])


def test_163_patients_have_48_hours_and_the_same_modalities() -> None:
    assert [p.name for p in patients()] == [f"patient-{i}" for i in range(163)]
    expected = ["vitals", "labs", "neuro", "ventilation", "urine", "static", EPISODE]
    for panel in patients():
        assert (len(panel), panel.period, panel.target_name, panel.unit) == (48, 3_600, "HR", "bpm")
        assert str(panel.times[0]) == "1970-01-05T00:00:00"
        assert [m.name for m in panel.modalities] == expected
        assert [m.channels for m in panel.modalities] == [m.channels for m in patients()[0].modalities]
        assert [m.known_ahead for m in panel.modalities] == [False] * 6 + [True]
        assert [(w.start, w.stop) for w in episodes(panel)] == [(0, 48)]


def test_every_variable_is_in_one_modality_or_the_target() -> None:
    named = [c for m in patients()[0].modalities[:-1] for c in m.channels] + [TARGET]
    assert sorted(named) == sorted(VARIABLES)
    assert len(VARIABLES) == 37


def test_nothing_is_imputed_and_what_was_not_measured_is_missing() -> None:
    counts = {name: int((~np.isnan(readings(name))).sum()) for name in VARIABLES}
    assert sum(counts.values()) == 58_778
    assert round(1 - 58_778 / (37 * 163 * 48), 3) == 0.797
    assert counts["HR"] == round(0.8912 * 163 * 48)
    silent = np.flatnonzero(np.isnan(readings("HR")).all(axis=1))
    assert silent.tolist() == [44, 49, 110]
    troponin = align(patients()[0]).modality("labs").column("TroponinI")
    assert np.isnan(troponin).all()


def test_the_first_hours_of_the_first_patient_are_those_of_the_source_in_its_own_units() -> None:
    at_admission = [readings(name)[0, 0] for name in ("PaCO2", "PaO2", "pH", "Weight")]
    an_hour_later = [readings(name)[0, 1] for name in ("HR", "GCS", "HCT", "WBC")]
    assert at_admission == [50.0, 297.0, 7.24, 75.0]
    assert an_hour_later == [84.0, 6.0, 32.3, 18.3]


MEDIANS = {
    "ALP": (40, 150),
    "ALT": (10, 100),
    "AST": (10, 150),
    "Albumin": (2, 4),
    "BUN": (10, 40),
    "Bilirubin": (0.2, 2),
    "Cholesterol": (100, 220),
    "Creatinine": (0.6, 1.8),
    "DiasABP": (50, 75),
    "FiO2": (0.35, 0.6),
    "GCS": (8, 15),
    "Glucose": (100, 160),
    "HCO3": (20, 27),
    "HCT": (27, 36),
    "HR": (75, 100),
    "K": (3.6, 4.6),
    "Lactate": (1, 3),
    "MAP": (70, 90),
    "MechVent": (1, 1),
    "Mg": (1.6, 2.3),
    "NIDiasABP": (50, 75),
    "NIMAP": (65, 90),
    "NISysABP": (105, 135),
    "Na": (135, 142),
    "PaCO2": (36, 44),
    "PaO2": (90, 160),
    "Platelets": (130, 260),
    "RespRate": (15, 24),
    "SaO2": (95, 100),
    "SysABP": (105, 135),
    "Temp": (36.5, 37.7),
    "TroponinI": (0.5, 15),
    "TroponinT": (0.03, 2),
    "Urine": (40, 120),
    "WBC": (8, 14),
    "Weight": (70, 95),
    "pH": (7.33, 7.43),
}
"""Where the median of intensive-care patients lies. Not one of them holds for standardised values."""


@pytest.mark.parametrize("name", VARIABLES)
def test_the_median_of_a_variable_fits_its_name(name: str) -> None:
    low, high = MEDIANS[name]
    assert low <= np.nanmedian(readings(name)) <= high


def test_variables_that_belong_together_move_together() -> None:
    """The source has no header: its order of columns is right only if these hold."""
    for a, b in (
        ("ALT", "AST"),
        ("BUN", "Creatinine"),
        ("SysABP", "NISysABP"),
        ("MAP", "NIMAP"),
        ("DiasABP", "NIDiasABP"),
        ("SaO2", "PaO2"),
        ("HCO3", "PaCO2"),
        ("HCT", "Albumin"),
    ):
        assert correlation(a, b) > 0.3, (a, b)
    assert correlation("pH", "PaCO2") < -0.3
    for dia, mean, sys_ in (("DiasABP", "MAP", "SysABP"), ("NIDiasABP", "NIMAP", "NISysABP")):
        ordered = [np.nanmedian(readings(name)) for name in (dia, mean, sys_)]
        assert ordered == sorted(ordered)
    assert set(np.unique(readings("MechVent")[~np.isnan(readings("MechVent"))])) == {1.0}


def test_the_rows_of_a_patient_are_in_the_order_of_time() -> None:
    hr = readings("HR")
    steps = [np.sqrt(np.nanmean((hr[:, lag:] - hr[:, :-lag]) ** 2)) for lag in (1, 2, 6, 12)]
    assert [round(float(step), 1) for step in steps] == [7.7, 9.1, 12.0, 14.1]
    rng = np.random.default_rng(1)
    shuffled = np.diff(rng.permuted(hr, axis=1), axis=1)
    assert steps[0] < 0.7 * np.sqrt(np.nanmean(shuffled**2))
    weighed = ~np.isnan(readings("Weight"))
    assert weighed[:, 0].sum() >= weighed.any(axis=1).sum() - 1  # on admission


def test_pressures_that_contradict_each_other_are_left_as_they_are() -> None:
    mean, diastolic, systolic = (readings(name) for name in ("MAP", "DiasABP", "SysABP"))
    assert ((mean < diastolic) | (mean > systolic)).sum() == 29
    assert set(readings("Weight")[150][~np.isnan(readings("Weight")[150])]) == {300.0}
    assert np.nanmax(readings("K")) == 9.8


def test_no_reading_is_outside_what_a_living_adult_has() -> None:
    for name, (low, high) in PLAUSIBLE.items():
        values = readings(name)[~np.isnan(readings(name))]
        assert low <= values.min()
        assert values.max() <= high


def test_six_patients_are_a_ward_and_every_patient_is_in_one() -> None:
    wards = load_health_wards()
    assert [w.name for w in wards] == [f"ward-{i}" for i in range(27)]
    assert [len(episodes(w)) for w in wards] == [6] * 26 + [7]
    in_order = iter(patients())
    for ward in wards:
        for window in episodes(ward):
            patient = next(in_order)
            np.testing.assert_array_equal(ward.target[window.rows], patient.target)
            for there, here in zip(ward.modalities, patient.modalities, strict=True):
                np.testing.assert_array_equal(there.values[window.rows], here.values)
    assert next(in_order, None) is None


def test_a_patient_of_a_ward_sees_what_a_patient_alone_sees() -> None:
    """Holds are cut before the next patient, and so is everything that a lag of up to a day could reach."""
    for number, ward in enumerate(load_health_wards()[:5]):
        aligned = align(ward)
        for place, window in enumerate(episodes(ward)):
            alone = align(patients()[6 * number + place])
            before = slice(max(0, window.start - LONGEST_LAG), window.start)
            assert np.isnan(aligned.target[before]).all()
            for there, here in zip(aligned.modalities, alone.modalities, strict=True):
                np.testing.assert_array_equal(there.values[window.rows], here.values)
                np.testing.assert_array_equal(there.age[window.rows], here.age)
                assert np.isnan(there.values[before]).all()


def test_a_reading_stands_for_a_day_and_the_weight_for_the_stay() -> None:
    assert {m.name: m.valid_for for m in patients()[0].modalities} == {
        "vitals": 86_400,
        "labs": 86_400,
        "neuro": 86_400,
        "ventilation": 86_400,
        "urine": 86_400,
        "static": 172_800,
        EPISODE: 0,
    }


@pytest.mark.parametrize(("size", "wards", "last"), [(1, 163, 1), (40, 4, 43), (100, 1, 163), (163, 1, 163)])
def test_what_is_left_over_joins_the_last_ward(size: int, wards: int, last: int) -> None:
    panels = load_health_wards(size)
    assert (len(panels), len(episodes(panels[-1]))) == (wards, last)
    assert all(len(episodes(panel)) == size for panel in panels[:-1])


@pytest.mark.parametrize("size", [0, -6, 164])
def test_a_ward_of_no_size_is_refused(size: int) -> None:
    with pytest.raises(InvalidValueError, match=rf"a ward has 1\.\.163 patients, not {size}"):
        load_health_wards(size)


def test_the_shipped_arrays_are_those_that_the_script_derived() -> None:
    assert digest(read_arrays(PHYSIONET)) == PHYSIONET.sha256
    assert PHYSIONET.path.stat().st_size < 200_000


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    altered = replace(PHYSIONET, path=tmp_path / "altered.npz")
    values = read_arrays(PHYSIONET)["readings"].copy()
    values[14, 3, 5] += 1
    np.savez_compressed(altered.path, readings=values)
    with pytest.raises(StoreError, match="digest"):
        read_arrays(altered)


def test_loading_needs_no_pandas() -> None:
    script = (
        "import sys; from ledgerfed.datasets import load_health_wards, load_industry;"
        "load_health_wards(), load_industry(); print('pandas' in sys.modules, 'scipy' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert out.split() == ["False", "False"]
