"""Exact sums and distances of information updates, in Python integers.

Rules:
- R and z stand at scale 2^-40 (the largest exponent of a payload), products at 2^-80, weights are Q16;
- nothing is rounded before a sum is complete, so no order of nodes can change a bit;
- distances are in the whitened metric of the update itself, ||z - R theta||^2: an error counts where the
  update claims to know something.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ledgerfed.aggregation.rational import solve_half_even
from ledgerfed.protocol.fixedpoint import FixedVector, divide_half_even, shift_half_even
from ledgerfed.protocol.payload import EXPONENT_MAX, InformationUpdate

ROW_SCALE = EXPONENT_MAX
PRODUCT_SCALE = 2 * ROW_SCALE
WEIGHT_SCALE = 16
GRAM_BITS = 51
"""Rules on a Gram matrix take entries below 2^52; rounding may add one bit."""


@dataclass(frozen=True, slots=True)
class ExactInformation:
    """An update expanded to integers: `rows[i]` is R[i, i:], `z`, `gram` (d by d) and `moment` (d).

    `trace` is the claimed information trace(RᵀR), at scale 2^-80.
    """

    rows: tuple[tuple[int, ...], ...]
    z: tuple[int, ...]
    gram: tuple[tuple[int, ...], ...]
    moment: tuple[int, ...]
    trace: int

    @property
    def width(self) -> int:
        """The width d of the basis."""
        return len(self.z)


@dataclass(frozen=True, slots=True)
class Pooled:
    """A weighted sum of information: `gram` (d by d) and `moment` (d) at scale 2^-96."""

    gram: tuple[tuple[int, ...], ...]
    moment: tuple[int, ...]


def expand(update: InformationUpdate) -> ExactInformation:
    """Return the integers of an update on the common grid."""
    d = update.width
    shifts = [ROW_SCALE - e for e in update.exponents]
    rows = tuple(tuple(m << shifts[i] for m in update.row(i)) for i in range(d))
    z = tuple(m << shift for m, shift in zip(update.z, shifts, strict=True))
    gram = [[0] * d for _ in range(d)]
    moment = [0] * d
    for i, row in enumerate(rows):
        for a, left in enumerate(row, start=i):
            moment[a] += left * z[i]
            for b in range(a, d):
                gram[a][b] += left * row[b - i]
    full = tuple(tuple(gram[min(a, b)][max(a, b)] for b in range(d)) for a in range(d))
    return ExactInformation(rows, z, full, tuple(moment), sum(gram[i][i] for i in range(d)))


def pool(updates: Iterable[tuple[ExactInformation, int]], prior: int, width: int) -> Pooled:
    """Return prior * I + sum of weight * information.

    Args:
        updates: pairs of information and its Q16 weight.
        prior: precision of the zero model, at scale 2^-96.
        width: d.
    """
    gram = [[prior if a == b else 0 for b in range(width)] for a in range(width)]
    moment = [0] * width
    for information, weight in updates:
        for a in range(width):
            moment[a] += weight * information.moment[a]
            row = information.gram[a]
            gram[a] = [value + weight * row[b] for b, value in enumerate(gram[a])]
    return Pooled(tuple(tuple(row) for row in gram), tuple(moment))


def solve(pooled: Pooled, theta_scale: int) -> FixedVector:
    """Return the coefficients of pooled information, exactly solved and rounded half to even.

    Raises:
        InvalidValueError: the information is singular, or a coefficient does not fit int64 on the grid.
    """
    return FixedVector(solve_half_even(pooled.gram, pooled.moment, theta_scale), theta_scale)


def precision_triangle(pooled: Pooled, scale: int) -> FixedVector:
    """Return the upper triangle of the pooled precision by rows, rounded half to even to 2^-scale."""
    shift = PRODUCT_SCALE + WEIGHT_SCALE - scale
    values = [
        divide_half_even(row[b], 1 << shift) for a, row in enumerate(pooled.gram) for b in range(a, len(row))
    ]
    return FixedVector(tuple(values), scale)


def distance(information: ExactInformation, theta: FixedVector) -> int:
    """Return ||z - R theta||^2 / d in Q16: about 1.0 for the truth, since z = R theta + unit noise."""
    total = 0
    for i, row in enumerate(information.rows):
        fitted = sum(value * theta.values[i + k] for k, value in enumerate(row))
        error = (information.z[i] << theta.scale) - fitted
        total += error * error
    return divide_half_even(total << 16, information.width << (2 * (ROW_SCALE + theta.scale)))


def gram_about(
    updates: Sequence[ExactInformation], caps: Sequence[int], prior: int, base: FixedVector
) -> list[list[int]]:
    """Return (theta_i - base)' M (theta_j - base), with M the sum of everybody's capped information.

    Args:
        updates: n of them; theta_i is the solution of the capped update about the prior.
        caps: Q16 factors that cap the claimed information.
        prior: precision of the zero model, at scale 2^-96.
        base: the base model.

    Returns:
        n by n integers below 2^GRAM_BITS in absolute value, on a common binary grid.
    """
    pairs = list(zip(updates, caps, strict=True))
    beyond = [
        tuple(
            a - b
            for a, b in zip(solve(pool([p], prior, p[0].width), base.scale).values, base.values, strict=True)
        )
        for p in pairs
    ]
    metric = pool(pairs, 0, len(base.values)).gram
    turned = [[sum(m * x for m, x in zip(row, vector, strict=True)) for row in metric] for vector in beyond]
    return on_common_grid([[_dot(left, right) for right in turned] for left in beyond])


def on_common_grid(gram: Sequence[Sequence[int]]) -> list[list[int]]:
    """Return the entries shifted right, half to even, until all fit GRAM_BITS bits."""
    largest = max(abs(value) for row in gram for value in row)
    shift = max(0, largest.bit_length() - GRAM_BITS)
    return [[shift_half_even(value, shift) for value in row] for row in gram]


def _dot(left: Sequence[int], right: Sequence[int]) -> int:
    return sum(a * b for a, b in zip(left, right, strict=True))


def aligned(left: ExactInformation, right: ExactInformation, bits: int) -> bool:
    """Return whether the squared cosine of two R exceeds 1 - 2^-bits: one is a scaled copy of the other."""
    product = sum(
        a * b for x, y in zip(left.rows, right.rows, strict=True) for a, b in zip(x, y, strict=True)
    )
    if product <= 0:
        return False
    return (product * product) << bits > ((1 << bits) - 1) * left.trace * right.trace


def ratio_cap(value: int, cap: int, reference: int) -> int:
    """Return the Q16 factor min(1, cap * reference / value) for a Q16 `cap`; ONE when the value is zero."""
    return min(1 << 16, cap * reference // value) if value else 1 << 16
