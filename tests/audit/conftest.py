"""Small federations, walked in integers with real keys.

`walked`: four nodes, an abort, a forced leaf, a copy. `eventful`: a certificate that fell, a dispute beside
the committee, an aborted dispute, an epoch in which nodes join, leave and change keys, another owner.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from random import Random
from typing import TypeVar

import pytest

from ledgerfed.audit import Certificate, ChainHead, FederationHistory, write_bundle
from ledgerfed.audit.contract import contract_code_hash
from ledgerfed.audit.events import (
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
    OwnershipProposed,
    OwnershipTransferred,
    Place,
    Scored,
    Sealed,
)
from ledgerfed.consensus import RoundInput, decide
from ledgerfed.consensus.authenticate import score_root, seal_root, sealed_transcript
from ledgerfed.consensus.history import past_updates
from ledgerfed.protocol import transcript
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.change import VACANT, Change
from ledgerfed.protocol.configuration import FederationConfig, Gates, Windows
from ledgerfed.protocol.evidence import RoundEvidence, SignedLeaf, SignedScoreCommitment
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.manifest import Outcome
from ledgerfed.protocol.model import GlobalModel, encode_model
from ledgerfed.protocol.payload import InformationUpdate, decode_update, encode_update, update_hash
from ledgerfed.protocol.reputation import NEWCOMER, Evidence, Reputation, reputation_tree
from ledgerfed.protocol.score import NOT_HELD, ONE, ScoreVector
from ledgerfed.protocol.signature import address_of, sign_digest
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import (
    Abort,
    Certify,
    Dispute,
    EpochOpening,
    Fault,
    Force,
    Scores,
    Seal,
    Transition,
)
from ledgerfed.protocol.typed_data import certificate_digest, leaf_digest, score_commitment_digest

T = TypeVar("T")
FEDERATION = Federation(31337, keccak(b"the contract")[-20:])
WIDTH = 3
SAMPLES = 60
EXPONENT = 8
TRUTH = (0.5, 0.3, -0.2)


def make_config() -> FederationConfig:
    return FederationConfig(
        name="four stations",
        basis=canonical_json({"target": {"lags": [1]}, "channels": ["weekend", "rain"]}),
        width=WIDTH,
        depth=3,
        committee=(0, 1, 2, 3),
        min_updates=2,
        windows=Windows(commit=10, force=4, score=10, certify=10, challenge=2),
        gates=Gates(
            max_payload_bytes=4096,
            stale_rounds=2,
            stale_discount=ONE // 2,
            root_bound=ONE,
            noise_band=8 * ONE,
            norm_bound=4 * ONE,
            base_distance=64,
            copy_alignment_bits=12,
            copy_memory=2,
            moment_band=64 * ONE,
            lag_spread=4 * ONE,
            twin_alignment_bits=12,
            twin_distance=0,
            ring_distance=0,
            outlier_factor=64 * ONE,
            score_floor=-ONE // 2,
            regret_limit=4 * ONE,
            regret_scale=4 * ONE,
            trace_cap=4 * ONE,
            sample_cap=4 * ONE,
            model_root_bound=ONE + ONE // 64,
            drift_share=ONE // 4,
        ),
        genesis_reputation=Reputation(Evidence(8 * ONE, 0), Evidence(8 * ONE, 0)),
        prior=1 << 20,
        theta_scale=40,
        precision_scale=32,
    )


def make_update(random: Random, config: FederationConfig, base_model: bytes, family: bytes) -> bytes:
    """Return the payload of an honest node: R about sqrt(n), z = R theta + unit noise."""
    unit = 1 << EXPONENT
    rows = [
        [round(unit * (random.uniform(7, 12) if j == i else random.uniform(-3, 3))) for j in range(i, WIDTH)]
        for i in range(WIDTH)
    ]
    z = [
        round(sum(m * TRUTH[i + k] for k, m in enumerate(row)) + unit * random.gauss(0, 1))
        for i, row in enumerate(rows)
    ]
    update = InformationUpdate(
        schema=config.schema,
        base_model=base_model,
        family=keccak(family)[:4],
        n_samples=SAMPLES,
        s2=1 << 30,
        residual=SAMPLES << 16,
        exponents=(EXPONENT,) * WIDTH,
        upper=tuple(m for row in rows for m in row),
        z=tuple(z),
        bits=16,
    )
    return encode_update(update)


def honest(value: T) -> T:
    """The lie that is none."""
    return value


@dataclass
class Chain:
    """What the contract would emit, one transaction a block, timestamps 12 s apart."""

    block: int = 7
    events: list[LedgerEvent] = field(default_factory=list)

    def place(self, log_index: int = 0) -> Place:
        tag, time = str(self.block).encode(), 1_700_000_000 + 12 * self.block
        return Place(self.block, keccak(b"block" + tag), keccak(b"tx" + tag), log_index, time)

    def emit(self, kind: type[LedgerEvent], *values: object, at: int | None = None) -> None:
        """Mine the block `at`, or the next one if that has gone or none is named, with one event."""
        self.block = max(self.block + 1, at or 0)
        self.events.append(kind(self.place(), *values))

    def also(self, kind: type[LedgerEvent], *values: object) -> None:
        """Emit one more event in the last transaction."""
        self.events.append(kind(self.place(self.events[-1].at.log_index + 1), *values))


@dataclass
class Walk:
    """A federation that walks rounds. `keys` are by registry index, the rest is what the ledger holds.

    `faulted` are the culprits since the last certificate; `before` is what a dispute goes back to.
    """

    config: FederationConfig
    keys: tuple[bytes | None, ...]
    random: Random
    federation: Federation = FEDERATION
    chain: Chain = field(default_factory=Chain)
    blobs: dict[bytes, bytes] = field(default_factory=dict)
    certificates: list[Certificate] = field(default_factory=list)
    evidences: list[RoundEvidence] = field(default_factory=list)
    rules: list[FederationConfig] = field(default_factory=list)
    earlier: list[bytes] = field(default_factory=list)
    number: int = 1
    epoch: int = 0
    end: int = 0
    t: bytes = b""
    owner: bytes = keccak(b"the owner")[-20:]
    reputations: tuple[Reputation, ...] = ()
    removed: frozenset[int] = frozenset()
    faulted: frozenset[int] = frozenset()
    model: GlobalModel | None = None
    decides_by: FederationConfig | None = None
    before: tuple[GlobalModel, tuple[Reputation, ...], frozenset[int], list[bytes], Certify] | None = None
    genesis: FederationConfig | None = None

    @property
    def members(self) -> tuple[bytes, ...]:
        return tuple(VACANT if key is None else address_of(key) for key in self.keys)

    @property
    def validators(self) -> list[int]:
        """The committee members that are still there, by index."""
        return [index for index in self.config.committee if index not in self.removed]

    def put(self, blob: bytes) -> bytes:
        self.blobs[keccak(blob)] = blob
        return keccak(blob)

    def move(self, step: Transition) -> bytes:
        """Extend the transcript."""
        self.t = step.after(self.t)
        return self.t

    def begin(self) -> None:
        config, chain = self.config, self.chain
        self.genesis = config
        self.reputations = (config.genesis_reputation,) * len(self.keys)
        self.model = config.genesis_model()
        model = self.put(encode_model(self.model))
        root = reputation_tree(self.reputations, config.depth).root
        registry = transcript.registry_hash(self.members)
        self.t = transcript.genesis(self.federation, config.hash(), registry, model, root)
        for index, member in enumerate(self.members):
            chain.events.append(MemberRegistered(chain.place(index), index, member, 0))
        w = config.windows
        windows = (w.commit, w.force, w.score, w.certify, w.challenge)
        facts = (config.hash(), registry, model, root, self.t, config.committee, config.depth, windows)
        chain.also(Genesis, *facts, config.min_updates, config.leaves_on_chain)
        chain.also(OwnershipTransferred, VACANT, self.owner)
        self.end = chain.block

    def relayer(self, window: int) -> tuple[bytes, int]:
        """Return who relays, and in which block: the turn at once, or somebody else late."""
        committee = self.config.committee
        turn = committee[int.from_bytes(self.t, "big") % len(committee)]
        if turn in self.validators:
            return self.members[turn], self.end + 1
        return self.members[self.validators[0]], self.end + window // 2 + 1

    def commit(self, payloads: dict[int, bytes]) -> dict[int, Opening]:
        """Return the openings of the nodes' payloads."""
        return {
            index: Opening(
                self.number,
                index,
                self.model.hash(),
                update_hash(payload),
                SAMPLES,
                self.config.schema,
                keccak(b"salt" + bytes([self.number, index])),
            )
            for index, payload in payloads.items()
        }

    def seal(self, openings: Sequence[Opening]) -> RoundEvidence:
        """Seal the leaves of the openings and return the evidence so far."""
        deadline, leaves = self.end + self.config.windows.commit, []
        for opening in openings:
            leaf = opening.leaf(self.federation)
            digest = leaf_digest(self.federation, self.number, opening.index, leaf, self.t, deadline)
            leaves.append(
                SignedLeaf(opening.index, leaf, deadline, sign_digest(self.keys[opening.index], digest))
            )
        evidence = RoundEvidence(self.federation, self.number, self.t, tuple(leaves), (), (), (), ())
        (relayer, at), root = self.relayer(self.config.windows.commit), seal_root(self.config, evidence)
        t = self.move(Seal(self.number, root, len(leaves)))
        self.chain.emit(Sealed, self.number, root, len(leaves), relayer, t, at=at)
        self.end, self.before = self.chain.block + self.config.windows.force, None
        return evidence

    def force(self, evidence: RoundEvidence, opening: Opening) -> RoundEvidence:
        step = Force(self.number, opening.index, opening.leaf(self.federation))
        self.chain.emit(Forced, self.number, step.index, step.leaf, self.move(step))
        return replace(evidence, history=(*evidence.history, step))

    def score(self, evidence: RoundEvidence, openings: Sequence[Opening], silent: int) -> RoundEvidence:
        """Commit to scores, anchor them in the second half of the window, reveal; `silent` never reveals."""
        held = {opening.index for opening in openings}
        reveals = [
            ScoreVector(
                self.number,
                validator,
                tuple(
                    2000 + 100 * validator + index if index in held else NOT_HELD
                    for index in range(self.config.capacity)
                ),
                keccak(b"score salt" + bytes([self.number, validator])),
            )
            for validator in self.validators
        ]
        commitments, sealed = [], sealed_transcript(self.config, evidence)
        for reveal in reveals:
            commitment = reveal.commitment(self.federation)
            digest = score_commitment_digest(self.federation, self.number, reveal.index, commitment, sealed)
            commitments.append(
                SignedScoreCommitment(reveal.index, commitment, sign_digest(self.keys[reveal.index], digest))
            )
        evidence = replace(
            evidence,
            openings=tuple(openings),
            commitments=tuple(commitments),
            reveals=tuple(reveal for reveal in reveals if reveal.index != silent),
        )
        late = self.end + self.config.windows.score // 2 + 1
        turn = self.relayer(self.config.windows.score)[0]
        anyone = next(self.members[v] for v in self.validators if self.members[v] != turn)
        step = Scores(self.number, score_root(self.config, evidence))
        self.chain.emit(Scored, self.number, step.root, anyone, self.move(step), at=late)
        self.end = self.chain.block + self.config.windows.certify
        return replace(evidence, history=(*evidence.history, step))

    def certify(
        self,
        evidence: RoundEvidence,
        payloads: dict[int, bytes],
        signers: Sequence[int],
        evidence_lie: Callable[[RoundEvidence], RoundEvidence] = honest,
        outcome_lie: Callable[[Outcome], Outcome] = honest,
    ) -> None:
        """Decide and certify; the lies are what a colluding quorum makes of evidence and outcome."""
        past = past_updates(
            self.config, list(zip(self.rules, self.evidences, strict=True)), self.blobs, self.number
        )
        held = {self.put(payload): payload for payload in payloads.values()}
        rules = self.decides_by or self.config
        standing = self.model, self.reputations, evidence, held, past, self.faulted
        outcome = decide(RoundInput(rules, *standing, tuple(self.earlier)))
        evidence = evidence_lie(evidence)
        outcome = outcome_lie(replace(outcome, evidence=evidence.hash()))
        enclosed = [self.put(evidence.to_bytes()), self.put(outcome.manifest().to_bytes())]
        enclosed.append(self.put(encode_model(outcome.model)))
        step = Certify(self.number, *enclosed[1:], outcome.reputation_root)
        digest = certificate_digest(self.federation, self.number, self.move(step))
        signatures = b"".join(sign_digest(self.keys[index], digest) for index in signers)
        self.certificates.append(Certificate(self.number, signatures))
        self.chain.emit(Certified, self.number, *enclosed[1:], outcome.reputation_root, self.t)
        self.end = self.chain.block + self.config.windows.challenge
        self.before = (self.model, self.reputations, self.faulted, enclosed, step)
        self.earlier.insert(0, self.model.hash())
        self.model, self.reputations, self.faulted = outcome.model, outcome.reputations, frozenset()
        self.evidences.append(evidence)
        self.rules.append(self.config)
        self.number += 1

    def dispute(
        self, fault: Fault, culprits: int, number: int, evidence: RoundEvidence, contested: bool = False
    ) -> RoundEvidence:
        """Prove a fault of round `number` and return the evidence of the round that it belongs to now."""
        step = Dispute(number, int(fault), culprits, keccak(b"proof" + self.t))
        self.move(step)
        self.chain.emit(Disputed, number, int(fault), culprits, step.proof, contested, self.t)
        convicted = step.indices(self.config.committee)
        self.removed |= convicted
        self.faulted |= convicted
        history = [step]
        if contested:
            model, reputations, faulted, enclosed, certified = self.before
            self.model, self.reputations, self.faulted = model, reputations, self.faulted | faulted
            for digest in enclosed:
                del self.blobs[digest]
            self.evidences.pop()
            self.earlier.pop(0)
            self.rules.pop()
            self.number -= 1
            history = [certified, step]
        if len(self.validators) < self.config.quorum:
            self.move(Abort(self.number, Phase.DISPUTED))
            self.chain.also(Aborted, self.number, int(Phase.DISPUTED), self.t)
            self.end, self.before = self.chain.block, None
            self.number += 1
            return evidence
        if any(isinstance(done, Scores) for done in evidence.history):
            self.end = self.chain.block + self.config.windows.certify
        reveals = tuple(reveal for reveal in evidence.reveals if reveal.index not in self.removed)
        return replace(evidence, history=(*evidence.history, *history), reveals=reveals)

    def propose(self, change: Change) -> None:
        self.chain.emit(EpochProposed, self.epoch + 1, change)

    def open_epoch(self, change: Change, config: FederationConfig, keys: tuple[bytes | None, ...]) -> None:
        """Open the epoch of a change, for the configuration and the keys that it leads to."""
        self.epoch += 1
        self.put(config.to_bytes())
        self.chain.block = max(self.chain.block, self.end) + 1
        before, entries = self.members, []
        for index, address in zip(change.indices, change.addresses, strict=True):
            if index < len(before):
                entries.append((MemberLeft, index, before[index], self.epoch))
            if address != VACANT:
                entries.append((MemberRegistered, index, address, self.epoch))
        t = self.move(EpochOpening(self.number, self.epoch, change.hash()))
        entries.append((EpochOpened, self.epoch, self.number, change.config_hash, change.hash(), t))
        for position, (kind, *values) in enumerate(entries):
            self.chain.events.append(kind(self.chain.place(position), *values))
        self.config, self.keys, self.removed = config, keys, frozenset()
        self.reputations += (NEWCOMER,) * (len(keys) - len(self.reputations))
        self.end, self.before = self.chain.block, None

    def hand_over(self, successor: bytes) -> None:
        self.chain.emit(OwnershipProposed, self.owner, successor)
        self.chain.emit(OwnershipTransferred, self.owner, successor)
        self.owner = successor

    def abort(self, phase: Phase) -> None:
        windows = self.config.windows
        deadline = self.end + {Phase.OPEN: windows.commit, Phase.SEALED: windows.score}.get(phase, 0)
        self.move(Abort(self.number, phase))
        self.chain.emit(Aborted, self.number, int(phase), self.t, at=deadline + 1)
        self.end, self.before = self.chain.block, None
        self.number += 1

    def payload(self, index: int) -> bytes:
        return make_update(self.random, self.config, self.model.hash(), b"node %d" % index)

    def copy_of(self, payload: bytes) -> bytes:
        """Return an update shown before as if it were new: on the current base, nudged."""
        opening = Opening(1, 0, self.model.hash(), bytes(32), SAMPLES, self.config.schema, bytes(32))
        update = decode_update(payload, opening)
        return encode_update(replace(update, z=tuple(z + 5 for z in update.z)))

    def history(self) -> FederationHistory:
        head = ChainHead(self.chain.block + 3, keccak(b"head"), self.t)
        return FederationHistory(
            federation=self.federation,
            config=self.genesis.to_bytes(),
            code_hash=contract_code_hash(self.genesis),
            events=tuple(self.chain.events),
            certificates=tuple(self.certificates),
            head=head,
            blobs=self.blobs,
        )


