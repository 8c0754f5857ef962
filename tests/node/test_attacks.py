"""Members that use the rules of the round against it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ledgerfed.exchange import model_to_theta
from ledgerfed.node import TrainingContext, honest_update, walk
from ledgerfed.node.relayer import Relayer
from ledgerfed.node.trainer import Trainer
from ledgerfed.node.validator import Validator
from ledgerfed.protocol.evidence import SignedScoreCommitment
from ledgerfed.protocol.payload import InformationUpdate
from ledgerfed.protocol.score import ONE
from ledgerfed.protocol.typed_data import score_commitment_digest


class TwoFaced(Trainer):
    """Opens its sealed leaf early, then forces another one, so that the opening fits the ledger no more."""

    def while_sealed(self) -> None:
        desk = self._desk
        mine = self._committed()
        if mine is None or desk.head >= desk.view.end:
            return
        desk.say_evidence("early opening", desk.notebook.fragment(openings=mine.openings))
        if desk.head == desk.view.end - 1:
            self._force(bytes(range(32)))


def test_an_opening_that_a_forced_leaf_makes_stale_costs_its_author_only(world) -> None:
    hostile = (world.relayer() + 1) % 4
    agent = world.agents[hostile]
    agent._trainer = TwoFaced(agent._desk, world.benches[hostile], agent._trainer._family, honest_update)
    world.run(1)
    world.assert_one_history()
    reasons = world.reasons(1)
    assert reasons.pop(hostile) == "V1:proven-fault"
    assert reasons == ["admitted"] * 3


@pytest.mark.threat("N3")
def test_who_resends_what_another_showed_in_an_earlier_round_is_found_out(new_world) -> None:
    def resend(context: TrainingContext) -> InformationUpdate:
        shown = [past.update for past in context.history if past.index == 0]
        own = honest_update(context)
        return replace(shown[-1], base_model=own.base_model) if shown else own

    world = new_world(updates={2: resend})
    world.start()
    world.run(2)
    world.assert_one_history()
    assert world.reasons(1)[2] == "admitted"
    assert world.reasons(2)[2] == "V6:copy"


class Hasty(Validator):
    """Commits to scores while leaves may still be forced in, and so over a transcript that will not stand."""

    def while_sealed(self) -> None:
        desk, view = self._desk, self._desk.view
        commitment = bytes(range(32))
        digest = score_commitment_digest(
            view.federation, view.round, desk.index, commitment, view.sealed_transcript
        )
        signed = SignedScoreCommitment(desk.index, commitment, desk.ports.signer.sign_digest(digest))
        if not view.forced:
            desk.say_evidence("hasty", desk.notebook.fragment(commitments=(signed,)))


def test_a_commitment_that_a_forced_leaf_makes_stale_is_not_anchored(world, monkeypatch) -> None:
    victim, hostile = (world.relayer() + 1) % 4, (world.relayer() + 2) % 4

    def censored(relayer: Relayer) -> bytes:
        notebook = relayer._desk.notebook
        kept = tuple(leaf for leaf in notebook.sealable() if leaf.index != victim)
        return notebook.fragment(leaves=kept).to_bytes()

    receipt = Relayer._receipt
    unheard = lambda relayer, leaf: None if leaf.index == victim else receipt(relayer, leaf)  # noqa: E731
    monkeypatch.setattr(Relayer, "_receipt", unheard)
    monkeypatch.setattr(Relayer, "_all_leaves", censored)
    force = Trainer._force
    late = lambda trainer, leaf: force(trainer, leaf) if _last_chance(trainer) else None  # noqa: E731
    monkeypatch.setattr(Trainer, "_force", late)
    agent = world.agents[hostile]
    agent._validator = Hasty(agent._desk, world.benches[hostile])
    world.run(1)
    world.assert_one_history()
    assert [p.index for p in world.seen if p.step == "force"] == [victim]
    assert world.reasons(1) == ["admitted"] * 4


def _last_chance(trainer: Trainer) -> bool:
    return trainer._desk.head >= trainer._desk.view.end - 1


@pytest.mark.threat("R4")
def test_a_root_that_stands_for_nothing_costs_one_round(world, monkeypatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Relayer, "_show", lambda *_: None)
        patch.setattr(walk, "make_seal", lambda leaves, depth: _Rootless())
        world.run(1)
    assert world.view().certified == ()
    world.run(2)
    world.assert_one_history()
    assert [done.round for done in world.view().certified] == [2]


class _Rootless:
    root = bytes(range(32))


def test_an_update_that_drowns_the_base_in_rounding_is_scored_and_not_fatal(benches, world) -> None:
    base = world.config.genesis_model()
    local = walk.fit_local(benches[0], world.agents[0]._trainer._family)
    honest = walk.make_update(benches[0], local, base)
    top = (1 << 15) - 1
    flat = (top, top, top, 1, 1, 1)
    hostile = replace(honest, exponents=(-24, 40, 40), upper=flat, z=(1, 1, 1), bits=16)
    score = walk._improvement(benches[1], base, hostile, ONE)
    assert -ONE <= score <= ONE
    assert np.all(model_to_theta(base) == 0)
