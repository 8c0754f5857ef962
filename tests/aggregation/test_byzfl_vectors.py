"""Our rules against what byzfl 0.0.11 made of the same integers (tests/benchmarks/write_byzfl_vectors.py).

Rules that choose or weigh whole updates are compared by their integer weights: weights @ values in float64
against byzfl's output. Rules of coordinates are compared by their result, on inputs multiplied until every
mean is an integer, so that no rounding of ours is in the way. The largest difference of a coordinate,
relative to the largest coordinate of byzfl's output, is at most 1e-12; for the geometric median, whose
weights we round to 2^-32 in every step and byzfl does not, at most 1e-8.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from ledgerfed.aggregation.engine import aggregate, weigh
from ledgerfed.aggregation.gram import gram
from ledgerfed.aggregation.grid import Stack
from ledgerfed.protocol.rule import DECLARATIONS, Rule

DOCUMENT = json.loads((Path(__file__).with_name("byzfl.json")).read_text(encoding="utf-8"))
CASES = DOCUMENT["cases"]
NAMES = {
    "Average": Rule.MEAN,
    "Median": Rule.MEDIAN,
    "TrMean": Rule.TRIMMED_MEAN,
    "Krum": Rule.KRUM,
    "MultiKrum": Rule.MULTI_KRUM,
    "MDA": Rule.MINIMUM_DIAMETER,
    "GeometricMedian": Rule.GEOMETRIC_MEDIAN,
}
EQUAL = 1e-12
ITERATED = 1e-8
PAIRS = [(name, index) for index, case in enumerate(CASES) for name in case["outputs"]]


def shuffled(n, seed):
    return np.random.default_rng(seed).permutation(n).tolist()


def ours(name, case, seed=0):
    """Return what our rule makes of a case, float64 [d] on the scale of its values."""
    mixing, rule = name.startswith("NNM+"), NAMES[name.removeprefix("NNM+")]
    values = np.array(case["values"], dtype=np.int32)
    n = len(values)
    hostile = 0 if rule is Rule.MEAN else case["hostile"]
    ranks = shuffled(n, seed)
    if DECLARATIONS[rule].weighs:
        weights = np.array(weigh(rule, gram(values), hostile, ranks, mixing=mixing), dtype=np.float64)
        return weights @ values / weights.sum()
    factor = 2 * (n - 2 * hostile) * (n - hostile)
    return aggregate(rule, Stack(values * factor, 0), hostile, ranks, mixing=mixing) / factor


def apart(left, right):
    return np.abs(left - np.array(right)).max() / np.abs(right).max()


@pytest.mark.parametrize(("name", "index"), PAIRS)
def test_a_rule_agrees_with_byzfl(name, index):
    case = CASES[index]
    bound = ITERATED if name == "GeometricMedian" else EQUAL
    for seed in range(3):
        assert apart(ours(name, case, seed), case["outputs"][name]) <= bound


def test_the_vectors_cover_every_rule_and_loud_updates_that_move_the_mean():
    assert DOCUMENT["byzfl"] == "0.0.11"
    for case in CASES:
        outputs = case["outputs"]
        mixed = {f"NNM+{name}" for name in ("Median", "TrMean", "Krum", "MultiKrum", "MDA")}
        assert set(outputs) == set(NAMES) | mixed
    farther = [apart(case["outputs"]["Average"], case["outputs"]["MDA"]) for case in CASES]
    assert min(farther) > 0.01


@pytest.mark.parametrize("index", range(len(CASES)))
def test_what_a_stack_aggregates_to_is_byzfls_output_rounded(index):
    case = CASES[index]
    values = np.array(case["values"], dtype=np.int32)
    for name in ("Average", "Krum", "MultiKrum", "MDA", "NNM+MultiKrum"):
        rule = NAMES[name.removeprefix("NNM+")]
        hostile = 0 if rule is Rule.MEAN else case["hostile"]
        found = aggregate(
            rule, Stack(values, 0), hostile, shuffled(len(values), 1), mixing=name.startswith("NNM+")
        )
        assert np.abs(found - np.array(case["outputs"][name])).max() <= 0.5 + 1e-9
