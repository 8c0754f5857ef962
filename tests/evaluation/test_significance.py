"""The test of equal accuracy: against a hand computation, its size under the null, and Holm's correction."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student
from scipy.stats import ttest_1samp
from statsmodels.stats.multitest import multipletests

from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.significance import diebold_mariano, holm


def test_one_step_ahead_it_is_the_t_test_of_the_differences_of_squares() -> None:
    # with one step the corrected statistic is mean / sqrt(var / (n - 1)) with var over n: Student's t
    rng = np.random.default_rng(2)
    first, second = rng.normal(size=40), 1.2 * rng.normal(size=40)
    expected = ttest_1samp(first**2 - second**2, 0, alternative="less").pvalue
    assert diebold_mariano(first, second) == pytest.approx(expected, rel=1e-12)


def test_three_steps_ahead_by_hand() -> None:
    first = np.array([1.0, 0.5, -0.2, 0.8, 1.1, -0.9, 0.3, 0.4, -1.2, 0.6])
    second = np.array([1.3, -0.9, 0.4, 1.0, -1.5, 0.8, 0.9, -0.2, 1.6, 0.9])
    d = [a * a - b * b for a, b in zip(first, second, strict=True)]
    n, h = 10, 3
    mean = sum(d) / n
    gamma = [sum((d[i] - mean) * (d[i - k] - mean) for i in range(k, n)) / n for k in range(h)]
    plain = gamma[0] + 2 * gamma[1] + 2 * gamma[2]
    bartlett = gamma[0] + 2 * (2 / 3) * gamma[1] + 2 * (1 / 3) * gamma[2]
    variance = max(plain, bartlett) / n
    statistic = mean / variance**0.5 * ((n + 1 - 2 * h + h * (h - 1) / n) / n) ** 0.5
    assert bartlett > plain > 0
    assert diebold_mariano(first, second, h) == pytest.approx(student.cdf(statistic, n - 1), rel=1e-12)


def test_under_the_null_one_in_twenty_is_called_significant() -> None:
    rng = np.random.default_rng(3)
    p = [diebold_mariano(*rng.normal(size=(2, 30))) for _ in range(2_000)]
    assert np.mean(np.array(p) < 0.05) == pytest.approx(0.05, abs=0.015)


def test_under_the_null_overlapping_horizons_stay_near_one_in_twenty() -> None:
    # errors 4 steps ahead are moving averages of 3 shocks back; differences of squares too
    rng = np.random.default_rng(4)
    p = []
    for _ in range(1_000):
        shocks = rng.normal(size=(2, 123))
        errors = np.array([np.convolve(s, np.ones(4), "valid") for s in shocks])
        p.append((diebold_mariano(*errors, 4), diebold_mariano(*errors, 1)))
    corrected, naive = np.mean(np.array(p) < 0.05, axis=0)
    assert 0.03 < corrected < 0.1
    assert naive > corrected + 0.05


def test_few_errors_ahead_seldom_pass_the_level_of_many_nodes() -> None:
    # 16 hours, 3 ahead, one of 159 patients: plain sums near zero let 1 in 100 pass, thirty times too many
    rng = np.random.default_rng(6)
    p = np.array([diebold_mariano(*rng.normal(size=(2, 16)), 3) for _ in range(2_000)])
    assert np.mean(p < 0.05 / 159) <= 0.001
    assert 0.02 < np.mean(p < 0.05) < 0.08


def test_better_worse_and_equal() -> None:
    rng = np.random.default_rng(5)
    error = rng.normal(size=200)
    assert diebold_mariano(error, 1.5 * error) < 1e-6
    assert diebold_mariano(1.5 * error, error) > 1 - 1e-6
    assert diebold_mariano(error, error) == 0.5
    assert diebold_mariano(np.ones(5), np.full(5, 2.0)) == 0.0
    assert diebold_mariano(np.full(5, 2.0), np.ones(5)) == 1.0


def test_a_long_run_variance_that_comes_out_negative_proves_nothing() -> None:
    # differences that alternate: their first autocovariance outweighs the variance
    gain = np.tile([1.0, -0.9], 10)
    second = np.full(20, 2.0)
    first = np.sqrt(second**2 + gain)
    centred = gain - gain.mean()
    assert centred @ centred + 2 * centred[1:] @ centred[:-1] < 0
    assert 0.05 < diebold_mariano(first, second, 2) < 0.95


@pytest.mark.parametrize(
    ("first", "second", "horizon"),
    [(np.ones(1), np.ones(1), 1), (np.ones(4), np.ones(5), 1), (np.ones(4), np.ones(4), 4)],
)
def test_too_few_errors_are_refused(first: np.ndarray, second: np.ndarray, horizon: int) -> None:
    with pytest.raises(InvalidValueError, match="cannot be compared"):
        diebold_mariano(first, second, horizon)


@pytest.mark.parametrize("seed", range(8))
def test_holm_rejects_what_statsmodels_rejects(seed: int) -> None:
    levels = [0.0, 0.001, 0.004, 0.01, 0.0125, 0.02, 0.05, 0.3, 1.0]
    p_values = np.random.default_rng(seed).choice(levels, 1 + 2 * seed).tolist()
    assert list(holm(p_values)) == multipletests(p_values, 0.05, "holm")[0].tolist()


def test_holm_stops_at_the_first_that_stands() -> None:
    # 0.03 > 0.05 / 2 stands, and so must 0.04, though 0.04 <= 0.05 / 1
    assert holm([0.04, 0.01, 0.03]) == (False, True, False)
    assert holm([0.04, 0.01, 0.025]) == (True, True, True)
    assert holm([]) == ()
