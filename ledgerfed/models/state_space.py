"""Maximum likelihood and one-step prediction of statsmodels' state space models.

statsmodels takes seconds to import, so nothing here imports it: callers build the model (and import) when
they fit.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from ledgerfed.errors import FitError
from ledgerfed.exchange.design import Design
from ledgerfed.series.arrays import Floats

_ITERATIONS = 500


def history(design: Design, season: int) -> slice:
    """Return the grid rows that a filter runs over: those that count and the past they look back to.

    That past is the reach of the basis, and at least two seasons for the states to settle.
    """
    first = int(np.argmax(design.rows))
    return slice(max(0, first - max(design.basis.reach, 2 * season)), len(design.y))


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
