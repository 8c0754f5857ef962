"""A robust centre of information updates in their own whitened metric.

Rules:
- the start is the medoid: of all single solutions, the one with the smallest lower-median distance to the
  updates, so fewer than half of them cannot drag it away (Rousseeuw 1984, least median of squares);
- then a fixed number of reweighted steps: weight (4 m / D)^2 beyond four times the median distance m, where m
  below 1.0 counts as 1.0, which is what the truth itself has. So the pull of an update falls as it moves away
  (redescending: Hampel 1974, Yohai 1987); under a constant pull (Huber 1964) two of eight that agree on
  another truth dragged the centre to where they were no outliers;
- claimed information enters capped, because precision is self-reported;
- ties go to the first in the order given: the caller orders by keccak(seed, node), never by position.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from ledgerfed.aggregation.space import COEFFICIENTS, Contribution, Space
from ledgerfed.protocol.fixedpoint import FixedVector
from ledgerfed.protocol.score import ONE, lower_median

STEPS = 8
KNEE = 4


@dataclass(frozen=True, slots=True)
class RobustCentre:
    """`theta`, and per update (in the order given) its Q16 distance per coefficient and its Q16 weight."""

    theta: FixedVector
    distances: tuple[int, ...]
    weights: tuple[int, ...]


def robust_centre(
    updates: Sequence[Contribution],
    caps: Sequence[int],
    prior: int,
    theta_scale: int,
    space: Space[Any, Any, Any] = COEFFICIENTS,
) -> RobustCentre:
    """Return the robust centre of at least one update.

    Args:
        updates: the information, in tie-break order.
        caps: Q16 factors that cap the claimed information.
        prior: precision of the zero model, at scale 2^-96.
        theta_scale: binary scale of the coefficients.
        space: where the updates are summed and compared.
    """
    theta = _medoid(updates, caps, prior, theta_scale, space)
    for _ in range(STEPS):
        weights = _damping(updates, theta, space)
        factors = [cap * weight >> 16 for cap, weight in zip(caps, weights, strict=True)]
        pooled = space.pool(zip(updates, factors, strict=True), prior, updates[0].width)
        theta = space.solve(pooled, theta_scale)
    distances = tuple(space.distance(update, theta) for update in updates)
    return RobustCentre(theta, distances, _damping(updates, theta, space))


def damping(distance: int, median: int) -> int:
    """Return the Q16 pull of an update at a Q16 distance from the centre, where `median` is usual."""
    knee = KNEE * median
    return ONE if distance <= knee else (knee << 16) ** 2 // (distance * distance) >> 16


def _medoid(
    updates: Sequence[Contribution],
    caps: Sequence[int],
    prior: int,
    theta_scale: int,
    space: Space[Any, Any, Any],
) -> FixedVector:
    width = updates[0].width
    candidates = [
        space.solve(space.pool([(update, cap)], prior, width), theta_scale)
        for update, cap in zip(updates, caps, strict=True)
    ]
    return min(
        candidates, key=lambda theta: lower_median([space.distance(update, theta) for update in updates])
    )


def _damping(
    updates: Sequence[Contribution], theta: FixedVector, space: Space[Any, Any, Any]
) -> tuple[int, ...]:
    distances = [space.distance(update, theta) for update in updates]
    median = max(ONE, lower_median(distances))
    return tuple(damping(distance, median) for distance in distances)
