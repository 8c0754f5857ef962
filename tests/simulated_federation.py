"""A federation without a chain: every event, document and signature is real, only the blocks are made here.

Its knobs are the lies and accidents of a chain: forks, missing documents, lost and changed events. Programs
that index and serve a federation are tested with it; what the contract itself does is tested on a devnet.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace

from ledgerfed.protocol import transcript as after
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.configuration import FederationConfig, Gates, Windows
from ledgerfed.protocol.evidence import (
    ForcedLeaf,
    RoundEvidence,
    SignedLeaf,
    SignedScoreCommitment,
)
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.fixedpoint import FixedVector
from ledgerfed.protocol.hashing import EMPTY, keccak, to_hex, word
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.manifest import Manifest, Outcome, Reason, Verdict
from ledgerfed.protocol.merkle import build_tree
from ledgerfed.protocol.model import GlobalModel, encode_model, genesis_model
from ledgerfed.protocol.payload import InformationUpdate, encode_update, update_hash
from ledgerfed.protocol.reputation import Evidence, Reputation, reputation_tree
from ledgerfed.protocol.score import GATED, NOT_HELD, ONE, ScoreVector
from ledgerfed.protocol.signature import address_of, sign_digest
from ledgerfed.protocol.typed_data import (
    certificate_digest,
    leaf_digest,
    score_commitment_digest,
)
from ledgerfed.store import BlobStore
from ledgerfed.store.records import BlockRecord, EventRecord

FIRST_BLOCK = 3
FIRST_TIME = 1_750_000_000
BLOCK_SECONDS = 12


@dataclass(frozen=True)
class Standing:
    """What the contract and the nodes hold after a block."""

    round: int
    t: bytes
    opened_at: bytes
    model: GlobalModel
    reputations: tuple[Reputation, ...]
    leaves: tuple[SignedLeaf, ...] = ()
    openings: tuple[Opening, ...] = ()
    forced: tuple[ForcedLeaf, ...] = ()
    vectors: tuple[ScoreVector, ...] = ()
    commitments: tuple[SignedScoreCommitment, ...] = ()
    refused: Mapping[int, Reason] = field(default_factory=dict)


class SimulatedFederation:
    """`EventSource` of the observer, and the steps of a round. Documents go to `blobs`."""

    def __init__(self, blobs: BlobStore, nodes: int = 4, committee: int = 4, name: str = "demo") -> None:
        self.blobs = blobs
        self.keys = [keccak(b"simulated node" + word(index)) for index in range(nodes)]
        self.members = [address_of(key) for key in self.keys]
        self.federation = Federation(31337, keccak(name.encode())[-20:])
        self.config = _configuration(name, committee, depth=max(1, (nodes - 1).bit_length()))
        self._branch = b""
        self.tags = {"safe": -1, "finalized": -1}
        self._blocks: list[tuple[BlockRecord, tuple[EventRecord, ...], Standing | None]] = []
        for _ in range(FIRST_BLOCK):
            self.mine()
        self._begin()

    # ---- the chain, as the observer asks it ----

    def head(self) -> BlockRecord:
        return self._blocks[-1][0]

    def block(self, number: int) -> BlockRecord | None:
        return self._blocks[number][0] if number < len(self._blocks) else None

    def tagged(self, tag: str) -> int:
        return self.tags[tag]

    def events(self, block_hash: bytes) -> Sequence[EventRecord]:
        return next(events for block, events, _ in self._blocks if block.hash == block_hash)

    # ---- what happens on it ----

    @property
    def now(self) -> Standing:
        standing = self._blocks[-1][2]
        assert standing is not None
        return standing

    def mine(self, count: int = 1) -> None:
        """Add empty blocks."""
        for _ in range(count):
            self._append((), self._blocks[-1][2] if self._blocks else None)

    def fork(self, back: int, branch: bytes) -> None:
        """Take back the last blocks; what is mined now has other hashes."""
        del self._blocks[len(self._blocks) - back :]
        self._branch = branch

    def forge(self, number: int, events: Sequence[EventRecord]) -> None:
        """Let the block of a height tell other events than happened."""
        block, _, standing = self._blocks[number]
        self._blocks[number] = (block, tuple(events), standing)

    def run_round(
        self,
        refused: Mapping[int, Reason] | None = None,
        absent: Collection[int] = (),
        forced: Collection[int] = (),
        withheld: Collection[int] = (),
        *,
        publish: bool = True,
    ) -> Manifest:
        """Walk one round from seal to certificate, one block each."""
        self.seal(refused, absent, forced, withheld)
        for node in forced:
            self.force(node)
        self.score()
        return self.certify(publish=publish)

    def seal(
        self,
        refused: Mapping[int, Reason] | None = None,
        absent: Collection[int] = (),
        forced: Collection[int] = (),
        withheld: Collection[int] = (),
    ) -> None:
        """Seal the leaves of all nodes but the absent ones and those who will force theirs."""
        now, leaves, openings = self.now, [], []
        for node in (n for n in range(len(self.keys)) if n not in absent):
            opening = self._opening(node)
            if node not in withheld:
                openings.append(opening)
            if node not in forced:
                leaves.append(self._signed_leaf(opening))
        reasons = dict(refused or {}) | dict.fromkeys(absent, Reason.ABSENT)
        reasons |= dict.fromkeys(withheld, Reason.WITHHELD)
        root = build_tree({leaf.index: leaf.leaf for leaf in leaves}, self.config.depth).root
        t = after.after_seal(now.t, now.round, root, len(leaves))
        sealed = replace(now, t=t, leaves=tuple(leaves), openings=tuple(openings), refused=reasons)
        self._happen(
            sealed, "Sealed", round=now.round, root=root, n=len(leaves), relayer=self.members[0], transcript=t
        )

    def force(self, node: int) -> None:
        """Let a node put its own leaf in."""
        now = self.now
        leaf = self._opening(node).leaf(self.federation)
        t = after.after_force(now.t, now.round, node, leaf)
        forced = replace(now, t=t, forced=(*now.forced, ForcedLeaf(node, leaf)))
        self._happen(forced, "Forced", round=now.round, index=node, leaf=leaf, transcript=t)

    def score(self) -> None:
        """Anchor the score commitments of the committee."""
        now = self.now
        vectors = [self._vector(index) for index in range(self.config.committee)]
        commitments = [self._commitment(vector) for vector in vectors]
        root = build_tree({c.index: c.commitment for c in commitments}, self.config.depth).root
        t = after.after_scores(now.t, now.round, root)
        scored = replace(now, t=t, vectors=tuple(vectors), commitments=tuple(commitments))
        self._happen(scored, "Scored", round=now.round, root=root, relayer=self.members[0], transcript=t)

    def certify(self, *, publish: bool = True) -> Manifest:
        """Certify the outcome; without `publish` manifest and evidence stay with the nodes."""
        now, evidence = self.now, self._evidence()
        outcome = self._outcome(evidence)
        manifest = outcome.manifest()
        self.blobs.put(encode_model(outcome.model))
        if publish:
            self.publish(manifest, evidence)
        hashes = (manifest.hash(), manifest.model, manifest.reputation_root)
        t = after.after_certify(now.t, now.round, *hashes)
        digest = certificate_digest(self.federation, now.round, t)
        signatures = [to_hex(sign_digest(key, digest)) for key in self.keys[: self.config.quorum]]
        names = dict(zip(("manifest", "model", "reputations"), hashes, strict=True))
        following = Standing(now.round + 1, t, t, outcome.model, outcome.reputations)
        self._happen(following, "Certified", round=now.round, **names, transcript=t, signatures=signatures)
        return manifest

    def abort(self) -> None:
        """Give the round up in phase OPEN."""
        now = self.now
        t = after.after_abort(now.t, now.round, after.Phase.OPEN)
        following = Standing(now.round + 1, t, t, now.model, now.reputations)
        self._happen(following, "Aborted", round=now.round, phase=0, transcript=t)

    def publish(self, manifest: Manifest, evidence: RoundEvidence) -> None:
        """Hand the documents of a round to the store."""
        self.blobs.put(evidence.to_bytes())
        self.blobs.put(manifest.to_bytes())

    # ---- what the nodes say ----

    def payload(self, node: int, round_number: int) -> bytes:
        """The payload of a node in a round."""
        return encode_update(
            InformationUpdate(
                schema=self.config.schema,
                base_model=self.now.model.hash(),
                family=keccak(b"ar"),
                n_samples=60 + node,
                s2=1 << 32,
                residual=(60 + node) << 16,
                exponents=(8, 8),
                upper=(300 + node, round_number, 200),
                z=(100 * node, round_number),
            )
        )

    def _opening(self, node: int) -> Opening:
        now = self.now
        payload = self.payload(node, now.round)
        self.blobs.put(payload)
        salt = keccak(b"salt" + word(node) + word(now.round))
        return Opening(
            now.round, node, now.model.hash(), update_hash(payload), 60 + node, self.config.schema, salt
        )

    def _signed_leaf(self, opening: Opening) -> SignedLeaf:
        leaf, deadline = opening.leaf(self.federation), self.head().number + 50
        digest = leaf_digest(
            self.federation, opening.round, opening.index, leaf, self.now.opened_at, deadline
        )
        return SignedLeaf(opening.index, leaf, deadline, sign_digest(self.keys[opening.index], digest))

    def _vector(self, validator: int) -> ScoreVector:
        now = self.now
        held = {opening.index for opening in now.openings}
        scores = tuple(
            NOT_HELD if n not in held else GATED if n in now.refused else 1000 * (n + 1) - validator
            for n in range(1 << self.config.depth)
        )
        return ScoreVector(now.round, validator, scores, keccak(b"score salt" + word(validator)))

    def _commitment(self, vector: ScoreVector) -> SignedScoreCommitment:
        commitment = vector.commitment(self.federation)
        digest = score_commitment_digest(self.federation, vector.round, vector.index, commitment, self.now.t)
        return SignedScoreCommitment(vector.index, commitment, sign_digest(self.keys[vector.index], digest))

    def _evidence(self) -> RoundEvidence:
        now = self.now
        return RoundEvidence(
            self.federation,
            now.round,
            now.opened_at,
            now.leaves,
            now.forced,
            now.openings,
            now.commitments,
            now.vectors[: self.config.quorum],
        )

    def _outcome(self, evidence: RoundEvidence) -> Outcome:
        now = self.now
        verdicts = tuple(self._verdict(node) for node in range(len(self.keys)))
        theta = FixedVector((1000 * now.round, -now.round), self.config.theta_scale)
        model = replace(now.model, contributors=sum(v.admitted for v in verdicts), theta=theta)
        reputations = tuple(
            replace(r, trainer=_earned(r.trainer, verdict))
            for r, verdict in zip(now.reputations, verdicts, strict=True)
        )
        return Outcome(
            self.federation,
            now.round,
            now.model.hash(),
            evidence.hash(),
            verdicts,
            model,
            reputations,
            self.config.depth,
        )

    def _verdict(self, node: int) -> Verdict:
        reason = self.now.refused.get(node, Reason.ADMITTED)
        if reason is Reason.ADMITTED:
            return Verdict(node, reason, 1000 * (node + 1), ONE, (("distance", 7 * node), ("trace", 900)))
        measures = () if reason in (Reason.ABSENT, Reason.WITHHELD) else (("distance", 1 << 30),)
        return Verdict(node, reason, measures=measures)

    def _begin(self) -> None:
        config = self.config
        self.blobs.put(config.to_bytes())
        model = genesis_model(
            config.schema, config.width, config.prior, config.theta_scale, config.precision_scale
        )
        self.blobs.put(encode_model(model))
        reputations = (config.genesis_reputation,) * len(self.members)
        root = reputation_tree(reputations, config.depth).root
        registry = after.registry_hash(self.members)
        t = after.genesis(self.federation, config.hash(), registry, model.hash(), root)
        events: list[tuple[str, dict[str, object]]] = [
            ("MemberRegistered", {"index": index, "member": member, "epoch": 0})
            for index, member in enumerate(self.members)
        ]
        start = {
            "config_hash": config.hash(),
            "registry_hash": registry,
            "model": model.hash(),
            "reputations": root,
            "transcript": t,
            "committee": config.committee,
            "depth": config.depth,
            "windows": list(astuple(config.windows)),
            "min_updates": config.min_updates,
        }
        self._append((*events, ("Genesis", start)), Standing(1, t, t, model, reputations))

    def _happen(self, standing: Standing, kind: str, **arguments: object) -> None:
        self._append(((kind, arguments),), standing)

    def _append(self, events: Sequence[tuple[str, Mapping[str, object]]], standing: Standing | None) -> None:
        number = len(self._blocks)
        parent = self._blocks[-1][0].hash if self._blocks else EMPTY
        block_hash = keccak(parent + word(number) + self._branch + repr(events).encode())
        block = BlockRecord(number, block_hash, parent, FIRST_TIME + BLOCK_SECONDS * number)
        records = tuple(
            EventRecord(
                position,
                keccak(b"transaction" + block_hash),
                kind,
                int(str(arguments.get("round", 0))),
                {name: _spell(value) for name, value in arguments.items()},
            )
            for position, (kind, arguments) in enumerate(events)
        )
        self._blocks.append((block, records, standing))


def _earned(evidence: Evidence, verdict: Verdict) -> Evidence:
    if verdict.admitted:
        return Evidence(evidence.a * 7 // 8 + ONE, evidence.b)
    return Evidence(evidence.a, min(evidence.b + 4 * ONE, 1 << 24))


def _spell(value: object) -> object:
    return to_hex(value) if isinstance(value, bytes) else value


def _configuration(name: str, committee: int, depth: int) -> FederationConfig:
    gates = Gates(
        max_payload_bytes=4096,
        root_bound=2 * ONE,
        noise_band=64 * ONE,
        norm_bound=8 * ONE,
        base_distance=1,
        copy_alignment_bits=20,
        copy_memory=8,
        outlier_factor=8 * ONE,
        score_floor=-ONE,
        trace_cap=4 * ONE,
        sample_cap=2 * ONE,
    )
    return FederationConfig(
        name=name,
        basis=canonical_json({"target": {"lags": [1, 7]}}),
        width=2,
        depth=depth,
        committee=committee,
        min_updates=1,
        windows=Windows(commit=6, force=3, score=6, certify=6, challenge=2),
        gates=gates,
        genesis_reputation=Reputation(Evidence(ONE, 0), Evidence(ONE, 0)),
        prior=1 << 20,
        theta_scale=40,
        precision_scale=20,
    )
