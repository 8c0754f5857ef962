"""Blocks from somebody else: decoded strictly, executed again, and compared field by field.

Nothing is taken on trust: the parent, the seal, every signature, gas, logs and all roots are checked.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields, replace

import rlp
from eth_hash.auto import keccak

from chain_devnet.assembly import assemble
from chain_devnet.authority import Authority
from chain_devnet.backend import Environment, ExecutionBackend, NodeSource
from chain_devnet.block import Block, Header
from chain_devnet.config import ChainConfig
from chain_devnet.errors import InvalidBlockError
from chain_devnet.fees import next_base_fee
from chain_devnet.transaction import Transaction, decode_transaction
from ledgerfed.errors import InvalidValueError

MAX_BLOCK_BYTES = 16 * 1024 * 1024
AHEAD_SECONDS = 2


@dataclass(frozen=True, slots=True)
class Imported:
    """A checked block and the trie nodes that it writes."""

    block: Block
    nodes: dict[bytes, bytes]


def decode_block(raw: bytes) -> tuple[Header, tuple[Transaction, ...]]:
    """Header and transactions of RLP([header, transactions, no ommers, no withdrawals]).

    Raises:
        InvalidBlockError: the bytes are no canonical Prague block.
    """
    if len(raw) > MAX_BLOCK_BYTES:
        raise InvalidBlockError(f"a block of {len(raw)} bytes is too large; at most {MAX_BLOCK_BYTES}")
    try:
        header_fields, body, ommers, withdrawals = rlp.decode(raw)
        encoded = rlp.encode(header_fields)
        header = Header.decode(encoded)
        transactions = tuple(decode_transaction(_transaction_bytes(entry)) for entry in body)
    except (rlp.exceptions.RLPException, RecursionError, TypeError, ValueError, InvalidValueError) as error:
        raise InvalidBlockError(f"these bytes are no block: {error}") from error
    if header.encode() != encoded or ommers != [] or withdrawals != []:
        raise InvalidBlockError(f"block {header.number} is not one of this chain's form")
    return header, transactions


def check_block(
    header: Header,
    transactions: Sequence[Transaction],
    parent: Block,
    state_root: bytes,
    recent: Sequence[bytes],
    config: ChainConfig,
    authority: Authority,
    backend: ExecutionBackend,
    nodes: NodeSource,
    ancestors: Callable[[], Iterator[bytes]],
) -> Imported:
    """The block under `header` after `parent`, whose state is `state_root`, executed again.

    Raises:
        InvalidBlockError: with the first thing that is wrong.
    """
    number = parent.header.number + 1
    if header.parent_hash != parent.hash or header.number != number:
        raise InvalidBlockError(f"block {header.number} does not follow block {parent.header.number}")
    authority.check(header, parent.header, recent)
    environment = Environment(
        chain_id=config.chain_id,
        number=number,
        timestamp=header.timestamp,
        coinbase=header.coinbase,
        mix_hash=keccak(parent.hash),
        gas_limit=config.gas_limit,
        base_fee=next_base_fee(parent.header),
        ancestors=ancestors,
    )
    execution = backend.execute(nodes, state_root, environment, transactions)
    for tx, reason in execution.rejected:
        raise InvalidBlockError(f"block {number} holds 0x{tx.hash.hex()}, which cannot run: {reason}")
    own = assemble(parent, environment, execution)
    expected = replace(own.header, difficulty=header.difficulty, extra_data=header.extra_data)
    for field in fields(Header):
        if getattr(header, field.name) != getattr(expected, field.name):
            raise InvalidBlockError(
                f"block {number} has another {field.name.replace('_', ' ')} than executing it gives"
            )
    return Imported(Block(header, header.hash, own.transactions, own.receipts), dict(execution.nodes))


def _transaction_bytes(entry: object) -> bytes:
    encoded: bytes = entry if isinstance(entry, bytes) else rlp.encode(entry)
    return encoded
