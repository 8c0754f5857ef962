"""py-evm's account database, made for one block: values in memory, an undo list, tries only at the end.

py-evm's own keeps accounts as RLP behind three layers of journals and walks the trie for each change, which
takes longer than running the code. Rules that this one keeps:

1. A value is read from the trie once and then from memory; what changed goes into the tries in `persist`.
2. `discard` undoes all since the checkpoint in reverse order; `commit` keeps it.
3. What was in a slot when the transaction began (EIP-2200) is kept until `lock_changes` begins the next.
4. Addresses and slots that were touched in the transaction are warm (EIP-2929); a discard cools them again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any, TypeVar

from eth.abc import AccountDatabaseAPI
from eth.db.journal import get_next_checkpoint
from eth.db.witness import MetaWitness
from eth_hash.auto import keccak
from eth_utils.exceptions import ValidationError

from chain_devnet.trie import EMPTY_ROOT, lookup, rlp_decode, rlp_encode, update

EMPTY_CODE_HASH = keccak(b"")
KEYS_REMEMBERED = 8_192

K = TypeVar("K")
V = TypeVar("V")


@dataclass(frozen=True, slots=True)
class Held:
    """An account that exists."""

    nonce: int = 0
    balance: int = 0
    storage_root: bytes = EMPTY_ROOT
    code_hash: bytes = EMPTY_CODE_HASH

    def encode(self) -> bytes:
        """RLP as the state trie holds it."""
        return rlp_encode([_short(self.nonce), _short(self.balance), self.storage_root, self.code_hash])

    @classmethod
    def decode(cls, encoded: bytes) -> Held:
        """The account that `encode` wrote."""
        nonce, balance, storage_root, code_hash = rlp_decode(encoded)
        return cls(int.from_bytes(nonce, "big"), int.from_bytes(balance, "big"), storage_root, code_hash)


ABSENT = Held()


@lru_cache(KEYS_REMEMBERED)
def _address_key(address: bytes) -> bytes:
    return keccak(address)


@lru_cache(KEYS_REMEMBERED)
def _slot_key(slot: int) -> bytes:
    return keccak(slot.to_bytes(32, "big"))


def _short(value: int) -> bytes:
    return value.to_bytes((value.bit_length() + 7) // 8, "big")


class JournaledAccounts(AccountDatabaseAPI):
    """Accounts and storage of one block, on the state with `state_root` in `db`."""

    def __init__(self, db: Any, state_root: bytes = EMPTY_ROOT) -> None:
        self._db = db
        self._root = state_root
        self._forget()

    def _forget(self) -> None:
        self._read: dict[bytes, Held | None] = {}
        self._accounts: dict[bytes, Held | None] = {}
        # Storage of an account that was wiped starts anew, hence the place of a slot has three parts.
        self._wipes: dict[bytes, int] = {}
        self._wipes_before: dict[bytes, int] = {}
        self._read_slots: dict[tuple[bytes, int, int], int] = {}
        self._slots: dict[tuple[bytes, int, int], int] = {}
        self._originals: dict[tuple[bytes, int], int] = {}
        self._codes: dict[bytes, bytes] = {}
        self._warm: dict[object, bool] = {}
        self._undo: list[Callable[[], object]] = []
        self._checkpoints: dict[int, int] = {}

    # The state as a whole

    @property
    def state_root(self) -> Any:
        """Root of the state when it was last persisted."""
        return self._root

    @state_root.setter
    def state_root(self, value: Any) -> None:
        if value != self._root:
            self._root = value
            self._forget()

    def has_root(self, state_root: bytes) -> bool:
        """Whether the state with `state_root` is known."""
        return state_root in self._db

    def record(self) -> Any:
        """A checkpoint to go back to."""
        checkpoint = get_next_checkpoint()
        self._checkpoints[checkpoint] = len(self._undo)
        return checkpoint

    def discard(self, checkpoint: Any) -> None:
        """Undo all since `checkpoint`."""
        length = self._checkpoints.pop(checkpoint)
        while len(self._undo) > length:
            self._undo.pop()()

    def commit(self, checkpoint: Any) -> None:
        """Keep all since `checkpoint`; an earlier one can still undo it."""
        del self._checkpoints[checkpoint]

    def lock_changes(self) -> None:
        """Begin the next transaction: what is there now cannot be undone, and nothing is warm."""
        self._undo.clear()
        self._checkpoints.clear()
        self._originals.clear()
        self._wipes_before = dict(self._wipes)
        self._warm = {}

    def make_state_root(self) -> Any:
        """The state root with all changes."""
        self.persist()
        return self._root

    def persist(self) -> Any:
        """Write what changed into the tries, and the new nodes and codes into the database."""
        changes: dict[bytes, bytes] = {}
        for address, account in self._with_storage_roots().items():
            before = self._read.get(address)
            if account == before:
                continue
            changes[_address_key(address)] = b"" if account is None else account.encode()
            if account is not None and account.code_hash != (before or ABSENT).code_hash:
                self._db[account.code_hash] = self._codes.get(account.code_hash, b"")
        self._root = self._write(self._root, changes)
        self._forget()
        return MetaWitness(set(), {})

    def _with_storage_roots(self) -> dict[bytes, Held | None]:
        changes: dict[bytes, dict[bytes, bytes]] = {
            address: {} for address, account in self._accounts.items() if account and self._wipes.get(address)
        }
        for (address, wipes, slot), value in self._slots.items():
            if wipes == self._wipes.get(address, 0) and value != self._read_slots.get(
                (address, wipes, slot), 0
            ):
                encoded = rlp_encode(_short(value)) if value else b""
                changes.setdefault(address, {})[_slot_key(slot)] = encoded
        accounts = dict(self._accounts)
        for address, slots in changes.items():
            account = self._account(address)
            root = EMPTY_ROOT if self._wipes.get(address) else (account or ABSENT).storage_root
            root = self._write(root, slots)
            if account is not None or root != EMPTY_ROOT:
                accounts[address] = replace(account or ABSENT, storage_root=root)
        return accounts

    def _write(self, root: bytes, changes: dict[bytes, bytes]) -> bytes:
        new_root, written = update(self._db, root, changes)
        for key, node in written.items():
            self._db[key] = node
        return new_root

    # Storage

    def get_storage(self, address: bytes, slot: int, from_journal: bool = True) -> int:
        """The word in a slot: now, or when the transaction began."""
        if from_journal:
            return self._slot((address, self._wipes.get(address, 0), slot))
        original = self._originals.get((address, slot))
        if original is not None:
            return original
        return self._slot((address, self._wipes_before.get(address, 0), slot))

    def set_storage(self, address: bytes, slot: int, value: int) -> None:
        """Put a word into a slot."""
        place = (address, self._wipes.get(address, 0), slot)
        before = self._slot(place)
        if before != value:
            if place[1] == self._wipes_before.get(address, 0):
                self._originals.setdefault((address, slot), before)
            self._put(self._slots, place, value)

    def delete_storage(self, address: bytes) -> None:
        """Empty all slots of an account."""
        self._put(self._wipes, address, self._wipes.get(address, 0) + 1)
        account = self._account(address)
        if account is not None:
            self._set(address, replace(account, storage_root=EMPTY_ROOT))

    def is_storage_warm(self, address: bytes, slot: int) -> bool:
        """Whether the transaction has touched the slot."""
        return (address, slot) in self._warm

    def mark_storage_warm(self, address: bytes, slot: int) -> None:
        """Note that the transaction touches the slot."""
        if (address, slot) not in self._warm:
            self._put(self._warm, (address, slot), True)

    def _slot(self, place: tuple[bytes, int, int]) -> int:
        value = self._slots.get(place)
        if value is None:
            address, wipes, slot = place
            self._account(address)
            before = None if wipes else self._read[address]
            root = EMPTY_ROOT if before is None else before.storage_root
            found = b"" if root == EMPTY_ROOT else lookup(self._db, root, _slot_key(slot))
            value = int.from_bytes(rlp_decode(found), "big") if found else 0
            self._slots[place] = self._read_slots[place] = value
        return value

    # Accounts

    def get_balance(self, address: bytes) -> int:
        """Wei of an account."""
        return (self._account(address) or ABSENT).balance

    def set_balance(self, address: bytes, balance: int) -> None:
        """Let an account own so many wei."""
        self._set(address, replace(self._account(address) or ABSENT, balance=balance))

    def get_nonce(self, address: bytes) -> int:
        """Nonce of an account."""
        return (self._account(address) or ABSENT).nonce

    def set_nonce(self, address: bytes, nonce: int) -> None:
        """Set the nonce of an account (EIP-2681)."""
        if nonce >= 2**64:
            raise ValidationError(f"nonce {nonce} does not fit 64 bits")
        self._set(address, replace(self._account(address) or ABSENT, nonce=nonce))

    def increment_nonce(self, address: bytes) -> None:
        """Raise the nonce of an account by one."""
        self.set_nonce(address, self.get_nonce(address) + 1)

    def get_code(self, address: bytes) -> bytes:
        """Code of an account."""
        code_hash: bytes = self.get_code_hash(address)
        if code_hash == EMPTY_CODE_HASH:
            return b""
        code = self._codes.get(code_hash)
        if code is None:
            code = self._codes[code_hash] = bytes(self._db[code_hash])
        return code

    def set_code(self, address: bytes, code: bytes) -> None:
        """Give an account code."""
        code_hash = keccak(code)
        self._codes[code_hash] = code
        self._set(address, replace(self._account(address) or ABSENT, code_hash=code_hash))

    def get_code_hash(self, address: bytes) -> Any:
        """Hash of an account's code."""
        return (self._account(address) or ABSENT).code_hash

    def delete_code(self, address: bytes) -> None:
        """Take an account's code away."""
        self._set(address, replace(self._account(address) or ABSENT, code_hash=EMPTY_CODE_HASH))

    def account_has_code_or_nonce(self, address: bytes) -> bool:
        """Whether an account was used as a contract or a sender."""
        account = self._account(address) or ABSENT
        return account.nonce != 0 or account.code_hash != EMPTY_CODE_HASH

    def delete_account(self, address: bytes) -> None:
        """Let an account exist no more, with its storage."""
        self._account(address)
        self._put(self._wipes, address, self._wipes.get(address, 0) + 1)
        self._put(self._accounts, address, None)

    def account_exists(self, address: bytes) -> bool:
        """Whether there is such an account, even an empty one."""
        return self._account(address) is not None

    def touch_account(self, address: bytes) -> None:
        """Let an account exist."""
        if self._account(address) is None:
            self._set(address, ABSENT)

    def account_is_empty(self, address: bytes) -> bool:
        """Whether an account has no nonce, code or wei (EIP-161)."""
        account = self._account(address) or ABSENT
        return not (account.nonce or account.balance or account.code_hash != EMPTY_CODE_HASH)

    def is_address_warm(self, address: bytes) -> bool:
        """Whether the transaction has touched the account."""
        return address in self._warm

    def mark_address_warm(self, address: bytes) -> None:
        """Note that the transaction touches the account."""
        if address not in self._warm:
            self._put(self._warm, address, True)

    def _account(self, address: bytes) -> Held | None:
        try:
            return self._accounts[address]
        except KeyError:
            encoded = lookup(self._db, self._root, _address_key(address))
            account = Held.decode(encoded) if encoded else None
            self._accounts[address] = self._read[address] = account
            return account

    def _set(self, address: bytes, account: Held) -> None:
        self._put(self._accounts, address, account)

    def _put(self, values: dict[K, V], key: K, value: V) -> None:
        if key in values:
            before = values[key]
            self._undo.append(lambda: values.__setitem__(key, before))
        else:
            self._undo.append(lambda: values.pop(key))
        values[key] = value
