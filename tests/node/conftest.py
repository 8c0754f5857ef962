"""Federations of four nodes on a real chain, whose nodes can sleep, die, lie and lose mail."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from chain_devnet import DevnetServer
from ledgerfed.exchange import Basis
from ledgerfed.exchange.distillation import Probe, make_probe
from ledgerfed.ledger import DemoSigner, LedgerGateway, demo_key, deploy
from ledgerfed.ledger.rpc import JsonRpc
from ledgerfed.models import Family, load_family
from ledgerfed.network import Fault, InProcessTransport
from ledgerfed.network.in_process import deliver
from ledgerfed.node import NodeAgent, Ports, Progress, UpdateMaker, honest_update
from ledgerfed.node.chain_view import ChainView
from ledgerfed.node.messages import PROPOSAL
from ledgerfed.node.walk import Workbench, prepare
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.change import Change
from ledgerfed.protocol.configuration import FederationConfig, Gates, Windows
from ledgerfed.protocol.manifest import Verdict
from ledgerfed.protocol.reputation import Evidence, Reputation, reputation_tree
from ledgerfed.protocol.score import ONE
from ledgerfed.protocol.transcript import Phase
from ledgerfed.series import Panel, split
from ledgerfed.store import Store, open_store

NODES = 4
BASIS = Basis("load", "MW", 3600, (1, 2))
WINDOWS = Windows(commit=12, force=3, score=12, certify=12, challenge=0)
OWNER = demo_key(11, NODES + 1)
MINED_AT_MOST = 120
"""Blocks that a test may wait for; a federation that needs more does not live."""


def key(index: int) -> DemoSigner:
    return demo_key(11, index)


def configuration(windows: Windows = WINDOWS, **changes: object) -> FederationConfig:
    gates = Gates(
        max_payload_bytes=4096,
        stale_rounds=2,
        stale_discount=ONE // 2,
        root_bound=2 * ONE,
        noise_band=8 * ONE,
        norm_bound=8 * ONE,
        base_distance=ONE // 4096,
        copy_alignment_bits=14,
        copy_memory=4,
        moment_band=64 * ONE,
        lag_spread=4 * ONE,
        twin_alignment_bits=14,
        twin_distance=0,
        ring_distance=0,
        outlier_factor=8 * ONE,
        score_floor=-ONE // 2,
        regret_limit=4 * ONE,
        regret_scale=4 * ONE,
        trace_cap=2 * ONE,
        sample_cap=2 * ONE,
        model_root_bound=ONE + ONE // 64,
        drift_share=ONE // 4,
    )
    trusted = Evidence(6 * ONE, ONE)
    config = FederationConfig(
        name="small",
        basis=canonical_json(BASIS.document()),
        width=BASIS.width,
        depth=2,
        committee=tuple(range(NODES)),
        min_updates=2,
        windows=windows,
        gates=gates,
        genesis_reputation=Reputation(trusted, trusted),
        prior=1 << 16,
        theta_scale=30,
        precision_scale=16,
    )
    return replace(config, **changes)


def panel(index: int, length: int = 160) -> Panel:
    """One realisation of a stable AR(2) that all nodes share."""
    noise = np.random.default_rng([5, index]).standard_normal(length + 50)
    x = np.zeros(length + 50)
    for t in range(2, len(x)):
        x[t] = 0.6 * x[t - 1] - 0.3 * x[t - 2] + noise[t]
    hours = np.datetime64("2020-01-06T00:00:00", "s") + 3600 * np.arange(length)
    return Panel(f"plant {index}", 3600, hours, 20 + 3 * x[50:], "load", "MW")


@pytest.fixture(scope="session")
def benches() -> tuple[Workbench, ...]:
    panels = [panel(index) for index in range(NODES + 1)]  # the last one may join later
    return tuple(prepare(p, split(p, holdout=40, train=80, test=30), BASIS) for p in panels)


@pytest.fixture(scope="session")
def probe() -> Probe:
    """A public series of the same kind, which is nobody's panel."""
    public = prepare(panel(99), split(panel(99), holdout=40, train=80, test=30), BASIS)
    return make_probe(public.train, burn=8)


