"""No harm: a node keeps its own model in the forecast as far as that model has earned it.

Rules:
- forecasts are averaged, not picked: on a short tail the best of two is mostly luck, and an average of two is
  never worse than the worse of them (forecast combination: Bates and Granger 1969, Operational Research
  Quarterly 20);
- before the tail is seen, the native model gets half where rows abound, and nothing where it has more than
  half as many parameters as rows: such a fit forecasts badly, however well it fits;
- what is then seen counts as the likelihood of the tail under each: errors of forecasts made before, by
  models fitted without those rows.
"""

from __future__ import annotations

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.series.arrays import Floats


def native_share(rows: int, parameters: int) -> float:
    """Return the weight of a native model of so many parameters fitted to so many rows, before any tail.

    Half of 1 − 2 parameters / rows, and at least 0.

    Raises:
        InvalidValueError: there is no row, or less than no parameter.
    """
    if rows < 1 or parameters < 0:
        raise InvalidValueError(f"needs rows and 0 or more parameters, got {rows} and {parameters}")
    return 0.5 * max(0.0, 1.0 - 2.0 * parameters / rows)


def combine_forecasters(errors: Floats, prior: Floats) -> Floats:
    """Return weights of forecasters, float64 [k], that sum to 1: prior · (Σ e²)^(−m/2), normalised.

    Args:
        errors: what each of them missed on the tail [m, k]; without a row, the prior remains.
        prior: their weights before the tail [k]; one that is 0 stays 0.

    Raises:
        InvalidValueError: shapes differ, an error is missing, or the prior is negative or all zero.
    """
    if errors.ndim != 2 or prior.shape != errors.shape[1:] or not np.isfinite(errors).all():
        raise InvalidValueError(
            f"needs finite errors [m, k] and k weights, got {errors.shape} and {prior.shape}"
        )
    if not (prior >= 0).all() or not prior.sum() > 0:
        raise InvalidValueError(f"weights must not be negative nor all zero, got {prior.tolist()}")
    squares = np.maximum((errors * errors).sum(axis=0), np.finfo(float).tiny)
    asked = prior > 0
    logs = np.where(asked, -len(errors) / 2 * np.log(squares), -np.inf)
    raised = prior * np.exp(logs - logs.max())
    return np.asarray(raised / raised.sum())


def no_harm(personal: Floats, native: Floats, rows: int, parameters: int) -> float:
    """Return the weight of the native model's forecast beside the personal one's, in [0, 1].

    Args:
        personal: errors of the personal forecaster on the tail [m], fitted without it.
        native: those of the native model [m], fitted without it too.
        rows: how many rows the native model is fitted to.
        parameters: how many it estimates from them.

    Raises:
        InvalidValueError: shapes differ, an error is missing, or there is no row to fit.
    """
    if personal.shape != native.shape or personal.ndim != 1:
        raise InvalidValueError(
            f"both need errors of the same rows, got the shapes {personal.shape} and {native.shape}"
        )
    share = native_share(rows, parameters)
    weights = combine_forecasters(np.column_stack([personal, native]), np.array([1 - share, share]))
    return float(weights[1])
