"""Blocks, receipts and logs as values, with the bytes and roots that the Prague rules give them.

Source: Ethereum yellow paper sections 4.3-4.4, EIP-1559 (base fee), EIP-2718 (typed receipts),
EIP-4788, EIP-4844, EIP-4895 and EIP-7685 (header fields that stay empty on a devnet).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache, reduce
from operator import or_

import rlp
from eth_hash.auto import keccak

from chain_devnet.transaction import Transaction, integer_bytes
from chain_devnet.trie import rlp_encode
from ledgerfed.errors import InvalidValueError

ZERO_HASH = bytes(32)
EMPTY_TRIE_ROOT = keccak(rlp.encode(b""))
EMPTY_OMMERS_HASH = keccak(rlp.encode([]))
EMPTY_REQUESTS_HASH = bytes.fromhex("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855")
POST_MERGE_NONCE = bytes(8)
HEADER_FIELDS = 21


@dataclass(frozen=True, slots=True)
class Header:
    """A Prague block header. Hashes and roots are 32 bytes, `coinbase` 20, amounts in wei or gas."""

    parent_hash: bytes
    coinbase: bytes
    state_root: bytes
    transactions_root: bytes
    receipts_root: bytes
    bloom: int
    number: int
    gas_limit: int
    gas_used: int
    timestamp: int
    extra_data: bytes
    mix_hash: bytes
    base_fee: int
    difficulty: int = 0

    def __post_init__(self) -> None:
        roots = (self.parent_hash, self.state_root, self.transactions_root, self.receipts_root, self.mix_hash)
        if any(len(root) != 32 for root in roots):
            raise InvalidValueError(f"header {self.number}: hashes and roots are 32 bytes each")
        if self.gas_used > self.gas_limit:
            raise InvalidValueError(f"header {self.number}: gas used {self.gas_used} above {self.gas_limit}")

    @property
    def hash(self) -> bytes:
        """keccak-256 of the header's RLP: the hash of its block."""
        return keccak(self.encode())

    def encode(self) -> bytes:
        """RLP of the 21 Prague fields."""
        encoded: bytes = rlp_encode(
            [
                self.parent_hash,
                EMPTY_OMMERS_HASH,
                self.coinbase,
                self.state_root,
                self.transactions_root,
                self.receipts_root,
                self.bloom.to_bytes(256, "big"),
                integer_bytes(self.difficulty),
                integer_bytes(self.number),
                integer_bytes(self.gas_limit),
                integer_bytes(self.gas_used),
                integer_bytes(self.timestamp),
                self.extra_data,
                self.mix_hash,
                POST_MERGE_NONCE,
                integer_bytes(self.base_fee),
                EMPTY_TRIE_ROOT,  # withdrawals
                b"",  # blob gas used
                b"",  # excess blob gas
                ZERO_HASH,  # parent beacon block root
                EMPTY_REQUESTS_HASH,
            ]
        )
        return encoded

    @classmethod
    def decode(cls, raw: bytes) -> Header:
        """The header that `encode` wrote.

        Raises:
            InvalidValueError: the bytes are no Prague header.
        """
        try:
            fields = rlp.decode(raw)
        except (rlp.exceptions.RLPException, RecursionError) as error:
            raise InvalidValueError(f"a header is RLP, and these bytes are not: {error}") from error
        if (
            not isinstance(fields, list)
            or len(fields) != HEADER_FIELDS
            or not all(isinstance(field, bytes) for field in fields)
        ):
            raise InvalidValueError(f"a Prague header has {HEADER_FIELDS} fields; these bytes do not")
        number, gas_limit, gas_used, timestamp = (int.from_bytes(field, "big") for field in fields[8:12])
        return cls(
            parent_hash=fields[0],
            coinbase=fields[2],
            state_root=fields[3],
            transactions_root=fields[4],
            receipts_root=fields[5],
            bloom=int.from_bytes(fields[6], "big"),
            number=number,
            gas_limit=gas_limit,
            gas_used=gas_used,
            timestamp=timestamp,
            extra_data=fields[12],
            mix_hash=fields[13],
            base_fee=int.from_bytes(fields[15], "big"),
            difficulty=int.from_bytes(fields[7], "big"),
        )


@dataclass(frozen=True, slots=True)
class Log:
    """An event as the EVM emitted it: 20-byte address, up to four 32-byte topics, data."""

    address: bytes
    topics: tuple[bytes, ...]
    data: bytes


@dataclass(frozen=True, slots=True)
class Receipt:
    """What a transaction did. `created` is the new contract's address, or None."""

    kind: int
    status: int
    gas_used: int
    cumulative_gas: int
    effective_gas_price: int
    created: bytes | None
    logs: tuple[Log, ...]

    @property
    def bloom(self) -> int:
        """Bloom filter over the addresses and topics of the logs (yellow paper 4.3.1)."""
        return logs_bloom(self.logs)

    def encode(self) -> bytes:
        """Consensus bytes: RLP of status, cumulative gas, bloom and logs, after the type byte if typed."""
        body: bytes = rlp_encode(
            [
                integer_bytes(self.status),
                integer_bytes(self.cumulative_gas),
                self.bloom.to_bytes(256, "big"),
                [[log.address, list(log.topics), log.data] for log in self.logs],
            ]
        )
        return bytes([self.kind]) + body if self.kind else body


@dataclass(frozen=True, slots=True)
class Block:
    """A sealed block with its transactions and their receipts, in the same order."""

    header: Header
    hash: bytes
    transactions: tuple[Transaction, ...] = ()
    receipts: tuple[Receipt, ...] = ()

    def __post_init__(self) -> None:
        if len(self.transactions) != len(self.receipts):
            raise InvalidValueError(f"block {self.header.number}: one receipt per transaction is required")

    @property
    def size(self) -> int:
        """Length of the block's RLP in bytes."""
        return block_size(self.header, self.transactions)


def seal(header: Header, transactions: Sequence[Transaction] = (), receipts: Sequence[Receipt] = ()) -> Block:
    """The block under `header`, with its hash."""
    return Block(header, header.hash, tuple(transactions), tuple(receipts))


def logs_bloom(logs: Iterable[Log]) -> int:
    """2048-bit bloom filter of `logs` as an integer."""
    return reduce(or_, (_bloom_bits(item) for log in logs for item in (log.address, *log.topics)), 0)


@lru_cache(4_096)
def _bloom_bits(item: bytes) -> int:
    # Contracts log the same address and event again and again, so most hashes are known.
    digest = keccak(item)
    return reduce(or_, (1 << (int.from_bytes(digest[at : at + 2], "big") & 2_047) for at in (0, 2, 4)))


def encode_block(header: Header, transactions: Sequence[Transaction]) -> bytes:
    """RLP([header, transactions, no ommers, no withdrawals])."""
    body = [rlp.decode(tx.raw) if tx.kind == 0 else tx.raw for tx in transactions]
    encoded: bytes = rlp.encode([rlp.decode(header.encode()), body, [], []])
    return encoded


def block_size(header: Header, transactions: Sequence[Transaction]) -> int:
    """Length of the block's RLP in bytes."""
    return len(encode_block(header, transactions))
