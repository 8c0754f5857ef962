"""The transactions that were accepted and wait for a block.

The rules, those of geth's pool but for the last:

1. One sender's transactions run in the order of their nonces. Those that follow on from the account's nonce
   without a gap are *pending*; those behind a gap are *queued* until it is filled.
2. A transaction takes the place of a waiting one with the same nonce if both its fees are at least
   `PRICE_BUMP` per cent higher.
3. All that waits for one sender must be affordable together.
4. A block takes the pending transactions by the tip that they would pay in it, then in order of arrival.
5. A full pool takes no more; it never forgets an accepted transaction to make room for a better paid one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from heapq import heapify, heappop, heapreplace
from itertools import count, takewhile

from chain_devnet.admission import SenderState, maximum_cost
from chain_devnet.errors import TransactionRejectedError
from chain_devnet.transaction import Transaction
from ledgerfed.errors import InvalidValueError

PRICE_BUMP = 10


@dataclass(frozen=True, slots=True)
class PoolLimits:
    """The most transactions that may wait: behind a gap of one sender, of one sender, and in total."""

    queued: int = 64
    account: int = 2_048
    total: int = 8_192

    def __post_init__(self) -> None:
        if not 0 <= self.queued <= self.account <= self.total:
            raise InvalidValueError(f"pool limits {self} do not nest; use queued <= account <= total")


@dataclass(frozen=True, slots=True)
class Waiting:
    """A transaction in the pool; `arrival` numbers rise in the order in which transactions came."""

    transaction: Transaction
    arrival: int


@dataclass(frozen=True, slots=True)
class PoolContent:
    """What can go into blocks and what is behind a gap, by sender and then in order of nonces."""

    pending: Mapping[bytes, tuple[Transaction, ...]]
    queued: Mapping[bytes, tuple[Transaction, ...]]


@dataclass(frozen=True, slots=True)
class PoolDelta:
    """What must be written so that a store holds what waits: these added, these hashes removed."""

    added: tuple[Waiting, ...]
    removed: tuple[bytes, ...]


@dataclass(slots=True)
class _Sender:
    """One sender's waiting transactions by nonce, the wei that they may cost, and the highest nonce."""

    waiting: dict[int, Waiting] = field(default_factory=dict)
    cost: int = 0
    highest: int = -1


def may_replace(old: Transaction, new: Transaction) -> bool:
    """Whether `new` offers enough to take the place of `old`: both fees `PRICE_BUMP` per cent higher."""
    needed = 100 + PRICE_BUMP
    return (
        new.max_fee > old.max_fee
        and new.max_priority_fee > old.max_priority_fee
        and 100 * new.max_fee >= needed * old.max_fee
        and 100 * new.max_priority_fee >= needed * old.max_priority_fee
    )


def consecutive(waiting: Mapping[int, Waiting], nonce: int) -> list[Waiting]:
    """Those of one sender that follow on from `nonce`, without a gap."""
    return [waiting[found] for found in takewhile(waiting.__contains__, count(nonce))]


def by_price(runs: Iterable[Sequence[Waiting]], base_fee: int) -> list[Transaction]:
    """The order in which a block with `base_fee` takes transactions (rule 4).

    Each run is one sender's in order of nonces; it ends where one would not pay the base fee.
    """
    payable = [list(takewhile(lambda entry: entry.transaction.max_fee >= base_fee, run)) for run in runs]
    heap = [(_price(run[0], base_fee), sender, 0) for sender, run in enumerate(payable) if run]
    heapify(heap)
    ordered: list[Transaction] = []
    while heap:
        _, sender, position = heap[0]
        run = payable[sender]
        ordered.append(run[position].transaction)
        if position + 1 < len(run):
            heapreplace(heap, (_price(run[position + 1], base_fee), sender, position + 1))
        else:
            heappop(heap)
    return ordered


def _price(entry: Waiting, base_fee: int) -> tuple[int, int]:
    return base_fee - entry.transaction.effective_gas_price(base_fee), entry.arrival


