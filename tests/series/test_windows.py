from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError, NotFoundError
from ledgerfed.series import Modality, Panel, align, per_period, summarise

START = np.datetime64("2024-01-01T00:00:00")
HOUR = 3600


def seconds(*offsets: int) -> np.ndarray:
    return START + np.array(offsets, dtype="timedelta64[s]")


def hourly(rows: int, *modalities: Modality) -> Panel:
    times = seconds(*range(0, rows * HOUR, HOUR))
    return Panel("p", HOUR, times, np.arange(float(rows)), "y", "1", modalities)


def test_a_period_is_summarised_by_mean_deviation_and_last_reading_inside_it() -> None:
    fast = Modality(
        "m",
        ("x", "z"),
        ("bar", "V"),
        seconds(-1, 0, 1200, 3599, 3600, 3 * HOUR),
        [[9.0, 9.0], [1.0, 5.0], [2.0, np.nan], [6.0, np.nan], [4.0, 7.0], [8.0, 8.0]],
    )
    summary = per_period(fast, hourly(3).times, HOUR)
    assert summary.channels == ("x.mean", "x.sd", "x.last", "z.mean", "z.sd", "z.last")
    assert summary.units == ("bar",) * 3 + ("V",) * 3
    expected = [
        [3.0, np.std([1.0, 2.0, 6.0]), 6.0, 5.0, np.nan, 5.0],
        [4.0, np.nan, 4.0, 7.0, np.nan, 7.0],
        [np.nan] * 6,
    ]
    np.testing.assert_allclose(summary.values, expected, rtol=1e-15)


def test_a_summarised_panel_keeps_its_other_modalities() -> None:
    fast = Modality("fast", ("x",), ("1",), seconds(0, 10), [[1.0], [2.0]], valid_for=HOUR)
    slow = Modality("slow", ("x",), ("1",), seconds(0), [[1.0]])
    panel = summarise(hourly(2, fast, slow), "fast")
    assert panel.modalities[1] is slow
    assert panel.modalities[0].valid_for == HOUR
    assert align(panel).modality("fast").column("x.mean").tolist() == [1.5, 1.5]


def test_what_cannot_be_summarised_is_refused() -> None:
    fast = Modality("fast", ("x",), ("1",), seconds(0), [[1.0]])
    with pytest.raises(NotFoundError, match="no modality 'slow' to summarise"):
        summarise(hourly(2, fast), "slow")
    with pytest.raises(InvalidValueError, match="at least 1 s, got 0"):
        per_period(fast, hourly(2).times, 0)


@given(
    offsets=st.lists(st.integers(0, 20 * HOUR - 1), min_size=1, max_size=60, unique=True).map(sorted),
    seed=st.integers(0, 2**32 - 1),
    stop=st.integers(1, 20),
)
def test_a_summary_never_holds_a_reading_from_after_its_period(
    offsets: list[int], seed: int, stop: int
) -> None:
    rng = np.random.default_rng(seed)
    values = rng.normal(size=(len(offsets), 1))
    values[rng.random(len(offsets)) < 0.3] = np.nan
    later = np.array(offsets) >= stop * HOUR
    changed = np.where(later[:, None], rng.normal(size=values.shape), values)
    fast = Modality("m", ("x",), ("1",), seconds(*offsets), values)
    one, other = (per_period(m, hourly(20).times, HOUR).values for m in (fast, replace(fast, values=changed)))
    np.testing.assert_array_equal(one[:stop], other[:stop])