def key(seed: int, index: int) -> bytes:
    return keccak(b"key" + bytes([seed, index]))


def begin(seed: int = 1, config: FederationConfig | None = None, nodes: int = 4) -> Walk:
    """Return a federation that has just been deployed."""
    keys = tuple(key(seed, index) for index in range(nodes))
    walk = Walk(config or make_config(), keys, Random(seed))
    walk.begin()
    return walk


def walk_to_scores(
    walk: Walk, nodes: Sequence[int] = range(4), silent: int = -1
) -> tuple[RoundEvidence, dict[int, bytes]]:
    """Walk a round until its scores are anchored; return the evidence so far and the payloads."""
    payloads = {index: walk.payload(index) for index in nodes}
    openings = list(walk.commit(payloads).values())
    return walk.score(walk.seal(openings), openings, silent), payloads


def walk_round(
    walk: Walk,
    signers: Sequence[int] = (0, 1, 3),
    evidence_lie: Callable[[RoundEvidence], RoundEvidence] = honest,
    outcome_lie: Callable[[Outcome], Outcome] = honest,
) -> dict[int, bytes]:
    """Walk one certified round of all nodes and return the payloads."""
    evidence, payloads = walk_to_scores(walk, silent=3)
    walk.certify(evidence, payloads, signers, evidence_lie, outcome_lie)
    return payloads


