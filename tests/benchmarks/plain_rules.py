"""The robust rules in plain float64 numpy: the steps and conventions of the exact ones, without the integers.

What the exact path is held against, so each is written as well as vectorised numpy allows: distances from one
matrix product, iterations on weights, coordinates sorted in transposed blocks. Ties fall by position, nothing
is checked, and the last bits depend on the BLAS, its threads and the order of the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from ledgerfed.aggregation.rules import clipping, covariance_filter, geometric_median, redescending
from ledgerfed.aggregation.rules.diameter import minimum_diameter_subset
from ledgerfed.protocol.rule import Rule

Floats = npt.NDArray[np.float64]
BLOCK = 512
SETTLED = 2.0**-32
"""The exact weights are integers at 2^-32, so they stand still when nothing moves by more than that."""


def aggregate(rule: Rule, values: Floats, hostile: int, *, mixing: bool = False) -> Floats:
    """Return what `rule` makes of the rows of `values`, float64 [n, d], as float64 [d]."""
    n = len(values)
    if rule in COORDINATES:
        return COORDINATES[rule](_mixing(values @ values.T, hostile) @ values if mixing else values, hostile)
    if rule is Rule.MEAN:
        return values.mean(axis=0)
    gram = values @ values.T
    matrix = _mixing(gram, hostile) if mixing else np.eye(n)
    weights = WEIGHTS[rule](matrix @ gram @ matrix.T if mixing else gram, hostile)
    if mixing:
        weights = matrix.T @ weights
    return (weights / weights.sum()) @ values


def median(values: Floats, hostile: int) -> Floats:
    """Return the median of every column."""
    low, high = (len(values) - 1) // 2, len(values) // 2
    return _by_column(values, lambda rows: (rows[:, low] + rows[:, high]) / 2)


def trimmed_mean(values: Floats, hostile: int) -> Floats:
    """Return the mean of every column without its ends."""
    return _by_column(values, lambda rows: rows[:, hostile : len(values) - hostile].mean(axis=1))


def krum(gram: Floats, hostile: int) -> Floats:
    """Return all weight on the smallest score."""
    return _chosen(len(gram), np.argmin(_scores(gram, hostile)))


def multi_krum(gram: Floats, hostile: int) -> Floats:
    """Return equal weights on the n - f smallest scores."""
    n = len(gram)
    return _chosen(n, np.argpartition(_scores(gram, hostile), n - hostile - 1)[: n - hostile])


def smallest_diameter(gram: Floats, hostile: int) -> Floats:
    """Return equal weights on MDA's subset. The search is the exact one: what differs is the Gram matrix."""
    n = len(gram)
    distances = np.rint(_distances(gram)).astype(np.int64)
    return _chosen(n, minimum_diameter_subset(np.maximum(distances, distances.T), hostile, range(n)).kept)


def weiszfeld(gram: Floats, hostile: int) -> Floats:
    """Return the weights of the geometric median, from the mean of the ball about the medoid."""
    n = len(gram)
    distances = _distances(gram)
    weights = _chosen(n, np.argsort(distances[_medoid(distances, n - hostile)])[: n - hostile])
    for _ in range(geometric_median.STEPS):
        radii = np.sqrt(np.maximum(_radii(distances, weights), 1.0))
        following = radii.min() / radii
        if np.abs(following - weights).max() < SETTLED:
            break
        weights = following
    return weights


