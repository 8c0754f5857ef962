"""What any Ethereum node says, whatever is deployed on it: chain id, blocks, and mining where one may ask."""

from __future__ import annotations

from dataclasses import dataclass
from threading import Lock

from ledgerfed.errors import ChainUnreachableError, ConfigurationError, NotFoundError
from ledgerfed.ledger.rpc import METHOD_NOT_FOUND, JsonRpc, RpcError, data, quantity
from ledgerfed.protocol.hashing import to_hex

# Nodes that simulate in one process share a chain: without the lock each would mine the same missing blocks.
_MINING = Lock()


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """The part of a block header that links and dates blocks; `timestamp` is Unix time in seconds."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int


def connected_chain_id(rpc: JsonRpc, expected: int | None) -> int:
    """Return the chain id behind a connection.

    Raises:
        ChainUnreachableError: nobody answers, or it is not the expected chain.
    """
    found = quantity(rpc.call("eth_chainId"))
    if expected is not None and found != expected:
        raise ChainUnreachableError(
            f"{rpc.url} is chain {found}, expected chain {expected}; check URL and chain id"
        )
    return found


def block_number(rpc: JsonRpc) -> int:
    """Return the number of the newest block."""
    return quantity(rpc.call("eth_blockNumber"))


def read_header(rpc: JsonRpc, block: int | bytes) -> BlockHeader:
    """Return the header of a block by number or hash.

    Raises:
        NotFoundError: the chain has no such block (any more).
    """
    if isinstance(block, bytes):
        answer = rpc.call("eth_getBlockByHash", to_hex(block), False)
    else:
        answer = rpc.call("eth_getBlockByNumber", hex(block), False)
    if answer is None:
        raise NotFoundError(f"the chain has no block {to_hex(block) if isinstance(block, bytes) else block}")
    return BlockHeader(
        quantity(answer["number"]),
        data(answer["hash"]),
        data(answer["parentHash"]),
        quantity(answer["timestamp"]),
    )


def tagged_block(rpc: JsonRpc, tag: str) -> int:
    """Return the number of the block that the chain calls by a tag, such as `finalized`.

    Raises:
        ConfigurationError: the chain has no such block, for it has no finality of its own.
    """
    try:
        answer = rpc.call("eth_getBlockByNumber", tag, False)
    except RpcError as error:
        answer, why = None, error.message
    else:
        why = "it answers with nothing"
    if answer is None:
        raise ConfigurationError(
            f"{rpc.url} has no {tag!r} block ({why}); give a number of blocks as finality instead"
        )
    return quantity(answer["number"])


def mine_towards(rpc: JsonRpc, number: int) -> int:
    """Mine the blocks that are missing to `number` on a development chain; return the newest block's number.

    Raises:
        ConfigurationError: the chain does not mine on demand.
    """
    with _MINING:
        missing = number - block_number(rpc)
        if missing > 0:
            _mine(rpc, missing)
        return block_number(rpc)


def _mine(rpc: JsonRpc, count: int) -> None:
    try:
        rpc.call("anvil_mine", hex(count))
    except RpcError as error:
        if error.number != METHOD_NOT_FOUND:
            raise
        _mine_one_by_one(rpc, count)


def _mine_one_by_one(rpc: JsonRpc, count: int) -> None:
    try:
        for _ in range(count):
            rpc.call("evm_mine")
    except RpcError as error:
        raise ConfigurationError(
            f"{rpc.url} does not mine on demand ({error.message}); connect with mine_on_demand off"
        ) from error
