"""ARIMA with seasonal terms: the order chosen on the node's own values, differences folded back in.

With a season in the basis the model is one of the seasonal difference, without one of the series about its
mean; either of them may be differenced once more. Estimation is `arma_likelihood`, prediction `arma_filter`.
Box & Jenkins, Time Series Analysis, chapters 4, 5 and 9.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ledgerfed.errors import FitError
from ledgerfed.exchange.design import Design
from ledgerfed.models.arma_filter import Filtered, Recursion, ahead, run
from ledgerfed.models.arma_fit import ArmaFit
from ledgerfed.models.arma_likelihood import fit_likelihood
from ledgerfed.models.innovations_form import innovations_form
from ledgerfed.models.lag_polynomials import dense, multiply
from ledgerfed.models.orders import Order, aicc, choose, grid, near_unit_root, season_of
from ledgerfed.models.state_space import history, on_grid, restarts
from ledgerfed.series.arrays import Floats

MAX_P = 3
MAX_Q = 3


@dataclass(frozen=True, slots=True)
class FittedARIMA:
    """Coefficients on the grid of native parameters: `mean` of the differences, φ, Φ, θ, Θ and σ²."""

    family: str
    order: Order
    mean: float
    ar: tuple[float, ...]
    seasonal_ar: tuple[float, ...]
    ma: tuple[float, ...]
    seasonal_ma: tuple[float, ...]
    s2: float

    @property
    def parameters(self) -> tuple[float, ...]:
        """The seven numbers of the order, then mean, φ, Φ, θ, Θ, σ²."""
        return (
            *map(float, self.order.numbers),
            self.mean,
            *self.ar,
            *self.seasonal_ar,
            *self.ma,
            *self.seasonal_ma,
            self.s2,
        )

    @property
    def recursion(self) -> Recursion:
        """What the filter runs on, seasonal factors multiplied in."""
        return Recursion(innovations_form(*self._polynomials()), self.order.difference, self.mean)

    def _polynomials(self) -> tuple[Floats, Floats]:
        """Return φΦ and θΘ as coefficients of B^0, B^1, …"""
        season = self.order.season
        ar, _ = multiply(self.ar, self.seasonal_ar, season)
        ma, _ = multiply([-v for v in self.ma], [-v for v in self.seasonal_ma], season)
        return dense(ar, -1.0), dense(ma, -1.0)

    def one_step(self, design: Design) -> Floats:
        """Return predictions, differences folded back in, float64 [T]; NaN before the history.

        The first values of an episode, which a difference has nothing to start from, are predicted as 0.
        """
        return _placed(design, self.order.season, _filtered(self, design).predictions)

    def ahead(self, design: Design, steps: int) -> Floats:
        """Return predictions made `steps` grid steps before, float64 [T]; NaN where the past is too short."""
        predictions = ahead(self.recursion, _filtered(self, design), steps)
        return _placed(design, self.order.season, predictions)


@dataclass(frozen=True, slots=True)
class ARIMA:
    """ARIMA(p, d, q) with d = 0 or 1, times (0, 1, 1) at the season of the basis if it has one."""

    name: ClassVar[str] = "arima"
    exchange_weight: ClassVar[float] = 0.0

    def fit(self, design: Design) -> FittedARIMA:
        """Return the fit of the order with the least AICc; raises FitError when none can be fitted."""
        return fit_best(self.name, design, grid(MAX_P, MAX_Q, season_of(design.basis), differences=(0, 1)))


def fit_best(family: str, design: Design, candidates: Sequence[Order]) -> FittedARIMA:
    """Return the fit of the candidate with the least AICc on the values that the rows of `design` look at.

    All candidates are compared on the same values. Where some difference once more than others, these are
    all but the first of every run, given that one.

    Raises:
        FitError: too few values in a row for any of them, or no search converged.
    """
    span = history(design, candidates[0].season)
    y = np.where(np.isfinite(design.y[span]), design.y[span], np.nan)
    most = max(order.d for order in candidates)
    fits: dict[Order, ArmaFit] = {}

    def criterion(order: Order) -> float:
        fit = fits[order] = fit_likelihood(y, order)
        if near_unit_root(fit.ar, fit.ma, reverting=order.d == most):
            raise FitError(f"ARIMA{order} has a root on the unit circle")
        if order.d == most:
            return aicc(fit.criterion, fit.rows, order.size)
        return aicc(fit.criterion - fit.opening, fit.rows - fit.runs, order.size)

    return _rounded(family, fits[choose(family, candidates, criterion)])


def _rounded(family: str, fit: ArmaFit) -> FittedARIMA:
    mean, s2 = on_grid((fit.mean, fit.s2))
    if s2 == 0:
        raise FitError(f"{family!r} leaves a noise variance of {fit.s2}; the series is constant")
    return FittedARIMA(
        family,
        fit.order,
        mean,
        on_grid(fit.ar),
        on_grid(fit.seasonal_ar),
        on_grid(fit.ma),
        on_grid(fit.seasonal_ma),
        s2,
    )


def _filtered(fitted: FittedARIMA, design: Design) -> Filtered:
    y = design.y[history(design, fitted.order.season)]
    # a gap that no lag crosses, held values included, parts two episodes
    return run(fitted.recursion, y, restarts(y, max((1, *design.basis.lags)) + design.basis.hold))


def _placed(design: Design, season: int, predictions: Floats) -> Floats:
    whole = np.full(len(design.y), np.nan)
    whole[history(design, season)] = predictions
    return whole
