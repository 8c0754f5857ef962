"""The checks behind the numbered steps of `verify`: each fills in what it proved and says what it found.

Every check raises VerificationError or InvalidValueError when something does not hold; the message names the
round and the value.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import astuple
from pathlib import Path

from ledgerfed.audit.bundle import Archive, open_archive
from ledgerfed.audit.contract import contract_code_hash, contract_source
from ledgerfed.audit.documents import RoundDocuments, blob, standing, stray_blobs, unfold
from ledgerfed.audit.events import (
    Certified,
    EpochOpened,
    Genesis,
    LedgerEvent,
    MemberRegistered,
    OwnershipTransferred,
)
from ledgerfed.audit.history import FederationHistory
from ledgerfed.audit.places import check_places
from ledgerfed.audit.replay import (
    check_certificates,
    check_openings,
    check_reveals,
    check_roots,
    check_signatures,
    replay_decision,
    same,
)
from ledgerfed.audit.rules import Replay, Rules, opening_state, replay_rounds
from ledgerfed.audit.state import RoundTrace
from ledgerfed.audit.trust import TrustInputs
from ledgerfed.consensus.history import authors_of_copies, past_updates
from ledgerfed.errors import InvalidValueError, VerificationError
from ledgerfed.protocol import transcript
from ledgerfed.protocol.change import VACANT
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.hashing import to_hex
from ledgerfed.protocol.model import GlobalModel, decode_model
from ledgerfed.protocol.reputation import NEWCOMER, Reputation, reputation_tree


class Case:
    """One bundle under examination; a check reads only what the steps that it needs have filled in."""

    __slots__ = (
        "archive",
        "base",
        "config",
        "configs",
        "documents",
        "genesis",
        "history",
        "owner",
        "path",
        "replay",
        "rules",
        "trust",
    )
    archive: Archive
    history: FederationHistory
    config: FederationConfig
    configs: dict[bytes, FederationConfig]
    genesis: Genesis
    owner: bytes
    base: GlobalModel
    documents: dict[int, RoundDocuments]
    rules: Rules
    replay: Replay

    def __init__(self, path: Path, trust: TrustInputs) -> None:
        self.path = path
        self.trust = trust

    def certified(self) -> Iterator[tuple[RoundTrace, RoundDocuments]]:
        """Yield the rounds with a certificate that stands in order, each with its documents."""
        for trace in self.replay.rounds:
            if isinstance(trace.ended, Certified):
                yield trace, self.documents[trace.number]

    def reputations(self) -> tuple[Reputation, ...]:
        """Return the reputations at genesis, in registry order."""
        return (self.config.genesis_reputation,) * len(self.rules.members)


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
    case.configs = {}
    for event in history.events:
        if isinstance(event, EpochOpened):
            document = blob(f"the configuration of epoch {event.epoch}", event.config_hash, history.blobs)
            case.configs[event.config_hash] = FederationConfig.from_bytes(document)
    case.documents = {}
    for certified in standing(history.events):
        with _in_round(certified.round):
            case.documents[certified.round] = unfold(certified, history.blobs)
    configurations = f"{1 + len(case.configs)} configurations" if case.configs else "configuration"
    return f"{configurations}, {len(history.events)} events, {len(case.documents)} certified rounds"


# 3
def contract(case: Case) -> str:
    """The contract runs this package's code with this configuration, which Genesis names."""
    config, event, trust = case.config, case.genesis, case.trust
    same("the configuration hash of Genesis", event.config_hash, config.hash())
    same("the committee of Genesis", event.committee, config.committee)
    same("the depth of Genesis", event.depth, config.depth)
    same("the windows of Genesis", event.windows, astuple(config.windows))
    same("min_updates of Genesis", event.min_updates, config.min_updates)
    same("leaves_on_chain of Genesis", event.leaves_on_chain, config.leaves_on_chain)
    _as_trusted("the configuration hash", config.hash(), trust.config_hash)
    _as_trusted("the contract code", case.history.code_hash, trust.contract_code_hash)
    if trust.contract_code_hash is None:
        same("the hash of the contract's code", case.history.code_hash, contract_code_hash(config))
    return f"configuration {to_hex(config.hash())}, code of {contract_source()}"


