"""All rules through the one door: the same bits for any order and thread, and what each rule promises."""

from __future__ import annotations

import os
import subprocess
import sys
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from robust_rows import KINDS, TOP, Case, cases, centre, rows_of

from ledgerfed.aggregation.engine import WEIGHING, aggregate, weigh
from ledgerfed.aggregation.gram import gram
from ledgerfed.aggregation.grid import Stack
from ledgerfed.aggregation.rules.coordinate import median, trimmed_mean
from ledgerfed.aggregation.rules.mixing import nearest_neighbour_mixing
from ledgerfed.aggregation.weights import WEIGHT_ONE, combine
from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.fixedpoint import divide_half_even
from ledgerfed.protocol.rule import DECLARATIONS, Rule

ROBUST = [rule for rule in Rule if rule is not Rule.MEAN]


def hostile_of(rule: Rule, case: Case) -> int:
    return 0 if rule is Rule.MEAN else case.hostile


def result(rule: Rule, case: Case, mixing: bool) -> list[int]:
    return aggregate(rule, Stack(case.values, 10), hostile_of(rule, case), case.ranks, mixing=mixing).tolist()


def test_every_rule_that_weighs_is_behind_the_door():
    assert set(WEIGHING) == {rule for rule in Rule if DECLARATIONS[rule].weighs}


@pytest.mark.parametrize("rule", Rule)
@pytest.mark.parametrize("mixing", [False, True])
@settings(max_examples=40)
@given(case=cases(), data=st.data())
def test_the_order_of_nodes_changes_no_bit(rule, mixing, case, data):
    order = data.draw(st.permutations(range(len(case.values))))
    reversed_case = case.permuted(range(len(case.values))[::-1])
    expected = result(rule, case, mixing)
    assert result(rule, case.permuted(order), mixing) == expected
    assert result(rule, reversed_case, mixing) == expected


@pytest.mark.parametrize("rule", WEIGHING)
@given(case=cases())
def test_weights_are_not_negative_and_have_a_total(rule, case):
    for mixing in (False, True):
        weights = weigh(rule, case.gram, hostile_of(rule, case), case.ranks, mixing=mixing)
        assert min(weights) >= 0
        assert sum(weights) > 0
        assert all(type(weight) is int for weight in weights)
        assert weights == weigh(rule, case.gram.tolist(), hostile_of(rule, case), case.ranks, mixing=mixing)
        assert combine(case.values, weights).tolist() == result(rule, case, mixing)


@given(cases())
def test_a_mixed_rule_is_the_rule_on_the_mixed_rows(case):
    """Multi-Krum on the sums of neighbours, divided once, is Multi-Krum with mixing."""
    parts = len(case.values) - case.hostile
    mixed = (nearest_neighbour_mixing(case.gram, case.hostile, case.ranks) @ case.values).astype(np.int32)
    products = Case(mixed, case.hostile, case.ranks).gram
    if np.abs(products).max() <= 1 << 52:
        weights = weigh(Rule.MULTI_KRUM, products, case.hostile, case.ranks)
        rows = np.array([w > 0 for w in weights])
        sums = mixed[rows].astype(np.int64).sum(axis=0).tolist()
        expected = [divide_half_even(value, parts * int(rows.sum())) for value in sums]
        assert result(Rule.MULTI_KRUM, case, mixing=True) == expected


@given(cases())
def test_the_coordinate_rules_go_through_the_same_door(case):
    parts = len(case.values) - case.hostile
    mixed = (nearest_neighbour_mixing(case.gram, case.hostile, case.ranks) @ case.values).astype(np.int32)
    assert result(Rule.MEDIAN, case, mixing=False) == median(case.values).tolist()
    assert result(Rule.TRIMMED_MEAN, case, mixing=False) == trimmed_mean(case.values, case.hostile).tolist()
    expected = [divide_half_even(value, parts) for value in median(mixed).tolist()]
    assert result(Rule.MEDIAN, case, mixing=True) == expected


PROGRAM = """
import hashlib, numpy as np
from ledgerfed.aggregation.engine import aggregate
from ledgerfed.aggregation.gram import gram
from ledgerfed.aggregation.grid import Stack
from ledgerfed.protocol.rule import Rule
generator = np.random.default_rng(7)
values = generator.integers(-(1 << 17) + 1, 1 << 17, (40, 4000)).astype(np.int32)
values[5:20] = values[4] + generator.integers(-300, 300, (15, 4000))
values = np.clip(values, -(1 << 17) + 1, (1 << 17) - 1).astype(np.int32)
digest = hashlib.sha256()
for block in (None, 100, 3999):
    digest.update(gram(values, block).tobytes())
for rule in Rule:
    for mixing in (False, True):
        hostile = 0 if rule is Rule.MEAN else 8
        digest.update(aggregate(rule, Stack(values, 9), hostile, range(40), mixing=mixing).tobytes())
print(digest.hexdigest())
"""


def digest_with(**variables: str) -> str:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


