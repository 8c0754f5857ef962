"""Local level, with a seasonal where the basis has one, by exact maximum likelihood.

y_t = level_t + season_t + noise, both states random walks. Without a season the likelihood has a closed form
in the frequency domain (`local_level_likelihood`) as long as no episode has holes. Harvey, Forecasting,
Structural Time Series Models and the Kalman Filter, 1989, chapter 2.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from ledgerfed.errors import FitError
from ledgerfed.exchange.design import Design
from ledgerfed.models.local_level_likelihood import fit_local_level_pieces
from ledgerfed.models.orders import season_of
from ledgerfed.models.state_space import Stretch, on_grid, stretch
from ledgerfed.models.structural import Components
from ledgerfed.models.variances import estimate, noisy
from ledgerfed.series.arrays import Floats


@dataclass(frozen=True, slots=True)
class FittedLocalLevel:
    """Variances of noise, level and, where there is a season, of the seasonal."""

    season: int
    parameters: tuple[float, ...]
    family: ClassVar[str] = "local_level"

    def one_step(self, design: Design) -> Floats:
        """Return the filtered predictions, float64 [T]; NaN before the history, 0 (the mean) at its start."""
        return Components(False, self.season).predictions(self.parameters, design)

    def ahead(self, design: Design, steps: int) -> Floats:
        """Return predictions made `steps` grid steps before, float64 [T]."""
        return Components(False, self.season).predictions(self.parameters, design, steps)


@dataclass(frozen=True, slots=True)
class LocalLevel:
    """Random-walk level, plus a stochastic seasonal of the basis' season."""

    name: ClassVar[str] = "local_level"
    exchange_weight: ClassVar[float] = 0.0

    def fit(self, design: Design) -> FittedLocalLevel:
        """Return the maximum-likelihood fit; raises FitError when it does not converge."""
        season = season_of(design.basis)
        given = stretch(design, season)
        components = Components(False, season)
        if given.values < components.needed:
            raise FitError(
                f"{self.name!r} needs {components.needed} values, got {given.values}; train on more"
            )
        pieces = None if season else whole_episodes(given)
        if pieces is not None:
            found = fit_local_level_pieces(pieces)
            variances = on_grid([found.sigma2_irregular, found.sigma2_level])
            return FittedLocalLevel(season, noisy(self.name, variances))
        series, burn = given.y[:, None], components.undetermined
        return FittedLocalLevel(
            season, estimate(self.name, components, series, given.restarts, burn).variances
        )


def whole_episodes(given: Stretch) -> list[Floats] | None:
    """Return the episodes of three values and more, or None when a value is missing within one."""
    pieces = []
    for episode in np.split(given.y, np.flatnonzero(given.restarts)[1:]):
        present = np.flatnonzero(~np.isnan(episode))
        if not len(present):
            continue
        piece = episode[present[0] : present[-1] + 1]
        if np.isnan(piece).any():
            return None
        if len(piece) >= 3:
            pieces.append(piece)
    return pieces or None
