"""AR: the target's own lags with calendar terms and intercept, by least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ledgerfed.exchange.design import Design
from ledgerfed.models.least_squares import Linear, fit_linear


@dataclass(frozen=True, slots=True)
class AR:
    """Autoregression on the lags of the basis; looks at no modality."""

    name: ClassVar[str] = "ar"
    exchange_weight: ClassVar[float] = 1.0

    def fit(self, design: Design) -> Linear:
        """Return the least-squares fit; raises FitError when there are too few rows."""
        lags, width = len(design.basis.lags), design.basis.width
        first_calendar = lags + len(design.basis.channels)
        return fit_linear(self.name, design, (*range(lags), *range(first_calendar, width)))
