"""What waits is judged as soon as it can be, and waiting keeps nobody from waiting for the next block."""

from __future__ import annotations

from dataclasses import replace

from ledgerfed.node.messages import BLOB
from ledgerfed.node.notebook import Notebook
from ledgerfed.protocol.transcript import Phase


def test_a_reveal_that_came_before_the_anchored_set_counts_when_the_set_comes(revealed) -> None:
    full = revealed.agents[0]._desk.notebook
    late = Notebook(full.config, full.view)
    reveals, openings = tuple(full.reveals.values()), tuple(full.openings.values())
    late.merge(late.fragment(reveals=tuple(sorted(reveals, key=lambda reveal: reveal.index))), 1)
    late.merge(late.fragment(openings=tuple(sorted(openings, key=lambda opening: opening.index))), 1)
    assert not late.reveals
    assert not late.openings
    late.merge(late.fragment(commitments=full.scored), 2)
    assert late.reveals == full.reveals
    late.merge(late.fragment(leaves=full.sealed), 2)
    assert late.openings == full.openings


def test_a_payload_that_was_lost_on_the_way_once_is_asked_for_again_before_scoring(new_world) -> None:
    lost: set[tuple[int, int]] = set()

    def lose_the_first(message, receiver):
        once = (message.sender, receiver)
        if message.topic != BLOB or once in lost:
            return (0,)
        lost.add(once)
        return ()

    world = new_world(lose_the_first)
    world.start()
    world.run(1)
    assert world.reasons(1) == ["admitted"] * 4


def test_a_node_that_waits_for_bytes_lets_the_chain_go_on(new_world) -> None:
    world = new_world(lambda message, receiver: () if message.topic == BLOB else (0,))
    world.start()
    agent = world.agents[0]
    agent.step(1)
    agent._desk.view = replace(agent.view, phase=Phase.OPEN, model=bytes(range(32)))
    agent._desk.archive._model = None
    agent._trainer._sat_out = b""
    agent._desk._written.clear()
    agent._trainer._desk.recalled = lambda step, about: None
    busy = [agent.step(1) for _ in range(3)]
    assert world.steps(0)[-1] == "wait"
    assert busy == [True, False, False]
    world.gateway().wait_for_block(world.gateway().block_number() + 1)
    assert world.steps(0).count("wait") == 1
