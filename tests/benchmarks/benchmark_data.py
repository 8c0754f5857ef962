"""The updates that the robust rules are timed on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
import numpy.typing as npt

from ledgerfed.aggregation.grid import Integers, Stack, on_grid, round_scale

Floats = npt.NDArray[np.float64]
Kind = Callable[[int, int, int, np.random.Generator], Floats]
SCALE = 40


def sign_flip(n: int, d: int, f: int, rng: np.random.Generator) -> Floats:
    """Honest updates about a common step; the hostile ones are turned round and 2.5 times as long."""
    step, noise = rng.normal(size=d), rng.normal(size=(n, d))
    noise[: n - f] += step
    noise[n - f :] -= 2.5 * step
    return noise


def concentrated(n: int, d: int, f: int, rng: np.random.Generator) -> Floats:
    """No structure: with many dimensions all distances are nearly equal, and the far ones a random graph."""
    return rng.normal(size=(n, d))


def hugging(n: int, d: int, f: int, rng: np.random.Generator) -> Floats:
    """Hostile updates that stand together at one deviation from the honest mean (ALIE)."""
    values = rng.normal(size=(n, d))
    honest = values[: n - f]
    values[n - f :] = honest.mean(axis=0) - honest.std(axis=0)
    return values


def heavy_tailed(n: int, d: int, f: int, rng: np.random.Generator) -> Floats:
    """Every update has a length of its own, some as far out as fits the grid of the round."""
    return rng.normal(size=(n, d)) * np.minimum(np.abs(rng.standard_t(1.5, size=(n, 1))), 4.0)


def two_camps(n: int, d: int, f: int, rng: np.random.Generator) -> Floats:
    """Half of the updates about another point: whoever keeps n - f of them keeps both camps."""
    values = rng.normal(size=(n, d))
    values[::2] += 0.5
    return values


def plane(n: int, d: int, f: int, rng: np.random.Generator) -> Floats:
    """Points of a plane in d dimensions: many distances of every size."""
    return rng.normal(size=(n, 2)) @ rng.normal(size=(2, d))


def lattice(n: int, d: int, f: int, rng: np.random.Generator) -> Floats:
    """Corners of a cube of 8 dimensions: ties everywhere."""
    values = np.zeros((n, d))
    values[:, :8] = rng.integers(0, 2, size=(n, min(8, d)))
    return values


def corners(n: int, d: int, f: int, rng: np.random.Generator) -> Floats:
    """Every update in a direction of its own: all distances are equal."""
    return np.eye(n, d)


def random_graph(n: int, d: int, f: int, rng: np.random.Generator) -> Floats:
    """The pairs far apart are a random graph of degree 5 on 3 f updates: the hardest found."""
    far = np.zeros((n, n))
    for _ in range(5):
        left, right = rng.permutation(3 * f)[: 3 * f // 2 * 2].reshape(2, -1)
        far[left, right] = far[right, left] = rng.uniform(0.5, 1.0, size=len(left))
    values = np.zeros((n, d))
    values[:, :n] = np.linalg.cholesky(np.eye(n) - 0.1 * far)
    return values


KINDS: Mapping[str, Kind] = {
    "sign flip": sign_flip,
    "concentrated": concentrated,
    "hugging": hugging,
    "heavy-tailed": heavy_tailed,
    "two camps": two_camps,
    "plane": plane,
    "lattice": lattice,
    "corners": corners,
    "random graph": random_graph,
}


def integers_of(values: Floats) -> Integers:
    """Return updates as a payload holds them: integers at scale 2^-40."""
    return np.rint(np.ldexp(values, SCALE)).astype(np.int64)


def stack_of(updates: Integers) -> Stack:
    """Return the updates on the grid of their round, as a validator puts them there."""
    largest = [max(int(row.max()), -int(row.min())) for row in updates]
    scale = round_scale(largest, SCALE)
    return Stack(on_grid(updates, SCALE, scale), scale)
