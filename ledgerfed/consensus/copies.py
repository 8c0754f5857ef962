"""Whose data an update shows (gate V6): of those who show the same, the first author keeps its own.

Rules:
- two updates show the same data when they are aligned (for information: the squared cosine of their R exceeds
  1 - 2^-`copy_alignment_bits`), whatever else is changed or scaled; or when they are aligned to
  `twin_alignment_bits` and say the same, up to `twin_distance` of whitened distance per coefficient: that is
  what noise on a copied R leaves, whether z is copied or made anew from the copied coefficients;
- updates of one round whose coefficients agree to within `ring_distance`, whoever's rows they claim, count
  once: rows of one's own never agree so, but where models are projected they do, so it can be zero, for off;
- whoever showed it in the earliest remembered round is its author; two that did so in the same earlier round
  are both authors, because which of them copied an aborted round, which nothing remembers, cannot be told;
- of those who show it first in this round one counts: whoever goes on with data of its own, then one that
  showed no other data in the remembered rounds before one that did, then as the caller ranks them;
- a copy of what an earlier round showed is remembered as its author's (`consensus.history`): a copier who
  repeats it keeps the author's memory alive and never becomes an author by outlasting it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

from ledgerfed.aggregation.information import PRODUCT_SCALE, ExactInformation, aligned
from ledgerfed.aggregation.space import SPACES, Contribution
from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.fixedpoint import FixedVector
from ledgerfed.protocol.score import ONE


@dataclass(frozen=True, slots=True, eq=False)
class Shown:
    """What `index` showed in `round`, expanded to integers."""

    round: int
    index: int
    information: Contribution


@dataclass(frozen=True, slots=True)
class Copied:
    """Whose data somebody shows, and whether an earlier round showed it."""

    author: int
    earlier: bool


def find_copies(
    before: Sequence[Shown],
    now: Sequence[Shown],
    same: Callable[[Shown, Shown], bool],
    rank: Callable[[int], Any],
) -> Mapping[int, Copied]:
    """Return who copies in this round, by index, and from whom.

    Args:
        before: what the remembered rounds showed.
        now: what this round shows, one for each index.
        same: whether the first shows the data of the second.
        rank: sorts those who show the same data at once; the smallest counts.
    """
    known = {ours.index: [past for past in before if same(ours, past)] for ours in now}
    strange = {past.index for past in before}
    found = {}
    for ours in now:
        authors = _first_authors(known[ours.index])
        if authors:
            if ours.index not in authors:
                found[ours.index] = Copied(min(authors, key=rank), earlier=True)
            continue
        rivals = [n.index for n in now if n is ours or same(ours, n)]
        chosen = min(rivals, key=lambda index: (not known[index], index in strange, rank(index)))
        if chosen != ours.index:
            found[ours.index] = Copied(chosen, earlier=False)
    return found


def find_rings(
    now: Sequence[Shown], agree: Callable[[Shown, Shown], bool], rank: Callable[[int], Any]
) -> Mapping[int, Copied]:
    """Return who says in this round what somebody else says who ranks before it, by index.

    Nothing that was shown before matters, else a ring that once said the same would be authors for ever.
    """
    found = {}
    for ours in now:
        chosen = min((n.index for n in now if n is ours or agree(ours, n) or agree(n, ours)), key=rank)
        if chosen != ours.index:
            found[ours.index] = Copied(chosen, earlier=False)
    return found


def _first_authors(shown: Sequence[Shown]) -> frozenset[int]:
    first = min((past.round for past in shown), default=0)
    return frozenset(past.index for past in shown if past.round == first)


def _coefficients_of(config: FederationConfig) -> Callable[[Shown], FixedVector | None]:
    space = SPACES[config.exchange]

    @cache
    def coefficients(shown: Shown) -> FixedVector | None:
        pooled = space.pool([(shown.information, ONE)], 0, config.width)
        try:
            return space.solve(pooled, config.theta_scale)
        except InvalidValueError:  # what was shown has no coefficients on the grid of the model
            return None

    return coefficients


def same_words(config: FederationConfig) -> Callable[[Shown, Shown], bool]:
    """Return the test whether one update says the coefficients of another, within `ring_distance`."""
    space, limit = SPACES[config.exchange], config.gates.ring_distance
    coefficients = _coefficients_of(config)

    def agree(ours: Shown, theirs: Shown) -> bool:
        theta = coefficients(theirs) if limit else None
        return theta is not None and space.distance(ours.information, theta) < limit

    return agree


def same_data(config: FederationConfig, base: FixedVector) -> Callable[[Shown, Shown], bool]:
    """Return the test whether one update shows the data of another, seen from the base model."""
    gates, space = config.gates, SPACES[config.exchange]
    coefficients = _coefficients_of(config)

    def same(ours: Shown, theirs: Shown) -> bool:
        left, right = ours.information, theirs.information
        if space.aligned(left, right, base, gates.copy_alignment_bits):
            return True
        if not (isinstance(left, ExactInformation) and isinstance(right, ExactInformation)):
            return False
        if not aligned(left, right, gates.twin_alignment_bits):
            return False
        if is_stretched(left.z, right.z, gates.twin_distance):
            return True
        theta = coefficients(theirs)
        return theta is not None and space.distance(left, theta) < gates.twin_distance

    return same


def is_stretched(left: Sequence[int], right: Sequence[int], limit: int) -> bool:
    """Return whether z is a positive multiple of another one, up to the Q16 `limit` of squared distance per
    coefficient; both at scale 2^-40."""
    product = sum(a * b for a, b in zip(left, right, strict=True))
    if product <= 0:
        return False
    ours, theirs = sum(a * a for a in left), sum(b * b for b in right)
    off = ours * theirs - product * product
    return off << 16 < limit * len(left) * theirs << PRODUCT_SCALE
