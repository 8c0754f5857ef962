"""Linear one-step equations on a basis, iterated to predictions further ahead.

A column that is younger than the horizon is not known yet: the prediction of its variable stands in for it.
Lütkepohl, New Introduction to Multiple Time Series Analysis, 2005, 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ledgerfed.exchange.basis import Basis, ChannelTerm
from ledgerfed.exchange.design import Design
from ledgerfed.series.arrays import Floats

_TARGET = 0


@dataclass(frozen=True, slots=True)
class System:
    """The variables of a basis: `variable[c]` and `lag[c]` say which one column c holds, and how old.

    Variable 0 is the target, the others are channel terms in the order in which they first stand. A column
    that is known ahead has the variable -1.
    """

    variable: tuple[int, ...]
    lag: tuple[int, ...]

    @property
    def size(self) -> int:
        """The number of variables."""
        return 1 + max(self.variable)

    def youngest(self, variable: int) -> int:
        """Return the column with the smallest lag of a variable."""
        own = [c for c, v in enumerate(self.variable) if v == variable]
        return min(own, key=lambda c: self.lag[c])


def system_of(basis: Basis) -> System:
    """Return the variables of a basis."""
    terms: list[ChannelTerm] = []
    variable, lag = [_TARGET] * len(basis.lags), [*basis.lags]
    for term in basis.channels:
        kind = replace(term, lag=0)
        if term.lag and kind not in terms:
            terms.append(kind)
        variable.append(1 + terms.index(kind) if term.lag else -1)
        lag.append(term.lag)
    known = basis.width - len(variable)
    return System((*variable, *[-1] * known), (*lag, *[0] * known))


def iterate(system: System, design: Design, equations: ArrayLike, steps: int) -> Floats:
    """Return the target's predictions made `steps` grid steps before, float64 [T]; NaN where a column misses.

    Args:
        equations: the coefficients of every variable of the system by column, [variables, columns].
    """
    weights = np.array(equations, dtype=np.float64).T
    found: list[Floats] = []
    for h in range(1, steps + 1):
        X = design.X.copy()
        for column, (variable, lag) in enumerate(zip(system.variable, system.lag, strict=True)):
            if variable >= 0 and lag < h:
                X[:, column] = _back(found[h - 1 - lag][:, variable], lag)
        found.append(X @ weights)
    return found[-1][:, _TARGET]


def _back(values: Floats, lag: int) -> Floats:
    return np.concatenate([np.full(min(lag, len(values)), np.nan), values[: max(0, len(values) - lag)]])
