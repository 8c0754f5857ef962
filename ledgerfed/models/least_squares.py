"""Linear models on columns of the basis, by closed-form least squares (QR, `exchange.information`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.exchange.design import Design
from ledgerfed.exchange.information import information
from ledgerfed.models.iterated import iterate, system_of
from ledgerfed.models.orders import aicc
from ledgerfed.models.state_space import on_grid
from ledgerfed.series.arrays import Floats


@dataclass(frozen=True, slots=True)
class Linear:
    """Coefficients on some columns of the basis, on the grid of native parameters."""

    family: str
    columns: tuple[int, ...]
    parameters: tuple[float, ...]

    def one_step(self, design: Design) -> Floats:
        """Return X θ on the columns, float64 [T]; NaN where one of them is missing."""
        return np.asarray(design.X[:, self.columns] @ np.array(self.parameters), dtype=np.float64)

    def ahead(self, design: Design, steps: int) -> Floats:
        """Return predictions made `steps` grid steps before, float64 [T]; NaN where a column is missing.

        Raises:
            InvalidValueError: a channel would have to be known that is not yet.
        """
        system, equation = system_of(design.basis), np.zeros(design.basis.width)
        equation[list(self.columns)] = self.parameters
        for column in np.flatnonzero(equation).tolist():
            if system.variable[column] > 0 and system.lag[column] < steps:
                raise InvalidValueError(
                    f"{self.family!r} does not predict {design.basis.names[column]!r}, needed {steps} steps "
                    "ahead; take 'varx'"
                )
        others = np.zeros((system.size - 1, design.basis.width))
        return iterate(system, design, np.vstack([equation, others]), steps)


def fit_linear(
    family: str, design: Design, columns: Sequence[int], used: Sequence[int] | None = None
) -> Linear:
    """Return the least-squares fit on `columns`; a column that never moved gets the coefficient 0.

    Args:
        used: which of the columns are fitted, the others get the coefficient 0; by default all of them.

    Raises:
        FitError: too few rows, or the columns reproduce the target exactly.
    """
    used = columns if used is None else used
    if not used:
        raise FitError(f"{family!r} finds no column of its own in {list(design.basis.names)}")
    X, y = design.sample()
    theta = dict(zip(used, coefficients(family, X[:, used], y), strict=True))
    return Linear(family, tuple(columns), on_grid([theta.get(column, 0.0) for column in columns]))


def coefficients(family: str, X: Floats, y: Floats) -> Floats:
    """Return least squares of y [n] on X [n, d], float64 [d].

    Raises:
        FitError: too few rows, or the columns reproduce the target exactly.
    """
    try:
        return information(X, y, y, 1.0).theta()
    except InvalidValueError as error:
        raise FitError(f"{family!r} cannot be fitted: {error}") from error


def nested_order(X: Floats, y: Floats, fixed: int) -> int:
    """Return how many of the columns of X [n, d] behind the first `fixed` serve y [n] best, by AICc.

    One QR decomposition gives the sum of squares of every leading set of columns; a tie goes to the smaller.
    """
    Q, R = np.linalg.qr(X)
    explained = np.where(np.abs(np.diag(R)) > 1e-9 * np.abs(R).max(), Q.T @ y, 0.0) ** 2
    sse = float(y @ y) - np.concatenate([[0.0], np.cumsum(explained)])
    n = len(y)
    criteria = [
        aicc(n * float(np.log(max(sse[d], 1e-300) / n)), n, d) for d in range(fixed, min(X.shape[1], n) + 1)
    ]
    return int(np.argmin(criteria)) if criteria else 0
