"""MDA: the mean of the n - f updates with the smallest diameter (Rousseeuw 1985; El Mhamdi et al., ICML
2018).

Exact without listing subsets: n - f updates fit in a diameter if and only if f updates cover all pairs that
are further apart (a vertex cover). Rules:
- the diameter is found by bisection over the distances that occur, between the smallest radius R of a ball
  that holds n - f updates about one of them (no subset has a smaller diameter) and the diameter of that ball
  (at most 2 R);
- of several subsets with the smallest diameter it is the first in the order of ranks, which is what going
  through all subsets in that order and keeping the first best one finds;
- a budget of search steps bounds the time. Where it runs out, the smallest subset found until then counts, at
  first that ball: its diameter is at most twice the smallest. `Subset.exact` says whether it came to that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ledgerfed.aggregation.centre import ball
from ledgerfed.aggregation.gram import squared_distances
from ledgerfed.aggregation.grid import Integers
from ledgerfed.aggregation.weights import Weights, even

BUDGET = 20_000
"""Search steps, of about 10 microseconds each."""


@dataclass(frozen=True, slots=True)
class Subset:
    """`kept`: n - f positions, ascending. `diameter`: their largest squared distance. `exact`: proved the
    first of the smallest; if not, the budget ran out."""

    kept: tuple[int, ...]
    diameter: int
    exact: bool


def minimum_diameter(gram: Integers, hostile: int, ranks: Sequence[int]) -> Weights:
    """Return equal weights to the n - f updates with the smallest diameter."""
    found = minimum_diameter_subset(squared_distances(gram), hostile, ranks)
    return even(len(gram), found.kept)


def minimum_diameter_subset(
    distances: Integers, hostile: int, ranks: Sequence[int], budget: int = BUDGET
) -> Subset:
    """Return the n - f updates with the smallest diameter, int64 [n, n] squared distances given."""
    n = len(distances)
    order = np.argsort(np.array(ranks, np.int64))
    ordered = distances[np.ix_(order, order)]
    kept, exact = _first_smallest(ordered, n - hostile, _Search(budget))
    positions = sorted(int(order[place]) for place in kept)
    return Subset(tuple(positions), _diameter(distances, positions), exact)


def _first_smallest(distances: Integers, count: int, search: _Search) -> tuple[list[int], bool]:
    """Return the subset of `count` updates in the order of ranks, and whether the budget sufficed."""
    best = sorted(ball(distances, count, range(len(distances))))
    reach = int(np.partition(distances, count - 1, axis=1)[:, count - 1].min())
    open_values = np.unique(distances)
    values = open_values[(open_values >= reach) & (open_values <= _diameter(distances, best))].tolist()
    low, high = 0, len(values) - 1
    try:
        while low < high:
            middle = (low + high) // 2
            found = _within(distances, values[middle], count, search)
            if found is None:
                low = middle + 1
            else:
                best, high = found, values.index(_diameter(distances, found))
        return _first(_too_far(distances, values[high]), best, count, search), True
    except _BudgetSpentError:
        return best, False


def _diameter(distances: Integers, kept: Sequence[int]) -> int:
    return int(distances[np.ix_(kept, kept)].max())


def _too_far(distances: Integers, diameter: int) -> list[int]:
    """Return for every update the mask of those further away than `diameter`."""
    packed = np.packbits(distances > diameter, axis=1, bitorder="little")
    return [int.from_bytes(row.tobytes(), "little") for row in packed]


def _within(distances: Integers, diameter: int, count: int, search: _Search) -> list[int] | None:
    """Return the first `count` updates of some that keep the diameter, or None if fewer than `count` can."""
    n = len(distances)
    removed = search.cover(_too_far(distances, diameter), (1 << n) - 1, n - count)
    return None if removed is None else [i for i in range(n) if not removed >> i & 1][:count]


def _first(far: list[int], witness: list[int], count: int, search: _Search) -> list[int]:
    """Return the first subset of `count` updates, in lexicographic order, of which no two are too far apart.

    An update is kept if the ones before it leave a subset that holds it; `witness` is one that holds those
    kept.
    """
    n = len(far)
    kept: list[int] = []
    free, room = (1 << n) - 1, n - count
    for place in range(n):
        bit = 1 << place
        if len(kept) == count or not free & bit:
            continue
        free &= ~bit
        lost = far[place] & free
        if place not in witness:
            removed = search.cover(far, free & ~lost, room - lost.bit_count())
            if removed is None:
                room -= 1
                continue
            rest = [i for i in range(n) if free & ~lost & ~removed & (1 << i)]
            witness = [*kept, place, *rest][:count]
        free, room = free & ~lost, room - lost.bit_count()
        kept.append(place)
    return kept


class _BudgetSpentError(Exception):
    """The search stops where it is."""


class _Search:
    """Vertex covers of bounded size on bit masks; it counts its steps."""

    def __init__(self, budget: int) -> None:
        self._left = budget

    def cover(self, neighbours: list[int], alive: int, size: int) -> int | None:
        """Return the mask of at most `size` vertices that touch all edges among the `alive` ones, or None."""
        if size < 0:
            return None
        chosen = 0
        while True:
            self._left -= 1
            if self._left < 0:
                raise _BudgetSpentError
            alive, degrees = _degrees(neighbours, alive)
            if not degrees:
                return chosen
            if sum(degrees.values()) > 2 * sum(sorted(degrees.values(), reverse=True)[:size]):
                return None
            vertex, branches = _choice(degrees, size)
            if branches:
                break
            taken = neighbours[vertex] & alive if degrees[vertex] == 1 else 1 << vertex
            alive, chosen, size = alive & ~taken, chosen | taken, size - 1
        for taken in (1 << vertex, neighbours[vertex] & alive):
            found = self.cover(neighbours, alive & ~taken, size - taken.bit_count())
            if found is not None:
                return chosen | taken | found
        return None


def _degrees(neighbours: list[int], alive: int) -> tuple[int, dict[int, int]]:
    """Return the vertices that still have edges, as a mask and with their degrees."""
    degrees, left, connected = {}, alive, 0
    while left:
        bit = left & -left
        left ^= bit
        vertex = bit.bit_length() - 1
        degree = (neighbours[vertex] & alive).bit_count()
        if degree:
            degrees[vertex] = degree
            connected |= bit
    return connected, degrees


def _choice(degrees: dict[int, int], size: int) -> tuple[int, bool]:
    """Return a vertex and whether both choices about it must be tried.

    With one neighbour, that neighbour covers as much; with more than `size` of them it is in every cover; and
    where nothing has more than two neighbours and nothing one, all are cycles, and any vertex will do.
    """
    leaf = next((vertex for vertex, degree in degrees.items() if degree == 1), None)
    if leaf is not None:
        return leaf, False
    vertex = max(degrees, key=degrees.__getitem__)
    return vertex, 2 < degrees[vertex] <= size
