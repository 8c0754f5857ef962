"""One federation on one chain: what it says, and the transactions that move it."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ledgerfed.errors import ConfigurationError, ConflictError, WaitTimeoutError
from ledgerfed.ledger.calls import TransactionKind, functions
from ledgerfed.ledger.chain import connected_chain_id, mine_towards
from ledgerfed.ledger.challenges import Challenge, TwoStatements, WrongMedian, kind_of
from ledgerfed.ledger.keys import DEMO_CHAIN_IDS, Signer
from ledgerfed.ledger.outbox import POLL_INTERVAL, RECEIPT_TIMEOUT, Outbox
from ledgerfed.ledger.outbox_store import OutboxEntry, OutboxStore
from ledgerfed.ledger.reader import LedgerReader
from ledgerfed.ledger.rpc import JsonRpc
from ledgerfed.ledger.transactions import MinedTransaction
from ledgerfed.ledger.views import Terms, read_terms, require_round_ledger
from ledgerfed.protocol.change import Change
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import EMPTY


class LedgerGateway(LedgerReader):
    """A connection to a deployed RoundLedger. It reads; with an outbox store it also sends."""

    def __init__(
        self,
        rpc: JsonRpc,
        federation: Federation,
        terms: Terms,
        store: OutboxStore | None = None,
        *,
        mine_on_demand: bool = False,
        receipt_timeout: float = RECEIPT_TIMEOUT,
        poll_interval: float = POLL_INTERVAL,
        sleep: Callable[[float], None] = time.sleep,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Use `connect`, which checks chain and contract first.

        Args:
            rpc: the connection.
            federation: chain id and address.
            terms: what no epoch can change.
            store: keeps the transactions on their way; None makes the gateway read-only.
            mine_on_demand: ask a development chain for the blocks that `wait_for_block` waits for.
            receipt_timeout: seconds that a sent transaction may take to be mined.
            poll_interval: seconds between two looks at the chain.
            sleep: waits so many seconds.
            clock: monotonic seconds.

        Raises:
            ConfigurationError: mining on demand on a chain that is no development chain.
        """
        if mine_on_demand and federation.chain_id not in DEMO_CHAIN_IDS:
            raise ConfigurationError(
                f"chain {federation.chain_id} mines by itself; leave mine_on_demand to the chain ids "
                f"{' and '.join(map(str, DEMO_CHAIN_IDS))}"
            )
        super().__init__(rpc, federation, terms)
        self._mine_on_demand = mine_on_demand
        self._poll_interval = poll_interval
        self._sleep = sleep
        self._clock = clock
        self._outbox: Outbox | None = None
        if store is not None:
            waiting = {"receipt_timeout": receipt_timeout, "poll_interval": poll_interval}
            self._outbox = Outbox(rpc, store, federation, **waiting, sleep=sleep, clock=clock)

    @classmethod
    def connect(
        cls,
        url: str,
        contract: bytes,
        store: OutboxStore | None = None,
        *,
        chain_id: int | None = None,
        **options: Any,
    ) -> LedgerGateway:
        """Connect to the RoundLedger at `contract` (20 bytes) behind `url`; `options` as in the constructor.

        Raises:
            ChainUnreachableError: nobody answers at the URL, the chain has another id than `chain_id`, or
                nothing stands at the address.
            ConfigurationError: another contract stands at the address.
        """
        rpc = JsonRpc(url)
        federation = Federation(connected_chain_id(rpc, chain_id), contract)
        require_round_ledger(rpc, federation)
        return cls(rpc, federation, read_terms(rpc, federation), store, **options)

    # ---- transactions ----

    def seal(self, signer: Signer, round_number: int, root: bytes, n: int) -> MinedTransaction:
        """Anchor the root of n leaves. All transactions raise as `Outbox.send`."""
        return self._send(signer, TransactionKind.SEAL, round_number, root, n)

    def seal_leaves(self, signer: Signer, round_number: int, leaves: Mapping[int, bytes]) -> MinedTransaction:
        """Seal with the leaves by registry index in the calldata, where the federation wants it so."""
        listed = [leaves.get(index, EMPTY) for index in range(max(leaves, default=-1) + 1)]
        return self._send(signer, TransactionKind.SEAL_LEAVES, round_number, listed)

    def force(self, signer: Signer, round_number: int, leaf: bytes) -> MinedTransaction:
        """Put the signer's own leaf in."""
        return self._send(signer, TransactionKind.FORCE, round_number, leaf)

    def scores(self, signer: Signer, round_number: int, root: bytes) -> MinedTransaction:
        """Anchor the root of the score commitments."""
        return self._send(signer, TransactionKind.SCORES, round_number, root)

    def certify(
        self,
        signer: Signer,
        round_number: int,
        manifest: bytes,
        model: bytes,
        reputations: bytes,
        signatures: Sequence[bytes],
    ) -> MinedTransaction:
        """End the round with its outcome; `signatures` are 65 bytes each, by ascending committee index.

        When a challenge voids the certificate, the next call is a new transaction.
        """
        outcome = (manifest, model, reputations, b"".join(signatures))
        calldata = functions()[TransactionKind.CERTIFY].encode(round_number, *outcome)

        def stands() -> bool:
            return self.state().round > round_number

        return self._sending().send(signer, TransactionKind.CERTIFY, round_number, calldata, stands=stands)

    def abort(self, signer: Signer, round_number: int) -> MinedTransaction:
        """Give up a round whose deadline has passed."""
        return self._send(signer, TransactionKind.ABORT, round_number)

    def challenge(self, signer: Signer, challenge: Challenge) -> MinedTransaction:
        """Prove a fault. Keyed by fault and culprit; who is back in a new epoch can be challenged again.

        Raises (besides what `Outbox.send` raises):
            InvalidValueError, VerificationError: the proof does not hold, whatever the contract knows.
            NotFoundError: the culprit is not registered (any more).
        """
        if isinstance(challenge, WrongMedian):
            return self._challenge(signer, challenge, str(challenge.index), None)
        address = challenge.culprit(self.federation)
        index = self.node(address).index
        several = isinstance(challenge, TwoStatements)
        about = f"{int(challenge.fault)}:{index}" if several else str(index)
        return self._challenge(signer, challenge, about, lambda: self.node(address).removed)

    def propose(self, signer: Signer, epoch: int, change: Change) -> MinedTransaction:
        """Announce what epoch `epoch` changes, in place of an earlier announcement; the owner's call.

        Raises (besides what `Outbox.send` raises):
            ConflictError: another epoch is the next.
        """
        following = self.state().epoch + 1
        if epoch != following:
            raise ConflictError(f"epoch {following} is the next, not {epoch}; look at the state again")
        calldata = functions()[TransactionKind.PROPOSE].selector + change.to_bytes()

        def stands() -> bool:
            return self.proposal() == change.hash() or self.state().epoch >= epoch

        return self._sending().send(signer, TransactionKind.PROPOSE, epoch, calldata, stands=stands)

    def open_epoch(self, signer: Signer, epoch: int, change: Change) -> MinedTransaction:
        """Begin the epoch that was announced; anybody's call, once it is due and the round is open."""
        calldata = functions()[TransactionKind.OPEN_EPOCH].selector + change.to_bytes()
        return self._sending().send(signer, TransactionKind.OPEN_EPOCH, epoch, calldata)

    def propose_owner(self, signer: Signer, successor: bytes) -> MinedTransaction:
        """Name who may take over as owner; the zero address takes it back."""
        calldata = functions()[TransactionKind.PROPOSE_OWNER].encode(successor)

        def stands() -> bool:
            return self.successor() == successor

        return self._sending().send(signer, TransactionKind.PROPOSE_OWNER, 0, calldata, stands=stands)

    def accept_ownership(self, signer: Signer) -> MinedTransaction:
        """Take over as owner; the call of who was named."""
        calldata = functions()[TransactionKind.ACCEPT_OWNERSHIP].encode()

        def stands() -> bool:
            return self.owner() == signer.address

        return self._sending().send(signer, TransactionKind.ACCEPT_OWNERSHIP, 0, calldata, stands=stands)

    def reconcile(self, sender: bytes) -> tuple[OutboxEntry, ...]:
        """Settle what a former run left on its way; to be called at the start. See `Outbox.reconcile`."""
        return self._sending().reconcile(sender)

    # ---- time ----

    def wait_for_block(self, number: int, timeout: float | None = None) -> int:
        """Return the newest block's number once it is at least `number`; mine towards it if this gateway may.

        Raises:
            WaitTimeoutError: it took more than `timeout` seconds (None waits for ever).
        """
        deadline = None if timeout is None else self._clock() + timeout
        while True:
            head = mine_towards(self._rpc, number) if self._mine_on_demand else self.block_number()
            if head >= number:
                return head
            if deadline is not None and self._clock() >= deadline:
                raise WaitTimeoutError(
                    f"block {number} did not come in {timeout:g} s; the chain is at {head}"
                )
            self._sleep(self._poll_interval)

    # ---- the wire ----

    def _send(
        self, signer: Signer, kind: TransactionKind, round_number: int, *arguments: object
    ) -> MinedTransaction:
        calldata = functions()[kind].encode(round_number, *arguments)
        return self._sending().send(signer, kind, round_number, calldata)

    def _challenge(
        self, signer: Signer, challenge: Challenge, about: str, stands: Callable[[], bool] | None
    ) -> MinedTransaction:
        kind, calldata = kind_of(challenge), challenge.calldata()
        return self._sending().send(signer, kind, challenge.round, calldata, about=about, stands=stands)

    def _sending(self) -> Outbox:
        if self._outbox is None:
            raise ConfigurationError("this gateway only reads; connect with an outbox store to send")
        return self._outbox
