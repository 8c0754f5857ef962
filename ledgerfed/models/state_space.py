"""The stretch of a panel that a state space model runs over, and what its families share.

Rules:
- a filter runs over the rows that count and the past they look back to: the reach of the basis, and at least
  two seasons for the states to settle. Least squares on the basis sees the same values;
- a gap that no lag of the basis bridges, held values included, ends an episode (a batch, a patient): the next
  value starts anew;
- native parameters lie on a grid of 2^-20, far above the last bits of the linear algebra that found them, and
  predictions are made from the rounded ones, so that other machines get the same update.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ledgerfed.errors import FitError
from ledgerfed.exchange.design import Design
from ledgerfed.series.arrays import Booleans, Floats

_GRID = 20
_ITERATIONS = 500


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """The rows `span` of a design with `rows` rows: y float64 [T] and the `restarts` bool [T] in it."""

    span: slice
    rows: int
    y: Floats
    restarts: Booleans

    @property
    def values(self) -> int:
        """How many values there are."""
        return int((~np.isnan(self.y)).sum())

    def placed(self, predictions: Floats) -> Floats:
        """Return predictions of the stretch as predictions of the whole design, NaN before it."""
        whole = np.full(self.rows, np.nan)
        whole[self.span] = predictions
        return whole


def stretch(design: Design, season: int = 0) -> Stretch:
    """Return the rows a filter runs over, with its restarts, for states that need `season` grid steps."""
    span = history(design, season)
    y = design.y[span]
    gap = max((1, *design.basis.lags)) + design.basis.hold
    return Stretch(span, len(design.y), y, restarts(y, gap))


def history(design: Design, season: int = 0) -> slice:
    """Return the grid rows that a filter runs over: those that count and the past they look back to."""
    first = int(np.argmax(design.rows))
    return slice(max(0, first - max(design.basis.reach, 2 * season)), len(design.y))


def restarts(y: Floats, gap: int) -> Booleans:
    """Return where the states start anew, bool [T]: at row 0 and after `gap` or more missing values.

    Whether y[t] is there plays no part in it: its prediction must not know.
    """
    rows = np.arange(len(y))
    last = np.maximum.accumulate(np.where(np.isnan(y), -1, rows))
    before = np.concatenate([[-1], last[:-1]])
    return np.asarray((rows == 0) | (rows - before > gap), dtype=np.bool_)


def on_grid(parameters: ArrayLike) -> tuple[float, ...]:
    """Return the parameters rounded to multiples of 2^-20."""
    scaled = np.rint(np.ldexp(np.asarray(parameters, dtype=np.float64), _GRID))
    return tuple(float(value) for value in np.ldexp(scaled, -_GRID) + 0.0)


def akaike(loglike: float, parameters: int, n: int) -> float:
    """Return the corrected Akaike criterion (Hurvich & Tsai 1989), infinite where n is too small for it."""
    if n <= parameters + 1:
        return math.inf
    return -2 * loglike + 2 * parameters * n / (n - parameters - 1)


def maximum_likelihood(family: str, model: Any) -> tuple[float, ...]:
    """Return the parameters that maximise the likelihood of a statsmodels `MLEModel`.

    L-BFGS, and from where it gives up Nelder-Mead: close to a maximum, or with a variance at zero, the line
    search fails on rounding noise though there is nothing left to gain.

    Raises:
        FitError: neither search converged, or the end is not finite.
    """
    result = _search(family, model, "lbfgs", None)
    if not result.mle_retvals["converged"]:
        result = _search(family, model, "nm", result.params)
    if not result.mle_retvals["converged"]:
        raise FitError(f"{family!r} found no maximum within {_ITERATIONS} iterations; train on other days")
    parameters = tuple(float(value) for value in result.params)
    if not (np.isfinite(parameters).all() and np.isfinite(result.llf)):
        raise FitError(f"{family!r} ended at {parameters} with log-likelihood {result.llf}")
    return parameters


def _search(family: str, model: Any, method: str, start: Floats | None) -> Any:
    with warnings.catch_warnings():
        # what they say is checked by the caller and raised
        warnings.simplefilter("ignore")
        try:
            return model.fit(
                start_params=start, method=method, disp=False, maxiter=_ITERATIONS, cov_type="none"
            )
        except (np.linalg.LinAlgError, ValueError) as error:
            raise FitError(f"{family!r} cannot be fitted: {error}") from error


def one_step_predictions(family: str, model: Any, parameters: tuple[float, ...]) -> Floats:
    """Return the Kalman filter's predictions of each value from those before it, float64 [T].

    Raises:
        FitError: the filter leaves the finite numbers.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        predictions = model.filter(np.array(parameters), return_ssm=True).forecasts[0]
    if not np.isfinite(predictions).all():
        at = int(np.argmax(~np.isfinite(predictions)))
        raise FitError(f"{family!r} predicts {predictions[at]} at step {at}; the fit is not usable")
    return np.asarray(predictions, dtype=np.float64)
