"""In a dry round the ring sees the honest updates and may lie, withhold and equivocate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledgerfed.consensus import RoundInput, pass_gates
from ledgerfed.datasets import load_transit
from ledgerfed.errors import RoundAbortedError
from ledgerfed.evaluation.attacks.scores import Constant, Silent
from ledgerfed.evaluation.demo import demo_config
from ledgerfed.evaluation.demo_scenarios import TRANSIT
from ledgerfed.evaluation.dry_run import NOWHERE, dry_rounds, play_rounds
from ledgerfed.evaluation.dry_scores import everybodys_scores
from ledgerfed.evaluation.hostile import AttackContext, Hostile, ScoringContext
from ledgerfed.models import load_family
from ledgerfed.node import honest_update
from ledgerfed.node.walk import (
    LocalModel,
    Workbench,
    fit_local,
    give_verdicts,
    make_leaf,
    make_update,
    prepare,
)
from ledgerfed.protocol.evidence import RoundEvidence, SignedLeaf
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.score import NOT_HELD, ONE
from ledgerfed.protocol.update import Update

NODES = 7
RING = (2, 5)
Trained = tuple[list[Workbench], list[LocalModel]]
CONFIG = replace(demo_config(NODES), min_updates=5)


@pytest.fixture(scope="module")
def trained() -> Trained:
    benches = [prepare(panel, TRANSIT.windows(panel), TRANSIT.basis) for panel in load_transit()[:NODES]]
    return benches, [fit_local(bench, load_family("arx")) for bench in benches]


def reasons(outcome: object) -> list[Reason]:
    return [verdict.reason for verdict in outcome.verdicts]  # type: ignore[attr-defined]


@pytest.mark.parametrize("cap", [2 * ONE, ONE])
def test_shared_scoring_says_what_every_validator_says_alone(trained: Trained, cap: int) -> None:
    benches, locals_ = trained
    config = replace(CONFIG, gates=replace(CONFIG.gates, trace_cap=cap))
    base = dry_rounds(config, benches, locals_, {}, 1)[0].model
    updates = [make_update(b, m, base) for b, m in zip(benches, locals_, strict=True)]
    made = [make_leaf(NOWHERE, 2, i, u, bytes(31) + bytes([i])) for i, u in enumerate(updates)]
    leaves = tuple(SignedLeaf(c.opening.index, c.leaf, 0, bytes(65)) for c in made)
    evidence = RoundEvidence(NOWHERE, 2, keccak(b"open"), leaves, (), tuple(c.opening for c in made), (), ())
    payloads = {c.opening.update_hash: c.payload for c in made}
    given = RoundInput(config, base, (config.genesis_reputation,) * NODES, evidence, payloads, ())
    held = [frozenset(range(NODES)), *(frozenset(range(NODES)) - {1} for _ in range(NODES - 1))]
    shared = everybodys_scores(benches, given, {j: pass_gates(given, h) for j, h in enumerate(held)})
    alone = [give_verdicts(bench, j, given, held[j]) for j, bench in enumerate(benches)]
    assert list(shared) == alone
    assert shared[3][1] == NOT_HELD
    assert any(abs(score) > 100 for score in shared[3])


def test_the_ring_acts_after_the_honest_and_sees_what_they_send(trained: Trained) -> None:
    seen: list[AttackContext] = []

    def spy(context: AttackContext) -> Update:
        seen.append(context)
        return honest_update(context)

    outcomes = dry_rounds(CONFIG, *trained, dict.fromkeys(RING, spy), 3)
    assert outcomes == dry_rounds(CONFIG, *trained, {}, 3)
    assert [(c.round, c.index) for c in seen] == [(r, i) for r in (1, 2, 3) for i in RING]
    assert all(c.ring == RING and len(c.honest) == NODES - 2 for c in seen)
    assert all(update.base_model == c.base.hash() for c in seen for update in c.honest)
    assert [len(c.earlier) for c in seen[::2]] == [0, 1, 2]
    assert seen[-1].earlier[0] == outcomes[0].model


def test_hostile_scorers_see_what_the_ring_measured_and_are_heard(trained: Trained) -> None:
    seen: list[ScoringContext] = []

    def spy(context: ScoringContext) -> tuple[int, ...]:
        seen.append(context)
        return context.own

    honest = dry_rounds(CONFIG, *trained, {}, 1)
    assert dry_rounds(CONFIG, *trained, {i: Hostile(scores=spy) for i in RING}, 1) == honest
    assert [sorted(context.measured) for context in seen] == [list(RING)] * 2
    lied = dry_rounds(CONFIG, *trained, {2: Hostile(scores=Constant(-ONE))}, 1)[0].scorers
    assert [a != b for a, b in zip(honest[0].scorers, lied, strict=True)].index(True) == 2


def test_an_opening_shown_to_too_few_is_withheld_and_to_enough_is_not(trained: Trained) -> None:
    f = CONFIG.faults
    for shown, reason in ((0, Reason.WITHHELD), (f, Reason.WITHHELD), (NODES, Reason.ADMITTED)):
        outcome = dry_rounds(CONFIG, *trained, {2: Hostile(shows_to=shown)}, 1)[0]
        assert reasons(outcome)[2] is reason
        assert reasons(outcome)[:2] == [Reason.ADMITTED] * 2


def test_two_leaves_are_an_equivocation(trained: Trained) -> None:
    first, second = dry_rounds(CONFIG, *trained, {2: Hostile(forces=True)}, 2)
    assert reasons(first)[2] is Reason.EQUIVOCATION
    assert reasons(second)[2] is Reason.QUARANTINED


def test_f_silent_scorers_stop_nothing_and_one_more_aborts_every_round_for_nothing(trained: Trained) -> None:
    silent = Hostile(scores=Silent())
    assert CONFIG.faults == 2
    outcomes = dry_rounds(CONFIG, *trained, dict.fromkeys(RING, silent), 2)
    assert [reasons(outcome) for outcome in outcomes] == [
        reasons(outcome) for outcome in dry_rounds(CONFIG, *trained, {}, 2)
    ]
    found = play_rounds(CONFIG, *trained, dict.fromkeys((1, 2, 5), silent), 2)
    assert all(isinstance(round_, RoundAbortedError) for round_ in found)
    with pytest.raises(RoundAbortedError, match="score reveals"):
        dry_rounds(CONFIG, *trained, dict.fromkeys((1, 2, 5), silent), 1)


def test_a_round_after_an_abort_goes_on_from_the_model_before_it(trained: Trained) -> None:
    def once(context: ScoringContext) -> tuple[int, ...] | None:
        return None if context.round == 2 else context.own

    found = play_rounds(CONFIG, *trained, dict.fromkeys((1, 2, 5), Hostile(scores=once)), 3)
    assert isinstance(found[1], RoundAbortedError)
    assert not isinstance(found[0], RoundAbortedError)
    assert not isinstance(found[2], RoundAbortedError)
    assert found[2].base_model == found[0].model.hash()
