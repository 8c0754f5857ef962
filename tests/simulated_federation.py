"""A federation without a chain: every event, document and signature is real, only the blocks are made here.

Its knobs are the lies and accidents of a chain: forks, missing documents, lost and changed events. Programs
that index and serve a federation are tested with it; what the contract itself does is tested on a devnet.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace

from ledgerfed.protocol import transcript as after
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.change import VACANT, Change
from ledgerfed.protocol.configuration import FederationConfig, Gates, Windows
from ledgerfed.protocol.evidence import RoundEvidence, SignedLeaf, SignedScoreCommitment
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.fixedpoint import FixedVector
from ledgerfed.protocol.hashing import EMPTY, keccak, to_hex, word
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.manifest import Manifest, Outcome, Reason, Verdict
from ledgerfed.protocol.merkle import build_tree
from ledgerfed.protocol.model import GlobalModel, encode_model, genesis_model
from ledgerfed.protocol.payload import InformationUpdate, encode_update, family_tag, update_hash
from ledgerfed.protocol.reputation import Evidence, Reputation, reputation_tree
from ledgerfed.protocol.score import GATED, NOT_HELD, ONE, ScoreVector
from ledgerfed.protocol.signature import address_of, sign_digest
from ledgerfed.protocol.transition import Certify, Dispute, Fault, Force, Scores, Transition
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
    members: tuple[bytes, ...]
    config: FederationConfig
    epoch: int = 0
    removed: frozenset[int] = frozenset()
    history: tuple[Transition, ...] = ()
    leaves: tuple[SignedLeaf, ...] = ()
    openings: tuple[Opening, ...] = ()
    vectors: tuple[ScoreVector, ...] = ()
    commitments: tuple[SignedScoreCommitment, ...] = ()
    refused: Mapping[int, Reason] = field(default_factory=dict)
    scored: Standing | None = None
    window_end: int = 0
    change: Change | None = None
    due: bool = False
    owner: bytes = VACANT

    @property
    def phase(self) -> after.Phase:
        """Where the round stands."""
        if self.commitments:
            return after.Phase.SCORED
        return after.Phase.SEALED if self.leaves else after.Phase.OPEN

    @property
    def validators(self) -> list[int]:
        """The registry indices of the committee that still have a part."""
        return [index for index in self.config.committee if index not in self.removed]

    def next(self, t: bytes, **changes: object) -> Standing:
        """The round after this one, as it opens."""
        opened = Standing(
            self.round + 1, t, t, self.model, self.reputations, self.members, self.config, self.epoch
        )
        kept = {"removed": self.removed, "owner": self.owner, "change": self.change}
        return replace(opened, due=self.change is not None, **kept | changes)


class SimulatedFederation:
    """`EventSource` of the observer, and the steps of a round. Documents go to `blobs`."""

    def __init__(
        self,
        blobs: BlobStore,
        nodes: int = 4,
        committee: int = 4,
        name: str = "demo",
        room: int = 0,
        owner: bytes = VACANT,
    ) -> None:
        self.blobs = blobs
        self.keys = [keccak(b"simulated node" + word(index)) for index in range(nodes)]
        self.members = [address_of(key) for key in self.keys]
        self._key_of = dict(zip(self.members, self.keys, strict=True))
        self.federation = Federation(31337, keccak(name.encode())[-20:])
        self.config = _configuration(name, committee, depth=max(1, (nodes + room - 1).bit_length()))
        self.owner = owner
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
        """Seal the leaves of all nodes but the absent ones and those who will force theirs.

        The blocks in which the round before can be challenged are mined first.
        """
        self.mine(max(0, self.now.window_end + 1 - len(self._blocks)))
        now, leaves, openings = self.now, [], []
        absent = {*absent, *(n for n, address in enumerate(now.members) if address == VACANT)}
        for node in (n for n in range(len(now.members)) if n not in absent):
            opening = self._opening(node)
            if node not in withheld:
                openings.append(opening)
            if node not in forced:
                leaves.append(self._signed_leaf(opening))
        reasons = dict(refused or {}) | dict.fromkeys(absent, Reason.ABSENT)
        reasons |= dict.fromkeys(withheld, Reason.WITHHELD)
        root = build_tree({leaf.index: leaf.leaf for leaf in leaves}, self.config.depth).root
        t = after.after_seal(now.t, now.round, root, len(leaves))
        said = {"leaves": tuple(leaves), "openings": tuple(openings), "refused": reasons}
        sealed = replace(now, t=t, opened_at=now.t, history=(), scored=None, **said)
        relayer = self.members[0]
        self._happen(
            sealed, "Sealed", round=now.round, root=root, n=len(leaves), relayer=relayer, transcript=t
        )

    def force(self, node: int) -> None:
        """Let a node put its own leaf in."""
        now = self.now
        leaf = self._opening(node).leaf(self.federation)
        step = Force(now.round, node, leaf)
        t = step.after(now.t)
        forced = replace(now, t=t, history=(*now.history, step))
        self._happen(forced, "Forced", round=now.round, index=node, leaf=leaf, transcript=t)

    def score(self) -> None:
        """Anchor the score commitments of the committee."""
        now = self.now
        vectors = [self._vector(index) for index in now.validators]
        commitments = [self._commitment(vector) for vector in vectors]
        root = build_tree({c.index: c.commitment for c in commitments}, self.config.depth).root
        step = Scores(now.round, root)
        t = step.after(now.t)
        said = {"vectors": tuple(vectors), "commitments": tuple(commitments)}
        scored = replace(now, t=t, history=(*now.history, step), **said)
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
        step = Certify(now.round, *hashes)
        t = step.after(now.t)
        digest = certificate_digest(self.federation, now.round, t)
        signers = now.validators[: now.config.quorum]
        signatures = [to_hex(self._sign(index, digest)) for index in signers]
        names = dict(zip(("manifest", "model", "reputations"), hashes, strict=True))
        following = now.next(
            t,
            model=outcome.model,
            reputations=outcome.reputations,
            scored=now,
            history=(*now.history, step),
            window_end=len(self._blocks) + now.config.windows.challenge,
        )
        self._happen(following, "Certified", round=now.round, **names, transcript=t, signatures=signatures)
        return manifest

    def abort(self) -> None:
        """Give the round up in the phase that it is in."""
        now = self.now
        t = after.after_abort(now.t, now.round, now.phase)
        self._happen(now.next(t), "Aborted", round=now.round, phase=int(now.phase), transcript=t)

    def dispute(
        self, culprits: int, fault: Fault = Fault.TWO_LEAVES, round_number: int | None = None
    ) -> None:
        """Prove a fault of a round, by default the current one; the contract's consequences follow."""
        now = self.now
        number = now.round if round_number is None else round_number
        step = Dispute(number, fault, culprits, keccak(b"proof" + now.t))
        t, before = step.after(now.t), now.scored
        contested = before is not None and number == now.round - 1 and len(self._blocks) <= now.window_end
        base = before if before is not None and contested else now
        after_dispute = replace(
            base,
            t=t,
            removed=now.removed | step.indices(now.config.committee),
            history=(*now.history, step),
            change=now.change,
            due=now.due,
        )
        if after_dispute.phase is after.Phase.OPEN:
            after_dispute = replace(after_dispute, opened_at=t)
        told = {"round": number, "fault": int(fault), "culprits": culprits, "proof": step.proof}
        disputed = ("Disputed", told | {"contested": contested, "transcript": t})
        too_few = len(after_dispute.validators) < now.config.quorum
        if after_dispute.phase is after.Phase.OPEN or not too_few:
            self._append((disputed,), after_dispute)
            return
        end = after.after_abort(t, after_dispute.round, after.Phase.DISPUTED)
        aborted = {"round": after_dispute.round, "phase": int(after.Phase.DISPUTED), "transcript": end}
        self._append((disputed, ("Aborted", aborted)), after_dispute.next(end))

    # ---- what the owner says ----

    def change(
        self,
        *,
        joins: int = 0,
        leaves: Collection[int] = (),
        rekeys: Collection[int] = (),
        committee: tuple[int, ...] | None = None,
    ) -> Change:
        """A change of the present registry; the configuration that it names is published."""
        now, entries = self.now, {}
        for node in (*rekeys, *range(len(now.members), len(now.members) + joins)):
            key = keccak(b"simulated key" + word(node) + word(now.epoch + 1))
            self._key_of[address_of(key)] = key
            entries[node] = address_of(key)
        entries |= dict.fromkeys(leaves, VACANT)
        config = replace(now.config, committee=committee or now.config.committee)
        ordered = sorted(entries.items())
        indices, addresses = tuple(k for k, _ in ordered), tuple(v for _, v in ordered)
        config_hash = self.blobs.put(config.to_bytes())
        return Change(config_hash, config.min_updates, config.committee, indices, addresses)

    def propose(self, change: Change) -> None:
        """Announce what the next epoch changes."""
        now = self.now
        announced = replace(now, change=change, due=False)
        self._happen(announced, "EpochProposed", epoch=now.epoch + 1, change=change.to_bytes())

    def open_epoch(self) -> None:
        """Put what was announced in force."""
        now, change = self.now, self.now.change
        assert change is not None
        epoch = now.epoch + 1
        t = after.after_epoch(now.t, now.round, epoch, change.hash())
        events: list[tuple[str, dict[str, object]]] = []
        for node, address in zip(change.indices, change.addresses, strict=True):
            if node < len(now.members):
                left = {"index": node, "member": now.members[node], "epoch": epoch}
                events.append(("MemberLeft", left))
            if address != VACANT:
                events.append(("MemberRegistered", {"index": node, "member": address, "epoch": epoch}))
        told = {"config_hash": change.config_hash, "change_hash": change.hash()}
        events.append(("EpochOpened", {"epoch": epoch, "round": now.round} | told | {"transcript": t}))
        config = FederationConfig.from_bytes(self.blobs.get(change.config_hash))
        members = change.apply(now.members)
        newcomers = (Reputation(Evidence(0, 0), Evidence(0, 0)),) * (len(members) - len(now.members))
        opened = Standing(now.round, t, t, now.model, (*now.reputations, *newcomers), members, config, epoch)
        self._append(events, replace(opened, owner=now.owner))

    def propose_owner(self, successor: bytes) -> None:
        """Name who may take over."""
        self._happen(self.now, "OwnershipProposed", owner=self.now.owner, successor=successor)

    def accept_ownership(self, successor: bytes) -> None:
        """Let the one who was named take over."""
        now = self.now
        taken = replace(now, owner=successor)
        self._happen(taken, "OwnershipTransferred", previous=now.owner, owner=successor)

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
                family=family_tag("ar"),
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
        digest = leaf_digest(self.federation, opening.round, opening.index, leaf, self.now.t, deadline)
        return SignedLeaf(opening.index, leaf, deadline, self._sign(opening.index, digest))

    def _sign(self, node: int, digest: bytes) -> bytes:
        return sign_digest(self._key_of[self.now.members[node]], digest)

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
        return SignedScoreCommitment(vector.index, commitment, self._sign(vector.index, digest))

    def _evidence(self) -> RoundEvidence:
        now = self.now
        return RoundEvidence(
            self.federation,
            now.round,
            now.opened_at,
            now.leaves,
            now.history,
            now.openings,
            now.commitments,
            now.vectors[: now.config.quorum],
        )

    def _outcome(self, evidence: RoundEvidence) -> Outcome:
        now = self.now
        verdicts = tuple(self._verdict(node) for node in range(len(now.members)))
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
            score, measures = 1000 * (node + 1), (("distance", 7 * node), ("trace", 900))
            return Verdict(node, reason, score, ONE, measures, heard=(score - 1, score, score + 1))
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
            "committee": list(config.committee),
            "depth": config.depth,
            "windows": list(astuple(config.windows)),
            "min_updates": config.min_updates,
            "leaves_on_chain": config.leaves_on_chain,
        }
        owned = ("OwnershipTransferred", {"previous": VACANT, "owner": self.owner})
        begun = Standing(1, t, t, model, reputations, tuple(self.members), config, owner=self.owner)
        self._append((*events, ("Genesis", start), owned), begun)

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
        stale_rounds=2,
        stale_discount=ONE // 2,
        root_bound=2 * ONE,
        noise_band=64 * ONE,
        norm_bound=8 * ONE,
        base_distance=1,
        copy_alignment_bits=20,
        copy_memory=8,
        moment_band=64 * ONE,
        lag_spread=4 * ONE,
        twin_alignment_bits=20,
        twin_distance=0,
        ring_distance=0,
        outlier_factor=8 * ONE,
        score_floor=-ONE,
        regret_limit=4 * ONE,
        regret_scale=4 * ONE,
        trace_cap=4 * ONE,
        sample_cap=2 * ONE,
        model_root_bound=ONE + ONE // 64,
        drift_share=ONE // 4,
    )
    return FederationConfig(
        name=name,
        basis=canonical_json({"target": {"lags": [1, 7]}}),
        width=2,
        depth=depth,
        committee=tuple(range(committee)),
        min_updates=1,
        windows=Windows(commit=6, force=3, score=6, certify=6, challenge=2),
        gates=gates,
        genesis_reputation=Reputation(Evidence(ONE, 0), Evidence(ONE, 0)),
        prior=1 << 20,
        theta_scale=40,
        precision_scale=20,
    )
