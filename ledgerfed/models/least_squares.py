"""Linear models on columns of the basis, by closed-form least squares (QR, `exchange.information`)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.exchange.design import Design
from ledgerfed.exchange.information import information
from ledgerfed.series.arrays import Floats


@dataclass(frozen=True, slots=True)
class Linear:
    """Coefficients on some columns of the basis."""

    family: str
    columns: tuple[int, ...]
    parameters: tuple[float, ...]

    def one_step(self, design: Design) -> Floats:
        """Return X θ on the columns, float64 [T]; NaN where one of them is missing."""
        return np.asarray(design.X[:, self.columns] @ np.array(self.parameters), dtype=np.float64)


def fit_linear(family: str, design: Design, columns: tuple[int, ...]) -> Linear:
    """Return the least-squares fit on `columns`; a column that never moved gets the coefficient 0.

    Raises:
        FitError: too few rows, or the columns reproduce the target exactly.
    """
    if not columns:
        raise FitError(f"{family!r} finds no column of its own in {list(design.basis.names)}")
    X, y = design.sample()
    try:
        theta = information(X[:, columns], y, y, 1.0).theta()
    except InvalidValueError as error:
        raise FitError(f"{family!r} cannot be fitted: {error}") from error
    return Linear(family, columns, tuple(float(value) for value in theta))
