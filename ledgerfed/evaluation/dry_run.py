"""Rounds without a chain: the same updates, gates, scores and decision, no signatures and no transactions.

For questions that need hundreds of federations, such as where a threshold should lie. What a real federation
does is `evaluation.federation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ledgerfed.consensus import PastUpdate, RoundInput
from ledgerfed.consensus.history import past_updates
from ledgerfed.node import TrainingContext, UpdateMaker, honest_update
from ledgerfed.node.walk import (
    Commitment,
    LocalModel,
    Workbench,
    decide_outcome,
    give_verdicts,
    make_leaf,
    notices_drift,
)
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.evidence import RoundEvidence, SignedLeaf, SignedScoreCommitment
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak, word
from ledgerfed.protocol.manifest import Outcome
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.reputation import Reputation
from ledgerfed.protocol.score import ScoreVector
from ledgerfed.protocol.signature import SIGNATURE_BYTES

NOWHERE = Federation(1, b"\x01" * 20)
_UNSIGNED = bytes(SIGNATURE_BYTES)


def dry_rounds(
    config: FederationConfig,
    benches: Sequence[Workbench],
    locals_: Sequence[LocalModel],
    attacks: Mapping[int, UpdateMaker],
    rounds: int,
    behind: Mapping[int, int] | None = None,
) -> tuple[Outcome, ...]:
    """Return the outcomes of `rounds` rounds in which everybody is present and scores honestly.

    Args:
        attacks: what hostile nodes send, by index.
        behind: how many models some nodes lag behind: what they train on, as far as there is one so old.

    Raises:
        RoundAbortedError: too few verified updates.
    """
    models = [config.genesis_model()]
    reputations: tuple[Reputation, ...] = (config.genesis_reputation,) * len(benches)
    decided: list[tuple[FederationConfig, RoundEvidence]] = []
    payloads: dict[bytes, bytes] = {}
    outcomes: list[Outcome] = []
    for number in range(1, rounds + 1):
        history = past_updates(config, decided, payloads, number)
        commitments = []
        for index, (bench, local) in enumerate(zip(benches, locals_, strict=True)):
            base = models[-1 - min((behind or {}).get(index, 0), len(models) - 1)]
            drift = notices_drift(bench, base)
            forgets = drift or bool(outcomes and outcomes[-1].drift.declared)
            context = TrainingContext(bench, local, base, number, index, history, drift, forgets)
            update = attacks.get(index, honest_update)(context)
            commitments.append(make_leaf(NOWHERE, number, index, update, _salt(number, index)))
        payloads |= {c.opening.update_hash: c.payload for c in commitments}
        evidence = _evidence(number, commitments, ())
        given = _given(config, models, reputations, evidence, commitments, history)
        everybody = frozenset(range(len(benches)))
        reveals = [
            ScoreVector(number, j, give_verdicts(bench, j, given, everybody), _salt(number, j))
            for j, bench in enumerate(benches)
        ]
        evidence = _evidence(number, commitments, reveals)
        outcome = decide_outcome(_given(config, models, reputations, evidence, commitments, history))
        models.append(outcome.model)
        reputations = outcome.reputations
        decided.append((config, evidence))
        outcomes.append(outcome)
    return tuple(outcomes)


def _given(
    config: FederationConfig,
    models: Sequence[GlobalModel],
    reputations: tuple[Reputation, ...],
    evidence: RoundEvidence,
    commitments: Sequence[Commitment],
    history: tuple[PastUpdate, ...],
) -> RoundInput:
    payloads = {c.opening.update_hash: c.payload for c in commitments}
    earlier = tuple(model.hash() for model in reversed(models[:-1]))
    return RoundInput(config, models[-1], reputations, evidence, payloads, history, earlier=earlier)


def _evidence(
    number: int, commitments: Sequence[Commitment], reveals: Sequence[ScoreVector]
) -> RoundEvidence:
    return RoundEvidence(
        NOWHERE,
        number,
        keccak(b"dry run" + word(number)),
        tuple(SignedLeaf(c.opening.index, c.leaf, 0, _UNSIGNED) for c in commitments),
        (),
        tuple(c.opening for c in commitments),
        tuple(SignedScoreCommitment(r.index, r.commitment(NOWHERE), _UNSIGNED) for r in reveals),
        tuple(reveals),
    )


def _salt(number: int, index: int) -> bytes:
    return keccak(word(number) + word(index))
