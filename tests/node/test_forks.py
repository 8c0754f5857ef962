"""Chains that change branch (threat C1) and endpoints that lie."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from ledgerfed.errors import VerificationError
from ledgerfed.ledger.events import Sealed
from ledgerfed.node.chain_view import ChainView
from ledgerfed.protocol.transcript import Phase


def _fork(world: Any, snapshot: str, empty_blocks: int) -> None:
    """Undo what happened since the snapshot, and let the new branch begin with some empty blocks."""
    assert world.rpc.call("evm_revert", snapshot)
    for _ in range(empty_blocks):
        world.rpc.call("evm_mine")


@pytest.mark.threat("C1")
@pytest.mark.parametrize("empty_blocks", [0, 9])
@pytest.mark.parametrize("phase", [Phase.SEALED, Phase.SCORED])
def test_a_transition_that_a_fork_took_back_is_made_again(world, phase: Phase, empty_blocks: int) -> None:
    if phase is Phase.SCORED:
        world.run(1, until=lambda: all(a.view.phase is Phase.SEALED for a in world.agents.values()))
    snapshot = world.rpc.call("evm_snapshot")
    world.run(1, until=lambda: all(a.view.phase is phase for a in world.agents.values()))
    _fork(world, snapshot, empty_blocks)
    world.run(1)
    world.run(2)
    world.assert_one_history()
    assert [done.round for done in world.view().certified] == [1, 2]
    assert world.reasons(1) == ["admitted"] * 4


@pytest.mark.threat("C1")
@pytest.mark.parametrize("empty_blocks", [1, 30])
def test_a_certified_round_that_a_fork_took_back_is_certified_again(world, empty_blocks: int) -> None:
    world.run(1)
    snapshot = world.rpc.call("evm_snapshot")
    world.run(2)
    model = world.agents[0].base_model()
    _fork(world, snapshot, empty_blocks)
    world.run(3)
    world.assert_one_history()
    rounds = [done.round for done in world.view().certified]
    assert rounds[-1] == 3
    if empty_blocks == 1:
        assert world.view().certified[1].model == model.hash()


def test_a_view_is_of_the_branch_that_the_chain_follows(world) -> None:
    agent = world.agents[0]
    snapshot = world.rpc.call("evm_snapshot")
    world.run(1, until=lambda: agent.view.phase is Phase.SEALED)
    height = agent.view.block
    _fork(world, snapshot, 0)
    agent._desk.follow()
    assert (agent.view.phase, agent.view.seal) == (Phase.OPEN, None)
    assert agent._desk.is_due("leaf"), "what it said on the other branch may have been dropped by others"
    while world.gateway().block_number() < height:
        world.rpc.call("evm_mine")
    agent._desk.follow()
    assert agent.view.block == height
    assert agent.view.transcript == world.gateway().transcript()


class Endpoint:
    """A chain endpoint that changes or hides events on the way."""

    def __init__(self, ledger: Any, distort: Any) -> None:
        self._ledger, self._distort = ledger, distort

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ledger, name)

    def read_events(self, from_block: int, to_block: int) -> Any:
        events = self._ledger.read_events(from_block, to_block)
        return [event for event in map(self._distort, events) if event is not None]


def _lie(world: Any, distort: Any) -> None:
    world.wrap = lambda index, ports: replace(ports, ledger=Endpoint(ports.ledger, distort))
    world.start(0)


@pytest.mark.threat("C5")
@pytest.mark.parametrize("field", ["root", "n", "transcript"])
def test_an_endpoint_that_changes_an_event_is_found_out(world, field: str) -> None:
    def distort(event: Any) -> Any:
        if not isinstance(event, Sealed):
            return event
        return replace(event, **{field: 3 if field == "n" else bytes(range(32))})

    world.run(1)
    _lie(world, distort)
    with pytest.raises(VerificationError, match="do not trust this endpoint"):
        world.agents[0].step()


@pytest.mark.threat("C5")
def test_an_endpoint_that_hides_an_event_is_found_out_at_the_next_one(world) -> None:
    world.run(1)
    _lie(world, lambda event: None if isinstance(event, Sealed) else event)
    with pytest.raises(VerificationError, match="do not trust this endpoint"):
        world.agents[0].step()


def test_events_of_another_branch_are_read_again_instead_of_called_a_lie(world) -> None:
    world.run(1, until=lambda: world.phase() is Phase.SEALED)
    agent, snapshot = world.agents[0], world.rpc.call("evm_snapshot")
    world.start(0)
    agent = world.agents[0]
    ledger = agent._desk._lookout._ledger

    class Changing(Endpoint):
        def read_events(self, from_block: int, to_block: int) -> Any:
            events = super().read_events(from_block, to_block)
            if from_block <= world.deployed_in:
                _fork(world, snapshot, 0)
                world.rpc.call("evm_mine")
                return [replace(e, root=bytes(32)) if isinstance(e, Sealed) else e for e in events]
            return events

    world.rpc.call("evm_increaseTime", 5)
    world.rpc.call("evm_mine")
    agent._desk._lookout._ledger = Changing(ledger, lambda event: event)
    assert agent.step(0) or agent.step(0)
    assert world.steps(0)[-1] == "wait"
    agent._desk._lookout._ledger = ledger
    agent.step(0)
    assert agent.view.transcript == world.gateway().transcript()


def test_a_view_replays_what_the_contract_says(world) -> None:
    world.run(2, asleep=lambda index: index in (1, 2) and world.view().round == 2)
    world.run(3)
    ledger = world.gateway()
    view = ChainView(world.federation, world.config.windows)
    for event in ledger.read_events(0, ledger.block_number()):
        view = view.apply(event)
        state = ledger.state(event.at.block_number)
        if view.round:
            assert (view.round, view.phase, view.end) == (state.round, state.phase, state.end)
            assert view.transcript == ledger.transcript(event.at.block_number)
    assert view.round == 4
