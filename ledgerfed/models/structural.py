"""Structural time series: level, trend and seasonal, each a random walk of its own variance.

y_t = μ_t + γ_t + ε_t, μ_{t+1} = μ_t + β_t + η_t, β_{t+1} = β_t + ζ_t, Σ_{j<s} γ_{t-j} = ω_t. Which of trend
and seasonal a node needs is chosen by AICc on its own values. Harvey, Forecasting, Structural Time Series
Models and the Kalman Filter, 1989, chapter 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ledgerfed.exchange.design import Design
from ledgerfed.exchange.innovations import StateSpace
from ledgerfed.models.kalman import Candidates, kalman_filter
from ledgerfed.models.orders import season_of
from ledgerfed.models.state_space import stretch
from ledgerfed.models.variances import choose_structure
from ledgerfed.series.arrays import Floats

SEASONS = 4
"""How many seasons a seasonal needs to show itself."""
_LEAST = 8
_LEVELS = (0.03, 0.1, 0.3, 1.0, 3.0)
_TRENDS = (0.01, 0.1)
_SEASONALS = (0.03, 0.3)


@dataclass(frozen=True, slots=True)
class Components:
    """What there is besides the level: a trend, and a seasonal of `season` grid steps (0 for none).

    The variances are those of noise, level, trend and season, as far as they are there.
    """

    trend: bool
    season: int

    @property
    def undetermined(self) -> int:
        """The number of states, all diffuse at the start."""
        return 1 + self.trend + max(0, self.season - 1)

    @property
    def needed(self) -> int:
        """How many values it takes."""
        return max(SEASONS * self.season, _LEAST + 2 * self.trend)

    @property
    def deviations(self) -> tuple[tuple[float, ...], ...]:
        """Where the search starts."""
        return ((1.0,), _LEVELS, *[_TRENDS] * self.trend, *[_SEASONALS] * (self.season > 0))

    def models(self, variances: Floats) -> Candidates:
        """Return the models of these variances, float64 [G, variances]."""
        m, first = self.undetermined, 1 + self.trend
        F, H, loaded = np.zeros((1, m, m)), np.zeros(m), list(range(first))
        F[0, :first, :first] = np.triu(np.ones((first, first)))
        H[0] = 1.0
        if self.season:
            F[0, first, first:] = -1.0
            F[0, first + 1 :, first:-1] = np.eye(m - first - 1)
            H[first] = 1.0
            loaded.append(first)
        Q = np.zeros((len(variances), m, m))
        Q[:, loaded, loaded] = variances[:, 1:]
        return Candidates(F, H, Q, variances[:, 0], np.zeros((1, m, m)), np.ones(m, dtype=bool))

    def matrices(self, variances: tuple[float, ...]) -> StateSpace:
        """Return the model of these variances, for the conversions of the exchange."""
        model = self.models(np.array([variances]))
        return StateSpace(model.F[0], model.H, model.Q[0], variances[0])

    def predictions(self, variances: tuple[float, ...], design: Design) -> Floats:
        """Return the filtered predictions of `design.y`, float64 [T].

        NaN stands before the history, and 0, the mean, at the start of an episode.
        """
        given = stretch(design, self.season)
        filtered = kalman_filter(self.models(np.array([variances])), given.y[:, None], given.restarts)
        return given.placed(filtered.predictions[0, :, 0])


@dataclass(frozen=True, slots=True)
class FittedStructural:
    """The chosen components and their variances; `parameters` begin with trend (0 or 1) and season."""

    components: Components
    variances: tuple[float, ...]
    family: ClassVar[str] = "structural"

    @property
    def parameters(self) -> tuple[float, ...]:
        """The native numbers."""
        return (float(self.components.trend), float(self.components.season), *self.variances)

    def one_step(self, design: Design) -> Floats:
        """Return the filtered predictions, float64 [T]; see `Components.predictions`."""
        return self.components.predictions(self.variances, design)


@dataclass(frozen=True, slots=True)
class Structural:
    """Level, or level and trend, each with or without the seasonal of the basis."""

    name: ClassVar[str] = "structural"
    exchange_weight: ClassVar[float] = 0.0

    def fit(self, design: Design) -> FittedStructural:
        """Return the maximum-likelihood fit of the best components; raises FitError when none converges."""
        season = season_of(design.basis)
        given = stretch(design, season)
        # a season that the history does not show often enough must not take values from the others
        seasons = (0, season) if season and given.values >= SEASONS * season else (0,)
        choices = [Components(trend, s) for s in seasons for trend in (False, True)]
        best = choose_structure(self.name, choices, given.y[:, None], given.restarts)
        return FittedStructural(best.structure, best.variances)
