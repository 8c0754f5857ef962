"""The defences of the table: published rules, plain averaging, and ours. All of them decide in integers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from ledgerfed.aggregation.engine import aggregate
from ledgerfed.aggregation.grid import Integers, Stack
from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.digits.standing import weigh_and_combine
from ledgerfed.protocol.rule import Rule

Evidence = tuple[int | None, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Received:
    """The updates that a round decides on.

    `stack` [n, d]; `hostile` how many of them may be anything; `ranks` break ties; `quality` is what the
    nodes claim of themselves, positive integers [n]; `evidence` of each from earlier rounds.
    """

    stack: Stack
    hostile: int
    ranks: tuple[int, ...]
    quality: tuple[int, ...]
    evidence: Evidence


class Decision(Protocol):
    """What turns received updates into the aggregate, int64 [d] at the stack's scale, and new evidence."""

    def __call__(self, received: Received) -> tuple[Integers, Evidence]:
        """Return the aggregate and the evidence after the round."""
        ...


@dataclass(frozen=True, slots=True)
class Published:
    """A rule of the exact engine, with or without nearest-neighbour mixing before it."""

    rule: Rule
    mixing: bool = False

    def __call__(self, received: Received) -> tuple[Integers, Evidence]:
        """Return what the rule makes of the stack; the mean is asked as if nobody were hostile."""
        hostile = 0 if self.rule is Rule.MEAN else received.hostile
        found = aggregate(self.rule, received.stack, hostile, received.ranks, mixing=self.mixing)
        return found, received.evidence


@dataclass(frozen=True, slots=True)
class QualityMedian:
    """The median of each coordinate, weighted by the quality that the nodes claim of themselves."""

    def __call__(self, received: Received) -> tuple[Integers, Evidence]:
        """Return the lower weighted median of each coordinate."""
        return weighted_median(received.stack, received.quality), received.evidence


@dataclass(frozen=True, slots=True)
class Ours:
    """Standing by agreement (`ledgerfed.evaluation.digits.standing`)."""

    def __call__(self, received: Received) -> tuple[Integers, Evidence]:
        """Return the aggregate of the updates by where their nodes stand."""
        found, standing = weigh_and_combine(received.stack, received.evidence)
        return found, standing.evidence


@dataclass(frozen=True, slots=True)
class Defence:
    """A decision and how honest nodes train under it.

    `smoothing`: None for the plain loss, else their class frequencies are taken out of it (`workers`).
    `refuses`: whether updates that do not fit the grid are refused.
    """

    decide: Decision
    smoothing: float | None = None
    refuses: bool = True


SMOOTHING: Final = 7.0
"""Chosen on the validation images of other seeds, with everything in `standing` (docs/adr/0018)."""
MEAN: Final = "mean (FedAvg)"
OURS: Final = "ours"
DEFENCES: Final[Mapping[str, Defence]] = {
    MEAN: Defence(Published(Rule.MEAN), refuses=False),
    "quality-weighted median": Defence(QualityMedian()),
    "median": Defence(Published(Rule.MEDIAN)),
    "trimmed mean": Defence(Published(Rule.TRIMMED_MEAN)),
    "Krum": Defence(Published(Rule.KRUM)),
    "Multi-Krum": Defence(Published(Rule.MULTI_KRUM)),
    "geometric median": Defence(Published(Rule.GEOMETRIC_MEDIAN)),
    "MDA": Defence(Published(Rule.MINIMUM_DIAMETER)),
    "centered clipping": Defence(Published(Rule.CENTERED_CLIPPING)),
    "NNM + trimmed mean": Defence(Published(Rule.TRIMMED_MEAN, mixing=True)),
    "CAF": Defence(Published(Rule.COVARIANCE_FILTER)),
    "CAF, frequencies out": Defence(Published(Rule.COVARIANCE_FILTER), SMOOTHING),
    "ours, plain loss": Defence(Ours()),
    OURS: Defence(Ours(), SMOOTHING),
}
PARTS_OF_OURS: Final = ("CAF, frequencies out", "ours, plain loss", OURS)
"""All other lines are published rules and averages, with the plain loss."""


def find_defence(name: str) -> Defence:
    """Return the defence of that name; raises InvalidValueError for an unknown one."""
    if name not in DEFENCES:
        raise InvalidValueError(f"no defence is called {name!r}; there are {', '.join(DEFENCES)}")
    return DEFENCES[name]


def weighted_median(stack: Stack, weights: Sequence[int]) -> Integers:
    """Return per coordinate the smallest value that half of the total weight does not exceed, int64 [d]."""
    shares = np.array(weights, np.int64)
    order = np.argsort(stack.values, axis=0, kind="stable")
    reached = np.cumsum(shares[order], axis=0)
    place = (2 * reached >= reached[-1]).argmax(axis=0)
    chosen = order[place, np.arange(stack.values.shape[1])]
    return np.asarray(stack.values[chosen, np.arange(stack.values.shape[1])], np.int64)
