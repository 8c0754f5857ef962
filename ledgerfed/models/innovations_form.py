"""The innovations form of an ARMA: s' = F s + K e and w = s[0] + e, with e of variance 1."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.series.arrays import Floats

_DOUBLINGS: Final = 24
_FADED: Final = 1e-13


@dataclass(frozen=True, slots=True, eq=False)
class InnovationsForm:
    """F float64 [m, m] companion, K [m], and the covariance P = F P Fᵀ + K Kᵀ of the state before any value.

    `ar` [m] are the coefficients of φ(B) Φ(B^s) behind the 1.
    """

    ar: Floats
    F: Floats
    K: Floats
    P: Floats

    def advance(self, states: Floats) -> Floats:
        """Return F times states [m] or [m, n], by shifting: the same bits whatever multiplies matrices."""
        moved = np.zeros_like(states)
        moved[:-1] = states[1:]
        moved -= self.ar * states[0] if states.ndim == 1 else self.ar[:, None] * states[0]
        return moved


def innovations_form(ar_polynomial: Floats, ma_polynomial: Floats) -> InnovationsForm:
    """Return the form of a stationary ARMA from its polynomials in B, which begin with 1."""
    m = max(len(ar_polynomial), len(ma_polynomial), 2) - 1
    ar, ma = (np.pad(p, (0, m + 1 - len(p)))[1:] for p in (ar_polynomial, ma_polynomial))
    F = np.eye(m, k=1)
    F[:, 0] -= ar
    K = ma - ar
    return InnovationsForm(ar, F, K, stationary(F, np.outer(K, K)))


def stationary(F: Floats, Q: Floats) -> Floats:
    """Return the solution of X = F X Fᵀ + Q for a stable F, by doubling (Anderson & Moore 1979, 6.7)."""
    X = Q
    for _ in range(_DOUBLINGS):
        change = F @ X @ F.T
        X = X + change
        if np.vdot(change, change) <= _FADED**2 * np.vdot(X, X):
            break
        F = F @ F
    return X