def test_threads_and_kernels_of_the_linear_algebra_change_no_bit():
    one = digest_with(OPENBLAS_NUM_THREADS="1")
    assert len(one) == 64
    assert digest_with(OPENBLAS_NUM_THREADS="2") == one
    # An older kernel: no fused multiply-add, other blocks.
    assert digest_with(OPENBLAS_NUM_THREADS="1", OPENBLAS_CORETYPE="Nehalem") == one


@pytest.mark.parametrize("rule", ROBUST)
def test_a_rule_outside_its_bound_is_an_error_before_it_runs(rule):
    least = DECLARATIONS[rule].least(2)
    values = np.zeros((least - 1, 2), np.int32)
    with pytest.raises(InvalidValueError, match=f"needs at least {least}"):
        aggregate(rule, Stack(values, 0), 2, range(least - 1))


def test_what_the_door_does_not_take():
    stack = Stack(np.zeros((5, 2), np.int32), 0)
    with pytest.raises(InvalidValueError, match="use aggregate"):
        weigh(Rule.MEDIAN, gram(stack.values), 1, range(5))
    for rule in (Rule.KRUM, Rule.MEAN):
        with pytest.raises(InvalidValueError, match="permutation"):
            aggregate(rule, stack, 0, [0, 1, 2, 3, 3])
    with pytest.raises(InvalidValueError, match="permutation"):
        aggregate(Rule.MEDIAN, stack, 1, [0, 1, 2, 3], mixing=True)
    with pytest.raises(InvalidValueError, match="the mean stands no hostile"):
        aggregate(Rule.MEAN, stack, 1, range(5))


WORST = {
    Rule.COVARIANCE_FILTER: 1.25,
    Rule.GEOMETRIC_MEDIAN: 1.4,
    Rule.MEDIAN: 1.4,
    Rule.TRIMMED_MEAN: 0.8,
    Rule.MULTI_KRUM: 1.8,
    Rule.CENTERED_CLIPPING: 1.5,
    Rule.REDESCENDING: 2.5,
    Rule.KRUM: 3.0,
    Rule.MINIMUM_DIAMETER: 3.0,
}
"""The share of the honest variance that a rule may be off by, for any n - f of 11 updates with f = 3."""


def adversarial(generator: np.random.Generator) -> np.ndarray:
    """Return 11 rows whose subsets are hard to tell apart: few dimensions, clusters, heavy tails."""
    d = int(generator.integers(1, 5))
    rows = generator.standard_normal((11, d)) * 1000
    kind = generator.integers(4)
    if kind == 0:
        rows[: generator.integers(1, 6)] = rows[0] + generator.normal(0, 3, d)
    if kind == 1:
        rows = generator.choice([-1000, 0, 1000], (11, d)) + generator.normal(0, 20, (11, d))
    if kind == 2:
        rows *= np.abs(generator.standard_cauchy((11, 1)))
    return np.rint(np.clip(rows, -TOP, TOP)).astype(np.int32)


def worst_ratio(values: np.ndarray, found: np.ndarray) -> float:
    """Return the largest ||F - mean_S||^2 / mean ||x_i - mean_S||^2 over the subsets S of 8."""
    ratios = [0.0]
    for kept in combinations(range(len(values)), 8):
        rows = values[list(kept)].astype(float)
        mean = rows.mean(axis=0)
        variance = ((rows - mean) ** 2).sum(axis=1).mean()
        # Below some steps of the grid its rounding is what one would measure.
        if variance > 400:
            ratios.append(((found - mean) ** 2).sum() / variance)
    return float(max(ratios))


@pytest.mark.parametrize("rule", ROBUST)
def test_no_subset_of_honest_updates_is_far_from_the_result(rule):
    generator = np.random.default_rng(20)
    found = 0.0
    for _ in range(40):
        values = adversarial(generator)
        ranks = generator.permutation(11).tolist()
        found = max(found, worst_ratio(values, aggregate(rule, Stack(values, 0), 3, ranks)))
    assert found <= WORST[rule]


@pytest.mark.parametrize("rule", ROBUST)
@pytest.mark.parametrize("kind", ["one far", "all far"])
def test_hostile_updates_at_the_ends_of_the_grid_do_not_move_the_result_far(rule, kind):
    values = rows_of(kind, np.random.default_rng(30), 13, 4, 50)
    honest = values[4:].astype(float)
    mean = honest.mean(axis=0)
    spread = np.linalg.norm(honest - mean, axis=1).max()
    found = aggregate(rule, Stack(values, 0), 4, range(13))
    assert np.linalg.norm(found - mean) <= 1.5 * spread
    plain = aggregate(Rule.MEAN, Stack(values, 0), 0, range(13))
    assert np.linalg.norm(plain - mean) > 5 * spread


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("rule", WEIGHING)
def test_the_result_is_the_centre_of_the_weights(rule, kind):
    values = rows_of(kind, np.random.default_rng(31), 13, 4, 50)
    hostile = 0 if rule is Rule.MEAN else 4
    weights = weigh(rule, gram(values), hostile, range(13))
    found = aggregate(rule, Stack(values, 0), hostile, range(13))
    assert np.abs(found - centre(values, weights)).max() <= 0.5
    assert max(weights) <= WEIGHT_ONE
