"""Nodes that break their word, and what their peers make of it: one test for each fault, on a real chain."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledgerfed.ledger import demo_key
from ledgerfed.node import validator, walk
from ledgerfed.node.challenger import Challenger
from ledgerfed.node.messages import EVIDENCE, RECEIPT, SIGNATURE, Statement
from ledgerfed.node.notebook import Notebook
from ledgerfed.node.relayer import Relayer
from ledgerfed.node.validator import Validator
from ledgerfed.protocol.evidence import SignedLeaf, SignedScoreCommitment
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Fault
from ledgerfed.protocol.typed_data import (
    certificate_digest,
    leaf_digest,
    receipt_digest,
    score_commitment_digest,
)

OWNER = demo_key(11, 5)


@pytest.fixture
def contestable(new_world):
    """A federation with an owner whose certificates can be challenged for ten blocks."""
    world = new_world(owner=OWNER.address)
    windows = replace(world.config.windows, challenge=10)
    world.config = replace(world.config, windows=windows)
    world.found()
    world.start()
    return world


def second_leaf(world, index: int) -> bytes:
    """Another leaf that node `index` has signed for the round that was sealed last."""
    desk = world.agents[index]._desk
    seal = desk.view.seal
    federation, leaf = desk.view.federation, keccak(b"another leaf")
    digest = leaf_digest(federation, seal.round, index, leaf, seal.opened_at, 10_000)
    item = SignedLeaf(index, leaf, 10_000, desk.ports.signer.sign_digest(digest))
    page = desk.last_notebook if desk.notebook.view.opened_at != seal.opened_at else desk.notebook
    return page.fragment(leaves=(item,)).to_bytes()


@pytest.mark.threat("N5")
def test_n5_a_second_leaf_shown_in_the_challenge_window_takes_the_certificate_back(contestable) -> None:
    world, hostile = contestable, (contestable.relayer() + 1) % 4
    world.run(1)
    first = world.view()
    assert first.certified[-1].round == 1
    world.agents[hostile]._desk.ports.transport.publish(EVIDENCE, hostile, second_leaf(world, hostile))
    world.run(1, until=lambda: bool(world.view().removed))
    assert world.view().round == 1, "the round is back in SCORED"
    assert world.view().model == world.config.genesis_model().hash()
    world.run(1)
    world.assert_one_history()
    assert world.steps().count("challenge two leaves") == 1
    assert world.reasons(1)[hostile] == "V1:proven-fault"
    assert [done.round for done in world.view().certified] == [1]
    assert world.view().certified[-1].manifest != first.certified[-1].manifest
    world.run(2)
    world.assert_one_history()
    assert world.reasons(2)[hostile] == "V1:quarantined"


def test_a_certificate_falls_for_nodes_that_were_restarted_meanwhile_too(contestable) -> None:
    world, hostile = contestable, (contestable.relayer() + 1) % 4
    world.run(1)
    fragment = second_leaf(world, hostile)
    accuser = (hostile + 1) % 4
    world.agents[accuser]._desk.last_notebook.merge(
        world.agents[accuser]._desk.last_notebook.evidence().from_bytes(fragment), hostile
    )
    world.run(1, asleep=set(range(4)) - {accuser}, until=lambda: bool(world.agents[accuser].view.removed))
    world.start()
    world.run(2)
    world.assert_one_history()
    assert world.reasons(1)[hostile] == "V1:proven-fault"


class TwoCommitments(Validator):
    """Signs a second score commitment."""

    def while_sealed(self) -> None:
        super().while_sealed()
        desk, view = self._desk, self._desk.view
        if desk.index not in desk.notebook.commitments or view.forced:
            return
        other = keccak(b"another commitment")
        digest = score_commitment_digest(
            view.federation, view.round, desk.index, other, view.sealed_transcript
        )
        signed = SignedScoreCommitment(desk.index, other, desk.ports.signer.sign_digest(digest))
        desk.say(EVIDENCE, "second", desk.notebook.fragment(commitments=(signed,)).to_bytes())


def test_two_score_commitments_silence_their_author(world) -> None:
    hostile = (world.relayer() + 1) % 4
    agent = world.agents[hostile]
    agent._validator = TwoCommitments(agent._desk, world.benches[hostile])
    world.run(1)
    world.assert_one_history()
    assert world.steps().count("challenge two commitments") == 1
    reasons = world.reasons(1)
    assert reasons.pop(hostile) == "V1:proven-fault"
    assert reasons == ["admitted"] * 3
    assert all(len(v.heard) <= 3 for v in world.verdicts(1))
    before, after = world.config.genesis_reputation, world.agents[0].reputations()[hostile]
    assert after.validator.b > before.validator.b
    assert after.trainer.b > before.trainer.b


class TwoReceipts(Relayer):
    """Acknowledges a leaf that nobody sent, after the real one."""

    def _receipt(self, leaf: SignedLeaf) -> None:
        super()._receipt(leaf)
        desk, view, other = self._desk, self._desk.view, keccak(b"no leaf of anybody")
        digest = receipt_digest(view.federation, view.round, leaf.index, other, view.opened_at)
        signature = desk.ports.signer.sign_digest(digest)
        lie = Statement(view.round, desk.index, leaf.index, other, signature)
        desk.say(RECEIPT, f"lie {leaf.index}", lie.to_bytes())


def test_two_receipts_remove_the_relayer_before_it_seals(world) -> None:
    hostile = world.relayer()
    agent = world.agents[hostile]
    agent._relayer = TwoReceipts(agent._desk, agent._validator)
    world.run(1, until=lambda: bool(world.view().removed))
    world.run(2)
    world.assert_one_history()
    assert world.view().removed == {hostile}
    last = world.view().certified[-1].round
    assert world.reasons(last)[hostile] in ("V1:proven-fault", "V1:quarantined")


@pytest.mark.threat("V4")
def test_v4_two_certificates_are_one_too_many(revealed) -> None:
    """A validator that signs the outcome of every proposal that it hears."""
    world, hostile = revealed, 3
    notebook = world.agents[0]._desk.notebook
    whole = notebook.evidence()
    t = world.view().transcript
    # a second outcome that everybody can decide too: one reveal fewer
    fewer = replace(whole, reveals=whole.reveals[:-1])
    for agent in world.agents.values():
        agent._validator.while_scored()
        for proposal in (whole, fewer):
            agent._validator._decide(proposal.hash(), proposal)
    outcomes = world.agents[0]._validator.decided()
    assert len(outcomes) == 2
    desk = world.agents[hostile]._desk
    for after in outcomes:
        digest = certificate_digest(desk.view.federation, desk.view.round, after)
        signature = desk.ports.signer.sign_digest(digest)
        word = Statement(desk.view.round, hostile, hostile, after, signature)
        desk.ports.transport.publish(SIGNATURE, hostile, word.to_bytes())
    world.heal()
    world.run(1, asleep={hostile}, until=lambda: world.agents[0].view.transcript != t)
    assert "challenge two certificates" in world.steps()
    world.run(1)
    world.assert_one_history()
    assert world.reasons(1)[hostile] == "V1:proven-fault"


@pytest.mark.threat("V5")
def test_v5_a_quorum_that_certifies_a_wrong_median_is_removed_and_the_round_undone(
    contestable, monkeypatch
) -> None:
    world, honest = contestable, 3
    truth = walk.decide_outcome

    def lie(given):
        outcome = truth(given)
        verdicts = [replace(v, score=(v.score or 0) + 1) if v.index == 2 else v for v in outcome.verdicts]
        return replace(outcome, verdicts=tuple(verdicts))

    monkeypatch.setattr(validator.walk, "decide_outcome", lie)
    monkeypatch.setattr(Challenger, "look", lambda self: None)  # liars do not accuse themselves
    world.run(1, asleep={honest})
    monkeypatch.undo()
    genesis = world.config.genesis_model().hash()
    assert world.view().model != genesis
    world.run(1, asleep=set(range(4)) - {honest}, until=lambda: bool(world.agents[honest].view.removed))
    view = world.agents[honest].view
    assert view.removed == {0, 1, 2}
    assert (view.round, view.model, view.certified) == (2, genesis, ())
    assert world.steps().count("challenge wrong median") == 1
    # the owner seats who is left; nobody else could bring the federation back to life
    world.announce(replace(world.config, committee=(3,)), {})
    world.run(4, until=lambda: world.view().epoch == 1)
    assert (world.view().committee, world.view().removed) == ((3,), frozenset())
    assert "open epoch" in world.steps()


def test_a_proof_that_the_contract_refuses_stops_nobody(world) -> None:
    """A conflict that somebody else was convicted of, or that is none: the round goes on."""
    hostile = (world.relayer() + 1) % 4
    world.run(1, until=lambda: world.steps().count("commit") == 4)
    honest = world.agents[hostile]._desk.notebook.leaves[hostile]
    forged = replace(honest, leaf=keccak(b"forged"))
    for agent in world.agents.values():
        notebook = agent._desk.notebook
        notebook._accuse(
            Fault.TWO_LEAVES,
            hostile,
            hostile,
            notebook.view.opened_at,
            (honest.leaf, forged.leaf),
            (honest.signature, honest.signature),
            (honest.deadline, honest.deadline),
        )
    world.run(1)
    world.assert_one_history()
    assert world.reasons(1) == ["admitted"] * 4
    assert "reverted" in world.steps()


def test_a_branch_that_gives_leaves_more_time_convicts_no_relayer(new_world) -> None:
    """The same round opens later on another branch: what was acknowledged about it before stays promised."""
    world = new_world(config={"min_updates": 1})
    world.start()
    world.run(1, until=lambda: all(a.view.phase is Phase.SCORED for a in world.agents.values()))
    snapshot = world.rpc.call("evm_snapshot")
    late = (int.from_bytes(world.view().transcript, "big") + 1) % 4

    def three_have_committed() -> bool:
        rounds = [agent.view.round for index, agent in world.agents.items() if index != late]
        return set(rounds) == {2} and world.steps(round_number=2).count("commit") >= 3

    world.run(2, asleep={late}, until=three_have_committed)
    assert world.rpc.call("evm_revert", snapshot)
    for _ in range(6):
        world.rpc.call("evm_mine")
    for agent in world.agents.values():
        agent.step(2)
    world.run(2)
    world.assert_one_history()
    assert world.view().convicted == frozenset()


def test_a_set_with_the_right_root_and_wrong_signatures_is_not_taken_for_the_sealed_one(world) -> None:
    world.run(1, until=lambda: all(a._desk.notebook.sealed for a in world.agents.values()))
    known = world.agents[0]._desk.notebook
    good = known.fragment(leaves=known.sealed)
    unsigned = tuple(replace(item, signature=bytes(65)) for item in known.sealed)
    page = Notebook(world.config, known.view)
    page.merge(known.fragment(leaves=unsigned), 3)
    assert page.sealed is None
    page.merge(good, 0)
    assert page.sealed == known.sealed


def test_who_is_seated_again_with_the_same_key_is_convicted_again(new_world) -> None:
    world = new_world(owner=OWNER.address)
    world.start()
    hostile = (world.relayer() + 1) % 4
    world.run(1, until=lambda: all(a._desk.notebook.sealed for a in world.agents.values()))
    world.agents[hostile]._desk.ports.transport.publish(EVIDENCE, hostile, second_leaf(world, hostile))
    world.run(1, until=lambda: bool(world.view().removed))
    world.announce(world.config, {})
    world.run(9, until=lambda: world.view().epoch == 1)
    if not world.view().removed:  # else whoever still holds the old proof, which binds the key, came first
        last = world.view().round
        world.run(last, until=lambda: all(a._desk.notebook.sealed for a in world.agents.values()))
        world.agents[hostile]._desk.ports.transport.publish(EVIDENCE, hostile, second_leaf(world, hostile))
        world.run(last, until=lambda: bool(world.view().removed))
    assert (world.view().removed, world.view().convicted) == ({hostile}, {hostile})
    proofs = [progress for progress in world.seen if progress.step.startswith("challenge")]
    assert len(proofs) == 2, "one for each epoch: seating everybody again makes nobody immune"
