"""VARX: target and lagged channels of the basis as one linear system, exogenous terms beside them.

Every variable - the target, and every channel term that enters with a lag - has an equation on all columns of
the basis. All equations have the same regressors, so that least squares one by one is what generalised least
squares of the whole system gives (Zellner 1962, J. American Statistical Association 57, 348-368). One step
ahead only the target's equation counts, and that is ARX; further ahead the channels' equations supply what is
not known yet. Lütkepohl, New Introduction to Multiple Time Series Analysis, 2005, chapters 3 and 10.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ledgerfed.errors import FitError
from ledgerfed.exchange.design import Design
from ledgerfed.models.iterated import System, iterate, system_of
from ledgerfed.models.least_squares import coefficients
from ledgerfed.models.orders import ROWS_PER_COEFFICIENT
from ledgerfed.models.state_space import on_grid
from ledgerfed.series.arrays import Floats


@dataclass(frozen=True, slots=True)
class FittedVARX:
    """One equation a variable of the system, the target's first; coefficients by column of the basis."""

    equations: tuple[tuple[float, ...], ...]
    family: ClassVar[str] = "varx"

    @property
    def parameters(self) -> tuple[float, ...]:
        """All coefficients, equation by equation."""
        return tuple(value for equation in self.equations for value in equation)

    def one_step(self, design: Design) -> Floats:
        """Return X θ of the target's equation, float64 [T]; NaN where a column is missing."""
        return np.asarray(design.X @ np.array(self.equations[0]), dtype=np.float64)

    def ahead(self, design: Design, steps: int) -> Floats:
        """Return predictions made `steps` grid steps before, float64 [T]; NaN where a column is missing.

        Terms at lag 0 and of the calendar are known ahead and stand as they are.
        """
        return iterate(system_of(design.basis), design, self.equations, steps)


@dataclass(frozen=True, slots=True)
class VARX:
    """Vector autoregression of the target and the basis' lagged channels, with exogenous terms."""

    name: ClassVar[str] = "varx"
    exchange_weight: ClassVar[float] = 1.0

    def fit(self, design: Design) -> FittedVARX:
        """Return the least-squares fit of every equation.

        A channel with too few rows for an equation of its own, or without noise, is taken to stay as it was.

        Raises:
            FitError: the target has too few rows, or the columns reproduce it exactly.
        """
        X, y = design.sample()
        system = system_of(design.basis)
        target = on_grid(coefficients(self.name, X, y))
        channels = (_equation(self.name, design, system, v) for v in range(1, system.size))
        return FittedVARX((target, *channels))


def _equation(family: str, design: Design, system: System, variable: int) -> tuple[float, ...]:
    column = system.youngest(variable)
    lag = system.lag[column]
    response = np.full(len(design.y), np.nan)
    response[: len(response) - lag] = design.X[lag:, column]
    rows = design.rows & ~np.isnan(response)
    X, y = design.X[rows], response[rows]
    stays = tuple(float(c == column) for c in range(X.shape[1]))
    if len(y) < ROWS_PER_COEFFICIENT * X.shape[1]:
        return stays
    try:
        return on_grid(coefficients(family, X, y))
    except FitError:  # a channel that follows the columns without noise
        return stays
