"""The checks behind the numbered steps of `verify`: each fills in what it proved and says what it found.

Every check raises VerificationError or InvalidValueError when something does not hold; the message names the
round and the value.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from itertools import pairwise
from pathlib import Path

from ledgerfed.audit.bundle import Archive, open_archive
from ledgerfed.audit.contract import contract_code_hash, contract_source
from ledgerfed.audit.documents import RoundDocuments, blob, stray_blobs, unfold
from ledgerfed.audit.events import Certified, Genesis, LedgerEvent, MemberRegistered, RoundEvent
from ledgerfed.audit.history import FederationHistory
from ledgerfed.audit.replay import (
    check_openings,
    check_reveals,
    check_roots,
    check_signatures,
    replay_decision,
    same,
)
from ledgerfed.audit.report import RoundSummary
from ledgerfed.audit.rules import RoundTrace, Rules, opening_state, replay_rounds
from ledgerfed.audit.trust import TrustInputs
from ledgerfed.consensus.history import past_updates
from ledgerfed.errors import InvalidValueError, VerificationError
from ledgerfed.protocol import transcript
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.hashing import to_hex
from ledgerfed.protocol.model import GlobalModel, decode_model
from ledgerfed.protocol.reputation import Reputation, reputation_tree


class Case:
    """One bundle under examination; a check reads only what the steps that it needs have filled in."""

    __slots__ = (
        "archive",
        "base",
        "config",
        "documents",
        "genesis",
        "history",
        "path",
        "rules",
        "traces",
        "transcript",
        "trust",
    )
    archive: Archive
    history: FederationHistory
    config: FederationConfig
    genesis: Genesis
    base: GlobalModel
    documents: dict[int, RoundDocuments]
    rules: Rules
    traces: tuple[RoundTrace, ...]
    transcript: bytes

    def __init__(self, path: Path, trust: TrustInputs) -> None:
        self.path = path
        self.trust = trust

    def certified(self) -> Iterator[tuple[RoundTrace, RoundDocuments]]:
        """Yield the certified rounds in order, each with its documents."""
        for trace in self.traces:
            if isinstance(trace.ended, Certified):
                yield trace, self.documents[trace.number]

    def reputations(self) -> tuple[Reputation, ...]:
        """Return the reputations at genesis, in registry order."""
        return (self.config.genesis_reputation,) * len(self.rules.members)

    def summaries(self) -> tuple[RoundSummary, ...]:
        """Return what the rounds decided; an aborted one leaves the model of the round before in force."""
        found, model = [], self.genesis.model
        for trace in self.traces:
            certified = trace.ended if isinstance(trace.ended, Certified) else None
            model = certified.model if certified else model
            verdicts = self.documents[trace.number].manifest.verdicts if certified else ()
            found.append(
                RoundSummary(
                    number=trace.number,
                    phase=trace.phase.name.lower(),
                    admitted=tuple(v.index for v in verdicts if v.admitted),
                    rejected=tuple((v.index, v.reason.value) for v in verdicts if not v.admitted),
                    forced=tuple(event.index for event in trace.forced),
                    model_hash=model,
                    manifest_hash=certified.manifest if certified else None,
                    transcript=trace.closed_at,
                )
            )
        return tuple(found)


# 1
def archive(case: Case) -> str:
    """The archive is whole and canonical, and every file has the digest that its manifest gives."""
    case.archive = open_archive(case.path)
    size = sum(len(data) for data in case.archive.files.values())
    return f"{len(case.archive.files)} files, {size} bytes, as SHA-256 says"


# 2
def documents(case: Case) -> str:
    """Every document is canonical, has no unknown key and integers only, and none is missing."""
    case.history = history = case.archive.history()
    case.config = FederationConfig.from_bytes(history.config)
    genesis_events = [event for event in history.events if isinstance(event, Genesis)]
    same("the number of Genesis events", len(genesis_events), 1)
    case.genesis = genesis_events[0]
    case.base = decode_model(blob("the genesis model", case.genesis.model, history.blobs))
    case.documents = {}
    for event in history.events:
        if isinstance(event, Certified):
            with _in_round(event.round):
                case.documents[event.round] = unfold(event, history.blobs)
    return f"configuration, {len(history.events)} events, {len(case.documents)} certified rounds"


# 3
def contract(case: Case) -> str:
    """The contract runs this package's code with this configuration, which Genesis names."""
    config, event, trust = case.config, case.genesis, case.trust
    same("the configuration hash of Genesis", event.config_hash, config.hash())
    same("the committee of Genesis", event.committee, config.committee)
    same("the depth of Genesis", event.depth, config.depth)
    same("the windows of Genesis", event.windows, astuple(config.windows))
    same("min_updates of Genesis", event.min_updates, config.min_updates)
    _as_trusted("the configuration hash", config.hash(), trust.config_hash)
    _as_trusted("the contract code", case.history.code_hash, trust.contract_code_hash)
    if trust.contract_code_hash is None:
        same("the hash of the contract's code", case.history.code_hash, contract_code_hash(config))
    return f"configuration {to_hex(config.hash())}, code of {contract_source()}"


