"""A small federation, walked in integers with real keys: four nodes, an abort, a forced leaf, a copy."""

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
    Forced,
    Genesis,
    LedgerEvent,
    MemberRegistered,
    Place,
    Scored,
    Sealed,
)
from ledgerfed.consensus import RoundInput, decide
from ledgerfed.consensus.authenticate import score_root, scored_transcript, seal_root, sealed_transcript
from ledgerfed.consensus.history import past_updates
from ledgerfed.protocol import transcript
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.configuration import FederationConfig, Gates, Windows
from ledgerfed.protocol.evidence import ForcedLeaf, RoundEvidence, SignedLeaf, SignedScoreCommitment
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.manifest import Outcome
from ledgerfed.protocol.model import GlobalModel, encode_model
from ledgerfed.protocol.payload import InformationUpdate, decode_update, encode_update, update_hash
from ledgerfed.protocol.reputation import Evidence, Reputation, reputation_tree
from ledgerfed.protocol.score import NOT_HELD, ONE, ScoreVector
from ledgerfed.protocol.signature import address_of, sign_digest
from ledgerfed.protocol.transcript import Phase
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
        committee=4,
        min_updates=2,
        windows=Windows(commit=10, force=4, score=10, certify=10, challenge=2),
        gates=Gates(
            max_payload_bytes=4096,
            root_bound=ONE,
            noise_band=8 * ONE,
            norm_bound=4 * ONE,
            base_distance=64,
            copy_alignment_bits=12,
            copy_memory=2,
            outlier_factor=64 * ONE,
            score_floor=-ONE // 2,
            trace_cap=4 * ONE,
            sample_cap=4 * ONE,
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
        family=keccak(family),
        n_samples=SAMPLES,
        s2=1 << 30,
        residual=SAMPLES << 16,
        exponents=(EXPONENT,) * WIDTH,
        upper=tuple(m for row in rows for m in row),
        z=tuple(z),
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
        """Mine the block `at` (the next one unless said) with one event."""
        self.block = self.block + 1 if at is None else at
        self.events.append(kind(self.place(), *values))


@dataclass
class Walk:
    """A federation that walks rounds. `keys` are by registry index, the rest is what the ledger holds."""

    config: FederationConfig
    keys: tuple[bytes, ...]
    random: Random
    federation: Federation = FEDERATION
    chain: Chain = field(default_factory=Chain)
    blobs: dict[bytes, bytes] = field(default_factory=dict)
    certificates: list[Certificate] = field(default_factory=list)
    evidences: list[RoundEvidence] = field(default_factory=list)
    number: int = 1
    end: int = 0
    t: bytes = b""
    reputations: tuple[Reputation, ...] = ()
    model: GlobalModel | None = None
    decides_by: FederationConfig | None = None

    @property
    def members(self) -> tuple[bytes, ...]:
        return tuple(address_of(key) for key in self.keys)

    def put(self, blob: bytes) -> bytes:
        self.blobs[keccak(blob)] = blob
        return keccak(blob)

    def begin(self) -> None:
        config, chain = self.config, self.chain
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
        chain.events.append(Genesis(chain.place(len(self.keys)), *facts, config.min_updates))
        self.end = chain.block

    def relayer(self) -> bytes:
        return self.members[int.from_bytes(self.t, "big") % self.config.committee]

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
        relayer, root = self.relayer(), seal_root(self.config, evidence)
        self.t = sealed_transcript(self.config, evidence)
        self.chain.emit(Sealed, self.number, root, len(leaves), relayer, self.t, at=self.end + 1)
        self.end = self.chain.block + self.config.windows.force
        return evidence

    def force(self, evidence: RoundEvidence, opening: Opening) -> RoundEvidence:
        leaf = opening.leaf(self.federation)
        evidence = replace(evidence, forced=(*evidence.forced, ForcedLeaf(opening.index, leaf)))
        self.t = sealed_transcript(self.config, evidence)
        self.chain.emit(Forced, self.number, opening.index, leaf, self.t)
        return evidence

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
            for validator in range(self.config.committee)
        ]
        commitments = []
        for reveal in reveals:
            commitment = reveal.commitment(self.federation)
            digest = score_commitment_digest(self.federation, self.number, reveal.index, commitment, self.t)
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
        root, anyone = score_root(self.config, evidence), next(m for m in self.members if m != self.relayer())
        self.t = scored_transcript(self.config, evidence)
        self.chain.emit(Scored, self.number, root, anyone, self.t, at=late)
        self.end = self.chain.block + self.config.windows.certify
        return evidence

    def certify(
        self,
        evidence: RoundEvidence,
        payloads: dict[int, bytes],
        signers: Sequence[int],
        evidence_lie: Callable[[RoundEvidence], RoundEvidence] = honest,
        outcome_lie: Callable[[Outcome], Outcome] = honest,
    ) -> None:
        """Decide and certify; the lies are what a colluding quorum makes of evidence and outcome."""
        past = past_updates(self.config, self.evidences, self.blobs, self.number)
        held = {self.put(payload): payload for payload in payloads.values()}
        rules = self.decides_by or self.config
        outcome = decide(RoundInput(rules, self.model, self.reputations, evidence, held, past))
        evidence = evidence_lie(evidence)
        outcome = outcome_lie(replace(outcome, evidence=evidence.hash()))
        self.put(evidence.to_bytes())
        facts = (
            self.put(outcome.manifest().to_bytes()),
            self.put(encode_model(outcome.model)),
            outcome.reputation_root,
        )
        self.t = transcript.after_certify(self.t, self.number, *facts)
        digest = certificate_digest(self.federation, self.number, self.t)
        signatures = b"".join(sign_digest(self.keys[index], digest) for index in signers)
        self.certificates.append(Certificate(self.number, signatures))
        self.chain.emit(Certified, self.number, *facts, self.t)
        self.end = self.chain.block + self.config.windows.challenge
        self.model, self.reputations = outcome.model, outcome.reputations
        self.evidences.append(evidence)
        self.number += 1

    def abort(self, phase: Phase) -> None:
        windows = self.config.windows
        deadline = self.end + {Phase.OPEN: windows.commit, Phase.SEALED: windows.score}.get(phase, 0)
        self.t = transcript.after_abort(self.t, self.number, phase)
        self.chain.emit(Aborted, self.number, int(phase), self.t, at=deadline + 1)
        self.end = self.chain.block
        self.number += 1

    def payload(self, index: int) -> bytes:
        return make_update(self.random, self.config, self.model.hash(), b"node %d" % index)

    def copy_of(self, payload: bytes) -> bytes:
        """Return an update shown before as if it were new: on the current base, nudged."""
        update = decode_update(payload)
        return encode_update(replace(update, base_model=self.model.hash(), z=tuple(z + 5 for z in update.z)))

    def history(self) -> FederationHistory:
        head = ChainHead(self.chain.block + 3, keccak(b"head"), self.t)
        return FederationHistory(
            federation=self.federation,
            config=self.config.to_bytes(),
            code_hash=contract_code_hash(self.config),
            events=tuple(self.chain.events),
            certificates=tuple(self.certificates),
            head=head,
            blobs=self.blobs,
        )


def begin(seed: int = 1, config: FederationConfig | None = None) -> Walk:
    """Return a federation that has just been deployed."""
    keys = tuple(keccak(b"key" + bytes([seed, index])) for index in range(4))
    walk = Walk(config or make_config(), keys, Random(seed))
    walk.begin()
    return walk


def walk_round(
    walk: Walk,
    signers: Sequence[int] = (0, 1, 3),
    evidence_lie: Callable[[RoundEvidence], RoundEvidence] = honest,
    outcome_lie: Callable[[Outcome], Outcome] = honest,
) -> dict[int, bytes]:
    """Walk one certified round of all nodes and return the payloads."""
    payloads = {index: walk.payload(index) for index in range(4)}
    openings = list(walk.commit(payloads).values())
    evidence = walk.score(walk.seal(openings), openings, silent=3)
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
