"""AR: the target's own lags with calendar terms and intercept, by least squares.

How many lags is chosen by AICc on the node's own rows, from the shortest of the basis on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from ledgerfed.exchange.design import Design
from ledgerfed.models.least_squares import Linear, fit_linear, nested_order


@dataclass(frozen=True, slots=True)
class AR:
    """Autoregression on the lags of the basis; looks at no modality."""

    name: ClassVar[str] = "ar"
    exchange_weight: ClassVar[float] = 1.0

    def fit(self, design: Design) -> Linear:
        """Return the least-squares fit; raises FitError when there are too few rows."""
        basis = design.basis
        lags = sorted(range(len(basis.lags)), key=lambda column: basis.lags[column])
        known = [*range(len(basis.lags) + len(basis.channels), basis.width)]
        X, y = design.sample()
        used = nested_order(X[:, known + lags], y, len(known))
        return fit_linear(self.name, design, sorted(lags) + known, sorted(lags[:used]) + known)