def walk_three_rounds(seed: int = 1) -> Walk:
    """Round 1 is certified; round 2 times out after a seal; in 3 node 3 forces and node 2 copies node 1."""
    walk = begin(seed)
    shown = walk_round(walk)[1]

    walk.seal(list(walk.commit({index: walk.payload(index) for index in range(3)}).values()))
    walk.abort(Phase.SEALED)

    payloads = {index: walk.payload(index) for index in range(4)} | {2: walk.copy_of(shown)}
    openings = list(walk.commit(payloads).values())
    evidence = walk.force(walk.seal(openings[:3]), openings[3])
    walk.certify(walk.score(evidence, openings, silent=4), payloads, (0, 1, 2, 3))
    return walk


def next_epoch(walk: Walk) -> tuple[Change, FederationConfig, tuple[bytes | None, ...]]:
    """Return what the second epoch is: node 3 leaves, 2 has a new key, 5 joins, and another committee."""
    gates = replace(walk.config.gates, score_floor=-ONE // 4)
    config = replace(walk.config, committee=(0, 1, 2, 5), gates=gates)
    keys = (*walk.keys[:2], key(9, 2), None, walk.keys[4], key(9, 5))
    addresses = (address_of(keys[2]), VACANT, address_of(keys[5]))
    change = Change(config.hash(), config.min_updates, config.committee, (2, 3, 5), addresses)
    return change, config, keys


def walk_eventful(told: Callable[[Walk, str], None] = lambda walk, moment: None, until: str = "") -> Walk:
    """Walk five members through disputes and an epoch; `told` hears of every moment, `until` is the last.

    1: the certificate falls because node 3 signed two; decided again without it. 2: node 4, which is not on
    the committee, signed two leaves. 3: node 2 committed to two score vectors, too few are left, the round
    aborts. Then epoch 1 opens, 4 is certified by its committee, and 5 too, inside its challenge window.
    """
    walk = begin(nodes=5)
    moments = ("certified", "contested", "beside", "proposed", "aborted", "opened", "decided", "last")

    def reached(moment: str) -> bool:
        assert moment in moments
        told(walk, moment)
        return moment == until

    evidence, payloads = walk_to_scores(walk, range(5))
    walk.certify(evidence, payloads, (0, 1, 3))
    if reached("certified"):
        return walk
    evidence = walk.dispute(Fault.TWO_CERTIFICATES, 3, 1, evidence, contested=True)
    if reached("contested"):
        return walk
    walk.certify(evidence, payloads, (0, 1, 2))

    payloads = {index: walk.payload(index) for index in (0, 1, 2, 4)}
    openings = list(walk.commit(payloads).values())
    evidence = walk.dispute(Fault.TWO_LEAVES, 4, 2, walk.seal(openings))
    if reached("beside"):
        return walk
    walk.certify(walk.score(evidence, openings, silent=-1), payloads, (0, 1, 2))

    change, config, keys = next_epoch(walk)
    walk.propose(replace(change, min_updates=1))
    walk.hand_over(keccak(b"another owner")[-20:])
    evidence, _ = walk_to_scores(walk, (0, 1, 2))
    walk.propose(change)
    if reached("proposed"):
        return walk
    walk.dispute(Fault.TWO_COMMITMENTS, 2, 3, evidence)
    if reached("aborted"):
        return walk
    walk.open_epoch(change, config, keys)
    if reached("opened"):
        return walk

    evidence, payloads = walk_to_scores(walk, (0, 1, 2, 4, 5))
    walk.certify(evidence, payloads, (1, 2, 5))
    if reached("decided"):
        return walk
    evidence, payloads = walk_to_scores(walk, (0, 1, 5))
    walk.certify(evidence, payloads, (0, 1, 2, 5))
    reached("last")
    return walk


@pytest.fixture(scope="session")
def walked() -> Walk:
    return walk_three_rounds()


@pytest.fixture(scope="session")
def history(walked: Walk) -> FederationHistory:
    return walked.history()


@pytest.fixture(scope="session")
def begun() -> Callable[..., Walk]:
    return begin


@pytest.fixture(scope="session")
def walk_one() -> Callable[..., dict[int, bytes]]:
    return walk_round


@pytest.fixture(scope="session")
def walk_three() -> Callable[..., Walk]:
    return walk_three_rounds


@pytest.fixture(scope="session")
def bundle(history: FederationHistory, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audit") / "federation.zip"
    write_bundle(history, path)
    return path


@pytest.fixture(scope="session")
def walk_scores() -> Callable[..., tuple[RoundEvidence, dict[int, bytes]]]:
    return walk_to_scores


@pytest.fixture(scope="session")
def walk_events() -> Callable[..., Walk]:
    return walk_eventful


@pytest.fixture(scope="session")
def second_epoch() -> Callable[..., tuple[Change, FederationConfig, tuple[bytes | None, ...]]]:
    return next_epoch


@pytest.fixture(scope="session")
def eventful() -> Walk:
    return walk_eventful()


@pytest.fixture(scope="session")
def eventful_bundle(eventful: Walk, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("audit") / "eventful.zip"
    write_bundle(eventful.history(), path)
    return path
