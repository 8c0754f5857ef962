"""One federation on one chain: what it says, and the transactions that move it."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, NoReturn

from ledgerfed.errors import (
    ChainUnreachableError,
    ConfigurationError,
    NotFoundError,
    TransactionRevertedError,
    WaitTimeoutError,
)
from ledgerfed.ledger.artifact import round_ledger
from ledgerfed.ledger.calls import TransactionKind, functions
from ledgerfed.ledger.events import LedgerEvent, decode_events
from ledgerfed.ledger.keys import DEMO_CHAIN_IDS, Signer
from ledgerfed.ledger.outbox import POLL_INTERVAL, RECEIPT_TIMEOUT, Outbox
from ledgerfed.ledger.outbox_store import OutboxEntry, OutboxStore
from ledgerfed.ledger.rpc import METHOD_NOT_FOUND, JsonRpc, RpcError, data, quantity, reverted
from ledgerfed.ledger.transactions import MinedTransaction
from ledgerfed.protocol.configuration import Windows
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import to_hex
from ledgerfed.protocol.transcript import Phase

LOG_RANGE = 2_000
# Nodes that simulate in one process share a chain: without the lock each would mine the same missing blocks.
_MINING = Lock()


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The packed word of the contract. `end` is the block at which the phase's own window ends: see `phase`.

    OPEN: the commit window begins after `end`. SEALED: leaves are forced until `end`, scores come after it.
    SCORED: the outcome is certified until `end`.
    """

    round: int
    phase: Phase
    end: int
    n: int
    forced: int
    epoch: int
    attempt: int


@dataclass(frozen=True, slots=True)
class Terms:
    """What a federation was deployed with; it never changes."""

    config_hash: bytes
    committee: int
    quorum: int
    depth: int
    windows: Windows
    min_updates: int


@dataclass(frozen=True, slots=True)
class BlockHeader:
    """The part of a block header that links and dates blocks; `timestamp` is Unix time in seconds."""

    number: int
    hash: bytes
    parent_hash: bytes
    timestamp: int


