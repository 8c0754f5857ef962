"""Local level with a seasonal: structural time series model, by maximum likelihood.

y_t = level_t + season_t + noise, both states random walks. Harvey, Forecasting, Structural Time Series
Models and the Kalman Filter, 1989, chapter 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from ledgerfed.errors import FitError
from ledgerfed.exchange.design import Design
from ledgerfed.models.state_space import history, maximum_likelihood, one_step_predictions
from ledgerfed.series.arrays import Floats


@dataclass(frozen=True, slots=True)
class FittedLocalLevel:
    """Variances of noise, level and season."""

    season: int
    parameters: tuple[float, ...]
    family: ClassVar[str] = "local_level"

    def one_step(self, design: Design) -> Floats:
        """Return the filtered predictions, float64 [T]; NaN until the states have been seen."""
        span = history(design, self.season)
        predictions = np.full(len(design.y), np.nan)
        filtered = one_step_predictions(self.family, _model(design.y[span], self.season), self.parameters)
        predictions[span.start + self.season :] = filtered[self.season :]
        return predictions


@dataclass(frozen=True, slots=True)
class LocalLevel:
    """Random-walk level plus a stochastic seasonal of 7 grid steps."""

    season: int = 7
    name: ClassVar[str] = "local_level"
    exchange_weight: ClassVar[float] = 0.0

    def fit(self, design: Design) -> FittedLocalLevel:
        """Return the maximum-likelihood fit; raises FitError when it does not converge."""
        y = design.y[history(design, self.season)]
        if len(y) < 4 * self.season:
            raise FitError(f"{self.name!r} needs {4 * self.season} values, got {len(y)}; train on more")
        return FittedLocalLevel(self.season, maximum_likelihood(self.name, _model(y, self.season)))


def _model(y: Floats, season: int) -> Any:
    from statsmodels.tsa.statespace.structural import UnobservedComponents

    return UnobservedComponents(y, level="local level", seasonal=season)
