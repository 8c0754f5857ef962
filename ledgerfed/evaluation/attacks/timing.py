"""Attackers that first earn trust: hostile in some rounds only (threat N15)."""

from __future__ import annotations

from dataclasses import dataclass

from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.hostile import Attack, AttackContext
from ledgerfed.node import honest_update
from ledgerfed.protocol.update import Update


@dataclass(frozen=True, slots=True)
class Sleeper:
    """Honest for `honest_rounds` rounds, then `inner` for ever."""

    inner: Attack
    honest_rounds: int

    def __call__(self, context: AttackContext) -> Update:
        """Return the update of the moment."""
        return self.inner(context) if self.hostile_in(context.round) else honest_update(context)

    def hostile_in(self, round_number: int) -> bool:
        """Return whether the round is one in which it attacks."""
        return round_number > self.honest_rounds


@dataclass(frozen=True, slots=True)
class OnOff:
    """`inner` in the last of every `period` rounds, honest in the others."""

    inner: Attack
    period: int

    def __post_init__(self) -> None:
        if self.period < 1:
            raise InvalidValueError(f"a period has at least one round, got {self.period}")

    def __call__(self, context: AttackContext) -> Update:
        """Return the update of the moment."""
        return self.inner(context) if self.hostile_in(context.round) else honest_update(context)

    def hostile_in(self, round_number: int) -> bool:
        """Return whether the round is one in which it attacks."""
        return round_number % self.period == 0
