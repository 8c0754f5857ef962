"""ARMA on the seasonal difference, by maximum likelihood.

w_t = y_t - y_{t-7} follows ARMA(1, 1) with a moving average at the season, which undoes what differencing
put in; the forecast is folded back: ŷ_t = y_{t-7} + ŵ_t. Box & Jenkins, Time Series Analysis, chapter 9.
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
class FittedARMA:
    """Parameters φ, θ, Θ (seasonal), σ² of the seasonal difference."""

    season: int
    parameters: tuple[float, ...]
    family: ClassVar[str] = "arma"

    def one_step(self, design: Design) -> Floats:
        """Return y_{t-season} plus the filtered prediction of the difference, float64 [T]."""
        span = history(design, self.season)
        y = design.y[span]
        predictions = np.full(len(design.y), np.nan)
        folded = one_step_predictions(self.family, _model(y, self.season), self.parameters)
        predictions[span.start + self.season :] = y[: -self.season] + folded
        return predictions


@dataclass(frozen=True, slots=True)
class ARMA:
    """ARMA(1, 1) x MA(1) at the season, on the difference at the season (7 grid steps)."""

    season: int = 7
    name: ClassVar[str] = "arma"
    exchange_weight: ClassVar[float] = 0.0

    def fit(self, design: Design) -> FittedARMA:
        """Return the maximum-likelihood fit; raises FitError when it does not converge."""
        y = design.y[history(design, self.season)]
        if len(y) < 4 * self.season:
            raise FitError(f"{self.name!r} needs {4 * self.season} values, got {len(y)}; train on more")
        return FittedARMA(self.season, maximum_likelihood(self.name, _model(y, self.season)))


def _model(y: Floats, season: int) -> Any:
    from statsmodels.tsa.statespace.sarimax import SARIMAX

    return SARIMAX(y[season:] - y[:-season], order=(1, 0, 1), seasonal_order=(0, 0, 1, season))
