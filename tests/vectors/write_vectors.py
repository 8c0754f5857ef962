"""Golden vectors of LFR-2: inputs and the bytes and digests that must come out of them.

The files `*.json` beside this script are pinned: one changed bit is a protocol version change. A test
compares them with what the code computes today. To rewrite them after such a change, run

    python tests/vectors/write_vectors.py

from the root of the repository, and say in the commit which rule of docs/protocol.md changed. Every input is
a fixed small number or the keccak-256 of a short text, so that another implementation can start from the
documents alone.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ledgerfed.consensus.reputation import influence, train_step
from ledgerfed.protocol import merkle, transcript, typed_data
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.change import VACANT, Change
from ledgerfed.protocol.configuration import FederationConfig, Gates, Windows
from ledgerfed.protocol.evidence import RoundEvidence, SignedLeaf, SignedScoreCommitment
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.fixedpoint import FixedVector
from ledgerfed.protocol.hashing import EMPTY, keccak, to_hex
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.manifest import Conduct, Drift, Manifest, Outcome, Reason, Scorer, Verdict
from ledgerfed.protocol.model import GlobalModel, encode_model, genesis_model
from ledgerfed.protocol.payload import InformationUpdate, encode_update, family_tag
from ledgerfed.protocol.predictions import PREDICTIONS, PredictionsUpdate
from ledgerfed.protocol.reputation import NEWCOMER, Evidence, Reputation, reputation_tree, result_hash
from ledgerfed.protocol.rule import Aggregation, Rule
from ledgerfed.protocol.score import GATED, NOT_HELD, ONE, ScoreVector, lower_median
from ledgerfed.protocol.signature import address_of, sign_digest
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
    tail_of,
)
from ledgerfed.protocol.update import payload_of

HERE = Path(__file__).parent
FEDERATION = Federation(31337, keccak(b"contract")[-20:])
KEYS = tuple(keccak(b"node" + bytes([i])) for i in range(4))
BASIS = canonical_json({"target": {"name": "riders", "unit": "1", "lags": [1, 7]}, "period": 86400})
DEPTH = 2
OPENED_AT = keccak(b"transcript")
SEALED_AT = keccak(b"sealed")
GENESIS_REPUTATION = Reputation(Evidence(3 * ONE, 0), Evidence(0, 0))
HEARD = ((58982,), (-65536, -300, 65536, 7, -1), ())
"""Scores heard by node; the last one has none."""
QUALITY = 9 * ONE // 10
GOOD = Reason.ADMITTED.value
SCHEDULES: dict[str, tuple[tuple[str, int], ...]] = {
    "honest": ((GOOD, 60),),
    "traitor, statistical": ((GOOD, 60), (Reason.OUTLIER.value, 16)),
    "traitor, hard": ((GOOD, 60), (Reason.COPY.value, 12)),
    "traitor, proven": (
        (GOOD, 60),
        (Reason.EQUIVOCATION.value, 1),
        (Reason.QUARANTINED.value, 20),
        (GOOD, 43),
    ),
    "on-off": ((GOOD, 60), *((Reason.OUTLIER.value, 1), (GOOD, 5)) * 10),
    "absent": ((GOOD, 30), (Reason.ABSENT.value, 60)),
    "newcomer": ((GOOD, 2), (Reason.LOW_SCORE.value, 2), (GOOD, 4)),
    "registers again": ((Reason.COPY.value, 10), ("registers again", 0), (GOOD, 3)),
}
"""Verdicts on a trainer, and for how many rounds each."""


def configuration() -> FederationConfig:
    gates = Gates(
        max_payload_bytes=65536,
        stale_rounds=2,
        stale_discount=ONE // 2,
        root_bound=ONE + ONE // 64,
        noise_band=4 * ONE,
        norm_bound=8 * ONE,
        base_distance=ONE // 100,
        copy_alignment_bits=24,
        copy_memory=8,
        moment_band=64 * ONE,
        lag_spread=4 * ONE,
        twin_alignment_bits=24,
        twin_distance=0,
        ring_distance=0,
        outlier_factor=6 * ONE,
        score_floor=-ONE // 8,
        regret_limit=4 * ONE,
        regret_scale=4 * ONE,
        trace_cap=4 * ONE,
        sample_cap=2 * ONE,
        model_root_bound=ONE + ONE // 64,
        drift_share=ONE // 4,
    )
    return FederationConfig(
        name="golden",
        basis=BASIS,
        width=3,
        depth=DEPTH,
        committee=(0, 1, 3),
        min_updates=3,
        windows=Windows(commit=10, force=5, score=10, certify=10, challenge=10),
        gates=gates,
        genesis_reputation=GENESIS_REPUTATION,
        prior=1 << 30,
        theta_scale=40,
        precision_scale=30,
        aggregation=Aggregation(Rule.GEOMETRIC_MEDIAN, 1, True),
    )


def model() -> GlobalModel:
    theta = FixedVector((1 << 39, -(1 << 63), (1 << 63) - 1), 40)
    return GlobalModel(keccak(BASIS), 3, theta, FixedVector((5, -1, 0, 7, 2, 9), 30))


def update() -> InformationUpdate:
    return InformationUpdate(
        schema=keccak(BASIS),
        base_model=model().hash(),
        family=family_tag("family"),
        n_samples=60,
        s2=1 << 31,
        residual=60 << 16,
        exponents=(-24, 0, 40),
        upper=(2047, -2048, 0, 1, -1, 2),
        z=(-(1 << 15), 0, (1 << 15) - 1),
        bits=12,
        drift=True,
    )


def predictions() -> PredictionsUpdate:
    return PredictionsUpdate(
        schema=keccak(b"probe"),
        base_model=keccak(b"base"),
        family=family_tag("family"),
        n_samples=60,
        precision=((1 << 24) - 1) << 7,
        exponent=-3,
        values=(4095, -4096, 0, 1, -1),
        bits=13,
    )


def openings() -> tuple[Opening, ...]:
    payload = keccak(encode_update(update()))
    rows = ((0, keccak(b"salt 0")), (2, keccak(b"salt 2")))
    return tuple(Opening(7, i, model().hash(), payload, 60, keccak(BASIS), salt) for i, salt in rows)


def score_vector() -> ScoreVector:
    return ScoreVector(7, 1, (ONE, -ONE, NOT_HELD, GATED), keccak(b"score salt"))


def history() -> tuple[Transition, ...]:
    """A forced leaf, the scores, a certificate and the dispute that it fell by, in round 7."""
    certified = Certify(7, keccak(b"manifest"), keccak(b"new model"), keccak(b"new reputations"))
    return (
        Force(7, 2, openings()[1].leaf(FEDERATION)),
        Scores(7, keccak(b"score root")),
        certified,
        Dispute(6, Fault.TWO_LEAVES, 2, keccak(b"first proof")),
        Dispute(7, Fault.TWO_CERTIFICATES, 3, keccak(b"second proof")),
    )


def change() -> Change:
    """Node 1 gets a new key, node 2 leaves, node 4 joins; another committee."""
    joined = keccak(b"joined")[-20:]
    return Change(
        keccak(b"next configuration"), 2, (0, 1, 4), (1, 2, 4), (keccak(b"new key")[-20:], VACANT, joined)
    )


def evidence() -> RoundEvidence:
    leaf = openings()[0].leaf(FEDERATION)
    digest = typed_data.leaf_digest(FEDERATION, 7, 0, leaf, OPENED_AT, 120)
    commitment = score_vector().commitment(FEDERATION)
    signed = typed_data.score_commitment_digest(FEDERATION, 7, 1, commitment, SEALED_AT)
    return RoundEvidence(
        federation=FEDERATION,
        round=7,
        opened_at=OPENED_AT,
        leaves=(SignedLeaf(0, leaf, 120, sign_digest(KEYS[0], digest)),),
        history=history(),
        openings=openings(),
        commitments=(SignedScoreCommitment(1, commitment, sign_digest(KEYS[1], signed)),),
        reveals=(score_vector(),),
    )


def outcome() -> Outcome:
    measures = (("base_distance", 70000), ("noise", 65536))
    return Outcome(
        federation=FEDERATION,
        round=7,
        base_model=keccak(b"base"),
        evidence=evidence().hash(),
        verdicts=(
            Verdict(0, Reason.ADMITTED, 58982, 65536, measures, HEARD[0]),
            Verdict(1, Reason.FAULT),
            Verdict(2, Reason.OUTLIER, lower_median(HEARD[1]), 0, measures, HEARD[1]),
            Verdict(3, Reason.QUARANTINED),
        ),
        model=model(),
        reputations=(*_reputations(),),
        depth=DEPTH,
        drift=Drift(1, 1, False),
        stabilised=65123,
        aggregation=Aggregation(Rule.COVARIANCE_FILTER, 1, True),
        scorers=(
            Scorer(0, Conduct.HEARD, 2, 655),
            Scorer(1, Conduct.FAULT),
            Scorer(2, Conduct.COLLUSION, 0, 70000),
            Scorer(3, Conduct.UNREVEALED),
        ),
    )


def leaf_vectors() -> dict[str, Any]:
    return {
        "chain_id": FEDERATION.chain_id,
        "contract": to_hex(FEDERATION.contract),
        "leaves": [
            {
                "round": o.round,
                "index": o.index,
                "base_model": to_hex(o.base_model),
                "update_hash": to_hex(o.update_hash),
                "n_samples": o.n_samples,
                "schema": to_hex(o.schema),
                "salt": to_hex(o.salt),
                "leaf": to_hex(o.leaf(FEDERATION)),
            }
            for o in openings()
        ],
    }


def score_vectors() -> dict[str, Any]:
    vector = score_vector()
    return {
        "chain_id": FEDERATION.chain_id,
        "contract": to_hex(FEDERATION.contract),
        "round": vector.round,
        "index": vector.index,
        "scores": list(vector.scores),
        "salt": to_hex(vector.salt),
        "bytes": to_hex(vector.to_bytes()),
        "commitment": to_hex(vector.commitment(FEDERATION)),
    }


def reputation_vectors() -> dict[str, Any]:
    rows = _reputations()
    medians = [lower_median(heard) if heard else None for heard in (*HEARD, ())]
    results = [result_hash(*pair) for pair in zip(medians, (*HEARD, ()), strict=True)]
    return {
        "depth": DEPTH,
        "rows": [r.row() for r in rows],
        "leaves": [to_hex(r.leaf(i)) for i, r in enumerate(rows)],
        "values": [[r.trainer.value, r.validator.value] for r in rows],
        "root": to_hex(reputation_tree(rows, DEPTH).root),
        "certified": {
            "medians": medians,
            "heard": [list(heard) for heard in (*HEARD, ())],
            "results": [to_hex(result) for result in results],
            "leaves": [to_hex(r.leaf(i, x)) for i, (r, x) in enumerate(zip(rows, results, strict=True))],
            "root": to_hex(reputation_tree(rows, DEPTH, results).root),
        },
        "trajectories": {name: _trajectory(schedule) for name, schedule in SCHEDULES.items()},
    }


def _trajectory(schedule: tuple[tuple[str, int], ...]) -> dict[str, Any]:
    """Return "a b R influence" of a trainer after every round, from zero evidence."""
    node, rows = NEWCOMER, []
    for verdict, rounds in schedule:
        if verdict == "registers again":
            node = NEWCOMER
            continue
        for _ in range(rounds):
            node = train_step(node, Reason(verdict), QUALITY, len(rows) + 1)
            row = (node.trainer.a, node.trainer.b, node.trainer.value, influence(node))
            rows.append(" ".join(map(str, row)))
    return {"quality": QUALITY, "schedule": [list(part) for part in schedule], "rounds": rows}


def change_vectors() -> dict[str, Any]:
    changes = (change(), Change(keccak(b"next configuration"), 65535, (7,)))
    return {
        "changes": [
            {
                "config_hash": to_hex(c.config_hash),
                "min_updates": c.min_updates,
                "committee": list(c.committee),
                "indices": list(c.indices),
                "addresses": [to_hex(address) for address in c.addresses],
                "bytes": to_hex(c.to_bytes()),
                "change_hash": to_hex(c.hash()),
            }
            for c in changes
        ]
    }


def merkle_vectors() -> dict[str, Any]:
    trees = []
    for depth, positions in ((0, ()), (0, (0,)), (1, (1,)), (3, (0, 3, 5)), (4, tuple(range(16)))):
        leaves = {i: keccak(b"leaf" + bytes([i])) for i in positions}
        tree = merkle.build_tree(leaves, depth)
        trees.append(
            {
                "depth": depth,
                "leaves": {str(i): to_hex(leaf) for i, leaf in leaves.items()},
                "root": to_hex(tree.root),
                "proofs": [
                    {
                        "index": i,
                        "leaf": to_hex(leaves.get(i, EMPTY)),
                        "siblings": [to_hex(s) for s in tree.proof(i)],
                    }
                    for i in range(1 << depth)
                ],
            }
        )
    return {"trees": trees}


def transcript_vectors() -> dict[str, Any]:
    members = [address_of(key) for key in KEYS]
    registry = transcript.registry_hash(members)
    parts = [keccak(name) for name in (b"configuration", b"model", b"reputations")]
    steps: list[dict[str, Any]] = []
    t = transcript.genesis(FEDERATION, parts[0], registry, parts[1], parts[2])
    document = {
        "chain_id": FEDERATION.chain_id,
        "contract": to_hex(FEDERATION.contract),
        "members": [to_hex(m) for m in members],
        "registry": to_hex(registry),
        "config": to_hex(parts[0]),
        "model": to_hex(parts[1]),
        "reputations": to_hex(parts[2]),
        "genesis": to_hex(t),
        "steps": steps,
    }

    def step(after: bytes, kind: str, **fields: object) -> bytes:
        steps.append({"kind": kind, **fields, "transcript": to_hex(after)})
        return after

    root, leaf, scores = keccak(b"root"), keccak(b"forced leaf"), keccak(b"score root")
    a, b, c = keccak(b"manifest"), keccak(b"new model"), keccak(b"new reputations")
    t = step(transcript.after_seal(t, 1, root, 3), "seal", round=1, root=to_hex(root), n=3)
    t = step(transcript.after_force(t, 1, 2, leaf), "force", round=1, index=2, leaf=to_hex(leaf))
    t = step(transcript.after_scores(t, 1, scores), "scores", round=1, root=to_hex(scores))
    certified = transcript.after_certify(t, 1, a, b, c)
    hashes = {"manifest": to_hex(a), "model": to_hex(b), "reputations": to_hex(c)}
    t = step(certified, "certify", round=1, **hashes)
    for number, phase in enumerate(tuple(transcript.Phase)[:3], start=2):
        t = step(transcript.after_abort(t, number, phase), "abort", round=number, phase=int(phase))
    for number, fault in enumerate(Fault, start=3):
        t = transcript.after_dispute(t, number, fault, 1 << fault, a)
        step(t, "dispute", round=number, fault=int(fault), culprits=1 << fault, proof=to_hex(a))
    t = step(transcript.after_epoch(t, 10, 1, b), "epoch", round=10, epoch=1, change=to_hex(b))
    return document


def tail_vectors() -> dict[str, Any]:
    every = (
        Seal(7, keccak(b"root"), 2),
        *history(),
        Dispute(0, Fault.WRONG_MEDIAN, 0b1011, keccak(b"leaf")),
        Abort(7, transcript.Phase.DISPUTED),
        EpochOpening(8, 1, change().hash()),
    )
    t = OPENED_AT
    for step in every:
        t = step.after(t)
    steps = [{name: _spell(getattr(x, name)) for name in ("kind", *x.__match_args__)} for x in every]
    return {"before": to_hex(OPENED_AT), "steps": steps, "tail": to_hex(tail_of(every)), "after": to_hex(t)}


def _spell(value: int | bytes) -> int | str:
    return to_hex(value) if isinstance(value, bytes) else int(value)


def typed_data_vectors() -> dict[str, Any]:
    leaf, commitment = keccak(b"a leaf"), keccak(b"a commitment")
    digests = {
        "Leaf": typed_data.leaf_digest(FEDERATION, 7, 2, leaf, OPENED_AT, 120),
        "Receipt": typed_data.receipt_digest(FEDERATION, 7, 2, leaf, OPENED_AT),
        "ScoreCommitment": typed_data.score_commitment_digest(FEDERATION, 7, 2, commitment, SEALED_AT),
        "Certificate": typed_data.certificate_digest(FEDERATION, 7, SEALED_AT),
    }
    message = {"round": 7, "index": 2}
    sealed = {"transcript": to_hex(SEALED_AT)}
    opened = {"transcript": to_hex(OPENED_AT)}
    messages = {
        "Leaf": {**message, "leaf": to_hex(leaf), **opened, "deadline": 120},
        "Receipt": {**message, "leaf": to_hex(leaf), **opened},
        "ScoreCommitment": {**message, "commitment": to_hex(commitment), **sealed},
        "Certificate": {"round": 7, **sealed},
    }
    return {
        "chain_id": FEDERATION.chain_id,
        "contract": to_hex(FEDERATION.contract),
        "domain_separator": to_hex(typed_data.domain_separator(FEDERATION)),
        "key": to_hex(KEYS[0]),
        "address": to_hex(address_of(KEYS[0])),
        "statements": [
            {
                "type": name,
                "message": messages[name],
                "digest": to_hex(digest),
                "signature": to_hex(sign_digest(KEYS[0], digest)),
            }
            for name, digest in digests.items()
        ],
    }


def payload_vectors() -> dict[str, Any]:
    payload = encode_update(update())
    return {
        "schema": to_hex(update().schema),
        "base_model": to_hex(update().base_model),
        "family": to_hex(update().family),
        "n_samples": update().n_samples,
        "s2": update().s2,
        "residual": update().residual,
        "exponents": list(update().exponents),
        "upper": list(update().upper),
        "z": list(update().z),
        "bits": update().bits,
        "drift": update().drift,
        "payload": to_hex(payload),
        "update_hash": to_hex(keccak(payload)),
    }


def predictions_vectors() -> dict[str, Any]:
    sent = predictions()
    payload = payload_of(sent)
    return {
        "schema": to_hex(sent.schema),
        "base_model": to_hex(sent.base_model),
        "family": to_hex(sent.family),
        "n_samples": sent.n_samples,
        "precision": sent.precision,
        "exponent": sent.exponent,
        "values": list(sent.values),
        "bits": sent.bits,
        "drift": sent.drift,
        "payload": to_hex(payload),
        "update_hash": to_hex(keccak(payload)),
    }


def model_vectors() -> dict[str, Any]:
    models = (
        model(),
        genesis_model(keccak(BASIS), 3, 1 << 30, 40, 30),
        GlobalModel(keccak(b"probe"), 2, FixedVector((5, -6, 7, 8), 30), FixedVector((9,), 16), PREDICTIONS),
    )
    return {
        "models": [
            {
                "schema": to_hex(m.schema),
                "kind": m.kind,
                "contributors": m.contributors,
                "theta_scale": m.theta.scale,
                "theta": [str(v) for v in m.theta.values],
                "precision_scale": m.precision.scale,
                "precision": [str(v) for v in m.precision.values],
                "bytes": to_hex(encode_model(m)),
                "model_hash": to_hex(m.hash()),
            }
            for m in models
        ]
    }


def document_vectors() -> dict[str, Any]:
    manifest: Manifest = outcome().manifest()
    named = {"configuration": configuration(), "evidence": evidence(), "manifest": manifest}
    rows = {name: {"text": d.to_bytes().decode(), "hash": to_hex(d.hash())} for name, d in named.items()}
    return {**rows, "schema": to_hex(configuration().schema)}


def _reputations() -> tuple[Reputation, ...]:
    return (
        GENESIS_REPUTATION,
        Reputation(Evidence(0, 0), Evidence(0, 0)),
        Reputation(Evidence(65537 * 16 - 1, 1), Evidence(2, (16 * 65536 + 1) * 32 - 1)),
        Reputation(Evidence(12, 34), Evidence(56, 78), 4_294_967_295),
    )


VECTORS: dict[str, Callable[[], dict[str, Any]]] = {
    "leaf": leaf_vectors,
    "score_commitment": score_vectors,
    "reputation": reputation_vectors,
    "change": change_vectors,
    "merkle": merkle_vectors,
    "transcript": transcript_vectors,
    "tail": tail_vectors,
    "typed_data": typed_data_vectors,
    "payload": payload_vectors,
    "predictions": predictions_vectors,
    "model": model_vectors,
    "documents": document_vectors,
}


def main() -> None:
    for name, make in VECTORS.items():
        text = json.dumps(make(), indent=1, sort_keys=True)
        (HERE / f"{name}.json").write_text(text + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
