"""The relayer is trusted for nothing: it may sleep, censor, forge and choose what it proposes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledgerfed.network import InProcessTransport, Message
from ledgerfed.node import walk
from ledgerfed.node.relayer import Relayer
from ledgerfed.protocol.configuration import Windows
from ledgerfed.protocol.evidence import RoundEvidence, SignedLeaf
from ledgerfed.protocol.transcript import Phase

VICTIM = 2


def _hire(world, relayer: type[Relayer], *indices: int) -> None:
    """Let the relayers in these nodes (all by default) be of another kind."""
    for index in indices or world.agents:
        agent = world.agents[index]
        agent._relayer = relayer(agent._desk, agent._validator)


@pytest.mark.threat("R3")
@pytest.mark.parametrize(
    ("phase", "transaction"), [(Phase.OPEN, "seal"), (Phase.SEALED, "scores"), (Phase.SCORED, "certify")]
)
def test_another_member_takes_over_from_a_relayer_that_sleeps(world, phase: Phase, transaction: str) -> None:
    slept: set[int] = set()

    def asleep(index: int) -> bool:
        state = world.gateway().state()
        sleeps = (state.round, state.phase) == (1, phase) and index == world.relayer()
        slept.update({index} if sleeps else set())
        return sleeps

    world.run(1, asleep=asleep)
    world.run(1)
    world.assert_one_history()
    (sender,) = (p.index for p in world.seen if p.step == transaction and p.gas)
    assert slept
    assert sender not in slept
    assert [done.round for done in world.view().certified] == [1]


def test_takeovers_come_one_after_the_other_and_within_the_window(world) -> None:
    world.run(1, until=lambda: world.view().round == 1)
    desks = sorted((a._desk for a in world.agents.values()), key=lambda desk: desk.rank())
    end, window = desks[0].view.end, desks[0].view.window
    turns = []
    for desk in desks:
        heads = range(end - 2, end + window + 2)
        turns.append([h for h in heads if setattr(desk, "head", h) is None and desk.may_relay()])
    assert [turn[0] - end for turn in turns] == [0, window // 2, window // 2 + 1, window // 2 + 2]
    assert {turn[-1] for turn in turns} == {end + window - 1}, "what is sent then is mined in the last block"


@pytest.mark.parametrize("commit", [2, 3, 5])
def test_even_in_the_shortest_window_everybody_has_a_turn(new_world, commit: int) -> None:
    world = new_world(config={"windows": Windows(commit, force=0, score=2, certify=2, challenge=0)})
    world.start()
    for desk in (agent._desk for agent in world.agents.values()):
        desk.follow()
        desk.head = desk.view.end + commit - 1
        assert desk.may_relay() is True


def test_a_round_with_windows_of_four_blocks_certifies(new_world) -> None:
    world = new_world(config={"windows": Windows(commit=4, force=0, score=4, certify=4, challenge=0)})
    world.start()
    world.run(2)
    assert [done.round for done in world.view().certified] == [1, 2]


def _censor(victim: int, acknowledges: bool = False) -> type[Relayer]:
    """A relayer that leaves one node's leaf out of its seals, and has acknowledged it or not."""

    class Censor(Relayer):
        def _receipt(self, leaf: SignedLeaf) -> None:
            if acknowledges or leaf.index != victim:
                super()._receipt(leaf)

        def _all_leaves(self) -> bytes:
            notebook = self._desk.notebook
            kept = tuple(leaf for leaf in notebook.sealable() if leaf.index != victim)
            return notebook.fragment(leaves=kept).to_bytes()

    return Censor


@pytest.mark.threat("R1")
def test_a_node_that_the_relayer_left_out_forces_its_leaf_and_is_admitted(world) -> None:
    _hire(world, _censor(VICTIM))
    world.run(1)
    world.assert_one_history()
    assert [p.index for p in world.seen if p.step == "force"] == [VICTIM]
    assert world.reasons(1) == ["admitted"] * 4


@pytest.mark.threat("R1")
def test_r1_a_relayer_that_leaves_out_what_it_has_acknowledged_is_convicted_by_its_receipt(world) -> None:
    relayer = world.relayer()
    _hire(world, _censor(VICTIM, acknowledges=True))
    world.run(1)
    world.assert_one_history()
    assert world.steps().count("challenge broken receipt") == 1
    reasons = world.reasons(1)
    assert reasons.pop(relayer) == "V1:proven-fault"
    assert reasons == ["admitted"] * 3
    assert world.view().removed == {relayer}
    _hire(world, Relayer)
    world.run(2)
    world.assert_one_history()
    assert world.reasons(2)[relayer] == "V1:quarantined"


