"""A modality that some nodes lack: a missing block, recovered from the messages of those who have it.

A node that lacks columns m sends what its columns o and its target say; RᵀR and Rᵀz are zero on m but for the
ridge. Three ways to fuse such messages:

1. **zero padding**: add them up as they are. Cheap, and biased where m explains what o does not;
2. **moment-EM** (`pool_moments`): the maximum likelihood of normal columns x with one covariance, y = xᵀθ + ε
   and a noise variance of its own at each node, by EM on blocks. E-step: the missing block's expected moments
   given the node's x_o and y; M-step: pool, then the noise (Little & Rubin, Statistical Analysis with Missing
   Data, 3rd ed., 11.2 and 11.4). It reads messages, never rows. One noise for all, the textbook's joint
   normal (x, y), is biased as soon as nodes differ in noise: the E-step then reads too much into a noisy y;
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
from dataclasses import dataclass, replace

import numpy as np

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.exchange.information import RIDGE, Information
from ledgerfed.fusion.square_root import residual_about, second_moment, triangular
from ledgerfed.series.arrays import Booleans, Floats

TOLERANCE = 1e-8
"""When EM has converged: no pooled moment moves by more, in units of its columns' root mean squares."""
MAX_STEPS = 10_000


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """What EM pools: `xx` float64 [d, d], second moments of the columns about zero, averaged over rows;
    `theta` float64 [d]; `noise` float64 [nodes], the noise variance of each node given all columns;
    `steps`, how many EM steps it took (0 when nobody lacks a column).
    """

    xx: Floats
    theta: Floats
    noise: Floats
    steps: int


@dataclass(frozen=True, slots=True, eq=False)
class _Node:
    """A message in raw units: moments of (x, y) [d + 1, d + 1] over `n` rows, padded where columns lack."""

    present: Booleans
    moments: Floats
    n: float
    s2: float
    weight: float


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
    d = info.width
    rows = np.zeros((2 * d, d))
    rows[:d, present] = info.R[:, present]
    rows[:d, ~present] = info.R[:, present] @ B.T
    rows[d:] = np.sqrt(RIDGE) * np.diag((~present).astype(np.float64))
    R, z = triangular(rows, np.concatenate([info.z, np.zeros(d)]))
    residual = residual_about(info, onto_present(np.asarray(np.linalg.solve(R, z)), present, precision))
    return Information(info.n, info.s2, R, z, residual)


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
    """Return the coefficients and moments that make the messages most likely, by EM over missing blocks.

    Nodes that have every column keep the noise that they claim, so that without missing blocks θ is that of
    the plain sum. For the others it is estimated about θ, on n less the columns they have.

    Raises:
        InvalidValueError: lengths differ, a weight is negative, or some column is at no node.
        FitError: it does not converge within `max_steps`.
    """
    nodes = _nodes(infos, present, [1.0] * len(infos) if weights is None else weights)
    moments = _maximise([n.moments for n in nodes], nodes, np.array([n.s2 for n in nodes]))
    if all(node.present.all() for node in nodes):
        return moments
    change = np.inf
    for step in range(1, max_steps + 1):
        last, moments = moments, _step(nodes, moments, step)
        change = _change(last, moments)
        if change <= tolerance:
            return moments
    raise FitError(
        f"EM still moves by {change:.1e} after {max_steps} steps; too few nodes have the missing columns"
    )


def fuse_completed(
    infos: Sequence[Information], present: Sequence[Booleans], weights: Sequence[float], moments: Moments
) -> Floats:
    """Return the precision of `moments.theta`, float64 [d, d]: that of the completed messages, added up.

    It counts what the nodes saw, not what EM put in its place; that B is an estimate too is left out.
    """
    completed = [complete_own(i, mask, moments.xx) for i, mask in zip(infos, present, strict=True)]
    return np.asarray(sum(w * info.precision() for w, info in zip(weights, completed, strict=True)))


