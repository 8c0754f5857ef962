from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import NotFoundError
from ledgerfed.series import Modality, Panel, align

START = np.datetime64("2024-01-01T00:00:00")
HOUR = 3600


def seconds(*offsets: int) -> np.ndarray:
    return START + np.array(offsets, dtype="timedelta64[s]")


def hourly(modality: Modality, rows: int = 6) -> Panel:
    times = seconds(*range(0, rows * HOUR, HOUR))
    return Panel("p", HOUR, times, np.zeros(rows), "y", "1", (modality,))


def test_the_last_reading_at_or_before_the_grid_time_stands_with_its_age() -> None:
    clock = Modality(
        "m", ("x",), ("1",), seconds(0, 1800, 2 * HOUR, 5 * HOUR + 1), [[1.0], [2.0], [3.0], [4.0]]
    )
    aligned = align(hourly(clock)).modality("m")
    assert aligned.column("x").tolist() == [1.0, 2.0, 3.0, 3.0, 3.0, 3.0]
    assert aligned.age[:, 0].tolist() == [0, 1800, 0, HOUR, 2 * HOUR, 3 * HOUR]


def test_before_the_first_reading_nothing_stands() -> None:
    clock = Modality("m", ("x",), ("1",), seconds(2 * HOUR), [[7.0]])
    aligned = align(hourly(clock)).modality("m")
    assert aligned.observed[:, 0].tolist() == [False, False, True, True, True, True]
    assert np.isnan(aligned.values[:2, 0]).all()
    assert aligned.age[:2, 0].tolist() == [-1, -1]


def test_a_missing_cell_is_no_reading_of_its_channel_only() -> None:
    clock = Modality("m", ("x", "y"), ("1", "1"), seconds(0, HOUR), [[1.0, 5.0], [np.nan, 6.0]])
    aligned = align(hourly(clock, 2)).modality("m")
    assert aligned.column("x").tolist() == [1.0, 1.0]
    assert aligned.age[1].tolist() == [HOUR, 0]
    assert aligned.column("y").tolist() == [5.0, 6.0]


def test_a_reading_does_not_outlive_its_validity() -> None:
    clock = Modality("m", ("x",), ("1",), seconds(0), [[1.0]], valid_for=2 * HOUR)
    assert align(hourly(clock)).modality("m").observed[:, 0].tolist() == [True] * 3 + [False] * 3


def test_an_unknown_name_is_not_found() -> None:
    aligned = align(hourly(Modality("m", ("x",), ("1",), seconds(0), [[1.0]])))
    with pytest.raises(NotFoundError, match="no modality 'n', only"):
        aligned.modality("n")
    with pytest.raises(NotFoundError, match="no channel 'z'"):
        aligned.modality("m").column("z")


@given(
    offsets=st.lists(st.integers(0, 20 * HOUR), min_size=1, max_size=30, unique=True).map(sorted),
    seed=st.integers(0, 2**32 - 1),
    cut=st.integers(0, 19),
)
def test_readings_after_a_grid_time_never_change_it(offsets: list[int], seed: int, cut: int) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(len(offsets), 2))
    values[rng.random(values.shape) < 0.3] = np.nan
    later = np.array(offsets) > cut * HOUR
    changed = np.where(later[:, None], rng.normal(size=values.shape), values)
    both = [
        align(hourly(Modality("m", ("x", "y"), ("1", "1"), seconds(*offsets), v), 20)).modality("m")
        for v in (values, changed)
    ]
    for name in ("values", "observed", "age"):
        one, other = (getattr(aligned, name)[: cut + 1] for aligned in both)
        np.testing.assert_array_equal(one, other)


def test_a_panel_says_which_channels_it_has() -> None:
    aligned = align(hourly(Modality("m", ("x",), ("1",), seconds(0), [[np.nan]])))
    assert aligned.has("m", "x")
    assert not aligned.has("m", "y")
    assert not aligned.has("n", "x")
