"""MA: a moving average of the seasonal difference where the basis has a season, else about the mean.

Box & Jenkins, Time Series Analysis, 3.3.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ledgerfed.exchange.design import Design
from ledgerfed.models.arima import MAX_Q, FittedARIMA, fit_best
from ledgerfed.models.orders import grid, season_of


@dataclass(frozen=True, slots=True)
class MA:
    """MA(q), times (0, 1, 1) at the season of the basis if it has one."""

    name: ClassVar[str] = "ma"
    exchange_weight: ClassVar[float] = 0.0

    def fit(self, design: Design) -> FittedARIMA:
        """Return the fit of the order with the least AICc; raises FitError when none can be fitted."""
        return fit_best(self.name, design, grid(0, MAX_Q, season_of(design.basis)))
