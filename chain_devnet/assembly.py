"""From a parent and an execution to the next block: pure, so that equal inputs give equal hashes.

Proof of authority adds difficulty and seal to what is assembled here (`authority`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import reduce
from operator import or_

from eth_hash.auto import keccak

from chain_devnet.backend import Environment, Execution
from chain_devnet.block import EMPTY_TRIE_ROOT, ZERO_HASH, Block, Header, seal
from chain_devnet.config import ChainConfig
from chain_devnet.fees import INITIAL_BASE_FEE, next_base_fee
from chain_devnet.trie import ordered_root

COINBASE = bytes(20)


def genesis_block(config: ChainConfig, state_root: bytes) -> Block:
    """Block 0 over the state with `state_root`."""
    header = Header(
        parent_hash=ZERO_HASH,
        coinbase=COINBASE,
        state_root=state_root,
        transactions_root=EMPTY_TRIE_ROOT,
        receipts_root=EMPTY_TRIE_ROOT,
        bloom=0,
        number=0,
        gas_limit=config.gas_limit,
        gas_used=0,
        timestamp=config.genesis_time,
        extra_data=b"" if config.authority is None else config.authority.genesis_extra(),
        mix_hash=ZERO_HASH,
        base_fee=INITIAL_BASE_FEE,
    )
    return seal(header)


def next_environment(
    parent: Block, config: ChainConfig, timestamp: int, ancestors: Callable[[], Iterator[bytes]]
) -> Environment:
    """What code sees in the block after `parent`. PREVRANDAO is the hash of the parent's hash, not random."""
    return Environment(
        chain_id=config.chain_id,
        number=parent.header.number + 1,
        timestamp=timestamp,
        coinbase=COINBASE,
        mix_hash=keccak(parent.hash),
        gas_limit=config.gas_limit,
        base_fee=next_base_fee(parent.header),
        ancestors=ancestors,
    )


def assemble(parent: Block, environment: Environment, execution: Execution) -> Block:
    """The block after `parent` that holds what `execution` did in `environment`."""
    header = Header(
        parent_hash=parent.hash,
        coinbase=environment.coinbase,
        state_root=execution.state_root,
        transactions_root=ordered_root([tx.raw for tx in execution.included]),
        receipts_root=ordered_root([receipt.encode() for receipt in execution.receipts]),
        bloom=reduce(or_, (receipt.bloom for receipt in execution.receipts), 0),
        number=environment.number,
        gas_limit=environment.gas_limit,
        gas_used=execution.gas_used,
        timestamp=environment.timestamp,
        extra_data=b"",
        mix_hash=environment.mix_hash,
        base_fee=environment.base_fee,
    )
    return seal(header, execution.included, execution.receipts)


def nothing_on(state_root: bytes) -> Execution:
    """The execution of an empty block: the state stays as it is."""
    return Execution(state_root, {}, (), (), (), ())
