"""A node that hears late what came out of a round: on which model it trains, and that it keeps its word."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from ledgerfed.audit import TrustInputs, verify_bundle, write_bundle
from ledgerfed.cli.history import read_history
from ledgerfed.consensus.history import held_openings
from ledgerfed.network import Message
from ledgerfed.node import Ports, honest_update
from ledgerfed.protocol.manifest import Drift
from ledgerfed.protocol.score import ONE
from ledgerfed.protocol.transcript import Phase

LATE = 3
SEATS = {"committee": (0, 1, 2, 3)}


class Silence:
    """A network that shows the late node nothing of what is hidden."""

    def __init__(self) -> None:
        self.hidden: set[bytes] = set()

    def __call__(self, message: Message, _receiver: int) -> tuple[int, ...]:
        return () if message.sender == LATE and message.data in self.hidden else (0,)


class CrashingJournal:
    """A journal whose disk fails once, when the commitment behind the draft is to be written."""

    def __init__(self, journal) -> None:
        self._journal = journal
        self.failed = False

    def record(self, federation, index, round_number, step, data) -> None:
        if step.startswith("commit") and round_number == 2 and not self.failed:
            self.failed = True
            raise OSError("the power is out")
        self._journal.record(federation, index, round_number, step, data)

    def recall(self, *key):
        return self._journal.recall(*key)


def slept_through(new_world: Callable, network: Silence, **options):
    """A federation in which the late node was asleep in round 1."""
    world = new_world(network, config=SEATS, **options)
    world.start()
    world.run(1, asleep={LATE})
    return world


def staleness(world, number: int) -> list[int | None]:
    return [dict(verdict.measures).get("staleness") for verdict in world.verdicts(number)]


def test_a_node_that_has_the_newest_model_trains_on_it_whatever_else_it_lacks(new_world) -> None:
    """Nobody shows it a payload of the round before; an honest update does not need that."""
    network = Silence()
    world = slept_through(new_world, network)
    agent = world.agents[0]
    evidence = agent._desk.archive.evidence(agent.view.certified[-1].manifest)
    network.hidden.add(held_openings(world.config, evidence)[0].update_hash)
    world.run(2, until=lambda: agent.view.round > 2)
    assert staleness(world, 2) == [0] * 4


def test_a_node_to_which_nobody_shows_anything_of_a_round_still_trains_on_the_model_before(new_world) -> None:
    """It cannot know whether the federation drifts; that must not silence it."""
    network = Silence()
    world = slept_through(new_world, network)
    agent = world.agents[0]
    last = agent.view.certified[-1]
    network.hidden |= {last.manifest, last.model}
    world.run(2, until=lambda: agent.view.round > 2)
    assert staleness(world, 2) == [0, 0, 0, 1]


def test_a_crash_between_draft_and_commitment_leaves_the_base_as_it_was_drafted(new_world) -> None:
    """The newest model arrives while the node is down; it signs what it has drafted, and nothing else."""
    network = Silence()
    journals: list[CrashingJournal] = []

    def wrap(index: int, ports: Ports) -> Ports:
        if index != LATE:
            return ports
        journal = CrashingJournal(ports.journal)
        journal.failed = any(before.failed for before in journals)
        journals.append(journal)
        return replace(ports, journal=journal)

    world = slept_through(new_world, network, wrap=wrap)
    network.hidden.add(world.agents[0].base_model().hash())
    with pytest.raises(OSError, match="power"):
        world.run(2, until=lambda: world.view().phase is Phase.SEALED)
    network.hidden.clear()
    world.start(LATE)
    world.run(2)
    assert staleness(world, 2) == [0, 0, 0, 1]
    world.assert_one_history()


def test_what_is_late_drifting_and_contracted_is_replayed_by_an_auditor(new_world, tmp_path) -> None:
    """Round 2 aborts in between, so the late node's base is two rounds old and one model behind."""
    drifting = {index: lambda context: honest_update(replace(context, drift=True)) for index in (0, 1)}
    network = Silence()
    world = new_world(network, config=SEATS, updates=drifting)
    gates = replace(world.config.gates, model_root_bound=ONE // 2)
    world.config = replace(world.config, gates=gates)
    world.found()
    world.start()
    world.run(1, asleep={LATE})
    network.hidden.add(world.agents[0].base_model().hash())
    world.run(2, asleep={1, 2, LATE})
    world.run(3, until=lambda: world.agents[0].view.round > 3)
    network.hidden.clear()
    world.run(3)
    first, third = world.agents[0].manifests()
    assert (first.round, third.round) == (1, 3)
    assert staleness(world, 3) == [0, 0, 0, 1]
    assert third.drift == Drift(2, 4, True)
    assert first.stabilised is not None
    world.assert_one_history()

    ledger = world.gateway()
    history = read_history(ledger, world.rpc, world.deployed_in, world.store(0).blobs.get)
    write_bundle(history, tmp_path / "bundle.zip")
    report = verify_bundle(tmp_path / "bundle.zip", TrustInputs(final_transcript=ledger.transcript()))
    assert report.passed, report.verdict
    assert [r.phase for r in report.rounds] == ["certified", "aborted", "certified"]
