"""Whether an autoregression explodes, and how it is kept from it, in integers (gate V5, threat N12).

Schur-Cohn by the step-down recursion (Levinson-Durbin run backwards; Monahan, Biometrika 71, 1984): all roots
lie inside the unit circle if and only if every reflection coefficient does. Each division is rounded half to
even at scale 2^-48, so the answer is the same everywhere.

A model with a root beyond the bound is contracted: a_l <- rho^l a_l multiplies every root by rho, whatever
lags the basis has, and changes no direction (docs/adr/0014).
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgerfed.protocol.fixedpoint import FixedVector, divide_half_even, shift_half_even

_GRID = 16
_SCALE = 48
_UNIT = 1 << _SCALE


def is_stable(coefficients: Sequence[int], scale: int, lags: Sequence[int], root_bound: int) -> bool:
    """Return whether every root of x_t = sum a_l x_{t-l} has a modulus below root_bound (Q16).

    Args:
        coefficients: a_l as integers at 2^-scale, one per lag.
        scale: their binary scale.
        lags: the lags, ascending, each at least 1.
        root_bound: Q16; scaling the roots by its inverse turns the question into stability.
    """
    dense = [0] * (lags[-1] if lags else 0)
    for coefficient, lag in zip(coefficients, lags, strict=True):
        dense[lag - 1] = divide_half_even(coefficient << (_SCALE + 16 * lag), root_bound**lag << scale)
    while dense:
        reflection = dense.pop()
        if abs(reflection) >= _UNIT:
            return False
        below = _UNIT * _UNIT - reflection * reflection
        dense = [
            divide_half_even(((a << _SCALE) + reflection * b) << _SCALE, below)
            for a, b in zip(dense, reversed(dense), strict=True)
        ]
    return True


def stabilise(theta: FixedVector, lags: Sequence[int], root_bound: int) -> tuple[FixedVector, int | None]:
    """Return the model with every root of its autoregression below root_bound (Q16), and how it came there.

    Args:
        theta: the coefficients; those of the lags stand first.
        lags: the lags, ascending, each at least 1.
        root_bound: Q16.

    Returns:
        `theta` itself and None where it is stable; else the contracted model, each coefficient rounded half
        to even, and the factor rho in Q16: what bisection of [0, 1] finds to be the largest stable one.
    """
    own, rest = theta.values[: len(lags)], theta.values[len(lags) :]
    if is_stable(own, theta.scale, lags, root_bound):
        return theta, None
    low, high = 0, 1 << _GRID
    while high - low > 1:
        middle = (low + high) >> 1
        if is_stable(_contracted(own, lags, middle), theta.scale, lags, root_bound):
            low = middle
        else:
            high = middle
    return FixedVector((*_contracted(own, lags, low), *rest), theta.scale), low


def _contracted(coefficients: Sequence[int], lags: Sequence[int], rho: int) -> tuple[int, ...]:
    """Return a_l * rho^l, each rounded half to even; rho is Q16."""
    pairs = zip(coefficients, lags, strict=True)
    return tuple(divide_half_even(a * rho**lag, 1 << _GRID * lag) for a, lag in pairs)


def largest_coefficient(theta: FixedVector) -> int:
    """Return max |theta_i| in Q16, rounded half to even."""
    return shift_half_even(max(abs(value) for value in theta.values), theta.scale - 16)
