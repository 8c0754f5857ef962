"""ARX: every column of the basis, lags and modalities, by least squares."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ledgerfed.exchange.design import Design
from ledgerfed.models.least_squares import Linear, fit_linear


@dataclass(frozen=True, slots=True)
class ARX:
    """Autoregression with the exogenous channels of the basis."""

    name: ClassVar[str] = "arx"
    exchange_weight: ClassVar[float] = 1.0

    def fit(self, design: Design) -> Linear:
        """Return the least-squares fit; raises FitError when there are too few rows."""
        return fit_linear(self.name, design, tuple(range(design.basis.width)))
