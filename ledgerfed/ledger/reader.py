"""What a federation on a chain says: its contract, its blocks and its events."""

from __future__ import annotations

from typing import Any, NoReturn

from ledgerfed.errors import NotFoundError, TransactionRevertedError
from ledgerfed.ledger.chain import BlockHeader, block_number, read_header
from ledgerfed.ledger.events import LedgerEvent, decode_events
from ledgerfed.ledger.inspection import sealed_leaves
from ledgerfed.ledger.rpc import JsonRpc, RpcError, data, quantity
from ledgerfed.ledger.views import (
    LedgerState,
    RegisteredNode,
    Terms,
    read_code,
    read_members,
    read_node,
    read_state,
    read_view,
)
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import EMPTY, to_hex

LOG_RANGE = 2_000


class LedgerReader:
    """Asks a chain about one federation; it sends nothing."""

    def __init__(self, rpc: JsonRpc, federation: Federation, terms: Terms) -> None:
        """`terms` are what no epoch can change."""
        self.federation = federation
        self.terms = terms
        self._rpc = rpc

    # ---- what the contract says ----

    def state(self, at: int | None = None) -> LedgerState:
        """Return round, phase and counts, now or after block `at`."""
        return read_state(self._rpc, self.federation, at)

    def transcript(self, at: int | None = None) -> bytes:
        """Return the 32-byte transcript, now or after block `at`."""
        return bytes(read_view(self._rpc, self.federation, "transcript", at=at))

    def relayer(self) -> bytes:
        """Return the address of the committee member whose turn it is."""
        return bytes(read_view(self._rpc, self.federation, "relayer"))

    def members(self) -> tuple[bytes, ...]:
        """Return the addresses of all nodes by registry index, zero where a node has left."""
        return read_members(self._rpc, self.federation)

    def committee(self, at: int | None = None) -> tuple[int, ...]:
        """Return the registry indices of the committee by seat, now or after block `at`."""
        return tuple(read_view(self._rpc, self.federation, "committee", at=at))

    def node(self, address: bytes) -> RegisteredNode:
        """Return what the registry says of a node.

        Raises:
            NotFoundError: the address is not registered in this federation.
        """
        try:
            return read_node(self._rpc, self.federation, address)
        except TransactionRevertedError as error:
            raise NotFoundError(
                f"0x{address.hex()} is not a member of the federation at 0x{self.federation.contract.hex()}"
            ) from error

    def config_hash(self, at: int | None = None) -> bytes:
        """Return the hash of the epoch's configuration, now or after block `at`."""
        return bytes(read_view(self._rpc, self.federation, "config_hash", at=at))

    def owner(self) -> bytes:
        """Return the address of who may propose epochs; zero if nobody may."""
        return bytes(read_view(self._rpc, self.federation, "owner"))

    def successor(self) -> bytes:
        """Return the address of who may take over as owner; zero if nobody may."""
        return bytes(read_view(self._rpc, self.federation, "successor"))

    def proposal(self) -> bytes | None:
        """Return the hash of the change that was announced for the next epoch, None if there is none."""
        found = bytes(read_view(self._rpc, self.federation, "proposal"))
        return None if found == EMPTY else found

    # ---- what the chain says ----

    def block_number(self) -> int:
        """Return the number of the newest block."""
        return block_number(self._rpc)

    def header(self, block: int | bytes) -> BlockHeader:
        """Return the header of a block by number or hash.

        Raises:
            NotFoundError: the chain has no such block (any more).
        """
        return read_header(self._rpc, block)

    def code(self) -> bytes:
        """Return the contract's code as the chain has it, immutables included."""
        return read_code(self._rpc, self.federation)

    def read_events(self, from_block: int, to_block: int) -> tuple[LedgerEvent, ...]:
        """Return the events of the blocks `from_block` to `to_block`, both included, in chain order."""
        logs: list[dict[str, Any]] = []
        for start in range(from_block, to_block + 1, LOG_RANGE):
            end = min(start + LOG_RANGE - 1, to_block)
            logs += self._logs({"fromBlock": hex(start), "toBlock": hex(end)})
        return self._events(logs)

    def read_events_of(self, block_hash: bytes) -> tuple[LedgerEvent, ...]:
        """Return the federation's events of one block, whichever branch the chain follows now.

        Raises:
            NotFoundError: the chain does not know the block (any more).
        """
        try:
            return self._events(self._logs({"blockHash": to_hex(block_hash)}))
        except RpcError as error:
            raise NotFoundError(f"the chain has no block {to_hex(block_hash)}: {error.message}") from error

    def sealed_leaves(self, tx_hash: bytes) -> dict[int, bytes]:
        """Return the leaves by registry index that a seal_leaves transaction carries.

        Raises:
            NotFoundError: the chain does not know the transaction, or it does not call seal_leaves of this
                contract itself, so that its calldata is another contract's.
        """
        return sealed_leaves(self._rpc, self.federation, tx_hash)

    def _logs(self, block_filter: dict[str, str]) -> list[dict[str, Any]]:
        block_filter = block_filter | {"address": to_hex(self.federation.contract)}
        return list(self._rpc.call("eth_getLogs", block_filter))

    def _events(self, logs: list[dict[str, Any]]) -> tuple[LedgerEvent, ...]:
        hashes = sorted({log["blockHash"] for log in logs})
        blocks = self._rpc.batch([("eth_getBlockByHash", (h, False)) for h in hashes])
        timestamps = {
            data(h): quantity(block["timestamp"]) if block else _reorganised(h)
            for h, block in zip(hashes, blocks, strict=True)
        }
        return decode_events(logs, timestamps)


def _reorganised(block_hash: str) -> NoReturn:
    raise NotFoundError(f"block {block_hash} left the chain while its events were read; read again")
