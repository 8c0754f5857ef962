"""The maximum of a log-likelihood that is evaluated for many parameter vectors at once.

Newton's method on central differences of a width in proportion to the standard errors: it ends at the zero of
a difference quotient, which is found to a millionth of a standard error whatever the last bits of the linear
algebra beneath were, and not merely where the values stop to differ, which is known to a thousandth only.
Nocedal & Wright, Numerical Optimization, 2006, 3.3 and 8.1.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ledgerfed.errors import FitError
from ledgerfed.series.arrays import Floats

Likelihood = Callable[[Floats], Floats]
"""From parameters float64 [G, p] to log-likelihoods [G]."""

_ITERATIONS = 60
_WIDTH = 2.0**-7
"""How wide the differences are, in units of the standard error along each axis."""
_FLAT = 1e-3
_CLOSE = 1e-8
_ARRIVED = 1e-13
_SLOW = 1e-4
"""Bounds on the gain that the next step promises, in log-likelihood: near, at, and near enough to the top."""
_STEPS = np.ldexp(1.0, np.arange(2, -12, -1))


@dataclass(frozen=True, slots=True, eq=False)
class Maximum:
    """`theta` float64 [p] and the `value` there."""

    theta: Floats
    value: float


def maximise(family: str, likelihood: Likelihood, starts: Floats) -> Maximum:
    """Return the maximum next to the best of `starts`, float64 [S, p].

    Raises:
        FitError: no start has a finite likelihood, or the search does not settle.
    """
    values = _finite(likelihood(starts))
    theta, value = starts[int(np.argmax(values))], float(values.max())
    if value == -np.inf:
        raise FitError(f"{family!r} has no finite likelihood at any start; train on other values")
    widths, promised = np.full(len(theta), 2.0**-10), np.inf
    for _ in range(_ITERATIONS):
        gradient, hessian = _differences(likelihood, theta, value, widths)
        step, upwards = _newton(gradient, hessian)
        promised = float(np.abs(gradient @ step)) / 2
        if upwards is None and promised < _CLOSE:
            theta = theta + step
            value = float(likelihood(theta[None])[0])
            if promised < _ARRIVED:
                return Maximum(theta, value)
        else:
            theta, gain = _line_search(likelihood, theta, value, step, upwards)
            if gain <= 0:
                break
            value += gain
            widths = _widths(hessian)
    if promised < _SLOW:
        return Maximum(theta, value)
    raise FitError(f"{family!r} found no maximum within {_ITERATIONS} steps; there is {promised:.1e} to gain")


def _widths(hessian: Floats) -> Floats:
    """Return the widths of the next differences, float64 [p]: powers of two, so that machines agree."""
    error = 1.0 / np.sqrt(np.maximum(np.abs(np.diag(hessian)), 1.0))
    return np.asarray(np.exp2(np.rint(np.log2(_WIDTH * error))), dtype=np.float64)


def _differences(
    likelihood: Likelihood, theta: Floats, value: float, widths: Floats
) -> tuple[Floats, Floats]:
    """Return gradient [p] and Hessian [p, p] by central differences, from one batch."""
    p, axes = len(theta), np.diag(widths)
    pairs = [(i, j) for i in range(p) for j in range(i)]
    mixed = [sign * (axes[i] + axes[j]) for i, j in pairs for sign in (1, -1)]
    values = likelihood(theta + np.concatenate([axes, -axes, np.reshape(mixed, (-1, p))]))
    plus, minus, corners = values[:p], values[p : 2 * p], values[2 * p :].reshape(-1, 2)
    bends = plus - 2 * value + minus
    hessian = np.diag(bends / widths**2)
    for (i, j), (both, neither) in zip(pairs, corners, strict=True):
        cross = (both - 2 * value + neither - bends[i] - bends[j]) / (2 * widths[i] * widths[j])
        hessian[i, j] = hessian[j, i] = cross
    return (plus - minus) / (2 * widths), hessian


def _newton(gradient: Floats, hessian: Floats) -> tuple[Floats, Floats | None]:
    """Return the Newton step with every curvature taken as downward, and an axis along which it is upward."""
    if not (np.isfinite(gradient).all() and np.isfinite(hessian).all()):
        return np.full_like(gradient, np.nan), None
    curvatures, axes = np.linalg.eigh(hessian)
    step = axes @ ((axes.T @ gradient) / np.maximum(np.abs(curvatures), _FLAT))
    return step, axes[:, -1] if curvatures[-1] > 0.1 else None


def _line_search(
    likelihood: Likelihood, theta: Floats, value: float, step: Floats, upwards: Floats | None
) -> tuple[Floats, float]:
    """Return the best point along the step, or along the upward direction, and what it gains."""
    trials = [step * s for s in _STEPS]
    if upwards is not None:
        trials += [upwards * s * sign for s in _STEPS[2:] for sign in (1, -1)]
    points = theta + np.array(trials)
    values = _finite(likelihood(points))
    best = int(np.argmax(values))
    return points[best], float(values[best]) - value


def _finite(values: Floats) -> Floats:
    return np.where(np.isfinite(values), values, -np.inf)
