"""ARMA: of the seasonal difference where the basis has a season, else of the series about its mean.

The seasonal difference w_t = y_t - y_{t-s} comes with a moving average at the season, which undoes what
differencing put in. Box & Jenkins, Time Series Analysis, chapters 3 and 9.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ledgerfed.exchange.design import Design
from ledgerfed.models.arima import MAX_P, MAX_Q, FittedARIMA, fit_best
from ledgerfed.models.orders import grid, season_of


@dataclass(frozen=True, slots=True)
class ARMA:
    """ARMA(p, q), times (0, 1, 1) at the season of the basis if it has one."""

    name: ClassVar[str] = "arma"
    exchange_weight: ClassVar[float] = 0.0

    def fit(self, design: Design) -> FittedARIMA:
        """Return the fit of the order with the least AICc; raises FitError when none can be fitted."""
        return fit_best(self.name, design, grid(MAX_P, MAX_Q, season_of(design.basis)))
