"""A federation of four nodes on a devnet of its own, with an outbox on disk."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from chain_devnet import DevnetServer
from ledgerfed.ledger import DemoSigner, Deployment, LedgerGateway, demo_key, deploy
from ledgerfed.protocol import transcript as reference
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.configuration import FederationConfig, Gates, Windows
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.reputation import Evidence, Reputation
from ledgerfed.protocol.typed_data import certificate_digest
from ledgerfed.store import open_store

ETHER = 10**18
NODES = tuple(demo_key(7, index) for index in range(4))
DEPLOYER = demo_key(7, 100)
PAUPER = demo_key(7, 101)
MODEL, REPUTATIONS = keccak(b"model"), keccak(b"reputations")
ROOT, LEAF, SCORES = keccak(b"root"), keccak(b"leaf"), keccak(b"scores")
OUTCOME = (keccak(b"manifest"), keccak(b"new model"), keccak(b"new reputations"))


def configuration() -> FederationConfig:
    one = 1 << 16
    gates = Gates(
        max_payload_bytes=4096,
        root_bound=2 * one,
        noise_band=64 * one,
        norm_bound=8 * one,
        base_distance=1,
        copy_alignment_bits=20,
        copy_memory=8,
        outlier_factor=8 * one,
        score_floor=-one,
        trace_cap=4 * one,
        sample_cap=2 * one,
    )
    return FederationConfig(
        name="test",
        basis=canonical_json({"target": {"lags": [1]}}),
        width=2,
        depth=3,
        committee=4,
        min_updates=2,
        windows=Windows(commit=6, force=3, score=6, certify=6, challenge=2),
        gates=gates,
        genesis_reputation=Reputation(Evidence(0, 0), Evidence(0, 0)),
        prior=1,
        theta_scale=40,
        precision_scale=20,
    )


@dataclass
class Scene:
    """One federation on one chain, and the steps that bring it to a phase."""

    url: str
    deployment: Deployment
    store_directory: Path
    nodes: tuple[DemoSigner, ...] = NODES
    _open: list[object] = field(default_factory=list)

    def gateway(self, **options: object) -> LedgerGateway:
        """Connect as a program does that has just started: a new connection, the store opened again."""
        store = open_store(self.store_directory)
        self._open.append(store)
        options = {"mine_on_demand": True, "poll_interval": 0.01} | options
        return LedgerGateway.connect(self.url, self.deployment.federation.contract, store.outbox, **options)

    def outbox_rows(self, gateway: LedgerGateway, sender: DemoSigner, kind: str, round_number: int = 1):
        """The row of a business key as a fresh process would read it."""
        store = open_store(self.store_directory)
        self._open.append(store)
        federation = gateway.federation
        return store.outbox.latest(
            federation.chain_id, federation.contract, round_number, kind, sender.address
        )

    def relayer(self, gateway: LedgerGateway) -> DemoSigner:
        return next(node for node in self.nodes if node.address == gateway.relayer())

    def seal(self, gateway: LedgerGateway):
        state = gateway.state()
        gateway.wait_for_block(state.end)
        return gateway.seal(self.relayer(gateway), state.round, ROOT, 3)

    def score(self, gateway: LedgerGateway):
        state = gateway.state()
        gateway.wait_for_block(state.end)
        return gateway.scores(self.relayer(gateway), state.round, SCORES)

    def certificate(self, gateway: LedgerGateway) -> list[bytes]:
        number = gateway.state().round
        t = reference.after_certify(gateway.transcript(), number, *OUTCOME)
        digest = certificate_digest(gateway.federation, number, t)
        return [node.sign_digest(digest) for node in self.nodes[:3]]

    def close(self) -> None:
        for store in self._open:
            store.close()


@pytest.fixture(scope="session")
def devnet() -> Iterator[DevnetServer]:
    rich = {f"0x{key.address.hex()}": 1_000 * ETHER for key in (*NODES, DEPLOYER)}
    with DevnetServer(fund=rich) as server:
        yield server


@pytest.fixture
def new_federation(devnet: DevnetServer) -> Callable[[], Deployment]:
    members = tuple(node.address for node in NODES)
    return lambda: deploy(devnet.url, DEPLOYER, configuration(), members, MODEL, REPUTATIONS)


@pytest.fixture
def scene(devnet: DevnetServer, new_federation, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(devnet.url, new_federation(), tmp_path)
    yield scene
    scene.close()