# 4
def registry(case: Case) -> str:
    """Every founder is in its place, once, since the deployment; the owner is told."""
    events = case.history.events
    start = events[: _after_genesis(events)]
    founders = [event for event in start if isinstance(event, MemberRegistered)]
    members = tuple(event.member for event in founders)
    same("the registry indices", [event.index for event in founders], list(range(len(founders))))
    same("the epochs", {event.epoch for event in founders}, {0})
    same("the number of different members", len(set(members)), len(members))
    lowest = max(case.config.committee[-1] + 1, case.config.min_updates)
    if not lowest <= len(members) <= case.config.capacity:
        raise VerificationError(
            f"{len(members)} members, from {lowest} to {case.config.capacity} are possible"
        )
    expected = [*(MemberRegistered,) * len(founders), Genesis, OwnershipTransferred]
    names = [[kind.__name__ for kind in kinds] for kinds in ([type(event) for event in start], expected)]
    same("the first events", *names)
    same("the transactions that made the federation", len({event.at.tx_hash for event in start}), 1)
    same("the registry hash of Genesis", case.genesis.registry_hash, transcript.registry_hash(members))
    trusted = case.trust.members
    _as_trusted("the members", _spelt(members), None if trusted is None else _spelt(trusted))
    owned = start[-1]
    assert isinstance(owned, OwnershipTransferred)
    same("the owner before the deployment", owned.previous, VACANT)
    case.owner = owned.owner
    case.rules = Rules(case.history.federation, case.config, members, case.configs)
    owner = f"owner {to_hex(owned.owner)}" if any(owned.owner) else "no owner"
    return f"{len(members)} members, committee {_places(case.config)}, {owner}"


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
    """Phases, blocks and senders are legal, transcripts follow, and roots are those of the documents."""
    history = case.history
    start = opening_state(case.rules, case.genesis, case.owner)
    case.replay = replay_rounds(case.rules, start, history.events[_after_genesis(history.events) :])
    for trace, found in case.certified():
        with _in_round(trace.number):
            check_roots(history.federation, trace, found)
    same(
        "the rounds with a certificate",
        [certificate.round for certificate in history.certificates],
        [event.round for event in history.events if isinstance(event, Certified)],
    )
    check_places(history)
    return _told(case.replay)


# 7
def scores(case: Case) -> str:
    """Every score reveal opens its commitment, and enough did."""
    found = 0
    for trace, item in case.certified():
        with _in_round(trace.number):
            found += check_reveals(trace.epoch.config, item)
    return f"{found} score vectors"


# 8
def openings(case: Case) -> str:
    """Every opening is the preimage of its leaf, with its payload; nothing else is enclosed."""
    found = 0
    for trace, item in case.certified():
        with _in_round(trace.number):
            found += check_openings(trace.epoch.config, item, case.history.blobs)
    known = {case.genesis.model, *case.configs}
    if stray := stray_blobs(known, case.documents.values(), case.history.blobs):
        raise VerificationError(f"the blob {to_hex(stray[0])} belongs to no certified round and no epoch")
    return f"{found} openings"


# 9
def signatures(case: Case) -> str:
    """Every leaf, score commitment and certificate is signed by whom it must be."""
    found = 0
    for trace in case.replay.rounds:
        with _in_round(trace.number):
            own = [c for c in case.history.certificates if c.round == trace.number]
            found += check_certificates(case.history.federation, trace, own)
    for trace, item in case.certified():
        with _in_round(trace.number):
            found += check_signatures(trace, item)
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
    earlier: list[bytes] = []
    evidences: list[tuple[FederationConfig, RoundEvidence]] = []
    copies: dict[int, Mapping[int, int]] = {}
    for trace, item in case.certified():
        joined = len(trace.epoch.members) - len(reputations)
        reputations = (*reputations, *(NEWCOMER,) * joined)
        with _in_round(trace.number):
            past = past_updates(trace.epoch.config, evidences, case.history.blobs, trace.number, copies)
            outcome = replay_decision(trace, base, earlier, reputations, item, past, case.history.blobs)
        earlier.insert(0, base.hash())
        base, reputations = outcome.model, outcome.reputations
        evidences.append((trace.epoch.config, item.evidence))
        copies[trace.number] = authors_of_copies(outcome.verdicts)
    return f"{len(evidences)} decisions, bit for bit"


# 12
def final_transcript(case: Case) -> str:
    """The last transcript is the one that the chain held."""
    t = case.replay.state.transcript
    same("the last transcript", t, case.history.head.transcript)
    _as_trusted("the last transcript", t, case.trust.final_transcript)
    return f"{to_hex(t)} at block {case.history.head.number}"


def _after_genesis(events: Sequence[LedgerEvent]) -> int:
    """Return how many events the deployment makes: members, Genesis, and whose it is."""
    return 2 + next(place for place, event in enumerate(events) if isinstance(event, Genesis))


def _told(replay: Replay) -> str:
    """Return how many rounds ended how, and what else happened."""
    phases = [trace.phase.name.lower() for trace in replay.rounds]
    counts = ", ".join(f"{phases.count(phase)} {phase}" for phase in sorted(set(phases)))
    found = [f"{len(phases)} rounds ({counts})" if phases else "no rounds"]
    others = {
        "disputes": len(replay.disputes),
        "void certificates": sum(len(trace.fell) for trace in replay.rounds),
        "later epochs": len(replay.epochs) - 1,
    }
    found += [f"{what}: {count}" for what, count in others.items() if count]
    return "; ".join(found)


def _places(config: FederationConfig) -> str:
    return f"{', '.join(map(str, config.committee))}, quorum {config.quorum}"


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
