"""The order of equals. Never the order of nodes: a position can be chosen, keccak(seed || node) cannot."""

from __future__ import annotations

from collections.abc import Sequence

from ledgerfed.errors import InvalidValueError


def require_ranks(ranks: Sequence[int], n: int) -> None:
    """Check that `ranks` order n updates.

    Raises:
        InvalidValueError: they are no permutation of range(n).
    """
    if sorted(ranks) != list(range(n)):
        raise InvalidValueError(
            f"{n} updates need a permutation of range({n}) to break ties, got {list(ranks)}"
        )


def smallest(scores: Sequence[int], ranks: Sequence[int], count: int) -> list[int]:
    """Return the positions of the `count` smallest scores, the smallest first, equal ones by rank."""
    return sorted(range(len(scores)), key=lambda i: (scores[i], ranks[i]))[:count]
