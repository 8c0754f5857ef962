"""The global model never explodes: roots beyond the bound are contracted, the others are left alone."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgerfed.consensus.stability import is_stable, stabilise
from ledgerfed.protocol.fixedpoint import FixedVector
from ledgerfed.protocol.manifest import Manifest
from ledgerfed.protocol.score import ONE

SCALE = 40
BOUNDS = st.sampled_from([ONE - ONE // 100, ONE, ONE + ONE // 64, 2 * ONE])


@st.composite
def models(draw):
    """Coefficients of a few lags with gaps, and one column that is no lag."""
    lags = tuple(sorted(draw(st.sets(st.integers(1, 14), min_size=1, max_size=6))))
    values = draw(st.lists(st.floats(-1.5, 1.5), min_size=len(lags) + 1, max_size=len(lags) + 1))
    return FixedVector(tuple(round(value * 2**SCALE) for value in values), SCALE), lags


def largest_root(theta, lags):
    dense = np.zeros(lags[-1])
    dense[np.array(lags) - 1] = [value * 2.0**-SCALE for value in theta.values[: len(lags)]]
    return max(abs(np.roots([1, *-dense])), default=0.0)


@pytest.mark.threat("N12")
@given(models(), BOUNDS)
@settings(max_examples=150)
def test_the_model_is_stable_afterwards_and_nothing_but_its_lags_changed(model, bound):
    theta, lags = model
    after, rho = stabilise(theta, lags, bound)
    assert is_stable(after.values[: len(lags)], SCALE, lags, bound)
    assert largest_root(after, lags) < bound / ONE + 1e-6
    assert after.values[len(lags) :] == theta.values[len(lags) :]
    assert (rho is None) == is_stable(theta.values[: len(lags)], SCALE, lags, bound)


@given(models(), BOUNDS)
@settings(max_examples=60)
def test_a_stable_model_is_untouched_bit_for_bit_and_a_second_time_changes_nothing(model, bound):
    theta, lags = model
    after, rho = stabilise(theta, lags, bound)
    if rho is None:
        assert after == theta
    assert stabilise(after, lags, bound) == (after, None)


@given(models())
@settings(max_examples=100)
def test_every_root_is_contracted_by_the_same_factor_and_no_further_than_needed(model):
    theta, lags = model
    after, rho = stabilise(theta, lags, ONE)
    if rho is None:
        return
    factor = rho / ONE
    expected = [t * 2.0**-SCALE * factor**lag for t, lag in zip(theta.values, lags, strict=False)]
    found = [t * 2.0**-SCALE for t in after.values[: len(lags)]]
    assert found == pytest.approx(expected, abs=2.0**-SCALE)
    assert factor == pytest.approx(1 / largest_root(theta, lags), abs=3e-5)


def test_a_random_walk_is_left_alone_where_the_federation_allows_a_unit_root():
    walk = FixedVector((1 << SCALE, 5), SCALE)
    assert stabilise(walk, (1,), ONE + 1) == (walk, None)
    contracted, rho = stabilise(walk, (1,), ONE)
    assert rho == ONE - 1
    assert contracted.values == ((ONE - 1) << SCALE - 16, 5)


def test_a_model_without_lags_is_stable():
    theta = FixedVector((1 << SCALE,), SCALE)
    assert stabilise(theta, (), ONE) == (theta, None)


def test_a_season_of_a_year_is_contracted_at_once():
    lags = (1, 7, 364)
    after, rho = stabilise(FixedVector((1 << 39, 1 << 39, 1 << 38), SCALE), lags, ONE)
    assert rho is not None
    assert is_stable(after.values, SCALE, lags, ONE)


def test_the_outcome_says_by_how_much_the_model_was_contracted(scene):
    """The honest truth has its largest root at 0.76; a bound below it makes every model too lively."""
    free = scene.outcome()
    assert free.stabilised is None
    assert free.manifest().document()["stabilised"] is None
    gates = replace(scene.config.gates, model_root_bound=ONE // 2)
    bound = replace(scene, config=replace(scene.config, gates=gates)).outcome()
    assert bound.model.theta == stabilise(free.model.theta, scene.config.lags, ONE // 2)[0]
    assert bound.model.precision == free.model.precision
    manifest = bound.manifest()
    assert manifest.stabilised == manifest.document()["stabilised"] == bound.stabilised
    assert 0 < bound.stabilised < ONE
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest
