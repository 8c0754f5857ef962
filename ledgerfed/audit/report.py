"""What an audit found: steps, rounds and how far the answer reaches, as values, as JSON and as text."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ledgerfed.errors import VerificationError
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import to_hex
from ledgerfed.protocol.manifest import Drift
from ledgerfed.protocol.score import ONE

UNPROVEN = (
    "blocks, times and transaction hashes are as the exporter read them: consistent, not proven",
    "so is who owns the federation, and what was announced without ever coming into force",
    "the archive was written by the software that it names, or by anybody else",
)
NOT_PINNED = "self-consistent only: no genesis transcript (or configuration hash and members) was given"
NOT_COMPLETE = "an older state of the same federation would pass too: no final transcript was given"

FALLEN = "what a void certificate decided was not computed again: only who signed it was checked"


class Status(StrEnum):
    """How a step ended."""

    PASS = "PASS"
    FAIL = "FAIL"
    SKIPPED = "SKIPPED"


@dataclass(frozen=True, slots=True)
class StepResult:
    """One numbered step; `found` says what held, what failed with which value, or why it was skipped."""

    number: int
    title: str
    status: Status
    found: str


@dataclass(frozen=True, slots=True)
class RoundSummary:
    """One round: how it ended (`phase` in lower case) and, when certified, what it decided.

    `admitted` are registry indices, `rejected` pairs of index and reason for all others. `fell` are the
    manifests of certificates that a dispute voided; `contestable_until` is the last block in which this one
    still can be, None once it stands. `drift` is what the admitted updates said of it, `stabilised` the Q16
    factor that the model's roots were contracted by; None where there is neither.
    """

    number: int
    epoch: int
    phase: str
    admitted: tuple[int, ...]
    rejected: tuple[tuple[int, str], ...]
    forced: tuple[int, ...]
    fell: tuple[bytes, ...]
    contestable_until: int | None
    model_hash: bytes
    manifest_hash: bytes | None
    transcript: bytes
    drift: Drift | None = None
    stabilised: int | None = None

    def document(self) -> dict[str, Any]:
        """Return the JSON object of a round; `model_hash` is the model in force after it."""
        return {
            "number": self.number,
            "epoch": self.epoch,
            "phase": self.phase,
            "admitted": list(self.admitted),
            "rejected": [{"node": node, "reason": reason} for node, reason in self.rejected],
            "forced": list(self.forced),
            "fell": [to_hex(manifest) for manifest in self.fell],
            "contestable_until": self.contestable_until,
            "model_hash": to_hex(self.model_hash),
            "manifest_hash": None if self.manifest_hash is None else to_hex(self.manifest_hash),
            "transcript": to_hex(self.transcript),
            "drift": None if self.drift is None else self.drift.document(),
            "stabilised": self.stabilised,
        }

    @property
    def findings(self) -> tuple[str, ...]:
        """What stands out in the outcome, in words: drift, and a model that had to be stabilised."""
        found = []
        if self.drift is not None and self.drift.flagged:
            said = "drift declared" if self.drift.declared else "drift flagged"
            found.append(f"{said} by {self.drift.flagged} of {self.drift.of}")
        if self.stabilised is not None:
            found.append(f"roots contracted by {self.stabilised}/{ONE}")
        return tuple(found)


@dataclass(frozen=True, slots=True)
class DisputeSummary:
    """A proven fault of `round`: what it was, who did it, and what it did to the round.

    `contested`: the certificate of the round fell; `aborted`: too few of the committee were left.
    """

    block: int
    epoch: int
    round: int
    fault: str
    culprits: tuple[int, ...]
    contested: bool
    aborted: bool
    proof: bytes
    transcript: bytes

    @property
    def consequence(self) -> str:
        """What the dispute did, in words."""
        removed = f"node {self.culprits[0]} is removed"
        if len(self.culprits) != 1:
            removed = f"nodes {_listed(self.culprits)} are removed"
        if self.contested:
            removed += f", the certificate of round {self.round} is void"
        if self.aborted:
            removed += ", and the round aborts because too few of the committee are left"
        elif self.contested:
            removed += ", and the round is decided again"
        return removed

    def document(self) -> dict[str, Any]:
        """Return the JSON object of a dispute."""
        return {
            "block": self.block,
            "epoch": self.epoch,
            "round": self.round,
            "fault": self.fault,
            "culprits": list(self.culprits),
            "contested": self.contested,
            "aborted": self.aborted,
            "proof": to_hex(self.proof),
            "transcript": to_hex(self.transcript),
        }


@dataclass(frozen=True, slots=True)
class EpochSummary:
    """An epoch: since which block, for which rounds, who decides, and who came, left or changed its key."""

    number: int
    block: int
    rounds: tuple[int, ...]
    members: int
    committee: tuple[int, ...]
    quorum: int
    joined: tuple[int, ...]
    left: tuple[int, ...]
    rekeyed: tuple[int, ...]
    config_hash: bytes
    change_hash: bytes | None

    @property
    def changes(self) -> str:
        """What the epoch changed of the registry, in words."""
        kinds = ((self.joined, "joined"), (self.left, "left"), (self.rekeyed, "has a new key"))
        found = [f"{what}: {_listed(indices)}" for indices, what in kinds if indices]
        return "; ".join(found) or "the same members"

    def document(self) -> dict[str, Any]:
        """Return the JSON object of an epoch."""
        return {
            "number": self.number,
            "block": self.block,
            "rounds": list(self.rounds),
            "members": self.members,
            "committee": list(self.committee),
            "quorum": self.quorum,
            "joined": list(self.joined),
            "left": list(self.left),
            "rekeyed": list(self.rekeyed),
            "config_hash": to_hex(self.config_hash),
            "change_hash": None if self.change_hash is None else to_hex(self.change_hash),
        }


@dataclass(frozen=True, slots=True)
class AuditReport:
    """The result of one verification.

    `digest` is the SHA-256 of the archive. `pinned` says that the origin equals trust inputs from outside the
    bundle, `complete` that its last transcript does. `rounds`, `disputes` and `epochs` are empty unless the
    rounds hold.
    """

    digest: bytes | None
    federation: Federation | None
    steps: tuple[StepResult, ...]
    rounds: tuple[RoundSummary, ...]
    disputes: tuple[DisputeSummary, ...]
    epochs: tuple[EpochSummary, ...]
    pinned: bool
    complete: bool

    @property
    def passed(self) -> bool:
        """Whether every step holds."""
        return all(step.status is Status.PASS for step in self.steps)

    @property
    def trusted(self) -> bool:
        """Whether every step holds, for the very federation that the trust inputs name."""
        return self.passed and self.pinned

    @property
    def failure(self) -> StepResult | None:
        """The first step that failed."""
        return next((step for step in self.steps if step.status is Status.FAIL), None)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the verdict does not cover."""
        limits = [] if self.pinned else [NOT_PINNED]
        limits += [] if self.complete else [NOT_COMPLETE]
        limits += [
            f"the certificate of round {r.number} can still be disputed until block {r.contestable_until}"
            for r in self.rounds
            if r.contestable_until is not None
        ]
        if any(r.fell for r in self.rounds):
            limits.append(FALLEN)
        return (*limits, *UNPROVEN)

    @property
    def verdict(self) -> str:
        """The result in one line."""
        if (failed := self.failure) is not None:
            return f"REJECTED at step {failed.number} ({failed.title}): {failed.found}"
        certified = sum(r.phase == "certified" for r in self.rounds)
        origin = "the federation you named" if self.pinned else "self-consistent only"
        return f"VERIFIED: {len(self.rounds)} rounds, {certified} certified; {origin}"

    def require_passed(self) -> None:
        """Raise VerificationError with the verdict unless every step holds."""
        if not self.passed:
            raise VerificationError(self.verdict)

    def document(self) -> dict[str, Any]:
        """Return the report as one JSON object."""
        federation = self.federation
        return {
            "passed": self.passed,
            "trusted": self.trusted,
            "complete": self.complete,
            "verdict": self.verdict,
            "digest": None if self.digest is None else "sha256:" + self.digest.hex(),
            "chain_id": None if federation is None else federation.chain_id,
            "contract": None if federation is None else to_hex(federation.contract),
            "steps": [
                {"number": s.number, "title": s.title, "status": s.status.value, "found": s.found}
                for s in self.steps
            ],
            "rounds": [r.document() for r in self.rounds],
            "disputes": [d.document() for d in self.disputes],
            "epochs": [e.document() for e in self.epochs],
            "notes": list(self.notes),
        }

    def lines(self) -> Iterator[str]:
        """Yield the report as plain text, line by line."""
        width = max(len(step.title) for step in self.steps)
        for step in self.steps:
            yield f"{step.number:>2}  {step.status.value:<7}  {step.title:<{width}}  {step.found}"
        for summary in self.rounds:
            yield _round_line(summary)
        for dispute in self.disputes:
            what = f"dispute in block {dispute.block}: {dispute.fault} of round {dispute.round}"
            yield f"{what}: {dispute.consequence}"
        for epoch in self.epochs[1:]:
            who = f"committee {_listed(epoch.committee)}, quorum {epoch.quorum}"
            yield f"epoch {epoch.number} from block {epoch.block}: {who}; {epoch.changes}"
        yield self.verdict
        yield from (f"note: {note}" for note in self.notes)


def _round_line(summary: RoundSummary) -> str:
    rejected = ", ".join(f"{node} {reason}" for node, reason in summary.rejected)
    parts = [f"round {summary.number}: {summary.phase}, model {to_hex(summary.model_hash)[:18]}"]
    if summary.manifest_hash is not None:
        parts.append(f"admitted {_listed(summary.admitted)}")
    if rejected:
        parts.append(f"not admitted {rejected}")
    parts += summary.findings
    if summary.forced:
        parts.append(f"forced {_listed(summary.forced)}")
    if summary.fell:
        parts.append(f"{len(summary.fell)} certificate{'s' * (len(summary.fell) > 1)} fell before")
    return "; ".join(parts)


def _listed(indices: Iterable[int]) -> str:
    return ", ".join(map(str, indices))
