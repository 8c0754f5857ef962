"""What the ledger says, replayed from its events by each node for itself.

Rules:
- every transcript is recomputed and compared with the event's, so a chain endpoint that lies is found out;
- a view is a value: an event makes a new one;
- the model hash and reputation root of the last certified round hold until the next one; a certificate that
  falls in its challenge window takes them back;
- the windows of a phase follow from the block of the last transition, as in the contract;
- a view names the block that it stands on by its hash, so a view of a branch that is gone is known as such.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from ledgerfed.errors import VerificationError
from ledgerfed.ledger.events import (
    Aborted,
    Certified,
    Disputed,
    EpochOpened,
    EpochProposed,
    Forced,
    Genesis,
    LedgerEvent,
    MemberLeft,
    MemberRegistered,
    Scored,
    Sealed,
)
from ledgerfed.protocol import transcript
from ledgerfed.protocol.change import VACANT, Change
from ledgerfed.protocol.configuration import Windows
from ledgerfed.protocol.evidence import ForcedLeaf
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import EMPTY
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import (
    Certify,
    Dispute,
    Force,
    Scores,
    Transition,
)


@dataclass(frozen=True, slots=True)
class Seal:
    """The root of a round's leaves, how many, who anchored it and in which block.

    `opened_at` is the transcript that it found.
    """

    round: int
    opened_at: bytes
    root: bytes
    n: int
    relayer: bytes
    block: int


@dataclass(frozen=True, slots=True)
class CertifiedRound:
    """What a certified round left on the ledger, and the configuration that it was decided by."""

    round: int
    manifest: bytes
    model: bytes
    reputations: bytes
    config_hash: bytes


@dataclass(frozen=True, slots=True)
class ChainView:
    """A federation as its events tell it, up to and including block `block`.

    `opened_at` is the transcript as a seal of the current round finds or found it, `transcript` the one now;
    `model` and `reputations` are those in force; `end` is the block that the contract's packed word holds;
    `block_hash` is EMPTY before the first look. `members` are addresses by index, VACANT where a node has
    left; the first `founders` stand in the genesis registry. `configs` are those of all epochs. `seal` is
    the last one and `history` every transition since, into the next open phase. `removed` are the committee
    members removed in this epoch, `convicted` all who cannot be removed again before another epoch, `faulted`
    the culprits since the last outcome that stands, by index. `next_epoch` was announced; it is `due` once
    the round has ended in which it was. `before_certificate` is the view that a challenge leads back to while
    `contestable`.
    """

    federation: Federation
    windows: Windows = field(default_factory=lambda: Windows(2, 0, 2, 2, 0))
    members: tuple[bytes, ...] = ()
    founders: int = 0
    committee: tuple[int, ...] = ()
    depth: int = 0
    min_updates: int = 0
    leaves_on_chain: bool = False
    epoch: int = 0
    round: int = 0
    phase: Phase = Phase.OPEN
    opened_at: bytes = EMPTY
    transcript: bytes = EMPTY
    seal: Seal | None = None
    history: tuple[Transition, ...] = ()
    configs: tuple[bytes, ...] = ()
    model: bytes = EMPTY
    reputations: bytes = EMPTY
    certified: tuple[CertifiedRound, ...] = ()
    removed: frozenset[int] = frozenset()
    convicted: frozenset[int] = frozenset()
    faulted: frozenset[int] = frozenset()
    next_epoch: Change | None = None
    due: bool = False
    before_certificate: ChainView | None = None
    end: int = 0
    block: int = -1
    block_hash: bytes = EMPTY

    @property
    def config_hash(self) -> bytes:
        """The configuration of the epoch, EMPTY before genesis."""
        return self.configs[-1] if self.configs else EMPTY

    @property
    def window(self) -> int:
        """How many blocks after `end` the current phase may still be left regularly."""
        return {Phase.OPEN: self.windows.commit, Phase.SEALED: self.windows.score}.get(self.phase, 0)

    @property
    def deadline(self) -> int:
        """The last block in which the phase can be left but by an abort."""
        return self.end + self.window

    @property
    def forced(self) -> tuple[ForcedLeaf, ...]:
        """The leaves forced in the round, in the order of the chain; none while it is open."""
        if self.phase is Phase.OPEN:
            return ()
        return tuple(ForcedLeaf(step.index, step.leaf) for step in self.history if isinstance(step, Force))

    @property
    def sealed_transcript(self) -> bytes:
        """The transcript after the seal, or after the last forced leaf: what score commitments are for."""
        if self.phase is Phase.OPEN or self.seal is None:
            return EMPTY
        t = transcript.after_seal(self.opened_at, self.round, self.seal.root, self.seal.n)
        forced = [place for place, step in enumerate(self.history) if isinstance(step, Force)]
        for step in self.history[: forced[-1] + 1 if forced else 0]:
            t = step.after(t)
        return t

    @property
    def score_root(self) -> bytes:
        """The root of the score commitments, EMPTY until it is anchored."""
        roots = [step.root for step in self.history if isinstance(step, Scores)]
        return roots[0] if roots and self.phase is Phase.SCORED else EMPTY

    @property
    def sits(self) -> tuple[int, ...]:
        """The committee members that were not removed, by index."""
        return tuple(index for index in self.committee if index not in self.removed)

    def contestable(self, block: int) -> bool:
        """Return whether a transaction in `block` can still challenge the last certificate."""
        return self.phase is Phase.OPEN and self.before_certificate is not None and block <= self.end

    def seen(self, block: int, block_hash: bytes) -> ChainView:
        """Return the view after looking up to `block`, whether or not it held an event."""
        return replace(self, block=block, block_hash=block_hash)

    def apply(self, event: LedgerEvent) -> ChainView:
        """Return the view after one event.

        Raises:
            VerificationError: the event's transcript is not what the history leads to.
        """
        after = self._advance(event)
        claimed = getattr(event, "transcript", None)
        if claimed is not None and claimed != after.transcript:
            raise VerificationError(
                f"block {event.at.block_number}: the chain reports the transcript 0x{claimed.hex()}, "
                f"its events lead to 0x{after.transcript.hex()}; do not trust this endpoint"
            )
        return replace(after, block=event.at.block_number)

    def _advance(self, event: LedgerEvent) -> ChainView:
        match event:
            case MemberRegistered():
                return self._with_member(event.index, event.member)
            case MemberLeft():
                return self._with_member(event.index, VACANT)
            case Genesis():
                return self._begin(event)
            case Sealed():
                return self._seal(event)
            case Forced():
                return self._step(Force(event.round, event.index, event.leaf))
            case Scored():
                end = event.at.block_number + self.windows.certify
                return replace(self._step(Scores(event.round, event.root)), phase=Phase.SCORED, end=end)
            case Certified():
                return self._certify(event)
            case Disputed():
                return self._dispute(event)
            case Aborted():
                t = transcript.after_abort(self.transcript, event.round, Phase(event.phase))
                return self._open_next(event.round + 1, t, event.at.block_number)
            case EpochProposed():
                return replace(self, next_epoch=event.change)
            case EpochOpened():
                return self._open_epoch(event)
            case _:
                return self

    def _step(self, step: Transition) -> ChainView:
        return replace(self, transcript=step.after(self.transcript), history=(*self.history, step))

    def _with_member(self, index: int, member: bytes) -> ChainView:
        return replace(self, members=(*self.members[:index], member, *self.members[index + 1 :]))

    def _begin(self, event: Genesis) -> ChainView:
        t = transcript.genesis(
            self.federation,
            event.config_hash,
            transcript.registry_hash(self.members),
            event.model,
            event.reputations,
        )
        begun = replace(
            self,
            windows=Windows(*event.windows),
            founders=len(self.members),
            committee=tuple(event.committee),
            depth=event.depth,
            min_updates=event.min_updates,
            leaves_on_chain=event.leaves_on_chain,
            configs=(event.config_hash,),
            model=event.model,
            reputations=event.reputations,
        )
        return begun._open_next(1, t, event.at.block_number)

    def _seal(self, event: Sealed) -> ChainView:
        block = event.at.block_number
        return replace(
            self,
            phase=Phase.SEALED,
            seal=Seal(event.round, self.opened_at, event.root, event.n, event.relayer, block),
            history=(),
            transcript=transcript.after_seal(self.transcript, event.round, event.root, event.n),
            before_certificate=None,
            end=block + self.windows.force,
        )

    def _certify(self, event: Certified) -> ChainView:
        outcome = (event.manifest, event.model, event.reputations)
        after = replace(
            self._step(Certify(event.round, *outcome)),
            model=event.model,
            reputations=event.reputations,
            certified=(*self.certified, CertifiedRound(event.round, *outcome, self.config_hash)),
            faulted=frozenset(),
            before_certificate=replace(self, before_certificate=None),
        )
        opened = after._open_next(
            event.round + 1, after.transcript, event.at.block_number + self.windows.challenge
        )
        return replace(opened, before_certificate=after.before_certificate)

    def _dispute(self, event: Disputed) -> ChainView:
        step = Dispute(event.round, event.fault, event.culprits, event.proof)
        culprits = step.indices(self.committee)
        after = replace(
            self._step(step),
            removed=self.removed | (culprits & frozenset(self.committee)),
            convicted=self.convicted | culprits,
            faulted=self.faulted | culprits,
        )
        end = event.at.block_number + self.windows.certify
        fallen = self.before_certificate
        if event.contested and fallen is not None:
            return replace(
                after,
                round=fallen.round,
                phase=Phase.SCORED,
                opened_at=fallen.opened_at,
                model=fallen.model,
                reputations=fallen.reputations,
                certified=fallen.certified,
                faulted=after.faulted | fallen.faulted,
                before_certificate=None,
                end=end,
            )
        if self.phase is Phase.OPEN:
            return replace(after, opened_at=after.transcript)
        return replace(after, end=end) if self.phase is Phase.SCORED else after

    def _open_epoch(self, event: EpochOpened) -> ChainView:
        change = self.next_epoch
        if change is None or change.hash() != event.change_hash:
            raise VerificationError(
                f"block {event.at.block_number}: epoch {event.epoch} was opened with a change that nobody "
                "announced; do not trust this endpoint"
            )
        t = transcript.after_epoch(self.transcript, event.round, event.epoch, event.change_hash)
        return replace(
            self,
            epoch=event.epoch,
            committee=change.committee,
            min_updates=change.min_updates,
            configs=(*self.configs, event.config_hash),
            removed=frozenset(),
            convicted=self.convicted - frozenset((*self.committee, *change.committee, *change.indices)),
            next_epoch=None,
            due=False,
            before_certificate=None,
            opened_at=t,
            transcript=t,
            end=event.at.block_number,
        )

    def _open_next(self, number: int, t: bytes, end: int) -> ChainView:
        return replace(
            self,
            round=number,
            phase=Phase.OPEN,
            opened_at=t,
            transcript=t,
            due=self.next_epoch is not None,
            before_certificate=None,
            end=end,
        )