class LedgerGateway:
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
            terms: what the contract was deployed with.
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
        self.federation = federation
        self.terms = terms
        self._rpc = rpc
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
        _require_round_ledger(rpc, federation)
        return cls(rpc, federation, _read_terms(rpc, federation), store, **options)

    # ---- what the contract says ----

    def state(self, at: int | None = None) -> LedgerState:
        """Return round, phase and counts, now or after block `at`."""
        number, phase, *rest = self._view("state", at=at)
        return LedgerState(number, Phase(phase), *rest)

    def transcript(self, at: int | None = None) -> bytes:
        """Return the 32-byte transcript, now or after block `at`."""
        return bytes(self._view("transcript", at=at))

    def relayer(self) -> bytes:
        """Return the address of the committee member whose turn it is."""
        return bytes(self._view("relayer"))

    def members(self) -> tuple[bytes, ...]:
        """Return the addresses of all nodes by registry index."""
        count = self._view("member_count")
        member = functions()["member"]
        calls = [_call(self.federation, member.encode(i), "latest") for i in range(count)]
        return tuple(member.decode(data(answer)) for answer in self._rpc.batch(calls))

    def index_of(self, address: bytes) -> int:
        """Return the registry index of a node.

        Raises:
            NotFoundError: the address is not registered in this federation.
        """
        try:
            return int(self._view("index_of", address))
        except TransactionRevertedError as error:
            raise NotFoundError(
                f"0x{address.hex()} is not a member of the federation at 0x{self.federation.contract.hex()}"
            ) from error

    def last_forced(self, address: bytes) -> int:
        """Return the last round in which a node forced its leaf in; 0 if never."""
        return int(self._view("last_forced", address))

    # ---- what the chain says ----

    def block_number(self) -> int:
        """Return the number of the newest block."""
        return quantity(self._rpc.call("eth_blockNumber"))

    def header(self, block: int | bytes) -> BlockHeader:
        """Return the header of a block by number or hash.

        Raises:
            NotFoundError: the chain has no such block (any more).
        """
        by_hash = isinstance(block, bytes)
        method = "eth_getBlockByHash" if by_hash else "eth_getBlockByNumber"
        answer = self._rpc.call(method, to_hex(block) if isinstance(block, bytes) else hex(block), False)
        if answer is None:
            raise NotFoundError(
                f"the chain has no block {to_hex(block) if isinstance(block, bytes) else block}"
            )
        return BlockHeader(
            quantity(answer["number"]),
            data(answer["hash"]),
            data(answer["parentHash"]),
            quantity(answer["timestamp"]),
        )

    def code(self) -> bytes:
        """Return the contract's code as the chain has it, immutables included."""
        return data(self._rpc.call("eth_getCode", to_hex(self.federation.contract), "latest"))

    def read_events(self, from_block: int, to_block: int) -> tuple[LedgerEvent, ...]:
        """Return the events of the blocks `from_block` to `to_block`, both included, in chain order."""
        logs: list[dict[str, Any]] = []
        for start in range(from_block, to_block + 1, LOG_RANGE):
            end = min(start + LOG_RANGE - 1, to_block)
            logs += self._logs({"fromBlock": hex(start), "toBlock": hex(end)})
        return self._events(logs)

    def read_events_of(self, block_hash: bytes) -> tuple[LedgerEvent, ...]:
        """Return the federation's events of one block, whichever branch the chain follows now.

        Raises:
            NotFoundError: the chain does not know the block (any more).
        """
        try:
            return self._events(self._logs({"blockHash": to_hex(block_hash)}))
        except RpcError as error:
            raise NotFoundError(f"the chain has no block {to_hex(block_hash)}: {error.message}") from error

    # ---- transactions ----

    def seal(self, signer: Signer, round_number: int, root: bytes, n: int) -> MinedTransaction:
        """Anchor the root of n leaves. All transactions raise as `Outbox.send`."""
        return self._send(signer, TransactionKind.SEAL, round_number, root, n)

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
        """End the round with its outcome; `signatures` are 65 bytes each, by ascending committee index."""
        outcome = (manifest, model, reputations, b"".join(signatures))
        return self._send(signer, TransactionKind.CERTIFY, round_number, *outcome)

    def abort(self, signer: Signer, round_number: int) -> MinedTransaction:
        """Give up a round whose deadline has passed."""
        return self._send(signer, TransactionKind.ABORT, round_number)

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
            head = self._mine_towards(number) if self._mine_on_demand else self.block_number()
            if head >= number:
                return head
            if deadline is not None and self._clock() >= deadline:
                raise WaitTimeoutError(
                    f"block {number} did not come in {timeout:g} s; the chain is at {head}"
                )
            self._sleep(self._poll_interval)

    def _mine_towards(self, number: int) -> int:
        with _MINING:
            missing = number - self.block_number()
            if missing > 0:
                mine(self._rpc, missing)
            return self.block_number()

    # ---- the wire ----

    def _view(self, name: str, *arguments: object, at: int | None = None) -> Any:
        function = functions()[name]
        block = "latest" if at is None else hex(at)
        method, params = _call(self.federation, function.encode(*arguments), block)
        try:
            return function.decode(data(self._rpc.call(method, *params)))
        except RpcError as error:
            raise reverted(error, f"the view {name}") from error

    def _send(
        self, signer: Signer, kind: TransactionKind, round_number: int, *arguments: object
    ) -> MinedTransaction:
        calldata = functions()[kind].encode(round_number, *arguments)
        return self._sending().send(signer, kind, round_number, calldata)

    def _sending(self) -> Outbox:
        if self._outbox is None:
            raise ConfigurationError("this gateway only reads; connect with an outbox store to send")
        return self._outbox

    def _logs(self, block_filter: dict[str, str]) -> list[dict[str, Any]]:
        logs = self._rpc.call("eth_getLogs", block_filter | {"address": to_hex(self.federation.contract)})
        return [log for log in logs if not log.get("removed")]

    def _events(self, logs: list[dict[str, Any]]) -> tuple[LedgerEvent, ...]:
        hashes = sorted({log["blockHash"] for log in logs})
        blocks = self._rpc.batch([("eth_getBlockByHash", (h, False)) for h in hashes])
        timestamps = {
            data(h): quantity(block["timestamp"]) if block else _reorganised(h)
            for h, block in zip(hashes, blocks, strict=True)
        }
        return decode_events(logs, timestamps)


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


def mine(rpc: JsonRpc, count: int) -> None:
    """Ask a development chain for `count` empty blocks now (anvil_mine, else evm_mine).

    Raises:
        ConfigurationError: the chain knows neither.
    """
    try:
        rpc.call("anvil_mine", hex(count))
    except RpcError as error:
        if error.number != METHOD_NOT_FOUND:
            raise
        try:
            for _ in range(count):
                rpc.call("evm_mine")
        except RpcError as second:
            raise ConfigurationError(
                f"{rpc.url} does not mine on demand ({second.message}); connect with mine_on_demand off"
            ) from second


def _require_round_ledger(rpc: JsonRpc, federation: Federation) -> None:
    address = to_hex(federation.contract)
    code = data(rpc.call("eth_getCode", address, "latest"))
    if not code:
        raise ChainUnreachableError(
            f"nothing is deployed at {address} on chain {federation.chain_id} at {rpc.url}; check both"
        )
    if not round_ledger().matches(code):
        raise ConfigurationError(
            f"the contract at {address} on chain {federation.chain_id} is not this version's RoundLedger; "
            " check the address, or install the version that deployed it"
        )


def _read_terms(rpc: JsonRpc, federation: Federation) -> Terms:
    views = ("config_hash", "committee_size", "quorum", "depth", "windows", "min_updates")
    calls = [_call(federation, functions()[view].encode(), "latest") for view in views]
    answers = zip(views, rpc.batch(calls), strict=True)
    config, committee, quorum, depth, windows, fewest = (
        functions()[view].decode(data(answer)) for view, answer in answers
    )
    return Terms(config, committee, quorum, depth, Windows(*windows), fewest)


def _call(federation: Federation, calldata: bytes, block: str) -> tuple[str, tuple[object, ...]]:
    return "eth_call", ({"to": to_hex(federation.contract), "data": to_hex(calldata)}, block)


def _reorganised(block_hash: str) -> NoReturn:
    raise NotFoundError(f"block {block_hash} left the chain while its events were read; read again")
