"""Forgetting: what a node knew counts less the older it is.

Exponential forgetting of recursive least squares in information form: P ← γP, h ← γh before new rows join
(Haykin, Adaptive Filter Theory, ch. 10), which is the same as rows of weight γ^age. Forgetting changes how
much is claimed, not what: the coefficients R⁻¹z stay where they are until something newer speaks.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.information import RIDGE, Information, information
from ledgerfed.series.arrays import Booleans, Floats


def forget(info: Information, gamma: float) -> Information:
    """Return the information with γP and γh, its row count and residual scaled alike (n rounded).

    Raises:
        InvalidValueError: γ is not in (0, 1].
    """
    _require_gamma(gamma)
    root = float(np.sqrt(gamma))
    return replace(
        info, n=round(gamma * info.n), R=root * info.R, z=root * info.z, residual=gamma * info.residual
    )


def age_weights(rows: Booleans, gamma: float) -> Floats:
    """Return γ^age of the rows that count, float64 [n]; the last of `rows` bool [T] has the age 0.

    Ages are grid steps, so a gap of missing rows ages what lies before it.

    Raises:
        InvalidValueError: γ is not in (0, 1].
    """
    _require_gamma(gamma)
    return np.asarray(gamma ** (len(rows) - 1.0 - np.flatnonzero(rows)), dtype=np.float64)


def weighted_information(
    X: Floats,
    y: Floats,
    yhat: Floats,
    lam: float,
    weights: Floats,
    s2: float | None = None,
    ridge: float = RIDGE,
) -> Information:
    """Return the information in rows that count `weights` float64 [n] each; otherwise `exchange.information`.

    n is the sum of the weights, rounded: forgotten rows are not claimed. By default s2 is the unbiased
    estimate from the weighted fit, for rows of one noise variance.

    Raises:
        InvalidValueError: a weight is not in (0, 1], or what `information` raises.
    """
    if weights.shape != y.shape or not ((weights > 0) & (weights <= 1)).all():
        raise InvalidValueError(f"{len(y)} rows need as many weights in (0, 1], got {weights.shape}")
    root = np.sqrt(weights)
    response = lam * y + (1 - lam) * yhat
    if s2 is None:
        s2 = _noise(X, y, response, weights)
    info = information(root[:, None] * X, root * y, root * yhat, lam, s2, ridge)
    return replace(info, n=round(float(weights.sum())))


def _noise(X: Floats, y: Floats, response: Floats, weights: Floats) -> float:
    root = np.sqrt(weights)
    theta, _, rank, _ = np.linalg.lstsq(root[:, None] * X, root * response)
    U = np.linalg.svd(root[:, None] * X, full_matrices=False)[0][:, :rank]
    freedom = float(weights.sum() - weights @ (U * U).sum(axis=1))
    if len(y) <= rank or freedom <= 0:
        raise InvalidValueError(f"{len(y)} rows leave no degree of freedom for {rank} columns; train on more")
    error = y - X @ theta
    s2 = float(weights @ (error * error)) / freedom
    if s2 <= np.finfo(float).eps * float(y @ y) / len(y):
        raise InvalidValueError("the basis reproduces the target exactly; there is no noise to scale by")
    return s2


def _require_gamma(gamma: float) -> None:
    if not 0 < gamma <= 1:
        raise InvalidValueError(f"the forgetting factor must lie in (0, 1], got {gamma}")
