"""A node that runs for long: it outlives its endpoint, says why nothing happens, and keeps every document."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from rewriting_proxy import Forward, rewritten

from ledgerfed.consensus.history import held_openings
from ledgerfed.errors import ConfigurationError, VerificationError
from ledgerfed.ledger.rpc import JsonRpc
from ledgerfed.node import NodeService, Progress
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.manifest import Manifest


class NoMail:
    """Nobody writes; time passes, and the chain gets a block now and then."""

    def __init__(self, world, mines: bool = True) -> None:
        self.world = world
        self.mines = mines

    def wait(self, seconds: float) -> bool:
        if self.mines:
            self.world.rpc.call("evm_mine")
        else:
            time.sleep(0.01)
        return False


def _service(world, index: int, told: list[Progress], **options: object) -> NodeService:
    stop = options.pop("stop", threading.Event())
    mail = options.pop("mail", NoMail(world))
    return NodeService(world.agents[index], mail, stop, 0.02, told.append, **options)


def _documents(world, index: int) -> list[bytes]:
    """What the certified rounds refer to, and the node's own store holds."""
    blobs, wanted = world.store(index).blobs, []
    for done in world.agents[index].view.certified:
        manifest = Manifest.from_bytes(blobs.get(done.manifest))
        evidence = RoundEvidence.from_bytes(blobs.get(manifest.evidence))
        openings = held_openings(world.config, evidence)
        wanted += [manifest.model, manifest.evidence, *(opening.update_hash for opening in openings)]
    return [digest for digest in wanted if blobs.has(digest)]


def test_a_node_that_slept_pulls_every_document_and_ends(new_world: Callable) -> None:
    world = new_world()
    world.start()
    world.run(2, asleep={3})
    told: list[Progress] = []
    _service(world, 3, told).run(last_round=2)
    assert [(p.step, p.round) for p in told if p.step == "certified"] == [("certified", 1), ("certified", 2)]
    assert {p.detail for p in told if p.step == "certified"} == {"3 admitted; not 3 absent"}
    assert len(_documents(world, 3)) == 2 * (2 + 3)


def test_an_endpoint_that_fails_is_waited_for(new_world: Callable, devnet) -> None:
    world = new_world()
    world.start()
    looks = 0

    def refuse(method: str, params: list, forward: Forward) -> dict:
        nonlocal looks
        looks += method == "eth_blockNumber"
        if method == "eth_blockNumber" and looks == 2:  # the first look is for whoever started the node
            return {"error": {"code": -32005, "message": "limit exceeded"}}
        return forward()

    world.run(2, asleep={3})
    with rewritten(devnet.url, refuse) as url:
        world.rpc = JsonRpc(url)
        world.start(3)
        told: list[Progress] = []
        _service(world, 3, told).run(last_round=2)
    assert [p.step for p in told] == ["trouble", "certified", "certified"]
    assert "limit exceeded" in told[0].detail


def test_what_makes_an_endpoint_untrustworthy_ends_the_node(new_world: Callable, devnet) -> None:
    world = new_world()
    world.start()
    world.run(1, asleep={3})
    lying = False

    def forge(method: str, params: list, forward: Forward) -> dict:
        said = forward()
        if lying and method == "eth_getLogs":
            for log in said["result"]:
                log["data"] = log["data"][:-2] + "99"
        return said

    with rewritten(devnet.url, forge) as url:
        world.rpc = JsonRpc(url)
        world.start(3)
        world.rpc = JsonRpc(devnet.url)
        world.agents[3].step(last_round=0)

        class Turns(NoMail):
            """The endpoint begins to lie while the node runs."""

            def wait(self, seconds: float) -> bool:
                nonlocal lying
                world.run(2, asleep={3})
                lying = True
                return False

        with pytest.raises(VerificationError, match="do not trust this endpoint"):
            _service(world, 3, [], mail=Turns(world)).run()


def test_a_contract_of_other_rules_ends_the_node_at_its_first_look(new_world: Callable) -> None:
    world = new_world()
    world.config, founded = new_world(config={"name": "another"}).config, world.config
    world.start(0)
    assert founded != world.config
    with pytest.raises(ConfigurationError, match="was deployed for the configuration"):
        _service(world, 0, []).run()


def test_a_chain_that_stands_still_is_reported_once_a_minute(new_world: Callable) -> None:
    world = new_world()
    world.start(0)
    told: list[Progress] = []
    stop, ticks = threading.Event(), iter(range(0, 10_000, 10))

    def clock() -> float:
        now = next(ticks)
        if now >= 200:
            stop.set()
        return float(now)

    mail = NoMail(world, mines=False)
    _service(world, 0, told, stop=stop, clock=clock, mail=mail).run()
    stalls = [p for p in told if p.step == "stall"]
    assert 2 <= len(stalls) <= 3
    assert "a development chain needs a block time" in stalls[0].detail
