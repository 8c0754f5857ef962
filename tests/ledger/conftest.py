"""A federation of four nodes on each of the three chains, with an outbox on disk."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import httpx
import pytest
from chains import Chain

from ledgerfed.ledger import DemoSigner, Deployment, LedgerGateway, demo_key, deploy
from ledgerfed.protocol import transcript as reference
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.configuration import FederationConfig, Gates, Windows
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.reputation import Evidence, Reputation
from ledgerfed.protocol.typed_data import certificate_digest
from ledgerfed.store import open_store

NODES = tuple(demo_key(7, index) for index in range(4))
DEPLOYER = demo_key(7, 100)
MODEL, REPUTATIONS = keccak(b"model"), keccak(b"reputations")
ROOT, LEAF, SCORES = keccak(b"root"), keccak(b"leaf"), keccak(b"scores")
OUTCOME = (keccak(b"manifest"), keccak(b"new model"), keccak(b"new reputations"))


def configuration() -> FederationConfig:
    one = 1 << 16
    gates = Gates(
        max_payload_bytes=4096,
        stale_rounds=2,
        stale_discount=one // 2,
        root_bound=2 * one,
        noise_band=64 * one,
        norm_bound=8 * one,
        base_distance=1,
        copy_alignment_bits=20,
        copy_memory=8,
        moment_band=64 * one,
        lag_spread=4 * one,
        twin_alignment_bits=20,
        twin_distance=0,
        ring_distance=0,
        outlier_factor=8 * one,
        score_floor=-one,
        regret_limit=4 * one,
        regret_scale=4 * one,
        trace_cap=4 * one,
        sample_cap=2 * one,
        model_root_bound=one + one // 64,
        drift_share=one // 4,
    )
    return FederationConfig(
        name="test",
        basis=canonical_json({"target": {"lags": [1]}}),
        width=2,
        depth=3,
        committee=(0, 1, 2, 3),
        min_updates=2,
        windows=Windows(commit=6, force=3, score=6, certify=6, challenge=2),
        gates=gates,
        genesis_reputation=Reputation(Evidence(one, 0), Evidence(0, 0)),
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
    config: FederationConfig = field(default_factory=lambda: configuration())
    _open: list[object] = field(default_factory=list)

    def outbox(self):
        """The outbox as a program finds it that has just started."""
        store = open_store(self.store_directory)
        self._open.append(store)
        return store.outbox

    def gateway(self, outbox=None, deployment: Deployment | None = None, **options: object) -> LedgerGateway:
        """Connect as a program does that has just started: a new connection, the store opened again."""
        options = {"mine_on_demand": True, "poll_interval": 0.01, "url": self.url} | options
        contract = (deployment or self.deployment).federation.contract
        store = outbox or self.outbox()
        return LedgerGateway.connect(contract=contract, store=store, **options)

    def row(self, sender: DemoSigner, kind: str, round_number: int = 1):
        """The newest row of a business key as a fresh process reads it."""
        federation = self.deployment.federation
        key = (federation.chain_id, federation.contract, round_number, kind, sender.address)
        return self.outbox().latest(*key)

    def rpc(self, method: str, *params: object):
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        answer = httpx.post(self.url, json=request).json()
        assert "error" not in answer, answer
        return answer["result"]

    def nonce(self, sender: DemoSigner) -> int:
        return int(self.rpc("eth_getTransactionCount", "0x" + sender.address.hex(), "latest"), 16)

    def pay(self, sender: DemoSigner, to: bytes, wei: int, nonce: int | None = None) -> str:
        """Send a plain transfer past the outbox."""
        fields = {
            "chainId": 31337,
            "nonce": self.nonce(sender) if nonce is None else nonce,
            "to": to,
            "value": wei,
            "gas": 21_000,
            "maxFeePerGas": 10**11,
            "maxPriorityFeePerGas": 10**9,
            "type": 2,
        }
        return self.rpc("eth_sendRawTransaction", "0x" + sender.sign_transaction(fields).hex())

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


def deploy_federation(url: str, nodes: tuple[DemoSigner, ...] = NODES, **options: object) -> Deployment:
    members = tuple(node.address for node in nodes)
    return deploy(url, DEPLOYER, configuration(), members, MODEL, REPUTATIONS, **options)


@pytest.fixture
def new_federation(chain: Chain) -> Callable[..., Deployment]:
    """Deploys on the chain, or on the one behind `url=`."""
    return lambda **options: deploy_federation(**({"url": chain.url} | options))


@pytest.fixture
def scene(chain: Chain, new_federation, tmp_path: Path) -> Iterator[Scene]:
    scene = Scene(chain.url, new_federation(), tmp_path)
    yield scene
    scene.close()


@pytest.fixture
def new_scene(tmp_path: Path) -> Iterator[Callable[[str], Scene]]:
    """A federation on the chain behind a URL."""
    scenes: list[Scene] = []

    def made(url: str) -> Scene:
        scenes.append(Scene(url, deploy_federation(url), tmp_path / str(len(scenes))))
        return scenes[-1]

    yield made
    for scene in scenes:
        scene.close()


class FaultyProxy:
    """Stands before a chain and loses answers or is busy, as told; everything else passes unchanged.

    `lose` names methods whose answer is lost once, after the chain has acted; `complain` names methods that
    the chain acts on and that are answered with this error message nevertheless; `busy` counts requests that
    are answered with HTTP 503; `seen` lists the methods that arrived, `parameters` those of each last call.
    """

    def __init__(self, target: str) -> None:
        self.lose: list[str] = []
        self.busy = 0
        self.complain: dict[str, str] = {}
        self.seen: list[str] = []
        self.parameters: dict[str, list[object]] = {}
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                request = json.loads(body)
                method = request["method"] if isinstance(request, dict) else "batch"
                proxy.seen.append(method)
                if method != "batch":
                    proxy.parameters[method] = request["params"]
                if proxy.busy > 0:
                    proxy.busy -= 1
                    return self.reply(503, b"busy")
                answer = httpx.post(target, content=body, headers={"Content-Type": "application/json"})
                if method in proxy.lose:
                    proxy.lose.remove(method)
                    self.close_connection = True
                    return self.connection.shutdown(socket.SHUT_RDWR)
                if method in proxy.complain:
                    error = {"code": -32000, "message": proxy.complain[method]}
                    content = json.dumps({"jsonrpc": "2.0", "id": request["id"], "error": error})
                    return self.reply(200, content.encode())
                return self.reply(answer.status_code, answer.content)

            def reply(self, status: int, content: bytes) -> None:
                self.send_response(status)
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def proxy(chain: Chain) -> Iterator[FaultyProxy]:
    proxy = FaultyProxy(chain.url)
    yield proxy
    proxy.close()
