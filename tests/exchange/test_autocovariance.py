from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from stable_models import reflections
from statsmodels.tsa.stattools import acovf

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange import dequantise, information, quantise
from ledgerfed.exchange.autocovariance import (
    SCALE,
    SmallProfile,
    combine,
    dequantise_profile,
    quantise_profile,
    small_profile,
    theta,
    toeplitz,
)
from ledgerfed.exchange.linear_prediction import step_down, step_up
from ledgerfed.exchange.projection import autocovariances
from ledgerfed.fusion import fuse

LAGS = tuple(range(1, 13))
IDS = {"schema": b"\x01" * 32, "base_model": b"\x02" * 32, "family": b"\x03" * 4}


def series(seed: int, n: int = 200, smooth: float = 0.7) -> np.ndarray:
    """A standardised AR(1)."""
    rng = np.random.default_rng(seed)
    y = np.zeros(n)
    for t in range(1, n):
        y[t] = smooth * y[t - 1] + rng.normal()
    return (y - y.mean()) / y.std()


def profiles(count: int = 6) -> list[SmallProfile]:
    return [small_profile(series(i, 60 + 40 * i, 0.1 + 0.15 * i), 12) for i in range(count)]


def zero_padded(y: np.ndarray, lags: int) -> tuple[np.ndarray, np.ndarray]:
    """The rows whose least squares the biased autocovariances are: the series between zeros."""
    wide = np.concatenate([np.zeros(lags), y, np.zeros(lags)])
    X = np.column_stack([wide[lags - j : len(wide) - j] for j in range(1, lags + 1)])
    return X, wide[lags:]


def smallest_eigenvalue(integers: np.ndarray) -> float:
    return float(np.linalg.eigvalsh(toeplitz(integers.astype(np.float64))).min())


def test_the_profile_of_a_series_agrees_with_statsmodels() -> None:
    y = series(1)
    np.testing.assert_allclose(small_profile(y, 12).r, acovf(y, demean=False, fft=False)[:13], atol=1e-12)


def test_its_information_is_that_of_the_series_between_zeros() -> None:
    y = series(2)
    X, padded = zero_padded(y, 12)
    profile = small_profile(y, 12)
    own = profile.information(LAGS)
    s2 = float(((padded - X @ np.linalg.lstsq(X, padded)[0]) ** 2).sum()) / (200 - 12)
    assert own.s2 == pytest.approx(s2) == profile.s2
    assert own.residual == pytest.approx(200 - 12)
    np.testing.assert_allclose(own.precision(), X.T @ X / s2, atol=1e-9 * 200 / s2)
    np.testing.assert_allclose(own.eta(), X.T @ padded / s2, atol=1e-9 * 200 / s2)
    np.testing.assert_allclose(own.theta(), theta(profile.r), atol=1e-9)


def test_a_basis_with_other_lags_gets_what_they_say() -> None:
    y = series(3)
    X, padded = zero_padded(y, 12)
    chosen = X[:, [6, 0]]
    own = small_profile(y, 12).information((7, 1))
    np.testing.assert_allclose(own.theta(), np.linalg.lstsq(chosen, padded)[0], atol=1e-9)
    error = padded - chosen @ own.theta()
    assert own.s2 == pytest.approx(float(error @ error) / (200 - 2))
    assert own.residual == pytest.approx(200 - 2)


def test_a_constrained_node_joins_the_others_in_one_sum() -> None:
    y = [series(i) for i in range(4)]
    small = [small_profile(values, 12).information(LAGS) for values in y[:2]]
    rows = [zero_padded(values, 12) for values in y]
    full = [information(X[12:200], t[12:200], t[12:200], 1.0, ridge=0.0) for X, t in rows[2:]]
    received = [dequantise(quantise(info, **IDS)) for info in (*small, *full)]
    fused, _ = fuse(received, [1.0] * 4)
    stacked = [rows[0], rows[1], *((X[12:200], t[12:200]) for X, t in rows[2:])]
    scale = [np.sqrt(info.s2) for info in (*small, *full)]
    X = np.vstack([X / s for (X, _), s in zip(stacked, scale, strict=True)])
    t = np.concatenate([t / s for (_, t), s in zip(stacked, scale, strict=True)])
    np.testing.assert_allclose(fused, np.linalg.lstsq(X, t)[0], atol=2e-4)
    alone, _ = fuse(full, [1.0] * 2)
    assert np.abs(fused - alone).max() > 0.01


def test_the_sum_of_profiles_is_the_sum_of_their_information() -> None:
    weights = [1.0, 0.5, 0.0, 2.0, 1.0, 3.0]
    fused, precision = fuse([p.information(LAGS) for p in profiles()], weights)
    combined = combine(profiles(), weights)
    np.testing.assert_allclose(theta(combined), fused, atol=1e-9)
    np.testing.assert_allclose(toeplitz(combined)[:12, :12], precision, atol=1e-9 * precision.max())


