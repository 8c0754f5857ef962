"""Reading the state trie: accounts, code, storage slots, and the proofs of EIP-1186.

Source: yellow paper section 4.1 and appendix D (secure Merkle-Patricia trie, keys are hashed).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import rlp
from eth_hash.auto import keccak
from trie.hexary import HexaryTrie

from chain_devnet.backend import NodeSource
from chain_devnet.block import EMPTY_TRIE_ROOT

EMPTY_CODE_HASH = keccak(b"")


@dataclass(frozen=True, slots=True)
class AccountState:
    """What the state trie holds for an address; the defaults are those of an absent account."""

    nonce: int = 0
    balance: int = 0
    storage_root: bytes = EMPTY_TRIE_ROOT
    code_hash: bytes = EMPTY_CODE_HASH


@dataclass(frozen=True, slots=True)
class StorageProof:
    """A slot's value and the RLP nodes from the storage root down to it (or to its absence)."""

    slot: int
    value: int
    nodes: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class AccountProof:
    """An account, the RLP nodes from the state root down to it, and proofs of some of its slots."""

    account: AccountState
    nodes: tuple[bytes, ...]
    storage: tuple[StorageProof, ...]


class _TrieNodes:
    """A node source as the read-only mapping that the trie library wants."""

    def __init__(self, source: NodeSource) -> None:
        self._source = source

    def __getitem__(self, key: bytes) -> bytes:
        value = self._source.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __contains__(self, key: bytes) -> bool:
        return self._source.get(key) is not None


def read_account(nodes: NodeSource, state_root: bytes, address: bytes) -> AccountState:
    """The account at the 20-byte `address`; an absent one is empty."""
    return _decode_account(_trie(nodes, state_root)[keccak(address)])


def read_code(nodes: NodeSource, state_root: bytes, address: bytes) -> bytes:
    """The contract code at `address`; empty for anything else."""
    code_hash = read_account(nodes, state_root, address).code_hash
    return b"" if code_hash == EMPTY_CODE_HASH else nodes.get(code_hash) or b""


def read_slot(nodes: NodeSource, state_root: bytes, address: bytes, slot: int) -> int:
    """The 256-bit word in `slot` of the contract at `address`."""
    account = read_account(nodes, state_root, address)
    return _decode_slot(_trie(nodes, account.storage_root)[_slot_key(slot)])


def prove(nodes: NodeSource, state_root: bytes, address: bytes, slots: tuple[int, ...]) -> AccountProof:
    """Merkle proofs (EIP-1186) for the account at `address` and for `slots` of its storage."""
    state_trie = _trie(nodes, state_root)
    account = _decode_account(state_trie[keccak(address)])
    storage_trie = _trie(nodes, account.storage_root)
    storage = tuple(
        StorageProof(slot, _decode_slot(storage_trie[_slot_key(slot)]), _path(storage_trie, _slot_key(slot)))
        for slot in slots
    )
    return AccountProof(account, _path(state_trie, keccak(address)), storage)


def _trie(nodes: NodeSource, root: bytes) -> Any:
    return HexaryTrie(_TrieNodes(nodes), root_hash=root)


def _path(trie: Any, key: bytes) -> tuple[bytes, ...]:
    return tuple(rlp.encode(node) for node in trie.get_proof(key))


def _slot_key(slot: int) -> bytes:
    return keccak(slot.to_bytes(32, "big"))


def _decode_account(encoded: bytes) -> AccountState:
    if not encoded:
        return AccountState()
    nonce, balance, storage_root, code_hash = rlp.decode(encoded)
    return AccountState(int.from_bytes(nonce, "big"), int.from_bytes(balance, "big"), storage_root, code_hash)


def _decode_slot(encoded: bytes) -> int:
    return int.from_bytes(rlp.decode(encoded), "big") if encoded else 0
