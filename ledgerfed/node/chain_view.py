"""What the ledger says, replayed from its events by each node for itself.

Rules:
- every transcript is recomputed and compared with the event's, so a chain endpoint that lies is found out;
- a view is a value: an event makes a new one;
- the model hash and reputation root of the last certified round hold until the next one;
- the windows of a phase follow from the block of the last transition, as in the contract;
- a view names the block that it stands on by its hash, so a view of a branch that is gone is known as such.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from ledgerfed.errors import VerificationError
from ledgerfed.ledger.events import (
    Aborted,
    Certified,
    Forced,
    Genesis,
    LedgerEvent,
    MemberRegistered,
    Scored,
    Sealed,
)
from ledgerfed.protocol import transcript
from ledgerfed.protocol.configuration import Windows
from ledgerfed.protocol.evidence import ForcedLeaf
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import EMPTY
from ledgerfed.protocol.transcript import Phase


@dataclass(frozen=True, slots=True)
class Seal:
    """The root of a round's leaves, how many, and the block that anchored it."""

    root: bytes
    n: int
    block: int


@dataclass(frozen=True, slots=True)
class CertifiedRound:
    """What a certified round left on the ledger."""

    round: int
    manifest: bytes
    model: bytes
    reputations: bytes


@dataclass(frozen=True, slots=True)
class ChainView:
    """A federation as its events tell it, up to and including block `block`.

    `opened_at` is the transcript as the current round opened, `transcript` the one now; `model` and
    `reputations` are those in force; `end` is the block that the contract's packed word holds; `block_hash`
    is EMPTY before the first look.
    """

    federation: Federation
    windows: Windows
    members: tuple[bytes, ...] = ()
    round: int = 0
    phase: Phase = Phase.OPEN
    opened_at: bytes = EMPTY
    transcript: bytes = EMPTY
    seal: Seal | None = None
    forced: tuple[ForcedLeaf, ...] = ()
    sealed_transcript: bytes = EMPTY
    score_root: bytes = EMPTY
    config_hash: bytes = EMPTY
    model: bytes = EMPTY
    reputations: bytes = EMPTY
    certified: tuple[CertifiedRound, ...] = ()
    end: int = 0
    block: int = -1
    block_hash: bytes = EMPTY

    @property
    def window(self) -> int:
        """How many blocks after `end` the current phase may still be left regularly."""
        return {Phase.OPEN: self.windows.commit, Phase.SEALED: self.windows.score}.get(self.phase, 0)

    @property
    def deadline(self) -> int:
        """The last block in which the phase can be left but by an abort."""
        return self.end + self.window

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
                return replace(self, members=(*self.members, event.member))
            case Genesis():
                return self._begin(event)
            case Sealed():
                t = transcript.after_seal(self.transcript, event.round, event.root, event.n)
                seal = Seal(event.root, event.n, event.at.block_number)
                end = event.at.block_number + self.windows.force
                return replace(
                    self, phase=Phase.SEALED, seal=seal, transcript=t, sealed_transcript=t, end=end
                )
            case Forced():
                t = transcript.after_force(self.transcript, event.round, event.index, event.leaf)
                forced = (*self.forced, ForcedLeaf(event.index, event.leaf))
                return replace(self, forced=forced, transcript=t, sealed_transcript=t)
            case Scored():
                t = transcript.after_scores(self.transcript, event.round, event.root)
                end = event.at.block_number + self.windows.certify
                return replace(self, phase=Phase.SCORED, score_root=event.root, transcript=t, end=end)
            case Certified():
                return self._certify(event)
            case Aborted():
                t = transcript.after_abort(self.transcript, event.round, Phase(event.phase))
                return self._open_next(event.round + 1, t, event.at.block_number)

    def _begin(self, event: Genesis) -> ChainView:
        t = transcript.genesis(
            self.federation,
            event.config_hash,
            transcript.registry_hash(self.members),
            event.model,
            event.reputations,
        )
        begun = replace(self, config_hash=event.config_hash, model=event.model, reputations=event.reputations)
        return begun._open_next(1, t, event.at.block_number)

    def _certify(self, event: Certified) -> ChainView:
        t = transcript.after_certify(
            self.transcript, event.round, event.manifest, event.model, event.reputations
        )
        done = CertifiedRound(event.round, event.manifest, event.model, event.reputations)
        after = replace(
            self, model=event.model, reputations=event.reputations, certified=(*self.certified, done)
        )
        return after._open_next(event.round + 1, t, event.at.block_number + self.windows.challenge)

    def _open_next(self, number: int, t: bytes, end: int) -> ChainView:
        return replace(
            self,
            round=number,
            phase=Phase.OPEN,
            opened_at=t,
            transcript=t,
            seal=None,
            forced=(),
            sealed_transcript=EMPTY,
            score_root=EMPTY,
            end=end,
        )
