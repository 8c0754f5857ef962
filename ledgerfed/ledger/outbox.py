"""Transactions leave through here, each exactly once however often the program dies in between.

Rules:
- A transaction has a business key: federation, round, kind (with what a challenge is about) and sender. A
  second send under a key finds the first one and follows it; other data under the same key is a conflict.
- What the ledger can undo (a certificate that fell, an announcement that was replaced) may be sent again.
- The raw bytes are stored before they are sent. A restart sends the same bytes again, so the chain sees one
  transaction however often it is told.
- One writer per sender chooses nonces: after the waiting ones, so that none is skipped or taken twice.
- A transaction is over when its receipt says so, or when its nonce went to another one (SUPERSEDED). Then,
  and if it was refused, the next send under the key is a new attempt.
- One that waits for STUCK_BLOCKS is replaced under its nonce by the same call for more; any of its versions
  may be mined, and is then what was sent.
- What the chain does not know any more is sent again only if the federation stands where it stood when it was
  decided; after a fork it may not, and the contract would not notice (threat C1). A leaf may be forced after
  others were, but not after another seal: it could contradict what its node signed there, which is a fault.
- What would come too late and still waits is cancelled: replaced by a transfer of nothing to oneself.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from ledgerfed.errors import (
    ConfigurationError,
    ConflictError,
    StoreError,
    TransactionRevertedError,
    WaitTimeoutError,
)
from ledgerfed.ledger.calls import TransactionKind
from ledgerfed.ledger.chain import block_number
from ledgerfed.ledger.fees import Fees, present_fees, raised, read_signed
from ledgerfed.ledger.keys import Signer
from ledgerfed.ledger.outbox_store import OutboxEntry, OutboxState, OutboxStore, entry_of
from ledgerfed.ledger.rpc import JsonRpc
from ledgerfed.ledger.transactions import (
    MinedTransaction,
    Receipt,
    estimate_gas,
    is_known,
    next_nonce,
    receipt_of,
    sign,
    transmit,
    why_reverted,
)
from ledgerfed.ledger.views import read_view, stands_at, stood_since_seal
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak

RECEIPT_TIMEOUT = 60.0
POLL_INTERVAL = 0.05
_OF_EPOCHS = (TransactionKind.PROPOSE, TransactionKind.OPEN_EPOCH)
ABOUT_A_TRANSCRIPT = (TransactionKind.SEAL, TransactionKind.SEAL_LEAVES, TransactionKind.SCORES)
"""What a root stands for was said about one transcript; on another one the call would be a stale one."""
STUCK_BLOCKS = 4
"""A transaction that is not in any of so many blocks offers too little."""
MAX_REPLACEMENTS = 12
"""Then it offers four times what it did at first, and what the chain has asked for since."""
_CANCEL_GAS = 21_000
_log = logging.getLogger(__name__)
_Value = TypeVar("_Value", int, bytes)


class Outbox:
    """The transactions to one federation, kept in a store."""

    def __init__(
        self,
        rpc: JsonRpc,
        store: OutboxStore,
        federation: Federation,
        *,
        receipt_timeout: float = RECEIPT_TIMEOUT,
        poll_interval: float = POLL_INTERVAL,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._rpc = rpc
        self._store = store
        self._federation = federation
        self._receipt_timeout = receipt_timeout
        self._poll_interval = poll_interval
        self._sleep = sleep
        self._clock = clock
        self._waiting_since: dict[bytes, int] = {}

    def send(
        self,
        signer: Signer,
        kind: TransactionKind,
        round_number: int,
        calldata: bytes,
        *,
        about: str = "",
        stands: Callable[[], bool] | None = None,
    ) -> MinedTransaction:
        """Bring a call onto the chain, or find it there, and wait for its receipt.

        Args:
            signer: who sends and pays.
            kind: which function is called.
            round_number: the round that the call is about, or the epoch.
            calldata: selector and arguments.
            about: sets calls of one kind and round apart.
            stands: whether a mined call still has its effect; None for what nothing can undo.

        Raises:
            ConfigurationError: a demo key on another chain, or the account cannot pay.
            TransactionRevertedError: the contract refuses it, with its reason; before or after sending.
            ConflictError: other data stands under the same key, or another transaction took the nonce.
            WaitTimeoutError: it is not mined in time; sending again goes on waiting.
            ChainUnreachableError: nobody answers; sending again goes on where this stopped.
        """
        with self._store.exclusive(self._federation.chain_id, signer.address):
            self._settle_in_flight(signer.address, signer)
            name = f"{kind}:{about}" if about else str(kind)
            entry = self._enter(signer, name, round_number, calldata, stands)
            if entry.state == OutboxState.QUEUED:
                entry = self._sign(signer, entry)
            if entry.state == OutboxState.SIGNED:
                entry = self._transmit(entry)
        return self._follow(signer, entry)

    def reconcile(self, sender: bytes) -> tuple[OutboxEntry, ...]:
        """Settle what a former run left signed or sent: mined, superseded, or sent again as the same bytes.

        Returns:
            The transactions of this sender that still wait, by nonce.

        Raises:
            ChainUnreachableError: nobody answers.
        """
        with self._store.exclusive(self._federation.chain_id, sender):
            self._settle_in_flight(sender)
            return self._in_flight(sender)

    def _in_flight(self, sender: bytes) -> tuple[OutboxEntry, ...]:
        return tuple(entry_of(row) for row in self._store.in_flight(self._federation.chain_id, sender))

    def _settle_in_flight(self, sender: bytes, signer: Signer | None = None) -> None:
        for entry in self._in_flight(sender):
            settled = self._settle(entry)
            if settled.state in (OutboxState.SIGNED, OutboxState.SENT):
                settled = self._send_again(settled)
            if settled.state == OutboxState.SENT and signer is not None:
                self._tend(signer, settled)

    def _settle(self, entry: OutboxEntry) -> OutboxEntry:
        """Record the receipt of a version if there is one, or that the nonce went to another transaction."""
        # The nonce first: a receipt that appears between the two questions is then still found.
        used = next_nonce(self._rpc, entry.sender, "latest") > _known(entry.nonce)
        for version in _versions(entry):
            receipt = receipt_of(self._rpc, version)
            if receipt is not None:
                return self._record(entry, version, receipt)
        if used:
            reason = f"{_named(entry)}: another transaction of 0x{entry.sender.hex()} has nonce {entry.nonce}"
            return self._move(entry, replace(entry, state=OutboxState.SUPERSEDED, reason=reason))
        return entry

    def _send_again(self, entry: OutboxEntry) -> OutboxEntry:
        """Send the newest version if the chain does not know it, and the call is still meant."""
        known = [is_known(self._rpc, version) for version in _versions(entry)]
        if not any(known) and not _cancels(entry):
            why = self._why_not(entry, "pending")
            if why is not None:
                reason = f"{_named(entry)} is not sent again: {why}"
                return self._move(entry, replace(entry, state=OutboxState.SUPERSEDED, reason=reason))
        return (
            self._move(entry, replace(entry, state=OutboxState.SENT)) if known[0] else self._transmit(entry)
        )

    def _why_not(self, entry: OutboxEntry, block: str) -> str | None:
        """Return why a call that was decided on earlier is not meant any more, or None."""
        if entry.transcript is not None:
            federation = Federation(entry.chain_id, entry.contract)
            forced = entry.kind == TransactionKind.FORCE
            still = stood_since_seal if forced else stands_at
            if not still(self._rpc, federation, entry.transcript):
                return "the federation stands elsewhere than when it was decided"
        try:
            estimate_gas(self._rpc, _named(entry), entry.sender, entry.contract, entry.data, block)
        except TransactionRevertedError as error:
            return str(error)
        return None

    def _tend(self, signer: Signer, entry: OutboxEntry) -> OutboxEntry:
        """Look after a transaction that waits, once a block: raise its fees, or cancel it."""
        head, since = block_number(self._rpc), self._waiting_since
        begun = since.setdefault(_known(entry.tx_hash), head)
        if head == begun:
            return entry
        why = None if _cancels(entry) else self._why_not(entry, "latest")
        stuck = head - begun >= STUCK_BLOCKS and len(_versions(entry)) <= MAX_REPLACEMENTS
        if not stuck and (why is None or _cancels(entry)):
            return entry
        replaced = self._replace(signer, entry, why)
        since[_known(replaced.tx_hash)] = head
        return replaced

    def _replace(self, signer: Signer, entry: OutboxEntry, why_cancel: str | None) -> OutboxEntry:
        """Send another version for more: the same call, or nothing if the call is not meant any more."""
        old = read_signed(_known(entry.raw))
        fees = raised(old.fees, present_fees(self._rpc, entry.sender))
        if fees == old.fees:  # gas is free here, so it does not wait for a higher fee
            return entry
        cancels = why_cancel is not None or _cancels(entry)
        to, data, gas = (entry.contract, entry.data, old.gas)
        if cancels:
            to, data, gas = entry.sender, b"", _CANCEL_GAS
        raw = sign(signer, entry.chain_id, _known(entry.nonce), gas, to, data, fees)
        _log.warning(
            "%s waits (transaction 0x%s): %s",
            _named(entry),
            _known(entry.tx_hash).hex(),
            _how(fees, why_cancel),
        )
        versions = b"".join(_versions(entry))
        after = self._move(entry, replace(entry, raw=raw, tx_hash=keccak(raw), earlier=versions))
        try:
            return self._transmit(after)
        except (ConflictError, ConfigurationError) as error:
            _log.warning("%s: the chain does not take the replacement: %s", _named(entry), error)
            return after  # the one before was mined meanwhile, or goes on waiting

    def _enter(
        self,
        signer: Signer,
        kind: str,
        round_number: int,
        calldata: bytes,
        stands: Callable[[], bool] | None,
    ) -> OutboxEntry:
        sender, chain_id, contract = signer.address, self._federation.chain_id, self._federation.contract
        row = self._store.latest(chain_id, contract, round_number, kind, sender)
        fresh = OutboxEntry(chain_id, contract, round_number, kind, sender, attempt=0, data=calldata)
        if row is None:
            self._store.add(fresh)
            return fresh
        entry = entry_of(row)
        if entry.nonce is None:  # never signed, so the chain cannot know it
            return self._move(entry, replace(fresh, attempt=entry.attempt))
        if entry.state == OutboxState.MINED:
            entry = self._recheck_mined(entry)
        undone = entry.state == OutboxState.MINED and stands is not None and not stands()
        if undone or entry.state in (OutboxState.REVERTED, OutboxState.SUPERSEDED):
            fresh = replace(fresh, attempt=entry.attempt + 1)
            self._store.add(fresh)
            return fresh
        if entry.data != calldata:
            raise ConflictError(
                f"{_named(entry)} is {entry.state} with other data as transaction "
                f"0x{_known(entry.tx_hash).hex()}; a second one under the same key is not sent"
            )
        return entry

    def _recheck_mined(self, entry: OutboxEntry) -> OutboxEntry:
        receipt = receipt_of(self._rpc, _known(entry.tx_hash))
        if receipt is not None and receipt.block_hash == entry.block_hash:
            return entry
        # A reorganisation dropped the block: the same bytes go out again, if they still mean the same.
        newest = keccak(_known(entry.raw))
        others = b"".join(version for version in _versions(entry) if version != newest)
        unplaced = replace(entry, block_number=None, block_hash=None, gas_used=None)
        sent = replace(unplaced, state=OutboxState.SENT, tx_hash=newest, earlier=others or None)
        settled = self._settle(self._move(entry, sent))
        return self._send_again(settled) if settled.state == OutboxState.SENT else settled

    def _sign(self, signer: Signer, entry: OutboxEntry) -> OutboxEntry:
        try:
            gas = estimate_gas(self._rpc, _named(entry), entry.sender, entry.contract, entry.data)
        except TransactionRevertedError as error:
            self._move(entry, replace(entry, state=OutboxState.REVERTED, reason=str(error)))
            raise
        waiting = [_known(other.nonce) + 1 for other in self._in_flight(entry.sender)]
        nonce = max([next_nonce(self._rpc, entry.sender, "pending"), *waiting])
        fees = present_fees(self._rpc, entry.sender)
        about = None
        if entry.kind in (*ABOUT_A_TRANSCRIPT, TransactionKind.FORCE):
            about = bytes(read_view(self._rpc, self._federation, "transcript"))
        raw = sign(signer, entry.chain_id, nonce, gas, entry.contract, entry.data, fees)
        signed = replace(entry, state=OutboxState.SIGNED, nonce=nonce, raw=raw, tx_hash=keccak(raw))
        return self._move(entry, replace(signed, transcript=about))

    def _transmit(self, entry: OutboxEntry) -> OutboxEntry:
        transmit(self._rpc, _named(entry), entry.sender, _known(entry.raw))
        return self._move(entry, replace(entry, state=OutboxState.SENT))

    def _follow(self, signer: Signer, entry: OutboxEntry) -> MinedTransaction:
        deadline = self._clock() + self._receipt_timeout
        while (entry := self._look(signer, entry)).state == OutboxState.SENT:
            if self._clock() >= deadline:
                raise WaitTimeoutError(
                    f"{_named(entry)} is not mined after {self._receipt_timeout:g} s (transaction "
                    f"0x{_known(entry.tx_hash).hex()}); call again to go on waiting"
                )
            self._sleep(self._poll_interval)
        for version in _versions(entry):
            self._waiting_since.pop(version, None)
        return _outcome(entry)

    def _look(self, signer: Signer, entry: OutboxEntry) -> OutboxEntry:
        """Settle an entry that another thread of the same sender may have settled meanwhile."""
        with self._store.exclusive(entry.chain_id, entry.sender):
            key = (entry.chain_id, entry.contract, entry.round_number, entry.kind, entry.sender)
            row = self._store.latest(*key)
            if row is None:
                raise StoreError(f"{_named(entry)} vanished from the outbox; was the database replaced?")
            found = entry_of(row)
            settled = self._settle(found) if found.state == OutboxState.SENT else found
            return self._tend(signer, settled) if settled.state == OutboxState.SENT else settled

    def _record(self, entry: OutboxEntry, version: bytes, receipt: Receipt) -> OutboxEntry:
        others = b"".join(other for other in _versions(entry) if other != version)
        placed = replace(
            entry,
            tx_hash=version,
            earlier=others or None,
            block_number=receipt.block_number,
            block_hash=receipt.block_hash,
            gas_used=receipt.gas_used,
        )
        if _cancels(entry) and version == keccak(_known(entry.raw)):
            reason = f"{_named(entry)} was cancelled, for the federation had moved on"
            return self._move(entry, replace(placed, state=OutboxState.SUPERSEDED, reason=reason))
        if receipt.succeeded:
            return self._move(entry, replace(placed, state=OutboxState.MINED))
        why = why_reverted(self._rpc, entry.sender, entry.contract, entry.data, receipt.block_number)
        reason = f"{_named(entry)} failed in block {receipt.block_number}: {why}"
        return self._move(entry, replace(placed, state=OutboxState.REVERTED, reason=reason))

    def _move(self, before: OutboxEntry, after: OutboxEntry) -> OutboxEntry:
        if after != before:
            self._store.update(after, before.state)
        return after


def _outcome(entry: OutboxEntry) -> MinedTransaction:
    if entry.state != OutboxState.MINED:
        refusal = TransactionRevertedError if entry.state == OutboxState.REVERTED else ConflictError
        raise refusal(entry.reason or f"{_named(entry)} is {entry.state}")
    return MinedTransaction(
        kind=TransactionKind(entry.kind.partition(":")[0]),
        round=entry.round_number,
        hash=_known(entry.tx_hash),
        block_number=_known(entry.block_number),
        block_hash=_known(entry.block_hash),
        gas_used=_known(entry.gas_used),
        sender=entry.sender,
    )


def _versions(entry: OutboxEntry) -> tuple[bytes, ...]:
    """Return the hashes of all that was sent under the entry's nonce, the present one first."""
    earlier = entry.earlier or b""
    return (_known(entry.tx_hash), *(earlier[at : at + 32] for at in range(0, len(earlier), 32)))


def _cancels(entry: OutboxEntry) -> bool:
    """Whether the newest version of an entry is a transfer of nothing in the place of its call."""
    return not read_signed(_known(entry.raw)).data


def _how(fees: Fees, why_cancel: str | None) -> str:
    offer = f"fees raised to {fees.most} wei per gas"
    return f"sent again, {offer}" if why_cancel is None else f"cancelled, {offer}: {why_cancel}"


def _known(value: _Value | None) -> _Value:
    if value is None:
        raise StoreError(
            "a transaction in the outbox lacks what its state promises; was the database edited?"
        )
    return value


def _named(entry: OutboxEntry) -> str:
    what = "epoch" if entry.kind in _OF_EPOCHS else "round"
    return f"{entry.kind} of {what} {entry.round_number}" if entry.round_number else entry.kind
