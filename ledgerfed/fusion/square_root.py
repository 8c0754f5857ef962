"""Square-root information beyond one node's rows: weighted rows stacked up, and errors about another θ."""

from __future__ import annotations

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.information import RIDGE, Information
from ledgerfed.series.arrays import Floats


def second_moment(info: Information) -> float:
    """Return yᵀy / s², the one sum over its rows that a node does not send by name.

    It follows from the residual about θ = R⁻¹z: yᵀy / s² = residual + θᵀRᵀRθ + ridge |θ|². Exact for exact
    statistics; for a projected model, that of predictions and residual together.
    """
    theta = info.theta()
    fitted = info.R @ theta
    return info.residual + float(fitted @ fitted) + RIDGE * float(theta @ theta)


def residual_about(info: Information, theta: Floats) -> float:
    """Return the sum of squares of a node's y about X θ, in units of its s², from its message alone."""
    away = info.R @ (theta - info.theta())
    ridge = RIDGE * float(info.theta() @ info.theta() - theta @ theta)
    return max(0.0, info.residual + float(away @ away) + ridge)


def triangular(rows: Floats, response: Floats) -> tuple[Floats, Floats]:
    """Return R float64 [d, d] with a positive diagonal and z [d]: RᵀR = rowsᵀ rows, Rᵀz = rowsᵀ response.

    `rows` float64 [m, d] and `response` [m] are in units of the noise.

    Raises:
        InvalidValueError: the rows do not determine every coefficient.
    """
    d = rows.shape[1]
    triangle = np.linalg.qr(np.column_stack([rows, response]), mode="r")[:d]
    triangle = np.where(np.diag(triangle) < 0, -1.0, 1.0)[:, None] * np.triu(triangle)
    R, z = triangle[:, :d], triangle[:, d]
    if len(R) < d or not (np.diag(R) > 0).all():
        raise InvalidValueError(f"{len(rows)} rows do not determine {d} coefficients; give a ridge")
    return R, z
