"""A network that loses, repeats, delays and reorders; peers that hand out too little, or too much."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from ledgerfed.network import Fault, InProcessTransport, Message
from ledgerfed.node.messages import BLOB, EVIDENCE, PROPOSAL, SIGNATURE, Statement
from ledgerfed.protocol.configuration import Windows
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.transcript import Phase

PATIENT = Windows(commit=24, force=6, score=24, certify=24, challenge=0)


def _weather(seed: int, loss: float, said: list[Message]) -> Fault:
    """A network that drops this share of messages, and doubles or delays many of the others."""
    random = np.random.default_rng(seed)

    def fault(message: Message, _receiver: int) -> Sequence[int]:
        said.append(message)
        if random.random() < loss:
            return ()
        return tuple(int(delay) for delay in random.integers(0, 3, size=random.integers(1, 3)))

    return fault


def _assert_nobody_certified_twice(said: Sequence[Message]) -> None:
    signed: dict[tuple[int, int], set[bytes]] = {}
    for message in said:
        if message.topic == SIGNATURE:
            statement = Statement.from_bytes(message.data)
            signed.setdefault((statement.round, statement.signer), set()).add(statement.subject)
    assert all(len(subjects) == 1 for subjects in signed.values())


@pytest.mark.parametrize("seed", [1, 2])
def test_with_a_quarter_of_all_messages_lost_every_round_certifies(new_world, seed: int) -> None:
    said: list[Message] = []
    world = new_world(_weather(seed, 0.25, said), config={"windows": PATIENT})
    world.start()
    world.run(2)
    world.assert_one_history()
    assert [done.round for done in world.view().certified] == [1, 2]
    assert sum(reason == "admitted" for n in (1, 2) for reason in world.reasons(n)) >= 7
    _assert_nobody_certified_twice(said)


def test_with_most_messages_lost_histories_still_agree(new_world) -> None:
    said: list[Message] = []
    world = new_world(_weather(4, 0.7, said))
    world.start()
    world.run(2)
    world.heal()
    world.run(3)
    world.assert_one_history()
    _assert_nobody_certified_twice(said)
    assert world.view().certified[-1].round == 3


def test_a_payload_that_one_peer_has_is_pulled_by_its_hash(new_world) -> None:
    author, confidant = 0, 1

    def fault(message: Message, receiver: int) -> Sequence[int]:
        refused = message.topic == BLOB and receiver == author and message.sender != confidant
        return () if refused else (0,)

    world = new_world(fault)
    world.start()
    world.run(1)
    assert world.reasons(1) == ["admitted"] * 4
    (manifest,) = world.agents[2].manifests()
    evidence = RoundEvidence.from_bytes(world.agents[2].fetch(manifest.evidence))
    payload = evidence.openings[author].update_hash
    assert all(world.store(index).blobs.has(payload) for index in range(4))


@pytest.mark.threat("N6")
def test_an_update_that_its_author_shows_to_nobody_is_withheld_and_the_round_goes_on(new_world) -> None:
    world = new_world(lambda message, receiver: () if message.topic == BLOB and receiver == 0 else (0,))
    world.start()
    world.run(1)
    assert world.reasons(1) == ["V3:withheld", "admitted", "admitted", "admitted"]


@pytest.mark.threat("N6")
def test_a_validator_waits_for_a_payload_that_others_hold_and_then_signs(new_world) -> None:
    cut_off = [3]
    world = new_world(
        lambda message, receiver: () if message.topic == BLOB and message.sender in cut_off else (0,)
    )
    world.start()
    asleep = lambda index: index == 0 and "reveal" in world.steps(0)  # noqa: E731
    world.run(1, asleep=asleep, until=lambda: "wait" in world.steps(3))
    assert "refuse" not in world.steps(3)
    cut_off.clear()
    world.run(1, asleep=asleep)
    assert "certify" in world.steps(3), "three signatures are needed, and node 0 sleeps"
    assert world.view().certified[0].round == 1


@pytest.mark.threat("N2")
def test_a_payload_is_shown_to_nobody_before_the_force_window_is_over(world) -> None:
    asked: dict[Phase, int] = {}

    def ask() -> bool:
        for index, agent in world.agents.items():
            view, committed = agent.view, agent._trainer._committed()
            if view.round != 1 or view.phase is Phase.SCORED or committed is None:
                continue
            shown = world.transport.request(index, BLOB, committed.openings[0].update_hash, 1 - index % 2)
            secret = view.phase is Phase.OPEN or view.block < view.end
            assert not (secret and shown), f"node {index} showed its payload in block {view.block}"
            asked[view.phase] = asked.get(view.phase, 0) + bool(shown)
        return world.phase() is Phase.SCORED

    world.run(1, until=lambda: world.phase() is Phase.SEALED or ask())
    world.start()
    ask()
    world.run(1, until=ask)
    assert asked, "it was asked while it had something to hide"
    assert not asked.get(Phase.OPEN)
    world.run(1)
    (manifest,) = world.agents[0].manifests()
    (opening, *_) = RoundEvidence.from_bytes(world.agents[0].fetch(manifest.evidence)).openings
    assert world.transport.request(opening.index, BLOB, opening.update_hash, 1)


@pytest.mark.threat("V3")
def test_a_validator_that_reveals_to_one_other_only_cannot_stall_the_round(new_world) -> None:
    hostile = 3

    def fault(message: Message, receiver: int) -> Sequence[int]:
        if message.topic != EVIDENCE or message.sender != hostile:
            return (0,)
        speakers = [(world.relayer() + turn) % 4 for turn in range(4)]
        confidant = [speaker for speaker in speakers if speaker != hostile][-1]
        reveals = RoundEvidence.from_bytes(message.data).reveals
        return () if reveals and receiver != confidant else (0,)

    world = new_world(fault)
    world.start()
    asleep = lambda index: index == hostile and "reveal" in world.steps(hostile)  # noqa: E731
    world.run(1, asleep=asleep)
    world.run(1)
    assert [done.round for done in world.view().certified] == [1]
    evidence = world.agents[0].fetch(world.agents[0].manifests()[0].evidence)
    assert len(RoundEvidence.from_bytes(evidence).reveals) == 3


def test_a_proposal_out_of_turn_is_not_judged(revealed) -> None:
    world = revealed
    first, *_, last = sorted((a._desk for a in world.agents.values()), key=lambda desk: desk.rank())
    agent = next(a for a in world.agents.values() if a._desk.rank() == 1)
    proposal = agent._desk.notebook.evidence()
    agent._desk.proposals[last.index] = proposal.hash(), proposal
    agent._validator.while_scored()
    assert agent._validator.outcome is None
    agent._desk.proposals[first.index] = proposal.hash(), proposal
    agent._validator.while_scored()
    assert agent._validator.outcome is not None


def test_what_a_node_said_while_nobody_listened_it_says_again(world) -> None:
    world.transport = InProcessTransport(lambda message, receiver: ())
    world.start()
    world.run(1, until=lambda: world.steps().count("commit") == 4)
    world.heal()
    world.run(1)
    assert world.reasons(1) == ["admitted"] * 4


def test_a_proposal_is_large_and_a_larger_one_than_possible_is_not_read(world, monkeypatch) -> None:
    agent = world.agents[0]
    agent.step(1)
    read: list[int] = []
    monkeypatch.setattr(RoundEvidence, "from_bytes", lambda data: read.append(len(data)))
    world.transport.publish(PROPOSAL, 1, b"{" * (agent._desk._max_bytes() + 1))
    agent._desk.listen()
    assert not read
