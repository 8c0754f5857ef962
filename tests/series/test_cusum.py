from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.drift_calibration import (
    DRAWS,
    calibrate,
    main,
    sums_without_drift,
    threshold_for,
)
from ledgerfed.series.cusum import CAP, ONE, THRESHOLD, Cusum, CusumRule, largest_sums
from ledgerfed.series.drift import squared_steps

NEVER = 1 << 60


def run(squares: list[int], rule: CusumRule) -> tuple[Cusum, list[bool]]:
    cusum, alarms = Cusum(rule), []
    for square in squares:
        cusum, alarm = cusum.update(square)
        alarms.append(alarm)
    return cusum, alarms


@settings(max_examples=30, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1), slack=st.sampled_from([0, 205, 512]), warmup=st.sampled_from([2, 30, 90])
)
def test_the_calibration_simulates_the_detector_itself_integer_by_integer(
    seed: int, slack: int, warmup: int
) -> None:
    errors = np.random.default_rng(seed).standard_t(3, (3, 150)).clip(-50, 50)  # within 64 bits
    squares = squared_steps(errors)
    expected = []
    for series in squares.tolist():
        cusum, largest = Cusum(CusumRule(NEVER, slack, warmup)), 0
        for square in series:
            cusum, _ = cusum.update(square)
            largest = max(largest, cusum.above)
        expected.append(largest)
    assert largest_sums(squares, slack, warmup).tolist() == expected


def test_the_sum_grows_by_what_exceeds_one_and_the_slack() -> None:
    rule = CusumRule(NEVER, slack=ONE // 2, warmup=4)
    cusum, _ = run([100] * 4, rule)
    assert (cusum.level, cusum.above, cusum.rising) == (100, 0, 0)
    cusum, _ = cusum.update(300)
    assert (cusum.above, cusum.rising) == (3 * ONE - ONE - ONE // 2, 1)
    cusum, _ = cusum.update(0)
    assert (cusum.above, cusum.rising) == (0, 0)


def test_nothing_is_judged_while_the_level_is_learnt() -> None:
    cusum, alarms = run([1] + [10**6] * 29, CusumRule(threshold=1))
    assert not any(alarms)
    assert cusum.above == 0
    assert cusum.update(10**9)[1]


def test_one_outlier_counts_for_no_more_than_the_cap() -> None:
    quiet, _ = run([1000] * 40, CusumRule())
    cusum, alarm = quiet.update(10**12)
    assert cusum.above == CAP * ONE - ONE - ONE // 2
    assert cusum.total == quiet.total + CAP * 1000
    assert not alarm


def test_a_grown_error_is_dated_where_the_sum_last_was_zero() -> None:
    cusum, alarms = run([1000] * 200 + [4000] * 30, CusumRule())
    first = alarms.index(True)
    assert 200 <= first < 225
    assert cusum.seen - cusum.rising == 200


def test_the_threshold_in_use_is_the_one_that_the_calibration_finds() -> None:
    rule = CusumRule()
    sums = sums_without_drift(rule, DRAWS["t5"], 1000, 20_000)
    assert threshold_for(sums, 0.05) == THRESHOLD == rule.threshold
    fresh = sums_without_drift(rule, DRAWS["t5"], 1000, 2000, seed=99)
    assert np.mean(fresh > THRESHOLD) == pytest.approx(0.05, abs=0.015)
    assert np.mean(sums_without_drift(rule, DRAWS["normal"], 1000, 1000) > THRESHOLD) < 0.01


def test_a_threshold_leaves_no_more_than_the_rate_above_it() -> None:
    sums = np.arange(100)
    threshold = threshold_for(sums, 0.05)
    assert np.sum(sums > threshold) == 5
    assert np.sum(sums > threshold - 1) == 6
    with pytest.raises(InvalidValueError, match="run more of them"):
        threshold_for(sums, 0.001)


def test_longer_watches_and_rarer_alarms_need_higher_thresholds() -> None:
    found = {(c.errors, c.horizon, c.rate): c.threshold for c in calibrate(400)}
    assert found["t5", 500, 0.05] < found["t5", 1500, 0.05] < found["t5", 1500, 0.01]
    assert found["normal", 1000, 0.05] < found["t5", 1000, 0.05]


def test_the_command_prints_every_threshold(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--trials", "200"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 13


def test_rules_and_squares_that_mean_nothing_are_refused() -> None:
    for wrong in ({"threshold": 0}, {"slack": -1}, {"warmup": 1}):
        with pytest.raises(InvalidValueError, match="must hold"):
            CusumRule(**wrong)
    with pytest.raises(InvalidValueError, match="need more than 30 squares"):
        largest_sums(np.ones((1, 30), dtype=np.int64), 0, 30)
    with pytest.raises(InvalidValueError, match="of at most"):
        largest_sums(np.full((1, 40), 1 << 60), 0, 30)
    with pytest.raises(InvalidValueError, match="errors and trials"):
        sums_without_drift(CusumRule(), DRAWS["normal"], 0, 10)