# 4
def registry(case: Case) -> str:
    """Every member is in its place, once, since the transaction that made the federation."""
    events = [event for event in case.history.events if isinstance(event, MemberRegistered)]
    members = tuple(event.member for event in events)
    same("the registry indices", [event.index for event in events], list(range(len(events))))
    same("the epochs", {event.epoch for event in events}, {0})
    same("the number of different members", len(set(members)), len(members))
    if not case.config.committee <= len(members) <= case.config.capacity:
        raise VerificationError(
            f"{len(members)} members, from {case.config.committee} to {case.config.capacity} are possible"
        )
    start: list[LedgerEvent] = [*events, case.genesis]
    same("the first events", list(case.history.events[: len(start)]), start)
    same("the transactions that made the federation", len({event.at.tx_hash for event in start}), 1)
    same("the registry hash of Genesis", case.genesis.registry_hash, transcript.registry_hash(members))
    trusted = case.trust.members
    _as_trusted("the members", _spelt(members), None if trusted is None else _spelt(trusted))
    case.rules = Rules(case.history.federation, case.config, members)
    return f"{len(members)} members, committee {case.config.committee}, quorum {case.config.quorum}"


# 5
def genesis(case: Case) -> str:
    """The genesis transcript covers all of this, the first model and the first reputations."""
    config, event = case.config, case.genesis
    same("the genesis model", event.model, config.genesis_model().hash())
    root = reputation_tree(case.reputations(), config.depth).root
    same("the reputation root of Genesis", event.reputations, root)
    t = transcript.genesis(
        case.history.federation, event.config_hash, event.registry_hash, event.model, event.reputations
    )
    same("the transcript of Genesis", event.transcript, t)
    _as_trusted("the genesis transcript", t, case.trust.genesis_transcript)
    return to_hex(t)


# 6
def rounds(case: Case) -> str:
    """Phases, blocks and relayers are legal, transcripts follow, and roots are those of the documents."""
    events = case.history.events[len(case.rules.members) + 1 :]
    start = opening_state(case.genesis.at.block_number, case.genesis.transcript)
    case.traces, case.transcript = replay_rounds(
        case.rules, start, [event for event in events if isinstance(event, RoundEvent)]
    )
    for trace, found in case.certified():
        with _in_round(trace.number):
            check_roots(case.rules, trace, found)
    same(
        "the rounds with a certificate",
        [certificate.round for certificate in case.history.certificates],
        [trace.number for trace, _ in case.certified()],
    )
    _check_blocks(case.history)
    phases = [trace.phase.name.lower() for trace in case.traces]
    counts = ", ".join(f"{phases.count(phase)} {phase}" for phase in sorted(set(phases)))
    return f"{len(phases)} rounds ({counts})" if phases else "no rounds"


# 7
def scores(case: Case) -> str:
    """Every score reveal opens its commitment, and enough did."""
    found = 0
    for trace, item in case.certified():
        with _in_round(trace.number):
            found += check_reveals(case.config, item)
    return f"{found} score vectors"


