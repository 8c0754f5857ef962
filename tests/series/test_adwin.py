from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from river._river_rust.drift import AdaptiveWindowing
from river.drift import ADWIN

from ledgerfed.errors import InvalidValueError
from ledgerfed.series.adwin import Adwin, AdwinRule


def stream(seed: int, one: int) -> list[int]:
    """Squared normal errors whose variance jumps a few times, as multiples of 1 / one."""
    rng = np.random.default_rng(seed)
    parts = [
        rng.uniform(0.2, 6) * rng.standard_normal(int(rng.integers(20, 500))) ** 2
        for _ in range(int(rng.integers(1, 5)))
    ]
    return [int(v) for v in np.rint(np.concatenate(parts) * one)]


def play(values: list[int], rule: AdwinRule) -> list[tuple[bool, int]]:
    adwin, seen = Adwin(rule), []
    for value in values:
        adwin, alarm = adwin.update(value)
        seen.append((alarm, adwin.width))
    return seen


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    one=st.sampled_from([1, 1024]),
    clock=st.sampled_from([1, 7, 32]),
    per_level=st.sampled_from([2, 3, 5]),
    shortest=st.sampled_from([1, 5, 12]),
    grace=st.sampled_from([1, 10, 100]),
    inverse_delta=st.sampled_from([4, 50, 500]),
)
def test_every_alarm_and_every_window_is_that_of_river(
    seed: int, one: int, clock: int, per_level: int, shortest: int, grace: int, inverse_delta: int
) -> None:
    """On integers (or integer multiples of a power of two) river's floats decide as our integers do."""
    values = stream(seed, one)
    river = AdaptiveWindowing(
        delta=1 / inverse_delta,
        clock=clock,
        max_buckets=per_level,
        min_window_length=shortest,
        grace_period=grace,
    )
    expected = []
    for value in values:
        alarm = river.update(value / one)
        expected.append((alarm, river.get_width()))
    rule = AdwinRule(Fraction(1, inverse_delta), clock, per_level, shortest, grace, one)
    assert play(values, rule) == expected


def test_with_the_defaults_the_detector_of_river_starts_anew_after_an_alarm_and_finds_the_same() -> None:
    values = [v for seed in range(4) for v in stream(seed, 1)]
    river, adwin = ADWIN(), Adwin()
    alarms = 0
    for value in values:
        river.update(value)
        adwin, alarm = adwin.update(value)
        assert alarm == river.drift_detected
        if alarm:
            alarms += 1
            adwin = Adwin()
    assert alarms >= 4


def test_the_window_keeps_what_came_after_the_change() -> None:
    adwin = Adwin(AdwinRule(clock=1))
    for value in [0] * 512 + [5] * 64:
        adwin, _ = adwin.update(value)
    assert adwin.width <= 72
    assert adwin.mean > 4
    assert adwin.seen == 576


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(-(2**40), 2**40), min_size=1, max_size=200))
def test_buckets_hold_the_exact_sums_of_the_window(values: list[int]) -> None:
    adwin = Adwin(AdwinRule(clock=1 << 30, per_level=2))
    for value in values:
        adwin, alarm = adwin.update(value)
        assert not alarm
    assert adwin.width == len(values)
    assert adwin.mean == Fraction(sum(values), len(values))
    assert sum(squares for level in adwin.levels for _, squares in level) == sum(v * v for v in values)
    assert all(len(level) <= 2 for level in adwin.levels)


def test_a_value_of_any_size_is_counted_exactly() -> None:
    huge = 10**30
    found = play([v * huge for v in stream(2, 1024)], AdwinRule(one=1024 * huge))
    assert found == play(stream(2, 1024), AdwinRule(one=1024))
    assert any(alarm for alarm, _ in found)


def test_rules_that_mean_nothing_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="delta must lie between 0 and 1"):
        AdwinRule(Fraction(1))
    for wrong in ({"clock": 0}, {"per_level": 1}, {"shortest": 0}, {"grace": 0}, {"one": 0}):
        with pytest.raises(InvalidValueError, match="at least 1 and per_level 2"):
            AdwinRule(**wrong)