class Pool:
    """What waits, and which part of it a store does not hold yet.

    The account nonces that its methods are given never exceed a waiting one of that sender: whoever moves the
    chain drops what is `hopeless`.
    """

    def __init__(self, limits: PoolLimits | None = None) -> None:
        self.limits = limits or PoolLimits()
        self._senders: dict[bytes, _Sender] = {}
        self._by_hash: dict[bytes, Waiting] = {}
        self._arrivals = 0
        self._unsaved: dict[bytes, Waiting] = {}
        self._gone: set[bytes] = set()

    def __len__(self) -> int:
        return len(self._by_hash)

    def __iter__(self) -> Iterator[Transaction]:
        """In order of arrival."""
        return (
            entry.transaction for entry in sorted(self._by_hash.values(), key=lambda entry: entry.arrival)
        )

    def __contains__(self, tx_hash: object) -> bool:
        return tx_hash in self._by_hash

    @property
    def senders(self) -> tuple[bytes, ...]:
        """Who has transactions here."""
        return tuple(self._senders)

    def find(self, tx_hash: bytes) -> Transaction | None:
        """The waiting transaction with `tx_hash`, or None."""
        entry = self._by_hash.get(tx_hash)
        return None if entry is None else entry.transaction

    def next_nonce(self, sender: bytes, nonce: int) -> int:
        """The first nonce from the account's `nonce` on that no transaction here uses."""
        own = self._senders.get(sender)
        if own is None:
            return nonce
        if own.highest == nonce + len(own.waiting) - 1:
            return own.highest + 1
        return nonce + len(consecutive(own.waiting, nonce))

    def add(self, tx: Transaction, account: SenderState) -> Waiting | None:
        """Let `tx` wait; returns what it replaces.

        `account` is what the chain says of the sender; `admit` has let the transaction pass.

        Raises:
            TransactionRejectedError: known, too cheap to replace, not affordable with what waits, or no room.
        """
        if tx.hash in self._by_hash:
            raise TransactionRejectedError(f"already known: 0x{tx.hash.hex()}")
        own = self._senders.get(tx.sender) or _Sender()
        found = own.waiting.get(tx.nonce)
        old = None if found is None else found.transaction
        if old is not None and not may_replace(old, tx):
            raise TransactionRejectedError(
                f"replacement transaction underpriced: nonce {tx.nonce} waits with max fee {old.max_fee} and "
                f"tip {old.max_priority_fee}; offer {PRICE_BUMP} % more of both, not {tx.max_fee} and "
                f"{tx.max_priority_fee}"
            )
        cost = own.cost + maximum_cost(tx) - (0 if old is None else maximum_cost(old))
        if cost > account.balance:
            raise TransactionRejectedError(
                f"insufficient funds for gas * price + value: 0x{tx.sender.hex()} has {account.balance}, "
                f"needs {cost} for all that it has sent"
            )
        if old is None:
            self._expect_room(tx, own, account.nonce)
        else:
            self.drop([old.hash])
        self._insert(Waiting(tx, self._arrivals))
        return found

    def drop(self, hashes: Collection[bytes]) -> None:
        """Let the transactions with these `hashes` wait no more."""
        for tx_hash in hashes:
            entry = self._by_hash.pop(tx_hash, None)
            if entry is None:
                continue
            self._forget(entry.transaction)
            if self._unsaved.pop(tx_hash, None) is None:
                self._gone.add(tx_hash)

    def keep(self, waiting: Iterable[Waiting]) -> None:
        """Let exactly `waiting` wait, which is what the store holds."""
        self._senders, self._by_hash = {}, {}
        for entry in waiting:
            self._insert(entry)
        self.mark_saved()

    def restore(self, entry: Waiting) -> None:
        """Let `entry` wait again, which `add` had replaced."""
        self._insert(entry)

    def reinstate(self, tx: Transaction) -> None:
        """Let `tx` wait again, whose block was abandoned, unless another one has taken its nonce."""
        own = self._senders.get(tx.sender)
        if own is None or tx.nonce not in own.waiting:
            self._insert(Waiting(tx, self._arrivals))

    def snapshot(self) -> tuple[Waiting, ...]:
        """All that waits, in order of arrival."""
        return tuple(sorted(self._by_hash.values(), key=lambda entry: entry.arrival))

    def executable(self, nonces: Mapping[bytes, int], base_fee: int) -> list[Transaction]:
        """The pending transactions in the order in which a block takes them; `nonces` are the accounts'."""
        runs = (consecutive(own.waiting, nonces[sender]) for sender, own in self._senders.items())
        return by_price(runs, base_fee)

    def content(self, nonces: Mapping[bytes, int]) -> PoolContent:
        """What is pending and what is queued when `nonces` are the accounts'."""
        pending: dict[bytes, tuple[Transaction, ...]] = {}
        queued: dict[bytes, tuple[Transaction, ...]] = {}
        for sender, own in self._senders.items():
            end = self.next_nonce(sender, nonces[sender])
            ordered = [own.waiting[nonce].transaction for nonce in sorted(own.waiting)]
            pending[sender] = tuple(tx for tx in ordered if tx.nonce < end)
            queued[sender] = tuple(tx for tx in ordered if tx.nonce > end)
        return PoolContent(
            {sender: run for sender, run in pending.items() if run},
            {sender: run for sender, run in queued.items() if run},
        )

    def hopeless(self, accounts: Mapping[bytes, SenderState]) -> list[Transaction]:
        """Those that can never run: their nonce is used, or they cost more than the sender has."""
        return [
            entry.transaction
            for sender, own in self._senders.items()
            for entry in own.waiting.values()
            if entry.transaction.nonce < accounts[sender].nonce
            or maximum_cost(entry.transaction) > accounts[sender].balance
        ]

    def delta(self, without: Collection[bytes] = ()) -> PoolDelta:
        """What a store lacks of what waits, once the transactions in `without` are dropped."""
        dropped = set(without)
        added = tuple(entry for tx_hash, entry in self._unsaved.items() if tx_hash not in dropped)
        removed = self._gone | {
            found for found in dropped & self._by_hash.keys() if found not in self._unsaved
        }
        return PoolDelta(added, tuple(removed))

    def mark_saved(self) -> None:
        """Note that a store holds what waits now."""
        self._unsaved = {}
        self._gone = set()

    def _expect_room(self, tx: Transaction, own: _Sender, nonce: int) -> None:
        limits = self.limits
        if len(self) >= limits.total:
            raise TransactionRejectedError(f"txpool is full: {len(self)} transactions wait; wait for a block")
        if len(own.waiting) >= limits.account:
            raise TransactionRejectedError(
                f"txpool is full: {limits.account} transactions of 0x{tx.sender.hex()} wait; wait for a block"
            )
        end = self.next_nonce(tx.sender, nonce)
        if tx.nonce > end and sum(waiting > end for waiting in own.waiting) >= limits.queued:
            raise TransactionRejectedError(
                f"txpool is full: {limits.queued} transactions of 0x{tx.sender.hex()} wait for nonce {end}; "
                "send that one"
            )

    def _insert(self, entry: Waiting) -> None:
        tx = entry.transaction
        own = self._senders.setdefault(tx.sender, _Sender())
        own.waiting[tx.nonce] = entry
        own.cost += maximum_cost(tx)
        own.highest = max(own.highest, tx.nonce)
        self._by_hash[tx.hash] = entry
        self._arrivals = max(self._arrivals, entry.arrival + 1)
        self._unsaved[tx.hash] = entry

    def _forget(self, tx: Transaction) -> None:
        own = self._senders[tx.sender]
        del own.waiting[tx.nonce]
        if not own.waiting:
            del self._senders[tx.sender]
            return
        own.cost -= maximum_cost(tx)
        if tx.nonce == own.highest:
            own.highest = max(own.waiting)
