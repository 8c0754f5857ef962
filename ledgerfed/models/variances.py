"""Maximum-likelihood variances of a structure, and the choice between structures by AICc.

A structure says how its disturbances enter; only the direction of their standard deviations is searched, for
the common scale and the regression coefficients have closed forms (`concentrated`). In standard deviations,
unlike in variances or their logarithms, a component that does not move is an ordinary maximum, at 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

import numpy as np

from ledgerfed.errors import FitError
from ledgerfed.models.concentrated import Concentrated, concentrated
from ledgerfed.models.kalman import Candidates, kalman_filter
from ledgerfed.models.likelihood_search import maximise
from ledgerfed.models.state_space import akaike, on_grid
from ledgerfed.series.arrays import Booleans, Floats

_PIN = 10.0


class Structure(Protocol):
    """A state space model up to its variances; the first of them is the noise of the observation."""

    @property
    def deviations(self) -> tuple[tuple[float, ...], ...]:
        """Standard deviations to start from, for each variance, relative to the first."""
        ...

    @property
    def needed(self) -> int:
        """How many values it takes."""
        ...

    @property
    def undetermined(self) -> int:
        """The number of states that start diffuse."""
        ...

    def models(self, variances: Floats) -> Candidates:
        """Return the models of these variances, float64 [G, variances]."""
        ...


S = TypeVar("S", bound=Structure)


@dataclass(frozen=True, slots=True)
class Estimate(Generic[S]):
    """Variances and regression coefficients on the grid, and how well they explain the series."""

    structure: S
    variances: tuple[float, ...]
    coefficients: tuple[float, ...]
    akaike: float


def choose_structure(family: str, choices: Sequence[S], series: Floats, restarts: Booleans) -> Estimate[S]:
    """Return the choice with the least AICc on the values that all of them predict; the first of equals.

    Args:
        series: float64 [T, 1 + c], the target and its regressors; a row with NaN is missing.

    Raises:
        FitError: none can be fitted; the message is the reason of the first.
    """
    burn = max(choice.undetermined for choice in choices)
    found, reasons = [], []
    for choice in choices:
        try:
            found.append(estimate(family, choice, series, restarts, burn))
        except FitError as error:
            reasons.append(error)
    if not found:
        raise reasons[0]
    return min(found, key=lambda one: one.akaike)


def estimate(family: str, structure: S, series: Floats, restarts: Booleans, burn: int) -> Estimate[S]:
    """Return the maximum-likelihood variances; the first `burn` values of an episode only start the states.

    Raises:
        FitError: too few values, no noise to scale by, or the search does not converge.
    """
    values = int((~np.isnan(series).any(axis=1)).sum())
    if values < structure.needed:
        raise FitError(f"{family!r} needs {structure.needed} values, got {values}; train on more")

    def evaluate(sd: Floats) -> Concentrated:
        filtered = kalman_filter(structure.models(sd**2), series, restarts)
        return concentrated(filtered, series, restarts, burn)

    def likelihood(sd: Floats) -> Floats:
        # the scale is solved for, so only the direction of sd counts: its length is pinned at 1
        return np.asarray(evaluate(sd).loglike - _PIN * ((sd**2).sum(axis=1) - 1) ** 2)

    best = maximise(family, likelihood, _directions(structure.deviations))
    end = evaluate(best.theta[None])
    variances = noisy(family, on_grid(end.scale[0] * best.theta**2))
    count = len(variances) + end.coefficients.shape[1]
    return Estimate(
        structure, variances, on_grid(end.coefficients[0]), akaike(float(end.loglike[0]), count, end.n)
    )


def noisy(family: str, variances: tuple[float, ...]) -> tuple[float, ...]:
    """Return the variances; raises FitError where all of them are 0 on the grid."""
    if not any(variances):
        raise FitError(f"{family!r} reproduces the series exactly; there is no noise to scale by")
    return variances


def _directions(deviations: Sequence[Sequence[float]]) -> Floats:
    """Return all combinations, float64 [S, variances], each of length 1."""
    points = np.stack(np.meshgrid(*deviations, indexing="ij"), axis=-1).reshape(-1, len(deviations))
    return np.asarray(points / np.linalg.norm(points, axis=1, keepdims=True), dtype=np.float64)
