"""From weighted rows to square-root information: the one place in fusion where R and z are made."""

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


def from_rows(own: Information, rows: Floats, response: Floats, yy: float) -> Information:
    """Return the information with RᵀR = rowsᵀ rows and Rᵀz = rowsᵀ response; `n` and s² are `own`'s.

    Args:
        rows: float64 [m, d] in units of the noise, m >= d, of full rank.
        response: float64 [m].
        yy: the squared length of the whole response, so that the residual is yy - |z|² (less the ridge's
            part, which is no error of a row).

    Raises:
        InvalidValueError: the rows do not determine every coefficient.
    """
    d = rows.shape[1]
    triangle = np.linalg.qr(np.column_stack([rows, response]), mode="r")[:d]
    triangle = np.where(np.diag(triangle) < 0, -1.0, 1.0)[:, None] * np.triu(triangle)
    R, z = triangle[:, :d], triangle[:, d]
    if len(R) < d or not (np.diag(R) > 0).all():
        raise InvalidValueError(f"{len(rows)} rows do not determine {d} coefficients; give a ridge")
    theta = np.linalg.solve(R, z)
    residual = max(0.0, yy - float(z @ z) - RIDGE * float(theta @ theta))
    return Information(own.n, own.s2, R, z, residual)