# 8
def openings(case: Case) -> str:
    """Every opening is the preimage of its leaf, with its payload; nothing else is enclosed."""
    found = 0
    for trace, item in case.certified():
        with _in_round(trace.number):
            found += check_openings(case.config, item, case.history.blobs)
    if stray := stray_blobs(case.genesis.model, tuple(case.documents.values()), case.history.blobs):
        raise VerificationError(f"the blob {to_hex(stray[0])} belongs to no certified round")
    return f"{found} openings"


# 9
def signatures(case: Case) -> str:
    """Every leaf, score commitment and certificate is signed by whom it must be."""
    certificates = {certificate.round: certificate for certificate in case.history.certificates}
    found = 0
    for trace, item in case.certified():
        with _in_round(trace.number):
            found += check_signatures(case.rules, trace, item, certificates[trace.number])
    return f"{found} signatures"


# 10
def models(case: Case) -> str:
    """Each round starts from the model of the last certified one."""
    model = case.genesis.model
    for trace, item in case.certified():
        with _in_round(trace.number):
            same("the base model", item.manifest.base_model, model)
        model = item.event.model
    return f"from {to_hex(case.genesis.model)} to {to_hex(model)}"


# 11
def decisions(case: Case) -> str:
    """Every decision, replayed, gives the same manifest, model and reputations byte by byte."""
    base, reputations = case.base, case.reputations()
    evidences: list[RoundEvidence] = []
    for trace, item in case.certified():
        with _in_round(trace.number):
            past = past_updates(case.config, evidences, case.history.blobs, trace.number)
            outcome = replay_decision(case.config, base, reputations, item, past, case.history.blobs)
        base, reputations = outcome.model, outcome.reputations
        evidences.append(item.evidence)
    return f"{len(evidences)} decisions, bit for bit"


# 12
def final_transcript(case: Case) -> str:
    """The last transcript is the one that the chain held."""
    same("the last transcript", case.transcript, case.history.head.transcript)
    _as_trusted("the last transcript", case.transcript, case.trust.final_transcript)
    return f"{to_hex(case.transcript)} at block {case.history.head.number}"


def _check_blocks(history: FederationHistory) -> None:
    """Check that places agree: one hash and time a block, one block a transaction, time never backwards."""
    blocks: dict[int, tuple[bytes, int]] = {}
    transactions: dict[bytes, int] = {}
    for event in history.events:
        at = event.at
        header = blocks.setdefault(at.block_number, (at.block_hash, at.timestamp))
        same(f"hash and time of block {at.block_number}", (at.block_hash, at.timestamp), header)
        number = transactions.setdefault(at.tx_hash, at.block_number)
        same(f"the block of transaction {to_hex(at.tx_hash)}", at.block_number, number)
    for (before, (_, earlier)), (after, (_, later)) in pairwise(blocks.items()):
        if later < earlier:
            raise VerificationError(
                f"block {after} is older than block {before}: time {later} after {earlier}"
            )
    if len({block_hash for block_hash, _ in blocks.values()}) != len(blocks):
        raise VerificationError("two blocks have the same hash")
    last = max(blocks)
    if history.head.number < last:
        raise VerificationError(f"the head is block {history.head.number}, the last event is in {last}")
    if history.head.number == last:
        same(f"the hash of the head block {last}", history.head.hash, blocks[last][0])


def _spelt(members: Sequence[bytes]) -> str:
    return ", ".join(to_hex(member) for member in members)


def _as_trusted(what: str, found: object, trusted: object) -> None:
    if trusted is not None:
        same(f"{what} (against what you trust)", found, trusted)


@contextmanager
def _in_round(number: int) -> Iterator[None]:
    """Let every failure inside name the round."""
    try:
        yield
    except (VerificationError, InvalidValueError) as error:
        if str(error).startswith(f"round {number}: "):
            raise
        raise VerificationError(f"round {number}: {error}") from error
