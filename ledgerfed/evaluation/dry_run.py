"""Rounds without a chain: the same updates, gates, scores and decision, no signatures and no transactions.

For questions that need hundreds of federations, such as where a threshold should lie, or what an attack can
do at its worst. What a real federation does is `evaluation.federation`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from ledgerfed.consensus import PastUpdate, RoundInput, pass_gates
from ledgerfed.consensus.gates import Candidate
from ledgerfed.consensus.history import authors_of_copies, past_updates
from ledgerfed.errors import RoundAbortedError
from ledgerfed.evaluation.dry_scores import everybodys_scores
from ledgerfed.evaluation.hostile import Attack, AttackContext, Hostile, ScoringContext
from ledgerfed.node import TrainingContext, honest_update
from ledgerfed.node.walk import (
    Commitment,
    LocalModel,
    Workbench,
    decide_outcome,
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
from ledgerfed.protocol.transition import Force
from ledgerfed.protocol.update import Update

NOWHERE = Federation(1, b"\x01" * 20)
_UNSIGNED = bytes(SIGNATURE_BYTES)


def dry_rounds(
    config: FederationConfig,
    benches: Sequence[Workbench],
    locals_: Sequence[LocalModel],
    attacks: Mapping[int, Attack | Hostile],
    rounds: int,
    behind: Mapping[int, int] | None = None,
) -> tuple[Outcome, ...]:
    """Return the outcomes of `rounds` rounds in which everybody is present.

    Args:
        attacks: what hostile nodes send, or do, by index.
        behind: how many models some nodes lag behind: what they train on, as far as there is one so old.

    Raises:
        RoundAbortedError: too few verified updates.
    """
    outcomes = []
    for found in play_rounds(config, benches, locals_, attacks, rounds, behind):
        if isinstance(found, RoundAbortedError):
            raise found
        outcomes.append(found)
    return tuple(outcomes)


def play_rounds(
    config: FederationConfig,
    benches: Sequence[Workbench],
    locals_: Sequence[LocalModel],
    attacks: Mapping[int, Attack | Hostile],
    rounds: int,
    behind: Mapping[int, int] | None = None,
) -> tuple[Outcome | RoundAbortedError, ...]:
    """Return what became of each of `rounds` rounds; one that aborts changes nothing, as on the chain."""
    hostile = {i: a if isinstance(a, Hostile) else Hostile(a) for i, a in sorted(attacks.items())}
    so_far = _SoFar(
        config,
        benches,
        locals_,
        hostile,
        behind or {},
        [config.genesis_model()],
        (config.genesis_reputation,) * len(benches),
    )
    return tuple(_play(so_far, number) for number in range(1, rounds + 1))


@dataclass(slots=True, eq=False)
class _SoFar:
    """A federation between two rounds."""

    config: FederationConfig
    benches: Sequence[Workbench]
    locals_: Sequence[LocalModel]
    hostile: Mapping[int, Hostile]
    behind: Mapping[int, int]
    models: list[GlobalModel]
    reputations: tuple[Reputation, ...]
    decided: list[tuple[FederationConfig, RoundEvidence]] = field(default_factory=list)
    payloads: dict[bytes, bytes] = field(default_factory=dict)
    copies: dict[int, Mapping[int, int]] = field(default_factory=dict)
    drifting: bool = False


def _play(so_far: _SoFar, number: int) -> Outcome | RoundAbortedError:
    history = past_updates(so_far.config, so_far.decided, so_far.payloads, number, so_far.copies)
    updates = _updates(so_far, number, history)
    commitments = [make_leaf(NOWHERE, number, i, u, _salt(number, i)) for i, u in enumerate(updates)]
    so_far.payloads.update((c.opening.update_hash, c.payload) for c in commitments)
    evidence = _evidence(so_far, number, commitments, ())
    reveals = _reveals(so_far, _given(so_far, evidence, commitments, history))
    evidence = _evidence(so_far, number, commitments, reveals)
    try:
        outcome = decide_outcome(_given(so_far, evidence, commitments, history))
    except RoundAbortedError as error:
        return error
    so_far.models.append(outcome.model)
    so_far.reputations = outcome.reputations
    so_far.decided.append((so_far.config, evidence))
    so_far.copies[number] = authors_of_copies(outcome.verdicts)
    so_far.drifting = outcome.drift.declared
    return outcome


def _updates(so_far: _SoFar, number: int, history: tuple[PastUpdate, ...]) -> list[Update]:
    """Let the honest nodes make their updates, and the ring its own in sight of them."""
    seen = [_context(so_far, number, index, history) for index in range(len(so_far.benches))]
    made = {c.index: honest_update(c) for c in seen if c.index not in so_far.hostile}
    honest, ring = tuple(made.values()), tuple(so_far.hostile)
    for index, attacker in so_far.hostile.items():
        c = seen[index]
        earlier = tuple(reversed(so_far.models[: so_far.models.index(c.base)]))
        made[index] = attacker.update(
            AttackContext(
                c.bench,
                c.local,
                c.base,
                c.round,
                c.index,
                c.history,
                c.drift,
                c.forgets,
                honest,
                ring,
                earlier,
            )
        )
    return [made[index] for index in range(len(seen))]


def _context(so_far: _SoFar, number: int, index: int, history: tuple[PastUpdate, ...]) -> TrainingContext:
    bench, models = so_far.benches[index], so_far.models
    base = models[-1 - min(so_far.behind.get(index, 0), len(models) - 1)]
    drift = notices_drift(bench, base)
    forgets = drift or so_far.drifting
    return TrainingContext(bench, so_far.locals_[index], base, number, index, history, drift, forgets)


def _reveals(so_far: _SoFar, given: RoundInput) -> tuple[ScoreVector, ...]:
    """Let everybody measure, and the ring say what it likes."""
    number, ring = given.evidence.round, tuple(so_far.hostile)
    measured = everybodys_scores(so_far.benches, given, _candidates(so_far, given))
    theirs = {index: measured[index] for index in ring}
    reveals = []
    for index, scores in enumerate(measured):
        said: tuple[int, ...] | None = scores
        if index in so_far.hostile:
            said = so_far.hostile[index].scores(ScoringContext(number, index, ring, theirs))
        if said is not None:
            reveals.append(ScoreVector(number, index, said, _salt(number, index)))
    return tuple(reveals)


def _candidates(so_far: _SoFar, given: RoundInput) -> dict[int, tuple[Candidate, ...]]:
    """Return what each validator finds at the gates; those who hold the same find the same."""
    found: dict[frozenset[int], tuple[Candidate, ...]] = {}
    seen = {}
    for index in range(len(so_far.benches)):
        held = frozenset(i for i in range(len(so_far.benches)) if _shows(so_far, i, index))
        if held not in found:
            found[held] = pass_gates(given, held)
        seen[index] = found[held]
    return seen


def _shows(so_far: _SoFar, author: int, validator: int) -> bool:
    attacker = so_far.hostile.get(author)
    return attacker is None or attacker.shows_to is None or validator < attacker.shows_to


def _given(
    so_far: _SoFar,
    evidence: RoundEvidence,
    commitments: Sequence[Commitment],
    history: tuple[PastUpdate, ...],
) -> RoundInput:
    payloads = {c.opening.update_hash: c.payload for c in commitments}
    earlier = tuple(model.hash() for model in reversed(so_far.models[:-1]))
    return RoundInput(
        so_far.config,
        so_far.models[-1],
        so_far.reputations,
        evidence,
        payloads,
        history,
        earlier=earlier,
    )


def _evidence(
    so_far: _SoFar, number: int, commitments: Sequence[Commitment], reveals: Sequence[ScoreVector]
) -> RoundEvidence:
    opened = [c.opening for c in commitments if _shows(so_far, c.opening.index, 0)]
    return RoundEvidence(
        NOWHERE,
        number,
        keccak(b"dry run" + word(number)),
        tuple(SignedLeaf(c.opening.index, c.leaf, 0, _UNSIGNED) for c in commitments),
        tuple(
            Force(number, index, keccak(b"second leaf" + word(index)))
            for index, attacker in so_far.hostile.items()
            if attacker.forces
        ),
        tuple(opened),
        _committed(number, len(commitments), reveals),
        tuple(reveals),
    )


def _committed(number: int, nodes: int, reveals: Sequence[ScoreVector]) -> tuple[SignedScoreCommitment, ...]:
    """Return what stands before the reveals; who never reveals has committed to something all the same."""
    if not reveals:
        return ()
    said = {reveal.index: reveal.commitment(NOWHERE) for reveal in reveals}
    return tuple(
        SignedScoreCommitment(index, said.get(index, _salt(number, index)), _UNSIGNED)
        for index in range(nodes)
    )


def _salt(number: int, index: int) -> bytes:
    return keccak(word(number) + word(index))
