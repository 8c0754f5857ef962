from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.fusion import no_harm
from ledgerfed.fusion.choice import combine_forecasters, native_share

EMPTY = np.zeros(0)


def test_before_any_tail_a_native_model_gets_at_most_half_and_none_beyond_half_as_many_parameters() -> None:
    assert native_share(1_000_000, 4) == pytest.approx(0.5, abs=1e-4)
    assert native_share(40, 10) == 0.25
    assert native_share(40, 20) == native_share(40, 39) == 0.0
    assert no_harm(EMPTY, EMPTY, 40, 10) == 0.25


def test_a_native_model_that_forecast_the_tail_better_gains_weight_and_a_worse_one_loses_it() -> None:
    errors = np.random.default_rng(1).normal(size=30)
    before = native_share(100, 5)
    assert no_harm(errors, errors, 100, 5) == pytest.approx(before)
    assert no_harm(errors, 0.5 * errors, 100, 5) > 0.99
    assert no_harm(errors, 2.0 * errors, 100, 5) < 0.01


def test_the_same_advantage_on_more_rows_counts_more() -> None:
    weights = [no_harm(np.ones(m), np.full(m, 0.95), 200, 5) for m in (1, 10, 60)]
    assert 0.45 < weights[0] < weights[1] < weights[2] < 1.0
    assert weights[2] > 0.9


def test_a_model_with_too_many_parameters_is_not_asked_whatever_it_did_on_the_tail() -> None:
    assert no_harm(np.ones(20), np.full(20, 1e-6), 27, 40) == 0.0


def test_weights_are_the_likelihoods_of_the_tail_times_the_prior() -> None:
    errors = np.random.default_rng(2).normal(size=(12, 3)) * [1.0, 1.1, 0.9]
    prior = np.array([0.5, 0.3, 0.2])
    likelihood = (errors**2).sum(axis=0) ** -6.0
    found = combine_forecasters(errors, prior)
    np.testing.assert_allclose(found, prior * likelihood / (prior @ likelihood))


@given(
    st.integers(0, 2**32 - 1),
    st.integers(0, 400),
    st.integers(1, 5),
    st.sampled_from([0.0, 1e-300, 1.0, 1e150]),
)
def test_weights_are_a_distribution_whatever_the_errors(seed: int, m: int, k: int, size: float) -> None:
    rng = np.random.default_rng(seed)
    prior = rng.uniform(size=k)
    prior[rng.integers(k)] = 1.0
    weights = combine_forecasters(size * rng.normal(size=(m, k)), prior)
    assert (weights >= 0).all()
    assert weights.sum() == pytest.approx(1)


def test_a_forecaster_without_prior_weight_stays_without_even_if_it_is_never_wrong() -> None:
    errors = np.column_stack([np.ones(200), np.zeros(200), np.full(200, 1.5)])
    np.testing.assert_allclose(combine_forecasters(errors, np.array([0.5, 0.0, 0.5])), [1, 0, 0], atol=1e-9)


def test_what_cannot_be_weighed_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="same rows"):
        no_harm(np.ones(3), np.ones(4), 10, 1)
    with pytest.raises(InvalidValueError, match="finite errors"):
        no_harm(np.array([1.0, np.nan]), np.ones(2), 10, 1)
    with pytest.raises(InvalidValueError, match="needs rows"):
        no_harm(np.ones(3), np.ones(3), 0, 1)
    with pytest.raises(InvalidValueError, match="needs rows"):
        native_share(10, -1)
    with pytest.raises(InvalidValueError, match="nor all zero"):
        combine_forecasters(np.ones((3, 2)), np.zeros(2))
    with pytest.raises(InvalidValueError, match="must not be negative"):
        combine_forecasters(np.ones((3, 2)), np.array([1.5, -0.5]))
    with pytest.raises(InvalidValueError, match="k weights"):
        combine_forecasters(np.ones((3, 2)), np.ones(3))
