"""Maximum of the penalised likelihood of a two-regime Markov switching regression.

Each iteration expects the regimes given the parameters, then maximises in turn over transitions, means and
variances given the others, so the penalised likelihood never falls. Priors: one transition of each kind, and
for each regime as many values as `_PRIOR_VALUES` with the variance of plain least squares.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ledgerfed.errors import FitError
from ledgerfed.exchange.information import RIDGE
from ledgerfed.models.regime_filter import filter_regimes, smooth_regimes
from ledgerfed.series.arrays import Booleans, Floats

_PRIOR_VALUES = 2.0
_ITERATIONS = 2000
_TRIAL = 20
_TOLERANCE = 1e-9
_RUN = 5


@dataclass(frozen=True, slots=True, eq=False)
class Switching:
    """Intercepts, variances and staying probabilities by regime; `beta` float64 [c] in common."""

    intercepts: tuple[float, float]
    variances: tuple[float, float]
    stay: tuple[float, float]
    beta: Floats

    def vector(self) -> Floats:
        """Return the parameters without bounds: logarithms of the variances, log odds of staying."""
        variances, stay = np.array(self.variances), np.array(self.stay)
        odds = np.log(stay) - np.log1p(-stay)
        return np.concatenate([self.intercepts, np.log(variances), odds, self.beta])

    @staticmethod
    def from_vector(vector: Floats) -> Switching:
        """Return the parameters of a vector."""
        values = vector[:2].tolist(), np.exp(vector[2:4]).tolist(), (1 / (1 + np.exp(-vector[4:6]))).tolist()
        (m0, m1), (v0, v1), (s0, s1) = values
        return Switching((m0, m1), (v0, v1), (s0, s1), vector[6:])


@dataclass(frozen=True, slots=True, eq=False)
class _Problem:
    y: Floats
    X: Floats
    seen: Booleans
    restarts: Booleans
    noise: float


def log_densities(rest: Floats, intercepts: tuple[float, float], variances: tuple[float, float]) -> Floats:
    """Return the normal log densities of `rest` [T] in each regime, float64 [T, 2]; NaN where it is NaN."""
    spread = np.array(variances)
    error = rest[:, None] - np.array(intercepts)
    return np.asarray(-0.5 * (np.log(2 * np.pi * spread) + error**2 / spread))


def fit_switching(family: str, y: Floats, X: Floats, restarts: Booleans) -> Switching:
    """Return the fit to y float64 [T] on X [T, c]; a row with NaN is missing.

    Raises:
        FitError: least squares leave no noise, or the iterations do not converge.
    """
    seen = np.asarray(np.isfinite(np.column_stack([y, X])).all(axis=1))
    plain = np.column_stack([np.ones(int(seen.sum())), X[seen]])
    gram = plain.T @ plain + RIDGE * np.eye(plain.shape[1])
    error = y[seen] - plain @ np.linalg.solve(gram, plain.T @ y[seen])
    noise = float(error @ error) / max(1, int(seen.sum()))
    if noise <= np.finfo(np.float64).eps:
        raise FitError(f"{family!r} reproduces the series exactly; there is no noise to scale by")
    problem = _Problem(np.where(seen, y, np.nan), np.where(seen[:, None], X, 0.0), seen, restarts, noise)
    return _climb(family, problem, _best_start(problem, error))


def _best_start(problem: _Problem, error: Floats) -> Switching:
    """Return the best of three splits after a few iterations: by sign, by size, and by the sign of runs."""
    runs = np.convolve(error, np.ones(_RUN) / _RUN, mode="same")
    size = np.abs(error)
    splits = [error > np.median(error), size > np.median(size), runs > np.median(runs)]
    found = []
    for split in splits:
        weight = np.zeros(len(problem.y))
        weight[problem.seen] = np.where(split, 0.9, 0.1)
        start = Switching((0.0, 0.0), (problem.noise,) * 2, (0.8, 0.8), np.zeros(problem.X.shape[1]))
        current = _maximise(problem, start, weight, np.array([[8.0, 2.0], [2.0, 8.0]]))
        for _ in range(_TRIAL):
            current, value = _iterate(problem, current)
        found.append((value, current))
    return max(found, key=lambda pair: pair[0])[1]


def _climb(family: str, problem: _Problem, start: Switching) -> Switching:
    """Return where squared extrapolation of the iteration comes to rest."""
    x0 = start.vector()
    for _ in range(_ITERATIONS):
        first, _ = _iterate(problem, Switching.from_vector(x0))
        x1 = first.vector()
        if float(np.abs(x1 - x0).max()) < _TOLERANCE:
            return first
        second, floor = _iterate(problem, first)
        x2 = second.vector()
        change, bend = x1 - x0, x2 - 2 * x1 + x0
        length = max(1.0, float(np.linalg.norm(change) / max(float(np.linalg.norm(bend)), 1e-300)))
        leap = Switching.from_vector(x0 + 2 * length * change + length**2 * bend)
        x0 = x2
        if _sensible(leap):
            landed, value = _iterate(problem, leap)
            if value >= floor:
                x0 = landed.vector()
    raise FitError(f"{family!r} did not converge in {_ITERATIONS} iterations; train on other rows")


def _sensible(point: Switching) -> bool:
    inside = all(1e-12 < v < 1e12 for v in point.variances) and all(1e-9 < p < 1 - 1e-9 for p in point.stay)
    return inside and bool(np.isfinite(point.vector()).all())


def _iterate(problem: _Problem, at: Switching) -> tuple[Switching, float]:
    """Return the next parameters, and the penalised log-likelihood of `at`."""
    rest = problem.y - problem.X @ at.beta
    regimes = filter_regimes(log_densities(rest, at.intercepts, at.variances), problem.restarts, at.stay)
    second, moves = smooth_regimes(regimes, problem.restarts, at.stay)
    return _maximise(problem, at, second, moves), regimes.loglike + _log_prior(problem, at)


def _log_prior(problem: _Problem, at: Switching) -> float:
    variances, stay = np.array(at.variances), np.array(at.stay)
    spread = -0.5 * _PRIOR_VALUES * (np.log(variances) + problem.noise / variances).sum()
    chain = (np.log(stay) + np.log1p(-stay)).sum()
    ridge = -0.5 * RIDGE * (float(at.beta @ at.beta) + np.square(at.intercepts).sum()) / problem.noise
    return float(spread + chain + ridge)


def _maximise(problem: _Problem, at: Switching, second: Floats, moves: Floats) -> Switching:
    """Return the parameters that the regimes with these probabilities suggest, one group after another."""
    first_stays, second_stays = ((np.diag(moves) + 1) / (moves.sum(axis=1) + 2)).tolist()
    y, X = problem.y[problem.seen], problem.X[problem.seen]
    weights = np.stack([1 - second[problem.seen], second[problem.seen]])
    means, beta = _weighted_means(problem, y, X, weights / np.array(at.variances)[:, None])
    error = (y - X @ beta) - means[:, None]
    squares = (weights * error**2).sum(axis=1) + _PRIOR_VALUES * problem.noise
    v0, v1 = (squares / (weights.sum(axis=1) + _PRIOR_VALUES)).tolist()
    return Switching((float(means[0]), float(means[1])), (v0, v1), (first_stays, second_stays), beta)


def _weighted_means(problem: _Problem, y: Floats, X: Floats, weights: Floats) -> tuple[Floats, Floats]:
    """Return intercepts [2] and β [c] by least squares with weights [2, n]."""
    total = weights.sum(axis=0)
    cross = weights @ X
    gram = np.block([[np.diag(weights.sum(axis=1)), cross], [cross.T, (X.T * total) @ X]])
    gram += RIDGE / problem.noise * np.eye(len(gram))
    solution = np.linalg.solve(gram, np.concatenate([weights @ y, X.T @ (total * y)]))
    return solution[:2], solution[2:]
