"""Rows for the tests of the robust rules, and the integers of their definitions written plainly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from hypothesis import strategies as st

TOP = (1 << 17) - 1


@dataclass(frozen=True)
class Case:
    """Updates on the grid, int32 [n, d], of which `hostile` may be anything, and the order of ties."""

    values: np.ndarray
    hostile: int
    ranks: list[int]

    def permuted(self, order: Sequence[int]) -> Case:
        """Return the same updates in another order, each with its rank."""
        rows = np.ascontiguousarray(self.values[list(order)])
        return Case(rows, self.hostile, [self.ranks[i] for i in order])

    @property
    def gram(self) -> np.ndarray:
        """The Gram matrix from Python integers."""
        rows = [[int(q) for q in row] for row in self.values]
        return np.array(
            [[sum(a * b for a, b in zip(x, y, strict=True)) for y in rows] for x in rows], np.int64
        )


@st.composite
def cases(draw: st.DrawFn, largest: int = 8, besides: int = 3) -> Case:
    """Draw a few short rows: equal ones, small ones (ties) and ones at the ends of the grid."""
    n = draw(st.integers(besides, largest))
    hostile = draw(st.integers(0, (n - besides) // 2))
    d = draw(st.integers(1, 4))
    bound = draw(st.sampled_from([1, 5, 1000, TOP]))
    row = st.lists(st.integers(-bound, bound), min_size=d, max_size=d)
    rows = draw(st.lists(row, min_size=n, max_size=n))
    for place in draw(st.lists(st.integers(0, n - 1), max_size=3)):
        rows[place] = rows[0]
    return Case(np.array(rows, np.int32), hostile, draw(st.permutations(range(n))))


def squared(gram: np.ndarray) -> list[list[int]]:
    """Return the squared distances as Python integers."""
    g = gram.tolist()
    return [[g[i][i] + g[j][j] - 2 * g[i][j] for j in range(len(g))] for i in range(len(g))]


def centre(values: np.ndarray, weights: Sequence[int]) -> np.ndarray:
    """Return the weighted mean of the rows in float128 where the machine has it."""
    shares = np.array(weights, np.longdouble)
    return (shares / shares.sum()) @ values.astype(np.longdouble)


def radii(distances: Sequence[Sequence[int]], weights: Sequence[int]) -> list[Fraction]:
    """Return the squared distances of the rows to their weighted mean, exact."""
    total = sum(weights)
    away = [Fraction(sum(w * d for w, d in zip(weights, row, strict=True)), total) for row in distances]
    spread = sum((w * a for w, a in zip(weights, away, strict=True)), Fraction(0)) / (2 * total)
    return [a - spread for a in away]


def rows_of(kind: str, generator: np.random.Generator, n: int, hostile: int, d: int) -> np.ndarray:
    """Return n rows of which the first `hostile` do what `kind` says."""
    honest = generator.normal(0, 1000, (n - hostile, d))
    if kind == "uneven":
        honest *= np.exp(generator.normal(0, 1, (n - hostile, 1)))
    mean, spread = honest.mean(axis=0), honest.std(axis=0)
    bad = {
        "none": lambda: generator.normal(0, 1000, (hostile, d)),
        "uneven": lambda: generator.normal(0, 2000, (hostile, d)),
        "little": lambda: np.tile(mean - 1.2 * spread, (hostile, 1)),
        "against": lambda: np.tile(-2.5 * mean, (hostile, 1)),
        "shifted": lambda: generator.normal(0, 1000, (hostile, d)) + 1500,
        "one far": lambda: np.tile(np.full(d, 60_000.0), (hostile, 1)),
        "all far": lambda: generator.choice([-100_000.0, 100_000.0], (hostile, d)),
        "copies": lambda: np.tile(honest[0], (hostile, 1)),
    }[kind]()
    return np.rint(np.clip(np.concatenate((bad, honest)), -TOP, TOP)).astype(np.int32)


KINDS = ("none", "uneven", "little", "against", "shifted", "one far", "all far", "copies")