@settings(deadline=None)
@given(k=reflections(12, least=1), n=st.integers(13, 500))
def test_sixteen_bits_hold_a_profile_to_half_a_unit(k: np.ndarray, n: int) -> None:
    r = autocovariances(step_up(k), (), 12)
    profile = SmallProfile(n, r / r[0])
    integers = quantise_profile(profile)
    assert np.abs(integers).max() < 1 << 15
    received = dequantise_profile(n, integers)
    np.testing.assert_allclose(received.r[1:], profile.r[1:], atol=2.0 ** -(SCALE + 1))
    assert 0 <= received.r[0] - profile.r[0] <= (12 + 2) * 2.0**-SCALE


@settings(max_examples=200, deadline=None)
@given(
    frequencies=st.lists(st.floats(0, np.pi), min_size=1, max_size=3),
    noise=st.floats(1e-12, 1e-3),
    lags=st.integers(2, 24),
)
def test_what_is_almost_singular_stays_positive_definite_after_rounding(
    frequencies: list[float], noise: float, lags: int
) -> None:
    r = np.cos(np.outer(frequencies, np.arange(lags + 1))).mean(axis=0) * (1 - noise)
    r[0] = 1.0
    try:
        profile = SmallProfile(lags + 1, r)
    except InvalidValueError:  # singular already in double precision
        return
    integers = quantise_profile(profile)
    assert smallest_eigenvalue(integers) > 0.999
    received = dequantise_profile(profile.n, integers)
    assert (np.abs(step_down(theta(received.r))) < 1).all()


def test_rounding_alone_would_have_cost_the_definiteness() -> None:
    r = np.cos(0.3 * np.arange(13)) * (1 - 1e-9)
    r[0] = 1.0
    profile = SmallProfile(99, r)
    assert smallest_eigenvalue(np.rint(np.ldexp(r, SCALE))) < 0
    integers = quantise_profile(profile)
    assert integers[0] > 1 << SCALE
    np.testing.assert_array_equal(integers[1:], np.rint(np.ldexp(r[1:], SCALE)))


def test_thirteen_numbers_take_26_bytes() -> None:
    integers = quantise_profile(small_profile(series(5), 12))
    assert len(integers.astype("<i2").tobytes()) == 26
    np.testing.assert_array_equal(integers.astype("<i2"), integers)


def test_the_sum_of_rounded_profiles_is_stable_whatever_the_weights() -> None:
    rounded = [dequantise_profile(p.n, quantise_profile(p)) for p in profiles()]
    for weights in np.random.default_rng(0).uniform(0, 9, size=(50, 6)):
        assert (np.abs(step_down(theta(combine(rounded, list(weights))))) < 1).all()


@pytest.mark.parametrize(
    ("y", "lags", "message"),
    [
        (np.array([1.0, np.nan, 2.0]), 1, "a gap has no small profile"),
        (np.ones(12), 12, "12 values have no 12 lags"),
        (np.ones(12), 0, "at least one lag"),
        (np.zeros(20), 3, "variance above 0"),
    ],
)
def test_series_without_a_profile_are_refused(y: np.ndarray, lags: int, message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        small_profile(y, lags)


def test_profiles_that_cannot_be_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="3 values cannot tell 3 lags"):
        SmallProfile(3, np.array([1.0, 0.2, 0.1, 0.0]))
    with pytest.raises(InvalidValueError, match="not positive definite"):
        SmallProfile(30, np.array([1.0, 1.2]))
    with pytest.raises(InvalidValueError, match="not positive definite"):
        dequantise_profile(30, np.array([100, 101]))
    with pytest.raises(InvalidValueError, match="16 bits"):
        dequantise_profile(30, np.array([1 << 15, 0]))
    with pytest.raises(InvalidValueError, match=r"r_0 is 2\.0"):
        quantise_profile(SmallProfile(30, np.array([2.0, 0.3])))


@pytest.mark.parametrize("lags", [(), (0, 1), (13,), (1, 1)])
def test_lags_beyond_the_profile_are_refused(lags: tuple[int, ...]) -> None:
    with pytest.raises(InvalidValueError, match=r"knows the lags 1\.\.12"):
        profiles(1)[0].information(lags)


def test_combining_needs_something_to_weigh() -> None:
    short = small_profile(series(1), 3)
    for given_profiles, weights in (([], []), (profiles(2), [1.0]), ([*profiles(1), short], [1.0, 1.0])):
        with pytest.raises(InvalidValueError, match="same lags with a weight each"):
            combine(given_profiles, weights)
    for weights in ([0.0, 0.0], [1.0, -0.1]):
        with pytest.raises(InvalidValueError, match="not be negative nor all zero"):
            combine(profiles(2), weights)