@pytest.fixture(scope="session")
def devnet() -> Iterator[DevnetServer]:
    rich = {f"0x{key(index).address.hex()}": 10**21 for index in range(NODES + 3)}
    with DevnetServer(fund=rich) as server:
        yield server


@pytest.fixture(scope="session")
def empty_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store without content, to be copied: migrations take longer than a round."""
    directory = tmp_path_factory.mktemp("empty") / "store"
    open_store(directory).close()
    return directory


@dataclass
class World:
    """One federation: its chain, its stores on disk, its network, and the agents that live now."""

    url: str
    directory: Path
    empty_store: Path
    benches: tuple[Workbench, ...]
    config: FederationConfig
    transport: InProcessTransport = field(default_factory=InProcessTransport)
    families: Sequence[str | Family] = ("ar", "arx", "ar", "arx", "ar")
    owner: bytes | None = None
    keys: dict[int, DemoSigner] = field(default_factory=dict)
    updates: dict[int, UpdateMaker] = field(default_factory=dict)
    wrap: Callable[[int, Ports], Ports] = lambda index, ports: ports
    agents: dict[int, NodeAgent] = field(default_factory=dict)
    seen: list[Progress] = field(default_factory=list)
    _stores: dict[int, Store] = field(default_factory=dict)

    def found(self) -> World:
        """Deploy the contract."""
        self.rpc = JsonRpc(self.url)
        reputations = (self.config.genesis_reputation,) * NODES
        deployment = deploy(
            self.url,
            key(NODES),
            self.config,
            tuple(key(index).address for index in range(NODES)),
            self.config.genesis_model().hash(),
            reputation_tree(reputations, self.config.depth).root,
            owner=self.owner,
        )
        self.federation = deployment.federation
        self.deployed_in = deployment.transaction.block_number
        self.terms = LedgerGateway.connect(self.url, self.federation.contract).terms
        return self

    def announce(self, after: FederationConfig, registry: dict[int, bytes]) -> Change:
        """Let the owner propose `after` with changes of the registry, and hand a node the document."""
        self.store(0).blobs.put(after.to_bytes())
        addresses = tuple(registry[index] for index in sorted(registry))
        change = Change(after.hash(), after.min_updates, after.committee, tuple(sorted(registry)), addresses)
        gateway = self.gateway(self.store(0))
        gateway.propose(OWNER, gateway.state().epoch + 1, change)
        return change

    def gateway(self, store: Store | None = None) -> LedgerGateway:
        outbox = store.outbox if store else None
        return LedgerGateway(
            self.rpc, self.federation, self.terms, outbox, mine_on_demand=True, poll_interval=0.01
        )

    def store(self, index: int) -> Store:
        directory = self.directory / str(index)
        if not directory.exists():
            shutil.copytree(self.empty_store, directory)
        if index not in self._stores:
            self._stores[index] = open_store(directory)
        return self._stores[index]

    def start(self, *indices: int) -> None:
        """Start agents as a process does that finds what is on disk, and nothing else."""
        for index in indices or range(NODES):
            self.stop(index)
            store = self.store(index)
            ports = Ports(
                self.keys.get(index, key(index)),
                self.gateway(store),
                self.transport,
                store.journal,
                store.blobs,
            )
            family = self.families[index]
            self.agents[index] = NodeAgent(
                self.config,
                index,
                self.wrap(index, ports),
                self.benches[index],
                load_family(family) if isinstance(family, str) else family,
                self.deployed_in,
                self.updates.get(index, honest_update),
                self.seen.append,
            )

    def stop(self, index: int) -> None:
        self.agents.pop(index, None)
        store = self._stores.pop(index, None)
        if store is not None:
            store.close()

    def run(
        self,
        last_round: int,
        asleep: Collection[int] | Callable[[int], bool] = (),
        until: Callable[[], bool] | None = None,
    ) -> int:
        """Let the agents that are awake take turns until they have seen the end of a round.

        Returns how many blocks had to be mined because nobody had anything to do.
        """
        ledger, mined = self.gateway(), 0
        sleeps = asleep if callable(asleep) else lambda index: index in asleep
        while not (until() if until else self._over(last_round, sleeps)):
            busy = False
            for index, agent in list(self.agents.items()):
                if not sleeps(index):
                    busy |= agent.step(last_round)
            if not busy:
                mined += 1
                assert mined <= MINED_AT_MOST, [
                    (i, a.view.round, a.view.phase) for i, a in self.agents.items()
                ]
                ledger.wait_for_block(ledger.block_number() + 1)
        return mined

    def steps(self, index: int | None = None, round_number: int | None = None) -> list[str]:
        return [p.step for p in self.seen if index in (None, p.index) and round_number in (None, p.round)]

    def view(self) -> ChainView:
        """What the node that knows most sees; the same for all that are awake between two runs."""
        return max((agent.view for agent in self.agents.values()), key=lambda view: view.block)

    def relayer(self) -> int:
        """The committee member whose turn it is."""
        return int.from_bytes(self.gateway().transcript(), "big") % NODES

    def phase(self) -> Phase:
        return Phase(self.gateway().state().phase)

    def verdicts(self, number: int) -> tuple[Verdict, ...]:
        """The verdicts of the certified round with this number."""
        agent = next(iter(self.agents.values()))
        return next(m.verdicts for m in agent.manifests() if m.round == number)

    def reasons(self, number: int) -> list[str]:
        return [str(verdict.reason) for verdict in self.verdicts(number)]

    def assert_one_history(self) -> None:
        """All who are alive have the chain's transcript and hold the same model and manifests."""
        assert {a.view.transcript for a in self.agents.values()} == {self.gateway().transcript()}
        assert len({a.base_model().hash() for a in self.agents.values()}) == 1
        assert len({tuple(m.hash() for m in a.manifests()) for a in self.agents.values()}) == 1

    def heal(self) -> None:
        """Let the network deliver everything from now on."""
        self.transport._fault = deliver

    def close(self) -> None:
        for index in list(self._stores):
            self.stop(index)

    def _over(self, last_round: int, sleeps: Callable[[int], bool]) -> bool:
        return all(a.view.round > last_round for i, a in self.agents.items() if not sleeps(i))


