"""Markov switching regression: two regimes with an intercept and a variance of their own.

    y_t = μ_s + x_t'β + σ_s ε_t,  s a Markov chain of two states

x_t holds the shortest lag and the one of a season, the calendar and, if there are rows enough, the channels
of the basis. Estimated by expectation and conditional maximisation under weak conjugate priors, without which
the likelihood is unbounded (a regime that shrinks onto one value), and sped up by squared extrapolation. The
calmer regime comes first. Hamilton, Econometrica 57, 1989; Meng & Rubin, Biometrika 80, 1993; Varadhan &
Roland, Scandinavian Journal of Statistics 35, 2008.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ledgerfed.errors import FitError
from ledgerfed.exchange.design import Design
from ledgerfed.models.orders import ROWS_PER_COEFFICIENT, season_of
from ledgerfed.models.regime_filter import filter_regimes
from ledgerfed.models.regressors import regressors
from ledgerfed.models.state_space import on_grid, stretch
from ledgerfed.models.switching_likelihood import Switching, fit_switching, log_densities
from ledgerfed.series.arrays import Floats

_LEAST = 24
_INTERCEPTS = 2


@dataclass(frozen=True, slots=True)
class FittedMarkovSwitching:
    """Intercepts, variances and probabilities of staying by regime, and β on `columns` of the basis."""

    columns: tuple[int, ...]
    intercepts: tuple[float, float]
    variances: tuple[float, float]
    stay: tuple[float, float]
    beta: tuple[float, ...]
    family: ClassVar[str] = "markov_switching"

    @property
    def parameters(self) -> tuple[float, ...]:
        """The native numbers."""
        return (*self.intercepts, *self.variances, *self.stay, *self.beta)

    def one_step(self, design: Design) -> Floats:
        """Return the mean over the regimes as the past expects them, float64 [T].

        NaN stands before the history and where a column is missing.
        """
        given = stretch(design)
        regular = design.X[given.span, self.columns] @ np.array(self.beta)
        logs = log_densities(given.y - regular, self.intercepts, self.variances)
        second = filter_regimes(logs, given.restarts, self.stay).predicted
        first_mean, second_mean = self.intercepts
        return given.placed(regular + (1 - second) * first_mean + second * second_mean)


@dataclass(frozen=True, slots=True)
class MarkovSwitching:
    """Two regimes; short and seasonal lag, calendar and channels with coefficients in common."""

    name: ClassVar[str] = "markov_switching"
    exchange_weight: ClassVar[float] = 0.0

    def fit(self, design: Design) -> FittedMarkovSwitching:
        """Return the fit to the rows that count; raises FitError when it does not converge."""
        given = stretch(design)
        columns = chosen_columns(design)
        counted = np.where(design.rows[given.span], given.y, np.nan)
        X = design.X[given.span, columns]
        found = fit_switching(self.name, counted, X, given.restarts)
        return _ordered(columns, found)


def chosen_columns(design: Design) -> tuple[int, ...]:
    """Return the columns of the basis that the regression takes.

    Raises:
        FitError: too few rows even without the channels.
    """
    basis, n = design.basis, int(design.rows.sum())
    lags = {min(basis.lags), season_of(basis)} if basis.lags else set()
    own = [i for i, lag in enumerate(basis.lags) if lag in lags]
    needed = max(_LEAST, ROWS_PER_COEFFICIENT * (len(own) + len(basis.calendar) + _INTERCEPTS))
    if n < needed:
        raise FitError(f"'markov_switching' needs {needed} rows, got {n}; train on more")
    return (*own, *regressors(design, len(own) + _INTERCEPTS))


def _ordered(columns: tuple[int, ...], found: Switching) -> FittedMarkovSwitching:
    order = [0, 1] if found.variances[0] <= found.variances[1] else [1, 0]
    (m0, m1), (v0, v1), (s0, s1) = (
        on_grid(np.array(pair)[order]) for pair in (found.intercepts, found.variances, found.stay)
    )
    return FittedMarkovSwitching(columns, (m0, m1), (v0, v1), (s0, s1), on_grid(found.beta))
