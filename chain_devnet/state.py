"""Reading the state trie: accounts, code, storage slots, and the proofs of EIP-1186.

Source: yellow paper section 4.1 and appendix D (secure Merkle-Patricia trie, keys are hashed).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
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


@dataclass(frozen=True, slots=True)
class StateEdit:
    """What to change about an account; None leaves a field. `slots` are set after `wipe` cleared the rest."""

    balance: int | None = None
    nonce: int | None = None
    code: bytes | None = None
    slots: Mapping[int, int] = field(default_factory=dict)
    wipe: bool = False


@dataclass(frozen=True, slots=True)
class Layered:
    """Nodes that are not stored, above those that are."""

    upper: Mapping[bytes, bytes]
    lower: NodeSource

    def get(self, key: bytes) -> bytes | None:
        """The node with hash `key` (`NodeSource`)."""
        return self.upper.get(key) or self.lower.get(key)


class _TrieNodes:
    """A node source as the mapping that the trie library wants; writes stay in `written`."""

    def __init__(self, source: NodeSource) -> None:
        self._source = source
        self.written: dict[bytes, bytes] = {}

    def __getitem__(self, key: bytes) -> bytes:
        value = self.get(key)
        if value is None:
            raise KeyError(key)
        return value

    def __setitem__(self, key: bytes, value: bytes) -> None:
        self.written[key] = value

    def __contains__(self, key: bytes) -> bool:
        return self.get(key) is not None

    def get(self, key: bytes) -> bytes | None:
        """The node with hash `key` (`NodeSource`)."""
        value = self.written.get(key)
        return self._source.get(key) if value is None else value


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


def edit_state(
    nodes: NodeSource, state_root: bytes, edits: Mapping[bytes, StateEdit]
) -> tuple[dict[bytes, bytes], bytes]:
    """Change accounts, by 20-byte address; returns the trie nodes to write and the new state root."""
    overlay = _TrieNodes(nodes)
    trie: Any = HexaryTrie(overlay, root_hash=state_root)
    for address, edit in edits.items():
        account = _edited(overlay, _decode_account(trie[keccak(address)]), edit)
        if account == AccountState():
            trie.delete(keccak(address))  # an empty account is an absent one (EIP-161)
        else:
            trie[keccak(address)] = _encode_account(account)
    return overlay.written, trie.root_hash


def _edited(overlay: _TrieNodes, account: AccountState, edit: StateEdit) -> AccountState:
    storage: Any = HexaryTrie(overlay, root_hash=EMPTY_TRIE_ROOT if edit.wipe else account.storage_root)
    for slot, value in edit.slots.items():
        if value:
            storage[_slot_key(slot)] = rlp.encode(value)
        else:
            storage.delete(_slot_key(slot))
    code_hash = account.code_hash
    if edit.code is not None:
        code_hash = keccak(edit.code)
        overlay[code_hash] = edit.code
    return replace(
        account,
        balance=account.balance if edit.balance is None else edit.balance,
        nonce=account.nonce if edit.nonce is None else edit.nonce,
        code_hash=code_hash,
        storage_root=storage.root_hash,
    )


def _encode_account(account: AccountState) -> bytes:
    encoded: bytes = rlp.encode([account.nonce, account.balance, account.storage_root, account.code_hash])
    return encoded


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