def _nodes(
    infos: Sequence[Information], present: Sequence[Booleans], weights: Sequence[float]
) -> list[_Node]:
    widths = {info.width for info in infos} | {len(mask) for mask in present}
    if len(widths) != 1 or len(infos) != len(present) or len(infos) != len(weights):
        raise InvalidValueError(
            f"need a mask and a weight for each message, all of one width; got {len(infos)} messages, "
            f"{len(present)} masks, {len(weights)} weights and the widths {sorted(widths)}"
        )
    if min(weights) < 0 or not sum(weights) > 0:
        raise InvalidValueError(f"weights must not be negative nor all zero, got {list(weights)}")
    having = np.any([mask for mask, w in zip(present, weights, strict=True) if w > 0], axis=0)
    if not having.all():
        raise InvalidValueError(f"no node has column {int(np.argmin(having))}; leave it out")
    return [
        _Node(mask, _raw(info), info.n, info.s2, weight)
        for info, mask, weight in zip(infos, present, weights, strict=True)
    ]


def _raw(info: Information) -> Floats:
    rows = np.column_stack([info.R, info.z])
    moments = rows.T @ rows
    moments[-1, -1] = second_moment(info)
    return np.asarray(moments * info.s2)


def _step(nodes: Sequence[_Node], moments: Moments, step: int) -> Moments:
    filled = [_expected(node, moments, float(s2)) for node, s2 in zip(nodes, moments.noise, strict=True)]
    return replace(_maximise(filled, nodes, moments.noise), steps=step)


def _maximise(filled: Sequence[Floats], nodes: Sequence[_Node], noise: Floats) -> Moments:
    """The M-step: columns pooled by rows, θ by precision, then the noise about it."""
    rows = sum(node.weight * node.n for node in nodes)
    pooled = np.asarray(sum(node.weight * m for node, m in zip(nodes, filled, strict=True))) / rows
    scaled = [node.weight / s2 * m for node, s2, m in zip(nodes, noise, filled, strict=True)]
    normal = np.asarray(sum(scaled))
    theta = np.linalg.solve(normal[:-1, :-1], normal[:-1, -1])
    contrast = np.append(-theta, 1.0)
    about = [
        node.s2 if node.present.all() else float(contrast @ m @ contrast) / _freedom(node)
        for node, m in zip(nodes, filled, strict=True)
    ]
    return Moments(pooled[:-1, :-1], theta, np.array(about), 0)


def _freedom(node: _Node) -> float:
    return max(node.n - float(node.present.sum()), 1.0)


def _expected(node: _Node, moments: Moments, s2: float) -> Floats:
    """The E-step: the node's moments with their expectation, given x_o and y, in the missing block."""
    o = np.append(node.present, True)
    if o.all():
        return node.moments
    B, spread = _missing_given(moments, s2, o)
    filled = node.moments.copy()
    known = filled[np.ix_(o, o)]
    filled[np.ix_(~o, o)] = B @ known
    filled[np.ix_(o, ~o)] = (B @ known).T
    filled[np.ix_(~o, ~o)] = B @ known @ B.T + node.n * spread
    return filled


def _missing_given(moments: Moments, s2: float, known: Booleans) -> tuple[Floats, Floats]:
    """Return regression and spread of the missing columns given x_o and y, at a node with noise s2."""
    covariance = moments.xx @ moments.theta
    total = float(moments.theta @ covariance) + s2
    joint = np.block([[moments.xx, covariance[:, None]], [covariance[None, :], np.array([[total]])]])
    B = conditional(joint, known)
    spread = joint[np.ix_(~known, ~known)] - B @ joint[np.ix_(known, ~known)]
    return B, (spread + spread.T) / 2


def _change(last: Moments, now: Moments) -> float:
    scale = np.sqrt(np.diag(now.xx))
    moved = np.abs(now.xx - last.xx) / np.outer(scale, scale)
    return float(max(moved.max(), np.abs((now.theta - last.theta) * scale).max()))
