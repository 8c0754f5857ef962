"""The worst of an attack: a grid of strengths, then between the worst and its neighbours.

The strength of a defence is its worst case over attack, strength and seed, so a grid alone would flatter it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise

from ledgerfed.errors import InvalidValueError


def search(
    strengths: Sequence[float], harm: Callable[[float], float], refinements: int
) -> tuple[tuple[float, float], ...]:
    """Return the strengths that were tried with the harm that each does, in the order of trying.

    Args:
        strengths: the grid, ascending.
        harm: what a strength does; larger is worse.
        refinements: how often the two gaps beside the worst strength so far are halved.

    Raises:
        InvalidValueError: the grid is empty or does not ascend.
    """
    if not strengths or any(a >= b for a, b in pairwise(strengths)):
        raise InvalidValueError(f"a grid of strengths ascends, got {list(strengths)}")
    tried = {float(strength): harm(strength) for strength in strengths}
    for _ in range(refinements):
        for middle in _beside(sorted(tried), worst(tuple(tried.items()))[0]):
            tried[middle] = harm(middle)
    return tuple(tried.items())


def worst(tried: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Return the strength that does most harm, the first of equals, with its harm."""
    return max(tried, key=lambda trial: trial[1])


def _beside(known: Sequence[float], strength: float) -> list[float]:
    """Return the middles of the gaps beside a strength; of two positive ones the geometric mean."""
    place = known.index(strength)
    gaps = [(known[i], known[i + 1]) for i in (place - 1, place) if 0 <= i < len(known) - 1]
    return [float(f"{_middle(a, b):.3g}") for a, b in gaps]


def _middle(a: float, b: float) -> float:
    if a * b > 0:
        return float((a * b) ** 0.5) * (1 if a > 0 else -1)
    return (a + b) / 2
