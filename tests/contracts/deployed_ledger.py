"""A deployed RoundLedger and its nodes; functions are called by name."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from chains import node_key, stranger
from contract_values import Receipt, RevertedError
from eth_abi import decode, encode

from ledgerfed.ledger.artifact import round_ledger
from ledgerfed.ledger.calls import constructor_types, functions
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.signature import address_of

DEPLOYER = address_of(stranger(b"deployer"))
OWNER = address_of(stranger(b"owner"))
# What state() says of the first round of four nodes, all on the committee, in the block of deployment.
FIRST_STATE = {
    "round": 1,
    "phase": 0,
    "end": 0,
    "n": 0,
    "forced": 0,
    "epoch": 0,
    "attempt": 0,
    "committee": 4,
    "min_updates": 2,
    "notice": 0,
    "sealer": 0,
    "signers": 0,
    "removed": 0,
}
HASHES = tuple(keccak(name) for name in (b"configuration", b"model", b"reputations"))


class Evm(Protocol):
    """Where a contract runs; `block` is the number of the block that the next transaction stands in."""

    block: int
    chain_id: int

    def transact(self, sender: bytes, to: bytes, data: bytes) -> Receipt:
        """Run a transaction; raise RevertedError if it fails."""

    def together(self, calls: list[tuple[bytes, bytes, bytes]]) -> list[Receipt]:
        """Run transactions in one block."""

    def call(self, sender: bytes, to: bytes, data: bytes) -> bytes:
        """What a view returns."""

    def code(self, address: bytes) -> bytes:
        """The code of a contract."""


@dataclass
class Ledger:
    """`ledger.transact("seal", 1, root, 3, sender=a)`, `ledger.view("transcript")`."""

    evm: Evm
    address: bytes
    keys: tuple[bytes, ...]
    committee: int
    depth: int
    windows: tuple[int, int, int, int, int]
    genesis: Receipt
    config_hash: bytes
    model: bytes
    reputations: bytes

    @property
    def federation(self) -> Federation:
        return Federation(self.evm.chain_id, self.address)

    @property
    def members(self) -> tuple[bytes, ...]:
        return tuple(address_of(key) for key in self.keys)

    def transact(self, name: str, *arguments: object, sender: bytes) -> Receipt:
        return self.evm.transact(sender, self.address, functions()[name].encode(*arguments))

    def together(self, *calls: tuple[str, tuple[object, ...], bytes]) -> list[Receipt]:
        """Send (name, arguments, sender) in one block."""
        encoded = [(s, self.address, functions()[name].encode(*arguments)) for name, arguments, s in calls]
        return self.evm.together(encoded)

    def refusal(self, name: str, *arguments: object, sender: bytes) -> str | None:
        """Send it and return the reason why it was refused, or None when it was not."""
        try:
            self.transact(name, *arguments, sender=sender)
        except RevertedError as error:
            return str(error)
        return None

    def view(self, name: str, *arguments: object) -> object:
        output = self.evm.call(DEPLOYER, self.address, functions()[name].encode(*arguments))
        (value,) = decode(functions()[name].outputs, output)
        return value

    def code(self) -> bytes:
        return self.evm.code(self.address)

    def state(self) -> dict[str, int]:
        return self._struct("state")

    def node(self, address: bytes) -> dict[str, int]:
        return self._struct("node", address)

    def _struct(self, name: str, *arguments: object) -> dict[str, int]:
        (entry,) = (e for e in round_ledger().abi if e.get("name") == name)
        names = [component["name"] for component in entry["outputs"][0]["components"]]
        return dict(zip(names, self.view(name, *arguments), strict=True))

    def relayer(self) -> bytes:
        return bytes.fromhex(self.view("relayer")[2:])


def deploy(
    evm: Evm,
    nodes: int = 4,
    committee: int | tuple[int, ...] = 4,
    depth: int = 3,
    windows: tuple[int, int, int, int, int] = (10, 5, 10, 10, 4),
    min_updates: int = 2,
    members: tuple[bytes, ...] | None = None,
    leaves_on_chain: bool = False,
    owner: bytes = OWNER,
) -> Ledger:
    keys = tuple(node_key(index) for index in range(nodes))
    addresses = members if members is not None else tuple(address_of(key) for key in keys)
    seats = tuple(range(committee)) if isinstance(committee, int) else committee
    arguments = constructor_arguments(addresses, seats, depth, windows, min_updates, leaves_on_chain, owner)
    data = round_ledger().creation_code + encode(constructor_types(), arguments)
    receipt = evm.transact(DEPLOYER, b"", data)
    return Ledger(evm, receipt.output, keys, len(seats), depth, windows, receipt, *HASHES)


def constructor_arguments(
    members: tuple[bytes, ...],
    committee: tuple[int, ...],
    depth: int,
    windows: tuple[int, int, int, int, int],
    min_updates: int,
    leaves_on_chain: bool = False,
    owner: bytes = OWNER,
) -> tuple[object, ...]:
    """The arguments of the constructor, in its order."""
    return (*HASHES, members, committee, depth, windows, min_updates, leaves_on_chain, owner)
