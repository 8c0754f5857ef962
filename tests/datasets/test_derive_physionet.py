from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ledgerfed.datasets.derive_physionet import (
    COLUMNS,
    PLAUSIBLE,
    by_patient,
    derive,
    main,
    parse,
    read_source,
    report,
)
from ledgerfed.datasets.health import HOURS, MISSING, PHYSIONET, VARIABLES
from ledgerfed.errors import InvalidValueError


def source(patients: int = 3) -> np.ndarray:
    """A table of the source's shape without readings: patient p has the record 140,000 + p."""
    table = np.full((patients * HOURS, len(COLUMNS)), np.nan)
    table[:, COLUMNS.index("RecordID")] = 140_000 + np.repeat(np.arange(patients), HOURS)
    return table


def put(table: np.ndarray, patient: int, hour: int, **readings: float) -> np.ndarray:
    for name, value in readings.items():
        table[patient * HOURS + hour, COLUMNS.index(name)] = value
    return table


def got(table: np.ndarray, name: str) -> np.ndarray:
    """The derived integers of a variable, int32 [patients, 48]."""
    return np.asarray(derive(table)["readings"][VARIABLES.index(name)])


def test_a_reading_goes_to_its_variable_patient_and_hour() -> None:
    table = put(source(), 1, 0, HR=84.333, pH=7.41)
    table = put(table, 2, 47, HR=120, ALP=33)
    assert derive(table)["readings"].dtype == np.int32
    for name, patient, hour, value in (("HR", 1, 0, 84_333), ("pH", 1, 0, 7_410), ("HR", 2, 47, 120_000)):
        assert got(table, name)[patient, hour] == value
    assert got(table, "ALP")[2, 47] == 33_000
    assert (derive(table)["readings"] != MISSING).sum() == 4


def test_the_records_number_is_the_28th_column_and_is_left_out() -> None:
    assert COLUMNS.index("RecordID") == 27
    assert (COLUMNS[26], COLUMNS[28], COLUMNS[-1]) == ("Platelets", "RespRate", "pH")
    assert tuple(derive(source())) == PHYSIONET.names
    assert derive(source())["readings"].shape == (37, 3, HOURS)


@pytest.mark.parametrize("name", VARIABLES)
def test_the_bounds_are_kept_and_what_is_beyond_them_is_missing(name: str) -> None:
    low, high = PLAUSIBLE[name]
    table = source(1)
    for hour, value in enumerate((low, high, low - 0.01, high + 0.01)):
        put(table, 0, hour, **{name: value})
    kept = got(table, name)[0]
    assert kept[:2].tolist() == [round(low * 1_000), round(high * 1_000)]
    assert kept[2:].tolist() == [MISSING] * 46


@pytest.mark.parametrize(
    ("name", "artefact"),
    [
        ("Temp", -17.8),
        ("Weight", -1),
        ("SysABP", 0),
        ("DiasABP", 0),
        ("NISysABP", 0),
        ("HR", 0),
        ("MAP", 279),
    ],
)
def test_a_known_artefact_is_missing_and_reported(name: str, artefact: float) -> None:
    table = put(source(), 1, 5, **{name: artefact})
    assert got(table, name)[1, 5] == MISSING
    lines = report(table)
    assert lines[1].startswith("1 readings outside")
    assert lines[2].startswith(f"  {name} outside")
    assert lines[2].endswith(f": {artefact:g} (1)")


def test_a_day_without_urine_is_a_reading() -> None:
    assert got(put(source(), 0, 9, Urine=0), "Urine")[0, 9] == 0


def test_rows_that_are_not_48_hours_of_one_patient_are_refused() -> None:
    swapped = source()
    swapped[[1, HOURS + 1]] = swapped[[HOURS + 1, 1]]
    backwards = source()[::-1]
    unnumbered = put(source(), 1, 3, RecordID=np.nan)
    for table, words in (
        (source()[:-1], "143 rows are no patients of 48 numbered hours"),
        (unnumbered, "numbered hours"),
        (swapped, "not 48 rows each by rising number"),
        (backwards, "not 48 rows each by rising number"),
    ):
        with pytest.raises(InvalidValueError, match=words):
            by_patient(table)


def test_readings_that_the_integers_cannot_hold_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="no multiples of 1/1000"):
        derive(put(source(), 0, 0, pH=7.4105))


def test_the_text_is_read_with_its_gaps_and_a_short_line_is_refused() -> None:
    line = " ".join(["NaN"] * 37 + ["007.240"])
    table = parse([line, line])
    assert table.shape == (2, 38)
    assert table[0, -1] == 7.24
    assert np.isnan(table[:, :-1]).all()
    with pytest.raises(InvalidValueError, match="line 2 has 37 cells, expected 38"):
        parse([line, line.removesuffix(" 007.240")])


def test_another_wheel_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(InvalidValueError, match="the wheel has SHA-256"):
        read_source(b"PK\x03\x04")
    before = PHYSIONET.path.read_bytes()
    wheel = tmp_path / "imputegap-1.1.2-py3-none-any.whl"
    wheel.write_bytes(b"PK\x03\x04")
    assert main([str(wheel)]) == 1
    assert "expected 30dcf296" in capsys.readouterr().err
    assert PHYSIONET.path.read_bytes() == before
