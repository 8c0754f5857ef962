from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.models.concentrated import concentrated
from ledgerfed.models.kalman import Candidates, Filtered, kalman_filter
from ledgerfed.models.likelihood_search import maximise
from ledgerfed.models.state_space import restarts
from ledgerfed.models.structural import Components

TREND_AND_WEEK = Components(True, 7)
VARIANCES = (0.5, 0.1, 0.01, 0.02)


def wandering(n: int, seed: int = 1) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return np.cumsum(rng.normal(size=n) * 0.3) + rng.normal(size=n) + np.resize(rng.normal(size=7), n)


def with_holes(n: int) -> np.ndarray:
    y = wandering(n)
    y[[5, 6, 50, 51, 52, 200]] = np.nan
    return y


def whole(y: np.ndarray) -> np.ndarray:
    return np.arange(len(y)) == 0


def filtered(components: Components, variances: tuple[float, ...], y: np.ndarray) -> Filtered:
    return kalman_filter(components.models(np.array([variances])), y[:, None], whole(y))


def oracle(y: np.ndarray, **options: Any) -> Any:
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    return UnobservedComponents(y, use_exact_diffuse=True, **options)


def test_the_filter_with_a_diffuse_start_and_holes_is_the_one_of_statsmodels() -> None:
    y = with_holes(300)
    found = filtered(TREND_AND_WEEK, VARIANCES, y)
    expected = oracle(y, level="local linear trend", seasonal=7).filter(VARIANCES)
    np.testing.assert_allclose(found.predictions[0, :, 0], expected.forecasts[0], atol=1e-10)
    np.testing.assert_allclose(found.diffuse, expected.forecasts_error_diffuse_cov[0, 0], atol=1e-10)
    determined = found.diffuse == 0
    np.testing.assert_allclose(
        found.variances[0, determined], expected.forecasts_error_cov[0, 0, determined], atol=1e-10
    )


def test_the_concentrated_likelihood_is_that_of_statsmodels_at_the_scale_it_finds() -> None:
    y = with_holes(300)
    found = filtered(TREND_AND_WEEK, VARIANCES, y)
    likelihood = concentrated(found, y[:, None], whole(y), burn=0)
    scaled = np.array(VARIANCES) * likelihood.scale[0]
    expected = oracle(y, level="local linear trend", seasonal=7).loglike(scaled)
    starting = -0.5 * TREND_AND_WEEK.undetermined * np.log(2 * np.pi)
    assert likelihood.loglike[0] + starting == pytest.approx(expected, abs=1e-8)
    assert likelihood.n == np.isfinite(y).sum() - TREND_AND_WEEK.undetermined


def test_values_that_only_start_the_states_do_not_count() -> None:
    y = wandering(90)
    found = filtered(Components(False, 0), (1.0, 0.2), y)
    all_of_them, later = (concentrated(found, y[:, None], whole(y), burn) for burn in (1, 30))
    assert (all_of_them.n, later.n) == (89, 60)
    begins = whole(y) | (np.arange(90) == 40)
    again = kalman_filter(Components(False, 0).models(np.array([[1.0, 0.2]])), y[:, None], begins)
    assert concentrated(again, y[:, None], begins, 30).n == 10 + 20


def test_a_series_that_is_reproduced_exactly_has_no_likelihood() -> None:
    y = np.ones(30)
    likelihood = concentrated(filtered(Components(False, 0), (1.0, 0.2), y), y[:, None], whole(y), 0)
    assert likelihood.loglike[0] == -np.inf


