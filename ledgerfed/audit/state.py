"""What the ledger tells: the contract between two events, each round, each dispute."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ledgerfed.audit.epochs import Epoch
from ledgerfed.audit.events import (
    Aborted,
    Certified,
    Disputed,
    Forced,
    LedgerEvent,
    MemberLeft,
    MemberRegistered,
    Scored,
    Sealed,
    transition_of,
)
from ledgerfed.errors import VerificationError
from ledgerfed.protocol.change import Change
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Transition

RoundStep = Forced | Scored | Certified | Disputed
"""What may stand between the seal and the end of a round; a certificate among them fell."""


@dataclass(frozen=True, slots=True)
class RoundTrace:
    """What the ledger says about one round of an epoch. `ended` is None while the round is under way.

    `opened_at` is the transcript as the seal found it.
    `removed` are the committee members, by index, that disputes had removed when the round was sealed,
    `faulted` the culprits of all disputes since the last outcome that stands, as the certificate found them.
    """

    number: int
    epoch: Epoch
    opened_at: bytes
    sealed: Sealed | None = None
    steps: tuple[RoundStep, ...] = ()
    ended: Certified | Aborted | None = None
    removed: frozenset[int] = frozenset()
    faulted: frozenset[int] = frozenset()

    @property
    def forced(self) -> tuple[Forced, ...]:
        """The leaves that were forced in."""
        return tuple(step for step in self.steps if isinstance(step, Forced))

    @property
    def scored(self) -> Scored | None:
        """The scores, once they are anchored."""
        return next((step for step in self.steps if isinstance(step, Scored)), None)

    @property
    def fell(self) -> tuple[Certified, ...]:
        """The certificates that disputes voided."""
        return tuple(step for step in self.steps if isinstance(step, Certified))

    @property
    def history(self) -> tuple[Transition, ...]:
        """The transitions after the seal and before the end, as the evidence of the round holds them."""
        return tuple(transition_of(step) for step in self.steps)

    @property
    def scored_at(self) -> bytes:
        """The transcript that an outcome extends."""
        return self.steps[-1].transcript if self.steps else self.opened_at

    @property
    def closed_at(self) -> bytes:
        """The transcript after the last event of the round."""
        last = self.ended or (self.steps[-1] if self.steps else self.sealed)
        return self.opened_at if last is None else last.transcript

    @property
    def phase(self) -> Phase:
        """Where the round stands, or how it ended."""
        if self.ended is not None:
            return Phase.CERTIFIED if isinstance(self.ended, Certified) else Phase.ABORTED
        if self.scored is not None:
            return Phase.SCORED
        return Phase.OPEN if self.sealed is None else Phase.SEALED


@dataclass(frozen=True, slots=True)
class DisputeTrace:
    """A dispute, the epoch that it was raised in, whom it convicted (registry indices), and whether the
    round aborted because too few of the committee were left."""

    event: Disputed
    epoch: Epoch
    culprits: frozenset[int]
    aborted: bool


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The contract between two events.

    `end` is where the last window ended, `block` that of the last event. `last` is the round before, while
    nothing but disputes (`since`) came after its certificate; `removed` are the members that were removed
    from the committee in this epoch, `out` the other nodes, until they get a new key; `faulted` the culprits
    since the last certificate. `enrolled` and `doomed` are halves of a transaction: registrations that wait
    for their epoch, and a dispute that must abort its round.
    """

    trace: RoundTrace
    epoch: Epoch
    end: int
    block: int
    transcript: bytes
    owner: bytes
    successor: bytes
    proposal: Change | None = None
    due: bool = False
    last: RoundTrace | None = None
    since: tuple[Disputed, ...] = ()
    removed: frozenset[int] = frozenset()
    out: frozenset[int] = frozenset()
    faulted: frozenset[int] = frozenset()
    enrolled: tuple[MemberLeft | MemberRegistered, ...] = ()
    doomed: Disputed | None = None

    def contestable(self, block: int) -> RoundTrace | None:
        """Return the round whose certificate a dispute in `block` could still void."""
        return self.last if self.trace.phase is Phase.OPEN and block <= self.end else None

    def ended(self, trace: RoundTrace, end: int) -> LedgerState:
        """Return the state in which the round after `trace` is open; what was announced is due."""
        following = RoundTrace(trace.number + 1, self.epoch, self.transcript)
        return replace(
            self,
            trace=following,
            end=end,
            due=self.proposal is not None,
            last=trace if isinstance(trace.ended, Certified) else None,
            since=(),
        )


def require(event: LedgerEvent, holds: bool, otherwise: str) -> None:
    """Refuse the event unless it `holds`: VerificationError with its round or epoch, its block, and why."""
    if holds:
        return
    what = f"{type(event).__name__} in block {event.at.block_number}: {otherwise}"
    number = getattr(event, "round", None)
    if number is not None:
        raise VerificationError(f"round {number}: {what}")
    number = getattr(event, "epoch", None)
    raise VerificationError(what if number is None else f"epoch {number}: {what}")
