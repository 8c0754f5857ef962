"""Exact sums and distances of predictions, in Python integers.

A predictions update is information `precision * I` in the space of the probe, so the rules are those of
`aggregation.information`, on the same grids: predictions at scale 2^-40, precision at 2^-80, weights in Q16.
The pool is a weighted mean, rounded once; no system of equations is solved.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ledgerfed.aggregation.information import PRODUCT_SCALE, ROW_SCALE, WEIGHT_SCALE, on_common_grid
from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.fixedpoint import FixedVector, divide_half_even
from ledgerfed.protocol.predictions import PRECISION_SCALE, PredictionsUpdate


@dataclass(frozen=True, slots=True)
class ExactPredictions:
    """An update expanded to integers: `values` at scale 2^-40, `precision` at 2^-80."""

    values: tuple[int, ...]
    precision: int

    @property
    def width(self) -> int:
        """The number of predictions m."""
        return len(self.values)

    @property
    def trace(self) -> int:
        """The claimed information m * precision, at scale 2^-80."""
        return self.width * self.precision


@dataclass(frozen=True, slots=True)
class PooledPredictions:
    """A weighted sum: `moments` at scale 2^-136, their common `precision` at 2^-96."""

    moments: tuple[int, ...]
    precision: int


def expand(update: PredictionsUpdate) -> ExactPredictions:
    """Return the integers of an update on the common grid."""
    shift = ROW_SCALE - update.exponent
    values = tuple(value << shift for value in update.values)
    return ExactPredictions(values, update.precision << PRODUCT_SCALE - PRECISION_SCALE)


def pool(updates: Iterable[tuple[ExactPredictions, int]], prior: int, width: int) -> PooledPredictions:
    """Return the sum of weight * precision and of its product with the predictions, about the prior zero.

    Args:
        updates: pairs of predictions and their Q16 weight.
        prior: precision of the zero model, at scale 2^-96.
        width: m.
    """
    moments, precision = [0] * width, prior
    for predictions, weight in updates:
        factor = weight * predictions.precision
        precision += factor
        moments = [m + factor * value for m, value in zip(moments, predictions.values, strict=True)]
    return PooledPredictions(tuple(moments), precision)


def solve(pooled: PooledPredictions, theta_scale: int) -> FixedVector:
    """Return the weighted means, rounded half to even.

    Raises:
        InvalidValueError: there is no precision at all, or a mean does not fit int64 on the grid.
    """
    if pooled.precision <= 0:
        raise InvalidValueError("predictions without precision have no mean")
    below = pooled.precision << ROW_SCALE
    return FixedVector(tuple(divide_half_even(m << theta_scale, below) for m in pooled.moments), theta_scale)


def precision(pooled: PooledPredictions, scale: int) -> FixedVector:
    """Return the pooled precision as a vector of one component, rounded half to even to 2^-scale."""
    shift = PRODUCT_SCALE + WEIGHT_SCALE - scale
    return FixedVector((divide_half_even(pooled.precision, 1 << shift),), scale)


def distance(predictions: ExactPredictions, theta: FixedVector) -> int:
    """Return precision * mean squared difference in Q16: about 1.0 for the truth."""
    total = sum(error * error for error in _differences(predictions, theta)) * predictions.precision
    scale = PRODUCT_SCALE + 2 * (ROW_SCALE + theta.scale)
    return divide_half_even(total << 16, predictions.width << scale)


def gram_about(updates: Sequence[ExactPredictions], base: FixedVector) -> list[list[int]]:
    """Return the inner products of the predictions' differences from the base model, n by n.

    Predictions have one metric for everybody, whatever precision they claim.
    """
    beyond = [_differences(update, base) for update in updates]
    return on_common_grid([[sum(a * b for a, b in zip(x, y, strict=True)) for y in beyond] for x in beyond])


def aligned(left: ExactPredictions, right: ExactPredictions, base: FixedVector, bits: int) -> bool:
    """Return whether both differ from the base in the same direction: squared cosine above 1 - 2^-bits.

    Who says exactly what the base says is aligned with the others who do.
    """
    ours, theirs = _differences(left, base), _differences(right, base)
    mine, other = sum(a * a for a in ours), sum(b * b for b in theirs)
    if mine == 0 or other == 0:
        return mine == other
    product = sum(a * b for a, b in zip(ours, theirs, strict=True))
    return product > 0 and (product * product) << bits > ((1 << bits) - 1) * mine * other


def _differences(predictions: ExactPredictions, theta: FixedVector) -> list[int]:
    """Return prediction - theta, at scale 2^-(40 + theta.scale)."""
    pairs = zip(predictions.values, theta.values, strict=True)
    return [(value << theta.scale) - (t << ROW_SCALE) for value, t in pairs]
