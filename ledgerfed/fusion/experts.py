"""Late fusion: one expert a modality, and how to combine what they forecast.

1. **Covariance weights** (`weigh`): with S the second moments of the experts' errors on a validation window,
   w = S⁻¹1 / (1ᵀS⁻¹1) has the least mean squared error among weights that sum to one (Bates & Granger 1969).
   S is shrunk towards its diagonal by the analytic intensity of Schäfer & Strimmer (2005), because few errors
   of nearly equal experts make S⁻¹ wild;
2. **Covariance intersection** (`intersect`): when nobody saw the experts err together, their correlation is
   unknown; C⁻¹ = ωA⁻¹ + (1 - ω)B⁻¹ is consistent for every correlation (Julier & Uhlmann 1997).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.series.arrays import Floats

MAX_EXPERTS = 12
"""Non-negative weights try every set of experts: 2^12 small systems at most."""
_GOLDEN = (np.sqrt(5) - 1) / 2
_SEARCH_STEPS = 60

Criterion = Literal["trace", "determinant", "traces"]


@dataclass(frozen=True, slots=True, eq=False)
class Estimate:
    """A vector float64 [k] and the covariance float64 [k, k] of its error, positive definite."""

    mean: Floats
    covariance: Floats

    def __post_init__(self) -> None:
        k = len(self.mean)
        if self.covariance.shape != (k, k) or not np.allclose(self.covariance, self.covariance.T):
            raise InvalidValueError(f"an estimate of {k} numbers needs a symmetric covariance [{k}, {k}]")
        if not (np.linalg.eigvalsh(self.covariance) > 0).all():
            raise InvalidValueError("the covariance of an estimate must be positive definite")


def error_moments(errors: Floats, shrink: bool = True) -> Floats:
    """Return S float64 [m, m] from the validation errors [n, m] of m experts, n >= 2.

    About zero, not about the mean: a biased expert errs. Nodes may add up theirs, weighted by rows.

    Raises:
        InvalidValueError: fewer than two rows, a missing error, or an expert that is never wrong.
    """
    if errors.ndim != 2 or len(errors) < 2 or not np.isfinite(errors).all():
        raise InvalidValueError(f"need two or more rows of finite errors, got the shape {errors.shape}")
    S = errors.T @ errors / len(errors)
    if not (np.diag(S) > 0).all():
        raise InvalidValueError(f"expert {int(np.argmin(np.diag(S)))} is never wrong; use it alone")
    return _shrunk(errors, S) if shrink else np.asarray(S)


def weigh(S: Floats, non_negative: bool = True) -> Floats:
    """Return the weights float64 [m] that sum to one and minimise wᵀSw; by default none is negative.

    Raises:
        InvalidValueError: S is not square and positive definite, or has more than MAX_EXPERTS experts.
    """
    m = len(S)
    if S.shape != (m, m) or not 1 <= m <= MAX_EXPERTS:
        raise InvalidValueError(f"need S of 1..{MAX_EXPERTS} experts, got the shape {S.shape}")
    if not (np.linalg.eigvalsh(S) > 0).all():
        raise InvalidValueError("S must be positive definite; shrink it, or leave equal experts out")
    free = _least_squares_weights(S, tuple(range(m)))
    if not non_negative or (free >= 0).all():
        return free
    sets = [c for size in range(1, m) for c in combinations(range(m), size)]
    candidates = [w for w in (_least_squares_weights(S, c) for c in sets) if (w >= 0).all()]
    return min(candidates, key=lambda w: float(w @ S @ w))


def intersect(estimates: Sequence[Estimate], criterion: Criterion = "trace") -> Estimate:
    """Return the covariance intersection, pairwise from first to last.

    `trace` and `determinant` search the ω that minimises that of C; `traces` takes ω = tr B / (tr A + tr B)
    without a search. For two estimates the bound is the tightest that holds for every correlation; for more
    it holds still, but another order gives another, sometimes tighter one.

    Raises:
        InvalidValueError: there is no estimate, or their lengths differ.
    """
    if not estimates or len({len(e.mean) for e in estimates}) != 1:
        raise InvalidValueError(f"need estimates of one length, got {[len(e.mean) for e in estimates]}")
    fused = estimates[0]
    for estimate in estimates[1:]:
        fused = _pair(fused, estimate, criterion)
    return fused


def _least_squares_weights(S: Floats, chosen: tuple[int, ...]) -> Floats:
    part = np.linalg.solve(S[np.ix_(chosen, chosen)], np.ones(len(chosen)))
    weights = np.zeros(len(S))
    weights[list(chosen)] = part / part.sum()
    return weights


def _shrunk(errors: Floats, S: Floats) -> Floats:
    n = len(errors)
    products = errors[:, :, None] * errors[:, None, :]
    variance = products.var(axis=0) / (n - 1)
    off = ~np.eye(len(S), dtype=bool)
    total = float((S[off] ** 2).sum())
    intensity = min(1.0, float(variance[off].sum()) / total) if total > 0 else 1.0
    return np.where(off, (1 - intensity) * S, S)


def _pair(a: Estimate, b: Estimate, criterion: Criterion) -> Estimate:
    A, B = np.linalg.inv(a.covariance), np.linalg.inv(b.covariance)

    def covariance(omega: float) -> Floats:
        C = np.linalg.inv(omega * A + (1 - omega) * B)
        return np.asarray((C + C.T) / 2)

    if criterion == "traces":
        trace_a, trace_b = float(np.trace(a.covariance)), float(np.trace(b.covariance))
        omega = trace_b / (trace_a + trace_b)
    else:
        measure = np.trace if criterion == "trace" else lambda C: np.linalg.slogdet(C)[1]
        omega = _minimise(lambda omega: float(measure(covariance(omega))))
    C = covariance(omega)
    return Estimate(C @ (omega * A @ a.mean + (1 - omega) * B @ b.mean), C)


def _minimise(cost: Callable[[float], float]) -> float:
    """Golden-section search on [0, 1]; both costs are convex in ω."""
    low, high = 0.0, 1.0
    for _ in range(_SEARCH_STEPS):
        left, right = high - _GOLDEN * (high - low), low + _GOLDEN * (high - low)
        low, high = (low, right) if cost(left) <= cost(right) else (left, high)
    return min((0.0, (low + high) / 2, 1.0), key=cost)
