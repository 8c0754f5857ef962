"""A chain takes back what a round had reached: the API forgets it, nodes say it anew, the round goes on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import pytest
from fastapi.testclient import TestClient
from ledgerfed_api import Settings, create_app
from node_processes import running_anvil

from chain_devnet import DevnetServer
from ledgerfed.ledger import demo_key
from ledgerfed.ledger.rpc import JsonRpc
from ledgerfed.observer import Finality, Observer, observe
from ledgerfed.observer.ledger_source import LedgerSource
from ledgerfed.protocol.transcript import Phase

KEY_SEED = 11
STEPS = {"seal": Phase.OPEN, "scores": Phase.SEALED, "certify": Phase.SCORED}
KINDS = {"seal": "Sealed", "scores": "Scored", "certify": "Certified"}


@pytest.fixture(scope="module")
def anvil() -> Iterator[str]:
    with running_anvil(None, "--order", "fifo") as url:
        rpc = JsonRpc(url)
        for index in range(5):
            rpc.call("anvil_setBalance", f"0x{demo_key(KEY_SEED, index).address.hex()}", hex(10**21))
        yield url


@pytest.fixture(params=["devnet", "anvil"])
def url(request: pytest.FixtureRequest, devnet: DevnetServer) -> str:
    return devnet.url if request.param == "devnet" else str(request.getfixturevalue("anvil"))


@dataclass
class Shown:
    """What the API shows of a federation, from an index of its own."""

    observer: Observer
    client: TestClient
    base: str

    def round(self, name: str = "head") -> dict:
        self.observer.advance()
        return self.client.get(f"{self.base}/rounds/{name}").json()["round"]

    def trail(self, kind: str) -> list[dict]:
        return self.client.get(f"{self.base}/audit/trail?limit=100&kind={kind}").json()["items"]


@pytest.fixture
def show() -> Iterator[Callable[..., Shown]]:
    with ExitStack() as stack:

        def shown(world, finality: Finality) -> Shown:
            app = create_app(Settings(workspace=world.directory / "0"))  # as a server beside node 0
            client = stack.enter_context(TestClient(app))
            store = app.state.desk.store
            source = LedgerSource(world.gateway(), world.rpc)
            observer = observe(store, source, world.federation, world.deployed_in, finality)
            return Shown(observer, client, f"/v1/federations/0x{world.federation.contract.hex()}")

        yield shown


@pytest.mark.threat("C1")
@pytest.mark.parametrize("step", STEPS)
def test_what_a_fork_took_back_is_forgotten_and_done_again(
    new_world: Callable, show: Callable[..., Shown], url: str, step: str
) -> None:
    """The fork has other blocks, so every signature about the lost transcript is of no use on it."""
    world = new_world(url=url)
    world.start()
    shown = show(world, Finality(64))
    world.run(1, until=lambda: world.phase() is STEPS[step])
    snapshot = world.rpc.call("evm_snapshot")
    before = shown.round()
    assert before["phase"] == STEPS[step].name

    world.run(2, until=lambda: (world.gateway().state().round, world.phase()) != (1, STEPS[step]))
    lost = shown.round("1")
    assert lost["phase"] == Phase(STEPS[step] + 1).name
    assert not lost["finalized"]
    (taken,) = shown.trail(KINDS[step])
    assert (taken["canonical"], taken["finalized"]) == (True, False)

    assert world.rpc.call("evm_revert", snapshot) is True
    world.rpc.call("evm_increaseTime", 7)
    world.rpc.call("evm_mine")
    again = shown.round("1")
    assert (again["phase"], again["transcript"]) == (before["phase"], before["transcript"])
    assert [e["canonical"] for e in shown.trail(KINDS[step])] == [False]

    world.run(2)
    world.assert_one_history()
    assert [len(a.manifests()) for a in world.agents.values()] == [2] * 4
    ended = shown.round("1")
    assert ended["phase"] == "CERTIFIED"
    canonical = [e for e in shown.trail(KINDS[step]) if e["canonical"] and e["round"] == 1]
    assert len(canonical) == 1
    assert canonical[0]["block_hash"] != taken["block_hash"]


def test_a_reorganisation_of_anvils_own_is_followed(
    new_world: Callable, show: Callable[..., Shown], anvil: str
) -> None:
    """anvil_reorg replaces the newest blocks by empty ones: the seal in them is gone from the chain."""
    world = new_world(url=anvil)
    world.start()
    shown = show(world, Finality(64))
    world.run(1, until=lambda: world.phase() is Phase.SEALED)
    sealed = shown.round()
    assert sealed["phase"] == "SEALED"
    depth = world.gateway().block_number() - sealed["blocks"]["sealed"] + 1
    world.rpc.call("anvil_reorg", depth, [])
    assert shown.round()["phase"] == "OPEN"
    world.run(1)
    assert shown.round("1")["phase"] == "CERTIFIED"
    world.assert_one_history()


def test_anvils_own_word_makes_rounds_final(new_world: Callable, show: Callable[..., Shown]) -> None:
    with running_anvil(None, "--order", "fifo", "--slots-in-an-epoch", "4") as url:
        rpc = JsonRpc(url)
        for index in range(5):
            rpc.call("anvil_setBalance", f"0x{demo_key(KEY_SEED, index).address.hex()}", hex(10**21))
        world = new_world(url=url)
        world.start()
        shown = show(world, Finality(tag="finalized"))
        world.run(1)
        ended = shown.round("1")
        assert (ended["phase"], ended["finalized"]) == ("CERTIFIED", False)
        rpc.call("anvil_mine", hex(8))
        assert shown.round("1")["finalized"]
        assert all(event["finalized"] for event in shown.trail("Certified"))
