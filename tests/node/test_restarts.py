"""Nodes that are killed at any point go on where the chain and their journals stand (threats K1-K9, V4)."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, replace
from typing import Any

import pytest

from ledgerfed.network import InProcessTransport, Message
from ledgerfed.node import honest_update
from ledgerfed.node.messages import PROPOSAL, SIGNATURE, Statement
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.transcript import Phase

LASTING = ("record", "put", "seal", "force", "scores", "certify", "abort")


class Killed(BaseException):
    """The process is gone; nothing catches it."""


@dataclass
class Fuse:
    """Burns down with every lasting call of any node, and kills before or after the last one."""

    left: int = -1
    after: bool = False
    calls: int = 0

    def around(self, call: Any) -> Any:
        def burning(*arguments: Any, **options: Any) -> Any:
            self.calls += 1
            self.left -= 1
            if self.left == 0 and not self.after:
                raise Killed
            result = call(*arguments, **options)
            if self.left == 0:
                raise Killed
            return result

        return burning


class Fused:
    """A port whose lasting calls go through a fuse."""

    def __init__(self, port: Any, fuse: Fuse) -> None:
        self._port, self._fuse = port, fuse

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        return self._fuse.around(found) if name in LASTING else found


def _fuse(world: Any, fuse: Fuse) -> None:
    def wrap(_index: int, ports: Any) -> Any:
        return replace(
            ports,
            ledger=Fused(ports.ledger, fuse),
            journal=Fused(ports.journal, fuse),
            blobs=Fused(ports.blobs, fuse),
        )

    world.wrap = wrap


class Ear:
    """Hears all signatures, across restarts of the network."""

    def __init__(self) -> None:
        self.signed: dict[tuple[int, int], set[bytes]] = {}

    def __call__(self, message: Message, _receiver: int) -> tuple[int, ...]:
        if message.topic == SIGNATURE:
            statement = Statement.from_bytes(message.data)
            self.signed.setdefault((statement.round, statement.signer), set()).add(statement.subject)
        return (0,)


def _restart(world: Any, ear: Ear) -> None:
    for index in range(4):
        world.stop(index)
    world.transport = InProcessTransport(ear)
    world.start()


def _back_to(world: Any, snapshot: str) -> str:
    """Take the chain back to where it was founded, and forget everything that the nodes kept."""
    for index in range(4):
        world.stop(index)
    shutil.rmtree(world.directory, ignore_errors=True)
    assert world.rpc.call("evm_revert", snapshot)
    return world.rpc.call("evm_snapshot")


def _sent(world: Any) -> Counter[tuple[str, int]]:
    """How many events of each kind every round has on the chain."""
    events = world.gateway().read_events(world.deployed_in, world.gateway().block_number())
    return Counter((type(e).__name__, e.round) for e in events if hasattr(e, "round"))


def _walk_with_one_death(world: Any, kill_at: int, after: bool) -> tuple[bytes, bytes, int]:
    """Return transcript and model after two rounds in which all nodes died once, and the calls they made."""
    ear, fuse = Ear(), Fuse(kill_at, after)
    _fuse(world, fuse)
    _restart_quietly(world, ear)
    try:
        world.run(2)
    except Killed:
        _restart(world, ear)
        world.run(2)
    world.assert_one_history()
    assert all(len(subjects) == 1 for subjects in ear.signed.values()), "a node certified two outcomes"
    assert set(_sent(world).values()) == {1}
    return world.view().transcript, world.view().model, fuse.calls


def _restart_quietly(world: Any, ear: Ear) -> None:
    try:
        _restart(world, ear)
    except Killed:
        _restart(world, ear)


def _boundaries(total: int, count: int) -> list[int]:
    return sorted({1 + round(k * (total - 1) / (count - 1)) for k in range(count)})


@pytest.mark.threat("K1-K8")
@pytest.mark.parametrize(
    ("count", "after"), [(4, False), (4, True), pytest.param(10_000, False, marks=pytest.mark.slow)]
)
def test_all_nodes_killed_at_any_lasting_call_end_where_they_would_have_ended(
    new_world, count: int, after: bool
) -> None:
    world = new_world()
    snapshot = world.rpc.call("evm_snapshot")
    *undisturbed, calls = _walk_with_one_death(world, -1, False)
    assert calls > 60
    for kill_at in _boundaries(calls, min(count, calls)):
        snapshot = _back_to(world, snapshot)
        *found, _ = _walk_with_one_death(world, kill_at, after)
        assert found[1] == undisturbed[1], f"killed at call {kill_at}: another model"
        assert found[0] == undisturbed[0], f"killed at call {kill_at}: another history"


def test_one_node_that_is_killed_and_comes_back_with_an_empty_inbox_keeps_up(world) -> None:
    for phase in (Phase.OPEN, Phase.SEALED, Phase.SCORED):
        number = world.view().round or 1
        world.run(number, until=lambda phase=phase: all(a.view.phase is phase for a in world.agents.values()))
        world.start(1)
        world.run(number)
        world.assert_one_history()
        assert world.reasons(number) == ["admitted"] * 4


@pytest.mark.threat("K9")
def test_a_node_that_lost_its_disk_makes_the_same_statements_again(world) -> None:
    world.run(1, until=lambda: world.phase() is Phase.SEALED)
    leaf = world.agents[1]._trainer._committed().leaves[0].leaf
    world.stop(1)
    shutil.rmtree(world.directory / "1")
    world.start(1)
    world.run(2)
    world.assert_one_history()
    assert world.reasons(2) == ["admitted"] * 4
    evidence = RoundEvidence.from_bytes(world.agents[1].fetch(world.agents[1].manifests()[0].evidence))
    assert evidence.leaves[1].leaf == leaf


@pytest.mark.threat("N5")
def test_a_node_that_lost_its_disk_and_signs_another_leaf_has_broken_its_word(world) -> None:
    relayer = world.relayer()
    loser = (relayer + 1) % 4
    world.run(1, asleep={relayer}, until=lambda: world.steps().count("commit") == 3)
    world.stop(loser)
    shutil.rmtree(world.directory / str(loser))
    world.updates[loser] = lambda context: replace(honest_update(context), n_samples=79)
    world.start(loser)
    world.run(1, asleep={relayer}, until=lambda: world.steps(loser).count("commit") == 2)
    world.run(1, until=lambda: bool(world.view().removed))
    assert world.view().removed == {loser}
    assert world.steps().count("challenge two leaves") == 1
    assert "force" not in world.steps()


@pytest.mark.threat("P2")
def test_a_damaged_blob_is_pulled_again(world) -> None:
    world.run(1)
    digest = world.view().model
    path = world.store(2).blobs._path(digest)
    path.write_bytes(b"rubbish")
    world.start(2)
    world.run(2)
    world.assert_one_history()
    assert world.store(2).blobs.get(digest)


@pytest.mark.threat("V4")
def test_a_validator_never_certifies_a_second_outcome_not_even_after_a_restart(new_world) -> None:
    ear, mute = Ear(), [SIGNATURE]

    def fault(message: Message, receiver: int) -> tuple[int, ...]:
        ear(message, receiver)
        return () if message.topic in mute else (0,)

    world = new_world(fault)
    world.start()
    world.run(1, until=lambda: all(a._validator.outcome for a in world.agents.values()))
    first = {signer: set(subjects) for (_, signer), subjects in ear.signed.items()}
    evidence = world.agents[0]._desk.notebook.evidence()
    speaker = min(range(4), key=world.agents[0]._desk.rank)
    node = (speaker + 1) % 4
    ear.signed.clear()
    for index in range(4):
        world.stop(index)
    world.transport = InProcessTransport(fault)
    world.start(node)
    tempting = replace(evidence, reveals=evidence.reveals[:3])
    world.transport.publish(PROPOSAL, speaker, tempting.to_bytes())
    for _ in range(3):
        world.agents[node].step(1)
        world.gateway().wait_for_block(world.gateway().block_number() + 1)
    assert ear.signed in ({}, {(1, node): first[node]})
    assert world.agents[node]._validator.outcome.evidence == evidence.hash()