def test_blocks_of_rows_give_what_single_steps_give() -> None:
    y = wandering(700)
    y[[350, 351]] = np.nan
    stepwise = Components(False, 0).models(np.array([[0.8, 0.3], [0.2, 1.0]]))
    unrolled = Candidates(
        stepwise.F, np.ones((700, 1)), stepwise.Q, stepwise.R, stepwise.start, stepwise.diffuse
    )
    begins = whole(y) | (np.arange(700) == 530)
    quick, slow = (
        kalman_filter(models, np.column_stack([y, y**2]), begins) for models in (stepwise, unrolled)
    )
    np.testing.assert_allclose(quick.predictions, slow.predictions, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(quick.variances, slow.variances, rtol=1e-11)


def test_predictions_further_ahead_are_the_forecasts_of_statsmodels() -> None:
    y = with_holes(300)
    models = TREND_AND_WEEK.models(np.array([VARIANCES]))
    found = kalman_filter(models, y[:, None], whole(y), 5).predictions[0, :, 0]
    assert np.isnan(found[:4]).all()
    for t in (60, 130, 250):
        cut = oracle(y[: t - 4], level="local linear trend", seasonal=7)
        assert found[t] == pytest.approx(cut.filter(VARIANCES).forecast(5)[4], abs=1e-8)


def test_blocks_predict_further_ahead_as_single_steps_do() -> None:
    y = wandering(700)
    models = Components(True, 0).models(np.array([[0.8, 0.3, 0.1], [0.2, 1.0, 0.01]]))
    far = kalman_filter(models, y[:, None], whole(y), 3).predictions
    for t in (5, 300, 690):
        shown = np.where(np.arange(700) < t - 2, y, np.nan)  # a gap: single steps, one and then another
        near = kalman_filter(models, shown[: t + 1, None], whole(y[: t + 1])).predictions
        np.testing.assert_allclose(far[:, t], near[:, t], atol=1e-8)
    moving = Candidates(models.F, np.ones((700, 2)), models.Q, models.R, models.start, models.diffuse)
    with pytest.raises(InvalidValueError, match="1 step ahead, not 3; H changes with time"):
        kalman_filter(moving, y[:, None], whole(y), 3)


def test_candidates_side_by_side_are_what_each_is_alone() -> None:
    y = with_holes(250)
    several = np.array([VARIANCES, (0.1, 0.0, 0.3, 0.0), (0.0, 1.0, 0.0, 0.5)])
    together = kalman_filter(TREND_AND_WEEK.models(several), y[:, None], whole(y))
    for position, variances in enumerate(several):
        alone = filtered(TREND_AND_WEEK, tuple(variances), y)
        np.testing.assert_allclose(together.predictions[position], alone.predictions[0], atol=1e-9)
        np.testing.assert_allclose(together.variances[position], alone.variances[0], atol=1e-9)


def test_several_series_pass_the_same_gains() -> None:
    y, x = wandering(120), wandering(120, seed=2)
    models = TREND_AND_WEEK.models(np.array([VARIANCES]))
    both = kalman_filter(models, np.column_stack([y, x, y + 2 * x]), whole(y)).predictions[0]
    np.testing.assert_allclose(both[:, 2], both[:, 0] + 2 * both[:, 1], atol=1e-9)


def test_an_episode_is_filtered_as_if_it_were_alone() -> None:
    first, second = wandering(60), wandering(80, seed=3) + 50
    y = np.concatenate([first, np.full(10, np.nan), second])
    models = TREND_AND_WEEK.models(np.array([VARIANCES]))
    together = kalman_filter(models, y[:, None], restarts(y, 10)).predictions[0, :, 0]
    alone = kalman_filter(models, second[:, None], whole(second)).predictions[0, :, 0]
    np.testing.assert_allclose(together[70:], alone, atol=1e-10)
    bridged = kalman_filter(models, y[:, None], restarts(y, 11)).predictions[0, :, 0]
    assert not np.allclose(bridged[71:80], alone[1:10], atol=1.0)


def test_a_missing_value_is_skipped_and_makes_the_next_prediction_less_certain() -> None:
    y = wandering(60)
    y[30] = np.nan
    found = filtered(Components(False, 0), (1.0, 0.5), y)
    assert found.predictions[0, 31, 0] == found.predictions[0, 30, 0]
    assert found.variances[0, 31] == pytest.approx(found.variances[0, 30] + 0.5)
    assert not found.seen[30]


@given(st.integers(1, 59), st.integers(0, 2**32 - 1))
def test_no_prediction_up_to_t_knows_the_values_from_t_on(t: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    y = np.where(rng.random(60) < 0.2, np.nan, rng.normal(size=60))
    later = y.copy()
    later[t:] = np.where(rng.random(60 - t) < 0.4, np.nan, 100 * rng.normal(size=60 - t))
    models = Components(True, 4).models(np.array([VARIANCES]))
    before, after = (
        kalman_filter(models, values[:, None], restarts(values, 3)).predictions[0, : t + 1]
        for values in (y, later)
    )
    np.testing.assert_array_equal(before, after)


def test_matrices_that_do_not_fit_each_other_are_refused() -> None:
    one = np.ones((1, 1, 1))
    with pytest.raises(InvalidValueError, match="F must be a batch of 2 x 2, got the shape"):
        Candidates(one, np.ones(2), one, np.ones(1), one, np.ones(2, dtype=bool))
    with pytest.raises(InvalidValueError, match="variances R >= 0"):
        Candidates(one, np.ones(1), one, -np.ones(1), one, np.ones(1, dtype=bool))


def banana(theta: np.ndarray) -> np.ndarray:
    x, y = theta.T
    return np.asarray(-((1 - x) ** 2) - 100 * (y - x**2) ** 2)


def test_the_search_ends_at_the_maximum_from_afar() -> None:
    found = maximise("test", banana, np.array([[-1.2, 1.0], [-2.0, 3.0]]))
    np.testing.assert_allclose(found.theta, [1.0, 1.0], atol=1e-4)
    assert found.value == pytest.approx(0.0, abs=1e-7)


def test_the_search_leaves_a_saddle() -> None:
    found = maximise("test", lambda t: -((t[:, 0] ** 2 - 1) ** 2) - t[:, 1] ** 2, np.array([[0.0, 0.5]]))
    np.testing.assert_allclose(np.abs(found.theta), [1.0, 0.0], atol=1e-5)


def test_the_search_finds_the_same_place_under_other_rounding() -> None:
    """Noise in the last bits of the values moves the end by far less than the grid of parameters."""
    rng = np.random.default_rng(0)
    ends = [
        maximise("test", lambda t: -500 + banana(t / 3) + 1e-12 * rng.normal(size=len(t)), np.zeros((1, 2)))
        for _ in range(5)
    ]
    assert np.ptp([end.theta for end in ends], axis=0).max() < 2e-8


def test_a_search_without_end_or_beginning_is_a_fit_error(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(FitError, match="'test' has no finite likelihood at any start"):
        maximise("test", lambda t: np.full(len(t), np.nan), np.zeros((3, 2)))
    with pytest.raises(FitError, match=r"'test' found no maximum within 60 steps; there is .* to gain"):
        maximise("test", lambda t: t[:, 0], np.zeros((1, 1)))
    monkeypatch.setattr("ledgerfed.models.likelihood_search._ITERATIONS", 2)
    with pytest.raises(FitError, match="found no maximum within 2 steps"):
        maximise("test", banana, np.array([[-1.2, 1.0]]))
