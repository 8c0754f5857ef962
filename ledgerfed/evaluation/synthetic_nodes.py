"""Nodes whose truth is known: series of ARMA(2, 1) models that differ a little, fitted with other families.

A forecaster is then judged without a test series: its expected squared error under the true model is a
variance, which the autocovariances give exactly.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.errors import FitError
from ledgerfed.exchange.differencing import Difference
from ledgerfed.exchange.innovations import local_level_gain
from ledgerfed.exchange.linear_prediction import step_down, step_up
from ledgerfed.exchange.projection import (
    STATIONARY,
    autocovariances,
    best_autoregression,
    infinite_autoregression,
)
from ledgerfed.models.css import fit_arma
from ledgerfed.models.local_level_likelihood import fit_local_level
from ledgerfed.series.arrays import Floats

ORDERS: Final = ((1, 0), (2, 0), (4, 0), (8, 0), (1, 1), (2, 1), None)
"""The families that nodes take in turn, as (p, q); None is the local level."""
REFLECTIONS: Final = (0.7, 0.1)
MOVING_AVERAGE: Final = 0.3
"""The truth that nodes vary: partial autocorrelations, and the moving average."""
_SETTLE: Final = 500
_BOUND: Final = 0.999
_EDGE: Final = 0.99


@dataclass(frozen=True, slots=True, eq=False)
class Linear:
    """A one-step forecaster: the ARMA with coefficients `ar` and `ma` of the `difference` of the series."""

    ar: Floats
    ma: Floats
    difference: Difference = STATIONARY

    @property
    def folded(self) -> Floats:
        """The autoregression of the series itself."""
        return self.difference.fold(self.ar)

    def one_step(self, y: Floats) -> Floats:
        """Return predictions of y from zeros before its start, both float64 [T]."""
        from scipy.signal import lfilter

        return np.asarray(y - lfilter(_polynomial(-self.folded), _polynomial(self.ma), y), dtype=np.float64)

    def weights(self, count: int) -> Floats:
        """Return the infinite autoregression cut after `count` lags."""
        return infinite_autoregression(self.folded, self.ma, count)

    def best(self, lags: int) -> Floats:
        """Return the best autoregression of so many lags under this model."""
        return best_autoregression(self.ar, self.ma, lags, self.difference)


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A series `y` float64 [T], centred on its mean, the model `truth` behind it, and its `native` fit.

    `fallback` says that the fit of its family was not usable, and an autoregression took its place.
    """

    y: Floats
    truth: Linear
    native: Linear
    fallback: bool = False

    def excess(self, forecaster: Linear) -> float:
        """Return the expected squared one-step error of `forecaster`, over that of the truth, less 1.

        The error is φ'θ/(φθ') of the innovations, φ' and θ' being the forecaster's: the variance of an ARMA.
        """
        ar = np.convolve(_polynomial(-self.truth.ar), _polynomial(forecaster.ma))
        ma = np.convolve(_polynomial(-forecaster.folded), _polynomial(self.truth.ma))
        return float(autocovariances(-ar[1:], ma[1:], 0)[0]) - 1


def draw_nodes(count: int, length: int, heterogeneity: float, rng: np.random.Generator) -> list[Node]:
    """Return `count` nodes with about `length` values each.

    A node's length is length · e^U(-0.7, 0.7), its scale e^N(0, 0.5); atanh of the partial autocorrelations
    and of the moving average varies between nodes with the standard deviation `heterogeneity`.
    """
    return [_draw(ORDERS[i % len(ORDERS)], length, heterogeneity, rng) for i in range(count)]


def _draw(order: tuple[int, int] | None, length: int, heterogeneity: float, rng: np.random.Generator) -> Node:
    truth = _truth(heterogeneity, rng)
    T = round(length * float(np.exp(rng.uniform(-0.7, 0.7))))
    scale = float(np.exp(0.5 * rng.normal()))
    y = scale * _simulate(truth, T, rng)
    y -= y.mean()
    try:
        return Node(y, truth, fit_native(y, order))
    except FitError:
        return Node(y, truth, fit_native(y, (order[0], 0) if order else (1, 0)), fallback=True)


def _truth(heterogeneity: float, rng: np.random.Generator) -> Linear:
    centre = np.arctanh([*REFLECTIONS, MOVING_AVERAGE])
    *reflections, ma = np.tanh(centre + heterogeneity * rng.normal(size=len(centre)))
    return Linear(step_up(reflections), np.array([ma]))


def _simulate(truth: Linear, length: int, rng: np.random.Generator) -> Floats:
    from scipy.signal import lfilter

    noise = rng.normal(size=length + _SETTLE)
    return np.asarray(
        lfilter(_polynomial(truth.ma), _polynomial(-truth.ar), noise)[_SETTLE:], dtype=np.float64
    )


def fit_native(y: Floats, order: tuple[int, int] | None) -> Linear:
    """Return the ARMA of this order fitted to y, or for None the local level.

    Autoregressions by least squares, brought back to stability; a level that hardly moves gives a moving
    average close to -1, which is kept at -0.999.

    Raises:
        FitError: the search did not converge, or ended on the edge of invertibility, as it often does in
            short series: the forecaster would hardly forget its start.
    """
    if order is None:
        fit = fit_local_level(y)
        ratio = fit.sigma2_level / fit.sigma2_irregular if fit.sigma2_irregular else np.inf
        ma = np.array([local_level_gain(ratio) - 1])
        return Linear(np.empty(0), np.clip(ma, -_BOUND, 0), Difference(1))
    p, q = order
    if q:
        arma = fit_arma(y, p, q)
        if max(abs(value) for value in arma.ma) > _EDGE:
            raise FitError(
                f"the moving average {arma.ma} is on the edge of invertibility; take an autoregression"
            )
        return Linear(np.array(arma.ar), np.array(arma.ma))
    theta = np.linalg.lstsq(lagged(y, p), y[p:])[0]
    return Linear(step_up(step_down(theta, _BOUND)), np.empty(0))


def lagged(y: Floats, lags: int) -> Floats:
    """Return the rows y_{t-1}..y_{t-lags} for t = lags..T-1, float64 [T - lags, lags]."""
    return np.lib.stride_tricks.sliding_window_view(y, lags)[:-1, ::-1]


def _polynomial(tail: Floats) -> Floats:
    return np.concatenate([[1.0], tail])
