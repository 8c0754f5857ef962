"""Whether an autoregression explodes, decided in integers (gate V5, threat N12).

Schur-Cohn by the step-down recursion (Levinson-Durbin run backwards; Monahan, Biometrika 71, 1984): all roots
lie inside the unit circle if and only if every reflection coefficient does. Each division is rounded half to
even at scale 2^-48, so the answer is the same everywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgerfed.protocol.fixedpoint import FixedVector, divide_half_even, shift_half_even

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


def largest_coefficient(theta: FixedVector) -> int:
    """Return max |theta_i| in Q16, rounded half to even."""
    return shift_half_even(max(abs(value) for value in theta.values), theta.scale - 16)
