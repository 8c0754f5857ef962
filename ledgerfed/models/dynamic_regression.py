"""Dynamic linear regression: a drifting level, and the modalities with coefficients that stay or drift.

y_t = μ_t + x_t'(b + d_t) + ε_t: μ is a random walk with a diffuse start; x_t are the calendar terms and, if
there are rows enough, the channels of the basis; b is what the coefficients are at the start of every
episode, by generalised least squares on the innovations; d_t is a random walk from 0, of one variance for
all columns, which share a scale. Whether the coefficients drift at all is chosen by AICc. West & Harrison,
Bayesian Forecasting and Dynamic Models, 1997, chapter 9; de Jong, Annals of Statistics 19, 1991 (regressors
through the filter).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ledgerfed.errors import FitError
from ledgerfed.exchange.design import Design
from ledgerfed.models.kalman import Candidates, kalman_filter
from ledgerfed.models.regressors import regressors
from ledgerfed.models.state_space import stretch
from ledgerfed.models.variances import choose_structure
from ledgerfed.series.arrays import Floats

_LEAST = 8
_LEVELS = (0.03, 0.1, 0.3, 1.0)
_DRIFTS = (0.01, 0.1)


@dataclass(frozen=True, slots=True, eq=False)
class Regression:
    """A level and the regressors x float64 [T, c]; the variances are those of noise, level and drift."""

    x: Floats
    drifts: bool
    undetermined: ClassVar[int] = 1

    @property
    def needed(self) -> int:
        """How many values it takes."""
        return _LEAST + int(self.x.shape[1]) + self.drifts

    @property
    def deviations(self) -> tuple[tuple[float, ...], ...]:
        """Where the search starts."""
        return ((1.0,), _LEVELS, *[_DRIFTS] * self.drifts)

    def models(self, variances: Floats) -> Candidates:
        """Return the models of these variances, float64 [G, 2 or 3]."""
        G, columns = len(variances), self.x.shape[1] * self.drifts
        m = 1 + columns
        Q = np.zeros((G, m, m))
        Q[:, 0, 0] = variances[:, 1]
        H = np.ones(1)
        if self.drifts:
            Q[:, range(1, m), range(1, m)] = variances[:, 2:]
            H = np.column_stack([np.ones(len(self.x)), self.x])
        return Candidates(np.eye(m)[None], H, Q, variances[:, 0], np.zeros((1, m, m)), np.arange(m) == 0)


@dataclass(frozen=True, slots=True)
class FittedDynamicRegression:
    """Variances of noise, level and, if they drift, of the coefficients; the latter on `columns`."""

    columns: tuple[int, ...]
    variances: tuple[float, ...]
    coefficients: tuple[float, ...]
    family: ClassVar[str] = "dynamic_regression"

    @property
    def parameters(self) -> tuple[float, ...]:
        """The native numbers; the first is 1 where the coefficients drift, else 0."""
        return (float(len(self.variances) == 3), *self.variances, *self.coefficients)

    def one_step(self, design: Design) -> Floats:
        """Return the filtered predictions, float64 [T].

        NaN stands before the history and where a regressor is missing; at the start of an episode the level
        is 0, the mean.
        """
        given = stretch(design)
        x = design.X[given.span, self.columns]
        mean = x @ np.array(self.coefficients)
        models = Regression(x, len(self.variances) == 3).models(np.array([self.variances]))
        filtered = kalman_filter(models, (given.y - mean)[:, None], given.restarts)
        return given.placed(mean + filtered.predictions[0, :, 0])


@dataclass(frozen=True, slots=True)
class DynamicRegression:
    """Random-walk level, with channels and calendar terms of the basis as regressors."""

    name: ClassVar[str] = "dynamic_regression"
    exchange_weight: ClassVar[float] = 0.0

    def fit(self, design: Design) -> FittedDynamicRegression:
        """Return the maximum-likelihood fit; raises FitError when none converges or nothing explains y."""
        given = stretch(design)
        columns = regressors(design, 2)
        if not columns:
            rows = int(design.rows.sum())
            raise FitError(
                f"{self.name!r} finds no calendar term, nor channels that {rows} rows suffice for;"
                " take another family"
            )
        x = design.X[given.span, columns]
        choices = [Regression(x, False), Regression(x, True)]
        series = np.column_stack([given.y, x])
        best = choose_structure(self.name, choices, series, given.restarts)
        return FittedDynamicRegression(columns, best.variances, best.coefficients)