def redescended(gram: Floats, hostile: int) -> Floats:
    """Return the weights of the redescending centre."""
    n = len(gram)
    distances = _distances(gram)
    weights = _chosen(n, _medoid(distances, (n + 1) // 2))
    for _ in range(redescending.STEPS):
        radii = np.maximum(_radii(distances, weights), 1.0)
        knee = redescending.KNEE * np.partition(radii, (n - 1) // 2)[(n - 1) // 2]
        weights = np.minimum(1.0, (knee / radii) ** 2)
    return weights


def clipped(gram: Floats, hostile: int) -> Floats:
    """Return the weights of the clipped centre, which starts at zero: one more row of zeros."""
    n = len(gram)
    distances = _distances(np.pad(gram, ((0, 1), (0, 1))))
    weights = _chosen(n + 1, n)
    for _ in range(clipping.STEPS):
        radii = np.sqrt(_radii(distances, weights)[:n])
        bound = np.partition(radii, (n - 1) // 2)[(n - 1) // 2]
        taken = np.minimum(1.0, bound / np.maximum(radii, SETTLED))
        following = weights * (1 - taken.sum() / n) + np.append(taken, 0.0) / n
        if np.abs(following - weights).max() < SETTLED:
            break
        weights = following
    return weights[:n]


def covariance_filtered(gram: Floats, hostile: int) -> Floats:
    """Return the filter's weights with the smallest largest variance."""
    n = len(gram)
    middle = _medoid(_distances(gram), n - hostile)
    row = gram[middle]
    about = gram - row[:, None] - row + row[middle]
    weights = best = np.ones(n)
    least = np.inf
    while weights.sum() > n - 2 * hostile:
        deviations, variance = _widest(about, weights)
        if variance < least:
            best, least = weights, variance
        taus = deviations**2
        furthest = taus[weights > 0].max()
        if furthest == 0:
            break
        weights = np.maximum(0.0, weights * (1 - taus / furthest))
    return best


def _widest(about: Floats, weights: Floats) -> tuple[Floats, float]:
    """Return the deviations in the unit direction of largest weighted variance, and that variance."""
    deviations = np.arange(1.0 - len(weights), len(weights), 2.0)
    total = weights.sum()
    deviations -= weights @ deviations / total
    for _ in range(covariance_filter.STEPS):
        mixture = weights * (deviations / np.abs(deviations).max())
        deviations = about @ mixture
        deviations -= weights @ deviations / total
        if not deviations.any():
            return deviations, 0.0
    deviations /= np.sqrt(mixture @ deviations)
    return deviations, weights @ deviations**2 / total


def _by_column(values: Floats, reduce: Callable[[Floats], Floats]) -> Floats:
    n, d = values.shape
    result, buffer = np.empty(d), np.empty((min(BLOCK, d), n))
    for start in range(0, d, BLOCK):
        columns = slice(start, min(start + BLOCK, d))
        rows = buffer[: columns.stop - start]
        rows[...] = values[:, columns].T
        rows.sort(axis=1)
        result[columns] = reduce(rows)
    return result


def _distances(gram: Floats) -> Floats:
    own = np.diagonal(gram)
    distances = np.maximum(own[:, None] + own - 2 * gram, 0.0)
    np.fill_diagonal(distances, 0.0)
    return distances


def _radii(distances: Floats, weights: Floats) -> Floats:
    """Return the squared distances of all rows to their weighted mean."""
    shares = weights / weights.sum()
    away = distances @ shares
    return np.maximum(away - shares @ away / 2, 0.0)


def _scores(gram: Floats, hostile: int) -> Floats:
    kept = len(gram) - hostile
    scores: Floats = np.partition(_distances(gram), kept - 1, axis=1)[:, :kept].sum(axis=1)
    return scores


def _medoid(distances: Floats, count: int) -> int:
    return int(np.argmin(np.partition(distances, count - 1, axis=1)[:, count - 1]))


def _mixing(gram: Floats, hostile: int) -> Floats:
    """Return the matrix that takes the mean of every row's n - f nearest."""
    kept = len(gram) - hostile
    nearest = np.argpartition(_distances(gram), kept - 1, axis=1)[:, :kept]
    matrix = np.zeros(gram.shape)
    np.put_along_axis(matrix, nearest, 1 / kept, axis=1)
    return matrix


def _chosen(n: int, rows: npt.ArrayLike) -> Floats:
    weights = np.zeros(n)
    weights[np.asarray(rows)] = 1.0
    return weights


WEIGHTS: Mapping[Rule, Callable[[Floats, int], Floats]] = {
    Rule.KRUM: krum,
    Rule.MULTI_KRUM: multi_krum,
    Rule.GEOMETRIC_MEDIAN: weiszfeld,
    Rule.MINIMUM_DIAMETER: smallest_diameter,
    Rule.CENTERED_CLIPPING: clipped,
    Rule.COVARIANCE_FILTER: covariance_filtered,
    Rule.REDESCENDING: redescended,
}
COORDINATES: Mapping[Rule, Callable[[Floats, int], Floats]] = {
    Rule.MEDIAN: median,
    Rule.TRIMMED_MEAN: trimmed_mean,
}