@pytest.fixture
def new_world(
    devnet: DevnetServer, tmp_path: Path, empty_store: Path, benches: tuple[Workbench, ...]
) -> Iterator[Callable[..., World]]:
    """Found a federation; `config` changes the configuration, `fault` is the network's."""
    worlds: list[World] = []

    def found(
        fault: Fault | None = None,
        config: dict[str, object] | None = None,
        url: str = devnet.url,
        **options: object,
    ) -> World:
        transport = InProcessTransport(fault) if fault else InProcessTransport()
        directory = tmp_path / str(len(worlds))
        settings = configuration(**(config or {}))
        world = World(url, directory, empty_store, benches, settings, transport, **options)
        worlds.append(world)
        return world.found()

    yield found
    for world in worlds:
        world.close()


@pytest.fixture
def world(new_world: Callable[..., World]) -> World:
    """A federation whose four honest nodes have started."""
    world = new_world()
    world.start()
    return world


@pytest.fixture
def revealed(new_world: Callable[..., World]) -> World:
    """A federation that has revealed all scores of its first round; nobody hears a proposal till `heal`."""
    world = new_world(lambda message, receiver: () if message.topic == PROPOSAL else (0,))
    world.start()
    world.run(1, until=lambda: all(len(a._desk.notebook.reveals) == NODES for a in world.agents.values()))
    return world