@pytest.mark.threat("R4")
def test_a_node_that_is_not_shown_the_set_forces_in_time_all_the_same(new_world) -> None:
    victims: set[int] = set()

    def keep_the_set_from_victims(message: Message, receiver: int) -> tuple[int, ...]:
        a_set = message.topic == "evidence" and len(RoundEvidence.from_bytes(message.data).leaves) > 1
        return () if a_set and receiver in victims else (0,)

    world = new_world(keep_the_set_from_victims)
    world.start()
    victims.add((world.relayer() + 1) % 4)
    _hire(world, _censor(*victims))
    world.run(1)
    world.assert_one_history()
    assert {p.index for p in world.seen if p.step == "force"} == victims
    assert "reverted" not in world.steps()
    assert world.reasons(1) == ["admitted"] * 4


def _forger(victim: int) -> type[Relayer]:
    """A relayer that puts a leaf of its own making in the place of a node's."""

    class Forger(Relayer):
        def _all_leaves(self) -> bytes:
            notebook, signer = self._desk.notebook, self._desk.ports.signer
            forged = tuple(
                replace(item, leaf=bytes(range(32)), signature=signer.sign_digest(bytes(32)))
                if item.index == victim
                else item
                for item in notebook.sealable()
            )
            return notebook.fragment(leaves=forged).to_bytes()

    return Forger


@pytest.mark.threat("R2")
def test_nobody_signs_over_a_forged_leaf_and_the_next_round_is_none_the_worse(world) -> None:
    base, forger = world.config.genesis_model().hash(), world.relayer()
    victim = (forger + 1) % 4
    _hire(world, _forger(victim))
    world.run(1)
    world.assert_one_history()
    assert world.view().certified == ()
    assert world.view().model == base
    assert "abort" in world.steps(round_number=1)
    assert "certify" not in world.steps(round_number=1)
    assert "challenge broken receipt" in world.steps(round_number=1)
    _hire(world, Relayer)
    world.run(2)
    reasons = world.reasons(2)
    assert reasons[victim] == "admitted", "the victim is not punished for what was forged"
    assert [i for i, reason in enumerate(reasons) if reason == "V1:proven-fault"] == [forger]


class Chooser(Relayer):
    """Proposes everything but what one validator revealed, or one node opened."""

    leave_out = "reveals"

    def _known_evidence(self) -> RoundEvidence | None:
        evidence = super()._known_evidence()
        if evidence is None or self._desk.rank() != 0:
            return evidence
        kept = tuple(item for item in getattr(evidence, self.leave_out) if item.index != VICTIM)
        return replace(evidence, **{self.leave_out: kept})


class OpeningChooser(Chooser):
    leave_out = "openings"


@pytest.mark.threat("R6")
@pytest.mark.parametrize("chooser", [Chooser, OpeningChooser])
def test_a_proposal_that_leaves_somebody_out_is_not_signed_and_the_next_speaker_is_heard(
    world, chooser: type[Chooser]
) -> None:
    _hire(world, chooser)
    world.run(1)
    world.assert_one_history()
    assert len({p.index for p in world.seen if p.step == "propose"}) >= 2
    (manifest,) = world.agents[0].manifests()
    evidence = RoundEvidence.from_bytes(world.agents[0].fetch(manifest.evidence))
    assert len(evidence.openings) == len(evidence.reveals) == 4
    assert world.reasons(1) == ["admitted"] * 4


def test_an_acknowledged_leaf_is_sealed_even_after_the_relayer_was_killed(world) -> None:
    relayer = world.relayer()
    late = (relayer + 1) % 4
    world.run(1, asleep={late}, until=lambda: len(world.agents[relayer]._desk.notebook.receipts) == 3)
    for index in range(4):
        world.stop(index)
    world.transport = InProcessTransport()
    world.start(relayer)
    world.run(1, until=lambda: world.phase() is Phase.SEALED)
    world.agents[relayer].step(1)
    sealed = world.agents[relayer]._desk.notebook.sealed
    assert {leaf.index for leaf in sealed} == set(range(4)) - {late}


def test_a_leaf_that_is_void_before_the_seal_costs_nobody_else_the_round(world, monkeypatch) -> None:
    signed = walk.leaf_statement
    hostile = (world.relayer() + 1) % 4

    def void(federation, commitment, opened_at, deadline):
        return signed(federation, commitment, opened_at, 1)

    trainer = world.agents[hostile]._trainer
    commit = trainer._commit

    def commit_void() -> bytes:
        with monkeypatch.context() as patch:
            patch.setattr(walk, "leaf_statement", void)
            fragment = RoundEvidence.from_bytes(commit())
        (leaf,) = fragment.leaves
        return replace(fragment, leaves=(replace(leaf, deadline=1),)).to_bytes()

    monkeypatch.setattr(trainer, "_commit", commit_void)
    monkeypatch.setattr(trainer, "_good_for_this_window", lambda leaf: leaf)
    world.run(1)
    assert world.reasons(1) == ["admitted"] * 4, "not sealed, so its own node had to force it in"
    assert [p.index for p in world.seen if p.step == "force"] == [hostile]
