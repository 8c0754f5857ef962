"""The observer against the real contract on a real chain, through the ledger's gateway."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from simulated_federation import SimulatedFederation

from chain_devnet import DevnetServer
from ledgerfed.ledger import DemoSigner, Deployment, LedgerGateway, demo_key, deploy
from ledgerfed.ledger.rpc import JsonRpc
from ledgerfed.observer import Finality, Observer, observe, reindex
from ledgerfed.observer.ledger_source import LedgerSource
from ledgerfed.protocol import transcript as after
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.typed_data import certificate_digest
from ledgerfed.store import BlobStore, Store, open_store
from ledgerfed.store.chain_log import find_federation
from ledgerfed.store.reading import read_certificate, read_head, read_members, read_round, read_trail

NODES = tuple(demo_key(11, index) for index in range(4))
OUTCOME = (keccak(b"manifest"), keccak(b"model"), keccak(b"reputations"))


@dataclass
class Scene:
    url: str
    gateway: LedgerGateway
    observer: Observer
    store: Store

    def rpc(self, method: str, *params: object):
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return httpx.post(self.url, json=request).json()["result"]

    def relayer(self) -> DemoSigner:
        return next(node for node in NODES if node.address == self.gateway.relayer())

    def seal(self) -> None:
        state = self.gateway.state()
        self.gateway.wait_for_block(state.end)
        self.gateway.seal(self.relayer(), state.round, keccak(b"root"), 3)

    def score(self) -> None:
        state = self.gateway.state()
        self.gateway.wait_for_block(state.end)
        self.gateway.scores(self.relayer(), state.round, keccak(b"scores"))

    def certify(self) -> None:
        number = self.gateway.state().round
        t = after.after_certify(self.gateway.transcript(), number, *OUTCOME)
        digest = certificate_digest(self.gateway.federation, number, t)
        signatures = [node.sign_digest(digest) for node in NODES[:3]]
        self.gateway.certify(NODES[3], number, *OUTCOME, signatures)


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    rich = {f"0x{node.address.hex()}": 10**21 for node in NODES}
    config = SimulatedFederation(BlobStore(tmp_path / "blobs")).config
    with DevnetServer(fund=rich) as server, open_store(tmp_path / "store") as store:
        made: Deployment = deploy(
            server.url, NODES[0], config, tuple(n.address for n in NODES), keccak(b"m"), keccak(b"r")
        )
        options = {"mine_on_demand": True, "poll_interval": 0.01}
        gateway = LedgerGateway.connect(server.url, made.federation.contract, store.outbox, **options)
        source = LedgerSource(gateway, JsonRpc(server.url))
        first = made.transaction.block_number
        yield Scene(server.url, gateway, observe(store, source, made.federation, first, Finality(50)), store)


def test_a_round_on_chain_becomes_rows_and_ends_at_the_transcript_of_the_contract(scene: Scene) -> None:
    scene.seal()
    state = scene.gateway.state()
    forced = next(node for node in NODES if node.address != scene.gateway.relayer())
    scene.gateway.force(forced, state.round, keccak(b"leaf"))
    scene.score()
    scene.certify()
    progress = scene.observer.advance()
    assert [w.round for w in progress.waiting] == [0, 1]
    with scene.store.database.read() as connection:
        assert [m.address for m in read_members(connection, 1)] == [n.address for n in NODES]
        ended, head = read_round(connection, 1, 1), read_head(connection, 1)
        assert ended is not None
        assert head is not None
        assert (ended.phase, ended.n, ended.forced, ended.manifest) == (Phase.CERTIFIED, 3, 1, OUTCOME[0])
        assert [c.validator for c in read_certificate(connection, 1, 1)] == [0, 1, 2]
        assert head.transcript == scene.gateway.transcript()
        assert (head.number, head.window_end) == (2, scene.gateway.state().end)
        record = find_federation(connection, scene.gateway.federation)
    assert record is not None
    before, again = reindex(scene.store, record)
    assert before == again


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.SEALED, Phase.SCORED])
def test_a_reorganisation_in_every_phase_is_followed(scene: Scene, phase: Phase) -> None:
    steps = [scene.seal, scene.score, scene.certify]
    for step in steps[:phase]:
        step()
    snapshot = scene.rpc("evm_snapshot")
    steps[phase]()
    scene.observer.advance()
    assert scene.rpc("evm_revert", snapshot) is True
    scene.rpc("evm_increaseTime", 1000)
    scene.rpc("evm_mine")
    assert scene.observer.advance().taken_back > 0
    with scene.store.database.read() as connection:
        head = read_head(connection, 1)
        assert head is not None
        assert (head.number, head.phase) == (1, phase)
        assert head.transcript == scene.gateway.transcript()
        kinds = [e.kind for e in read_trail(connection, 1, after=None, limit=50) if not e.canonical]
        assert kinds == [["Sealed"], ["Scored"], ["Certified"]][phase]
