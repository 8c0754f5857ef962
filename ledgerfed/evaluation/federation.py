"""A whole federation in one process: real chain, real panels, real stores, one agent per node.

Everything a node keeps stands in a directory of its own, so a run that was interrupted goes on where it was.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledgerfed.errors import ConfigurationError, InvalidValueError
from ledgerfed.exchange import Basis
from ledgerfed.exchange.distillation import read_schema
from ledgerfed.ledger import LedgerGateway, deploy
from ledgerfed.ledger.keys import Signer
from ledgerfed.ledger.rpc import JsonRpc
from ledgerfed.models import load_family
from ledgerfed.network import InProcessTransport
from ledgerfed.node import NodeAgent, Ports, Progress, UpdateMaker, honest_update, run_rounds
from ledgerfed.node.walk import prepare
from ledgerfed.protocol.canonical import canonical_json, fields, parse_canonical
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import from_hex, require_range, to_hex
from ledgerfed.protocol.reputation import reputation_tree
from ledgerfed.series import Panel, Split, split
from ledgerfed.store import Store, open_store

RECORD = "federation.json"
GRANT = 10**19
"""Wei that each node gets from the development chain's first account, to pay its transactions."""


@dataclass(frozen=True, slots=True, eq=False)
class Member:
    """One node to be: its panel, what it fits, its key, and what it sends when it is hostile."""

    panel: Panel
    family: str
    signer: Signer
    make_update: UpdateMaker = honest_update
    attack: str | None = None


@dataclass(frozen=True, slots=True)
class FederationRecord:
    """Where a federation was deployed, as a workspace remembers it."""

    federation: Federation
    deployed_in: int
    config_hash: bytes

    def __post_init__(self) -> None:
        require_range("deployed_in", self.deployed_in, 0, (1 << 53) - 1)

    def to_bytes(self) -> bytes:
        """Return the canonical bytes of the record."""
        return canonical_json(
            {
                "chain_id": self.federation.chain_id,
                "contract": to_hex(self.federation.contract),
                "deployed_in": self.deployed_in,
                "config_hash": to_hex(self.config_hash),
            }
        )

    @staticmethod
    def from_bytes(data: bytes) -> FederationRecord:
        """Read a record; raises InvalidValueError when it is not one."""
        record: dict[str, Any] = fields(
            RECORD, parse_canonical(data), ("chain_id", "contract", "deployed_in", "config_hash")
        )
        return FederationRecord(
            Federation(record["chain_id"], from_hex("contract", record["contract"], 20)),
            record["deployed_in"],
            from_hex("config_hash", record["config_hash"]),
        )


class SimulatedFederation:
    """Members of one process as agents on a real chain. Use it in a `with` statement.

    Args:
        directory: the workspace; the index and bundles at its top, one store per node under `nodes`.
        url: JSON-RPC endpoint of a development chain.
        config: the configuration to deploy for, or that the workspace was deployed for.
        members: by registry index.
        on_progress: told of everything the nodes do.
        windows: the windows of a member's panel; by default holdout 60, train 60, test 365 grid steps.

    Raises:
        ConfigurationError: the workspace belongs to another configuration.
        ChainUnreachableError: no chain at the URL, or not the one of the workspace.
    """

    def __init__(
        self,
        directory: Path,
        url: str,
        config: FederationConfig,
        members: tuple[Member, ...],
        basis: Basis,
        on_progress: Callable[[Progress], None] = lambda _: None,
        windows: Callable[[Panel], Split] = split,
    ) -> None:
        named, probe = read_schema(config.basis)
        if named != basis or config.columns != basis.width:
            raise InvalidValueError("the configuration is for another basis than the members'")
        self.directory = directory
        self.config = config
        self.members = members
        self.windows = windows
        self._url = url
        self._resources = ExitStack()
        directory.mkdir(parents=True, exist_ok=True)
        try:
            self.record = read_record(directory) or self._deploy()
            if self.record.config_hash != config.hash():
                raise ConfigurationError(
                    f"{directory} holds a federation of another configuration; choose another directory"
                )
            self.index = self._resources.enter_context(open_store(directory))
            self.benches = tuple(prepare(m.panel, self.windows(m.panel), basis, probe) for m in members)
            self.ledger = self._connect(self.index)
            self.agents = self._agents(on_progress)
        except BaseException:
            self._resources.close()
            raise

    def __enter__(self) -> SimulatedFederation:
        return self

    def __exit__(self, *_: object) -> None:
        self._resources.close()

    def run(self, rounds: int) -> None:
        """Let the agents walk until `rounds` rounds are over, certified or aborted, and all have seen it."""
        run_rounds(self.agents, self.ledger, rounds)

    def fetch(self, digest: bytes) -> bytes:
        """Return bytes by hash from the first node that has them."""
        return self.agents[0].fetch(digest)

    def _deploy(self) -> FederationRecord:
        config = self.config
        signers = [member.signer for member in self.members]
        grant(JsonRpc(self._url), [signer.address for signer in signers])
        reputations = (config.genesis_reputation,) * len(signers)
        deployment = deploy(
            self._url,
            signers[0],
            config,
            tuple(signer.address for signer in signers),
            config.genesis_model().hash(),
            reputation_tree(reputations, config.depth).root,
        )
        record = FederationRecord(deployment.federation, deployment.transaction.block_number, config.hash())
        write_record(self.directory, record)
        return record

    def _connect(self, store: Store) -> LedgerGateway:
        return LedgerGateway.connect(
            self._url,
            self.record.federation.contract,
            store.outbox,
            chain_id=self.record.federation.chain_id,
            mine_on_demand=True,
        )

    def _agents(self, on_progress: Callable[[Progress], None]) -> tuple[NodeAgent, ...]:
        transport = InProcessTransport()
        agents = []
        for index, (member, bench) in enumerate(zip(self.members, self.benches, strict=True)):
            store = self._resources.enter_context(open_store(self.directory / "nodes" / str(index)))
            ports = Ports(member.signer, self._connect(store), transport, store.journal, store.blobs)
            agents.append(
                NodeAgent(
                    self.config,
                    index,
                    ports,
                    bench,
                    load_family(member.family),
                    self.record.deployed_in,
                    member.make_update,
                    on_progress,
                )
            )
        return tuple(agents)


def read_record(directory: Path) -> FederationRecord | None:
    """Return where the workspace's federation was deployed, or None for a fresh directory.

    Raises:
        ConfigurationError: the record cannot be read.
    """
    path = directory / RECORD
    try:
        return FederationRecord.from_bytes(path.read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, InvalidValueError) as error:
        raise ConfigurationError(f"{path} is not the record of a federation: {error}") from error


def write_record(directory: Path, record: FederationRecord) -> None:
    """Write the record in one step, so that a crash leaves the old one or the new one."""
    draft = directory / f".{RECORD}"
    draft.write_bytes(record.to_bytes())
    draft.replace(directory / RECORD)


def grant(rpc: JsonRpc, addresses: list[bytes]) -> None:
    """Give each address GRANT wei from the development chain's first unlocked account, one after the other.

    Raises:
        ConfigurationError: the chain has no unlocked account.
    """
    accounts = rpc.call("eth_accounts")
    if not accounts:
        raise ConfigurationError(f"{rpc.url} has no unlocked account to pay from; use a development chain")
    for address in addresses:
        nonce = rpc.call("eth_getTransactionCount", accounts[0], "pending")
        transfer = {"from": accounts[0], "to": to_hex(address), "value": hex(GRANT), "nonce": nonce}
        rpc.call("eth_sendTransaction", transfer)
