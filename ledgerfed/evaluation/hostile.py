"""What a hostile node sees and may do in a dry round; whatever it does not do, it does honestly.

Rules:
- hostile nodes are one ring that knows all: they act after the honest ones, and see the updates that these
  are about to send and the scores that each of the ring would give in earnest;
- what the protocol makes impossible stays so: they cannot change a leaf after the seal nor sign for others;
- their randomness is a seed of their own with the round and the index.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from ledgerfed.node import TrainingContext, honest_update
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.update import Update


@dataclass(frozen=True, slots=True, eq=False)
class AttackContext(TrainingContext):
    """What a hostile trainer sees: `honest` are the updates that honest nodes send in this round, by index,
    `ring` the hostile nodes, ascending, `earlier` the models in force before the base, newest first.
    """

    honest: tuple[Update, ...] = ()
    ring: tuple[int, ...] = ()
    earlier: tuple[GlobalModel, ...] = ()


Attack = Callable[[AttackContext], Update]
"""How a hostile node makes its update; every `UpdateMaker` is one."""


@dataclass(frozen=True, slots=True, eq=False)
class ScoringContext:
    """What a hostile validator sees: `measured` is what each of the ring would say in earnest, by index."""

    round: int
    index: int
    ring: tuple[int, ...]
    measured: Mapping[int, tuple[int, ...]]

    @property
    def own(self) -> tuple[int, ...]:
        """What the validator itself measured."""
        return self.measured[self.index]


ScoreMaker = Callable[[ScoringContext], tuple[int, ...] | None]
"""How a validator makes its score vector; None is a commitment that it never reveals."""


def as_measured(context: ScoringContext) -> tuple[int, ...]:
    """Return the scores of an honest validator."""
    return context.own


@dataclass(frozen=True, slots=True)
class Hostile:
    """One hostile node.

    `shows_to` is how many validators, the first in the registry, get to see its opening (None: all); `forces`
    says that it forces a second leaf beside the one that was sealed.
    """

    update: Attack = honest_update
    scores: ScoreMaker = as_measured
    shows_to: int | None = None
    forces: bool = False


HONEST: Final = Hostile()
"""Does nothing but its duty."""
