"""The one door to the robust rules: a rule by its name, on a stack or on a Gram matrix."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from ledgerfed.aggregation.gram import as_gram, coarsened, gram, mixed_gram, mixed_rows
from ledgerfed.aggregation.grid import Integers, Stack
from ledgerfed.aggregation.rules import coordinate
from ledgerfed.aggregation.rules.clipping import centered_clipping
from ledgerfed.aggregation.rules.covariance_filter import covariance_filter
from ledgerfed.aggregation.rules.diameter import minimum_diameter
from ledgerfed.aggregation.rules.geometric_median import geometric_median
from ledgerfed.aggregation.rules.krum import krum, multi_krum
from ledgerfed.aggregation.rules.mean import mean
from ledgerfed.aggregation.rules.mixing import nearest_neighbour_mixing
from ledgerfed.aggregation.rules.redescending import redescending
from ledgerfed.aggregation.ties import require_ranks
from ledgerfed.aggregation.weights import Weights, bounded, combine, divide_rounded
from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.rule import Rule, require_bound

WeighingRule = Callable[[Integers, int, Sequence[int]], Weights]

WEIGHING: Mapping[Rule, WeighingRule] = {
    Rule.MEAN: mean,
    Rule.REDESCENDING: redescending,
    Rule.GEOMETRIC_MEDIAN: geometric_median,
    Rule.KRUM: krum,
    Rule.MULTI_KRUM: multi_krum,
    Rule.MINIMUM_DIAMETER: minimum_diameter,
    Rule.CENTERED_CLIPPING: centered_clipping,
    Rule.COVARIANCE_FILTER: covariance_filter,
}


def aggregate(
    rule: Rule, stack: Stack, hostile: int, ranks: Sequence[int], *, mixing: bool = False
) -> Integers:
    """Return what the rule makes of the updates, int64 [d] on the scale of the stack.

    A weighing rule is rounded once, half to even, and so is the trimmed mean. With mixing, a coordinate rule
    works on the sums of n - f updates, and the one division by n - f follows it.

    Args:
        rule: which rule.
        stack: the updates; with more than 2^18 columns their Gram matrix may be `coarsened`.
        hostile: f, how many of the updates may be anything.
        ranks: a permutation of range(n) that breaks ties: the order of keccak(seed || node).
        mixing: whether nearest-neighbour mixing precedes the rule.

    Raises:
        InvalidValueError: n and f are outside the bound of the rule, or the ranks are no permutation.
    """
    if rule in WEIGHING:
        return combine(stack.values, weigh(rule, _products(rule, stack), hostile, ranks, mixing=mixing))
    values, parts = stack.values, 1
    require_bound(rule, len(values), hostile)
    if mixing:
        require_ranks(ranks, len(values))
        parts = len(values) - hostile
        values = mixed_rows(values, nearest_neighbour_mixing(coarsened(gram(values)), hostile, ranks))
    found = coordinate.median(values) if rule is Rule.MEDIAN else coordinate.trimmed_mean(values, hostile)
    return divide_rounded(found, parts)


def weigh(
    rule: Rule,
    gram: Integers | Sequence[Sequence[int]],
    hostile: int,
    ranks: Sequence[int],
    *,
    mixing: bool = False,
) -> Weights:
    """Return the weights that the rule gives the updates, integers at 2^-32 with a positive total.

    Args:
        rule: a rule that weighs.
        gram: n by n integers, |entries| <= 2^52, of any inner product of the updates.
        hostile: f, how many of the updates may be anything.
        ranks: a permutation of range(n) that breaks ties.
        mixing: whether nearest-neighbour mixing precedes the rule; the weights are of the original updates.

    Raises:
        InvalidValueError: the rule weighs no whole updates, n and f are outside its bound, the ranks are no
            permutation, or the matrix is no such Gram matrix.
    """
    if rule not in WEIGHING:
        raise InvalidValueError(f"{rule} takes every coordinate for itself and has no weights; use aggregate")
    require_bound(rule, len(gram), hostile)
    require_ranks(ranks, len(gram))
    products = as_gram(gram)
    if not mixing:
        return WEIGHING[rule](products, hostile, ranks)
    mix = nearest_neighbour_mixing(products, hostile, ranks)
    weights = WEIGHING[rule](mixed_gram(products, mix), hostile, ranks)
    return bounded((np.array(weights, np.int64) @ mix).tolist())


def _products(rule: Rule, stack: Stack) -> Integers:
    """Return the Gram matrix as the rules take it; the mean needs none."""
    if rule is Rule.MEAN:
        return np.zeros((len(stack.values), len(stack.values)), np.int64)
    return coarsened(gram(stack.values))
