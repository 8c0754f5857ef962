"""The real contract on the real EVM (py-evm, Prague rules), one call at a time, at any block number."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from eth.db.atomic import AtomicDB
from eth.vm.execution_context import ExecutionContext
from eth.vm.forks.prague.state import PragueState
from eth.vm.forks.prague.transactions import PragueTransactionBuilder
from eth.vm.spoof import SpoofTransaction
from eth_abi import decode, encode
from trie.constants import BLANK_NODE_HASH

from ledgerfed.ledger.artifact import round_ledger
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.signature import address_of

CHAIN_ID = 31337
DEPLOYER = keccak(b"deployer")[-20:]
STATE_FIELDS = ("round", "phase", "end", "n", "forced", "epoch", "attempt", "committee", "min_updates", "notice", "sealer", "signers", "removed")
CONSTRUCTOR = [
    "bytes32",
    "bytes32",
    "bytes32",
    "address[]",
    "uint256[]",
    "uint256",
    "uint256[5]",
    "uint256",
    "bool",
    "address",
]


class RevertedError(Exception):
    """The contract refused; the message is its reason."""


@dataclass(frozen=True)
class Log:
    """A decoded event."""

    name: str
    values: dict[str, object]


@dataclass(frozen=True)
class Receipt:
    """What a transaction did."""

    gas_used: int
    logs: tuple[Log, ...]
    output: bytes


def canonical_type(component: dict) -> str:
    if component["type"].startswith("tuple"):
        inner = ",".join(canonical_type(c) for c in component["components"])
        return f"({inner}){component['type'][5:]}"
    return component["type"]


class Evm:
    """A chain reduced to its state: `block` is the number that the next call sees."""

    def __init__(self, chain_id: int = CHAIN_ID, block: int = 1) -> None:
        self.block = block
        self.chain_id = chain_id
        self._state = PragueState(AtomicDB(), self._context(), BLANK_NODE_HASH)

    def _context(self) -> ExecutionContext:
        return ExecutionContext(
            coinbase=bytes(20),
            timestamp=1_700_000_000 + self.block,
            block_number=self.block,
            difficulty=0,
            mix_hash=bytes(32),
            gas_limit=60_000_000,
            prev_hashes=(),
            chain_id=self.chain_id,
            base_fee_per_gas=0,
            excess_blob_gas=0,
        )

    def transact(self, sender: bytes, to: bytes, data: bytes) -> Receipt:
        """Run one whole transaction, gas as a block would charge it; raise RevertedError if it fails."""
        state = self._state
        state.execution_context = self._context()
        unsigned = PragueTransactionBuilder.create_unsigned_transaction(
            nonce=state.get_nonce(sender), gas_price=0, gas=50_000_000, to=to, value=0, data=data
        )
        transaction = SpoofTransaction(unsigned, from_=sender)
        computation = state.apply_transaction(transaction)
        state.lock_changes()
        if computation.is_error:
            raise RevertedError(revert_reason(bytes(computation.output)))
        gas = transaction.gas - computation.get_gas_remaining()
        refund = min(computation.get_gas_refund(), gas // 5)
        floor = 21_000 + 10 * (4 * len(data) - 3 * data.count(0)) if to else 0
        logs = tuple(_log(topics, data) for _, topics, data in computation.get_log_entries())
        output = computation.msg.storage_address if not to else bytes(computation.output)
        return Receipt(max(gas - refund, floor), logs, output)

    def code(self, address: bytes) -> bytes:
        return self._state.get_code(address)


def revert_reason(output: bytes) -> str:
    if output[:4] == keccak(b"Error(string)")[:4]:
        return decode(["string"], output[4:])[0]
    return f"no reason: {output.hex()}"


def _log(topics: tuple[int, ...], data: bytes) -> Log:
    for entry in round_ledger().abi:
        if entry["type"] != "event":
            continue
        signature = f"{entry['name']}({','.join(i['type'] for i in entry['inputs'])})"
        if keccak(signature.encode()) == topics[0].to_bytes(32, "big"):
            names = [i["name"] for i in entry["inputs"] if i["indexed"]]
            values = dict(zip(names, topics[1:], strict=True))
            plain = [i for i in entry["inputs"] if not i["indexed"]]
            values |= zip([i["name"] for i in plain], decode([i["type"] for i in plain], data), strict=True)
            return Log(entry["name"], values)
    raise AssertionError(f"unknown event {topics[0]:#x}")


@dataclass
class Ledger:
    """A deployed RoundLedger; functions are called by name: `ledger.call("seal", 1, root, 3, sender=a)`."""

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
    _functions: dict[str, dict] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._functions = {e["name"]: e for e in round_ledger().abi if e["type"] == "function"}

    @property
    def federation(self) -> Federation:
        return Federation(self.evm.chain_id, self.address)

    @property
    def members(self) -> tuple[bytes, ...]:
        return tuple(address_of(key) for key in self.keys)

    def transact(self, name: str, *arguments: object, sender: bytes) -> Receipt:
        types = [canonical_type(i) for i in self._functions[name]["inputs"]]
        selector = keccak(f"{name}({','.join(types)})".encode())[:4]
        return self.evm.transact(sender, self.address, selector + encode(types, arguments))

    def refusal(self, name: str, *arguments: object, sender: bytes) -> str | None:
        """Send it and return the reason why it was refused, or None when it was not."""
        try:
            self.transact(name, *arguments, sender=sender)
        except RevertedError as error:
            return str(error)
        return None

    def view(self, name: str, *arguments: object) -> object:
        output = self.transact(name, *arguments, sender=DEPLOYER).output
        (value,) = decode([canonical_type(o) for o in self._functions[name]["outputs"]], output)
        return value

    def code(self) -> bytes:
        return self.evm.code(self.address)

    def state(self) -> dict[str, int]:
        return dict(zip(STATE_FIELDS, self.view("state"), strict=True))

    def relayer(self) -> bytes:
        return bytes.fromhex(self.view("relayer")[2:])


def deploy(
    evm: Evm | None = None,
    nodes: int = 4,
    committee: int = 4,
    depth: int = 3,
    windows: tuple[int, int, int, int, int] = (10, 5, 10, 10, 4),
    min_updates: int = 2,
    members: tuple[bytes, ...] | None = None,
) -> Ledger:
    evm = evm or Evm()
    keys = tuple(keccak(b"node" + bytes([i >> 8, i & 255])) for i in range(nodes))
    addresses = members if members is not None else tuple(address_of(key) for key in keys)
    hashes = tuple(keccak(name) for name in (b"configuration", b"model", b"reputations"))
    arguments = (*hashes, addresses, tuple(range(committee)), depth, windows, min_updates, False, DEPLOYER)
    receipt = evm.transact(DEPLOYER, b"", round_ledger().creation_code + encode(CONSTRUCTOR, arguments))
    return Ledger(evm, receipt.output, keys, committee, depth, windows, receipt, *hashes)


@pytest.fixture
def ledger() -> Ledger:
    """Four nodes, all on the committee (q = 3), windows 10, 5, 10, 10, 4, fewest updates 2."""
    return deploy()


@pytest.fixture
def deploy_ledger() -> Callable[..., Ledger]:
    return deploy


@pytest.fixture
def new_evm() -> Callable[..., Evm]:
    return Evm


@pytest.fixture
def reverts() -> Callable[..., object]:
    """`with reverts("part of the reason"):`"""

    def expect(reason: str) -> object:
        import re

        return pytest.raises(RevertedError, match=re.escape(reason))

    return expect
