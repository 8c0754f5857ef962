"""A modality that some nodes lack: a missing block, recovered from the messages of those who have it.

A node that lacks columns m sends what its columns o and its target say; RᵀR and Rᵀz are zero on m but for the
ridge. Three ways to fuse such messages:

1. **zero padding**: add them up as they are. Cheap, and biased where m explains what o does not;
2. **moment-EM** (`pool_moments`): maximum likelihood of the joint second moments of (x, y) under normality,
   by EM on blocks. E-step: the missing block's expected moments given the observed ones, M-step: pool
   (Little & Rubin, Statistical Analysis with Missing Data, 3rd ed., 11.2). It reads messages, never rows;
3. **completion** (`complete_own`): a node fills its own message with the columns it lacks as the federation
   predicts them from those it has, x_m = B x_o with B from the precision of the last global model. One
   E-step a round: in the first round B is zero, which is zero padding; as completed messages enter the
   precision, B converges to the regression among the nodes that have m.

What a completed message claims: y given x_o alone is normal about x_oᵀ(θ_o + Bᵀθ_m), with the noise that the
node measures on the columns it has. So its precision is AᵀP_oo A with A = [I Bᵀ]: of the rank of o. It counts
the conditional mean of the missing columns, not their spread about it, and says nothing of θ_m in any
direction that x_o does not predict; summed naively, the E-step's second moments would claim that it did.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.exchange.information import RIDGE, Information
from ledgerfed.fusion.square_root import from_rows, second_moment
from ledgerfed.series.arrays import Booleans, Floats

TOLERANCE = 1e-8
"""When EM has converged: no pooled moment moves by more, in units of its columns' root mean squares."""
MAX_STEPS = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Pooled second moments of (x, y) about zero, each node's rows in units of its own noise.

    `joint` float64 [d + 1, d + 1], y last, is the average over rows; `mass` the sum of n / s² over nodes;
    `steps` how many EM steps it took.
    """

    joint: Floats
    mass: float
    steps: int

    @property
    def xx(self) -> Floats:
        """The moments of the columns, float64 [d, d]: as good as a precision for `conditional`."""
        return self.joint[:-1, :-1]

    @property
    def theta(self) -> Floats:
        """The coefficients of y on all columns, float64 [d]."""
        return np.asarray(np.linalg.solve(self.xx, self.joint[:-1, -1]))


@dataclass(frozen=True, slots=True, eq=False)
class _Pattern:
    """The sums over the nodes that have the same columns: moments [d + 1, d + 1], zero where missing."""

    present: Booleans
    moments: Floats
    mass: float


def present_columns(info: Information) -> Booleans:
    """Return the columns that a message says anything about, bool [d]: more than half a ridge's worth.

    A column that a node has but that never moved off zero in its window looks alike; the node itself knows
    better (`Design.present`).
    """
    return np.asarray((info.R**2).sum(axis=0) > 1.5 * RIDGE)


def conditional(precision: Floats, present: Booleans) -> Floats:
    """Return B float64 [missing, present], the regression of the missing columns on the present ones.

    `precision` [d, d] is that of a global model, or pooled moments: B = Λ_mo Λ_oo⁻¹, whatever its scale.

    Raises:
        InvalidValueError: another width, or no column is present.
    """
    d = len(precision)
    if present.shape != (d,) or not present.any():
        raise InvalidValueError(f"need a mask of {d} columns with one present, got {present.tolist()}")
    return np.asarray(
        np.linalg.solve(precision[np.ix_(present, present)], precision[np.ix_(present, ~present)]).T
    )


def complete_own(info: Information, present: Booleans, precision: Floats) -> Information:
    """Return the message with the columns it lacks as the federation predicts them from those it has.

    Args:
        info: the node's own message, zero padded.
        present: the columns it has, bool [d].
        precision: Λ of the last global model, float64 [d, d], or `Moments.xx`.

    Raises:
        InvalidValueError: another width, or no column is present.
    """
    B = conditional(precision, present)
    if present.all():
        return info
    rows = np.zeros((2 * info.width, info.width))
    rows[: info.width, present] = info.R[:, present]
    rows[: info.width, ~present] = info.R[:, present] @ B.T
    rows[info.width :] = np.sqrt(RIDGE) * np.diag((~present).astype(np.float64))
    response = np.concatenate([info.z, np.zeros(info.width)])
    return from_rows(info, rows, response, second_moment(info))


def onto_present(theta: Floats, present: Booleans, precision: Floats) -> Floats:
    """Return θ_o + Bᵀθ_m with zeros for the missing columns, float64 [d].

    What the global model says to a node without them: the best forecast from the columns it has.

    Raises:
        InvalidValueError: another width, or no column is present.
    """
    B = conditional(precision, present)
    folded = np.zeros_like(theta)
    folded[present] = theta[present] + B.T @ theta[~present]
    return folded


def pool_moments(
    infos: Sequence[Information],
    present: Sequence[Booleans],
    weights: Sequence[float] | None = None,
    tolerance: float = TOLERANCE,
    max_steps: int = MAX_STEPS,
) -> Moments:
    """Return the joint moments that make the messages most likely, by EM over the missing blocks.

    Nodes with the same columns are added up first, so a step costs d³ for each pattern, not for each node.

    Raises:
        InvalidValueError: lengths differ, a weight is negative, or some column is at no node.
        FitError: it does not converge within `max_steps`.
    """
    patterns = _patterns(infos, present, [1.0] * len(infos) if weights is None else weights)
    mass = sum(pattern.mass for pattern in patterns)
    joint = _start(patterns, mass)
    if all(pattern.present.all() for pattern in patterns):
        return Moments(joint, mass, 0)
    change = np.inf
    for step in range(1, max_steps + 1):
        pooled = np.asarray(sum(_expected(pattern, joint) for pattern in patterns)) / mass
        scale = np.sqrt(np.diag(pooled))
        change = float(np.abs((pooled - joint) / np.outer(scale, scale)).max())
        joint = pooled
        if change <= tolerance:
            return Moments(joint, mass, step)
    raise FitError(
        f"EM still moves by {change:.1e} after {max_steps} steps; too few nodes have the missing columns"
    )


def _patterns(
    infos: Sequence[Information], present: Sequence[Booleans], weights: Sequence[float]
) -> list[_Pattern]:
    widths = {info.width for info in infos} | {len(mask) for mask in present}
    if len(widths) != 1 or len(infos) != len(present) or len(infos) != len(weights):
        raise InvalidValueError(
            f"need a mask and a weight for each message, all of one width; got {len(infos)} messages, "
            f"{len(present)} masks, {len(weights)} weights and the widths {sorted(widths)}"
        )
    if min(weights) < 0 or not sum(weights) > 0:
        raise InvalidValueError(f"weights must not be negative nor all zero, got {list(weights)}")
    if not np.any(present, axis=0).all():
        raise InvalidValueError(f"no node has column {int(np.argmin(np.any(present, axis=0)))}; leave it out")
    grouped: dict[bytes, _Pattern] = {}
    for info, mask, weight in zip(infos, present, weights, strict=True):
        with_y = np.append(mask, True)
        known = np.outer(with_y, with_y)
        old = grouped.get(with_y.tobytes(), _Pattern(with_y, np.zeros(known.shape), 0.0))
        moments = old.moments + weight * np.where(known, _moments(info), 0.0)
        grouped[with_y.tobytes()] = _Pattern(with_y, moments, old.mass + weight * info.n / info.s2)
    return list(grouped.values())


def _moments(info: Information) -> Floats:
    rows = np.column_stack([info.R, info.z])
    moments = rows.T @ rows
    moments[-1, -1] = second_moment(info)
    return np.asarray(moments)


def _start(patterns: Sequence[_Pattern], mass: float) -> Floats:
    """Zero padding, with the spread that each column has where it stands: positive definite."""
    total = np.asarray(sum(pattern.moments for pattern in patterns))
    seen = np.asarray(sum(pattern.mass * pattern.present for pattern in patterns))
    return np.asarray((total + np.diag(np.diag(total) * (mass - seen) / seen)) / mass)


def _expected(pattern: _Pattern, joint: Floats) -> Floats:
    o = pattern.present
    if o.all():
        return pattern.moments
    B = conditional(joint, o)
    moments = pattern.moments.copy()
    known = moments[np.ix_(o, o)]
    spread = joint[np.ix_(~o, ~o)] - B @ joint[np.ix_(o, ~o)]
    moments[np.ix_(~o, o)] = B @ known
    moments[np.ix_(o, ~o)] = (B @ known).T
    moments[np.ix_(~o, ~o)] = B @ known @ B.T + pattern.mass * (spread + spread.T) / 2
    return moments
