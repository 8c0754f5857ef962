"""Transactions that wait too long, come too late, or belong to a branch that is gone."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from node_processes import running_anvil
from rewriting_proxy import rewritten

from ledgerfed.errors import ConflictError, WaitTimeoutError
from ledgerfed.ledger import DemoSigner, LedgerGateway, OutboxState, TwoStatements, demo_key
from ledgerfed.ledger.events import Forced, Sealed
from ledgerfed.ledger.fees import Fees, raised, read_signed
from ledgerfed.ledger.outbox import MAX_REPLACEMENTS, STUCK_BLOCKS
from ledgerfed.ledger.rpc import JsonRpc
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.transition import Fault
from ledgerfed.protocol.typed_data import receipt_digest

ROOT, OTHER_ROOT = keccak(b"root"), keccak(b"another root")
GWEI = 10**9


class Crash(BaseException):
    """The process dies here: nothing catches it."""


class DyingOnReplacement:
    """The real outbox, in a process that dies right after it has written a replacement down."""

    def __init__(self, outbox) -> None:
        self._outbox = outbox

    def __getattr__(self, name: str):
        return getattr(self._outbox, name)

    def update(self, row, expected_state) -> None:
        self._outbox.update(row, expected_state)
        if row.earlier:
            raise Crash


@pytest.fixture(scope="module")
def anvil() -> Iterator[str]:
    with running_anvil(None) as url:
        rpc = JsonRpc(url)
        for index in (*range(4), 100):
            rpc.call("anvil_setBalance", f"0x{demo_key(7, index).address.hex()}", hex(10**24))
        yield url


@pytest.fixture
def dear(anvil: str, new_scene: Callable) -> Iterator:
    """A federation on a chain whose base fee stays above what was offered, until a block's is set lower."""
    scene = new_scene(anvil)
    yield scene
    scene.rpc("evm_setAutomine", True)
    scene.rpc("anvil_setNextBlockBaseFeePerGas", hex(GWEI))
    scene.rpc("anvil_mine", "0x1")


def _hold(scene, base_fee: int) -> None:
    """Mine a block that is too dear for what waits."""
    scene.rpc("anvil_setNextBlockBaseFeePerGas", hex(base_fee))
    scene.rpc("anvil_mine", "0x1")


def _patient(scene, base_fee: int, **options: object) -> LedgerGateway:
    """A gateway for which a block is mined whenever it looks."""
    return scene.gateway(sleep=lambda _: _hold(scene, base_fee), **options)


def _ready(scene) -> DemoSigner:
    gateway = scene.gateway()
    gateway.wait_for_block(gateway.state().end)
    scene.rpc("evm_setAutomine", False)
    return scene.relayer(gateway)


def _seals(scene) -> list[Sealed]:
    gateway = scene.gateway()
    found = gateway.read_events(scene.deployment.transaction.block_number, gateway.block_number())
    return [event for event in found if isinstance(event, Sealed)]


@pytest.mark.threat("C4")
def test_what_waits_for_blocks_is_replaced_under_its_nonce_by_what_offers_more(dear) -> None:
    relayer = _ready(dear)
    with pytest.raises(WaitTimeoutError):
        dear.gateway(receipt_timeout=0).seal(relayer, 1, ROOT, 3)
    first = dear.row(relayer, "seal")
    offered = read_signed(first.raw).fees
    before = dear.rpc("eth_blockNumber")
    mined = _patient(dear, offered.most + 1).seal(relayer, 1, ROOT, 3)
    row = dear.row(relayer, "seal")
    assert mined.block_number == int(before, 16) + STUCK_BLOCKS + 1
    assert (row.state, row.nonce, row.attempt) == (OutboxState.MINED, first.nonce, 0)
    assert (row.tx_hash, row.earlier) == (mined.hash, first.tx_hash)
    now = read_signed(row.raw).fees
    assert 8 * now.most >= 9 * offered.most
    assert 8 * now.tip >= 9 * offered.tip
    assert len(_seals(dear)) == 1


def test_an_earlier_version_that_is_mined_after_all_is_what_was_sent(dear) -> None:
    relayer = _ready(dear)
    impatient = dear.gateway(receipt_timeout=0)
    with pytest.raises(WaitTimeoutError):
        impatient.seal(relayer, 1, ROOT, 3)
    first = dear.row(relayer, "seal")
    dying = _patient(dear, 4 * read_signed(first.raw).fees.most, outbox=DyingOnReplacement(dear.outbox()))
    with pytest.raises(Crash):
        dying.seal(relayer, 1, ROOT, 3)
    written = dear.row(relayer, "seal")
    assert written.earlier == first.tx_hash
    # the second was never sent, and anvil forgets what is too cheap: another node still had the first
    _hold(dear, GWEI)
    dear.rpc("eth_sendRawTransaction", "0x" + first.raw.hex())
    _hold(dear, GWEI)
    mined = dear.gateway().seal(relayer, 1, ROOT, 3)
    row = dear.row(relayer, "seal")
    assert mined.hash == row.tx_hash == first.tx_hash
    assert row.earlier == written.tx_hash
    assert len(_seals(dear)) == 1


def test_a_replacement_that_was_written_down_goes_out_after_a_crash(dear) -> None:
    relayer = _ready(dear)
    with pytest.raises(WaitTimeoutError):
        dear.gateway(receipt_timeout=0).seal(relayer, 1, ROOT, 3)
    most = read_signed(dear.row(relayer, "seal").raw).fees.most
    with pytest.raises(Crash):
        _patient(dear, most + 1, outbox=DyingOnReplacement(dear.outbox())).seal(relayer, 1, ROOT, 3)
    written = dear.row(relayer, "seal")
    mined = _patient(dear, most + 1).seal(relayer, 1, ROOT, 3)
    assert mined.hash == written.tx_hash
    assert len(_seals(dear)) == 1


class Mempool:
    """Keeps transactions that offer less than `floor` waiting, as nodes do that anvil is not."""

    def __init__(self, floor: int) -> None:
        self.floor = floor
        self.kept: dict[str, str] = {}

    def rewrite(self, method: str, params: list, forward: Callable[[], dict]) -> dict:
        if method == "eth_sendRawTransaction":
            raw = bytes.fromhex(params[0][2:])
            if read_signed(raw).fees.most < self.floor:
                self.kept["0x" + keccak(raw).hex()] = params[0]
                return {"result": "0x" + keccak(raw).hex()}
        if method == "eth_getTransactionByHash" and params[0] in self.kept:
            return {"result": {"hash": params[0], "blockNumber": None}}
        return forward()


def test_what_comes_too_late_is_cancelled_and_blocks_no_other_transaction_of_its_sender(dear) -> None:
    gateway = dear.gateway()
    gateway.wait_for_block(gateway.state().end + gateway.terms.windows.commit // 2)
    first, second = dear.nodes[:2]
    pool = Mempool(floor=10**15)
    with rewritten(dear.url, pool.rewrite) as url:
        with pytest.raises(WaitTimeoutError):
            dear.gateway(url=url, receipt_timeout=0).seal(first, 1, ROOT, 3)
        waiting = dear.row(first, "seal")
        dear.gateway().seal(second, 1, OTHER_ROOT, 3)
        pool.floor = read_signed(waiting.raw).fees.most + 1
        with pytest.raises(ConflictError, match="was cancelled, for the federation had moved on"):
            dear.gateway(url=url, sleep=lambda _: dear.rpc("anvil_mine", "0x1")).seal(first, 1, ROOT, 3)
        cancelled = dear.row(first, "seal")
        assert (cancelled.state, cancelled.nonce) == (OutboxState.SUPERSEDED, waiting.nonce)
        assert cancelled.gas_used == 21_000
    dear.pay(first, first.address, 1)
    assert dear.nonce(first) == waiting.nonce + 2
    assert [event.root for event in _seals(dear)] == [OTHER_ROOT]


def _held_back(dear, pool: Mempool, url: str, send: Callable, meanwhile: Callable) -> None:
    """Let a transaction wait while something else happens, and a look of its sender longer."""
    with pytest.raises(WaitTimeoutError):
        send(dear.gateway(url=url, receipt_timeout=0))
    (waiting,) = pool.kept.values()
    meanwhile(dear.gateway())
    steps = iter([("anvil_mine", "0x1"), ("eth_sendRawTransaction", waiting)])
    mined = send(dear.gateway(url=url, sleep=lambda _: dear.rpc(*next(steps))))
    assert [*pool.kept] == ["0x" + mined.hash.hex()]  # no second version, such as one that cancels


def test_a_forced_leaf_that_waits_is_still_meant_when_another_was_forced(dear) -> None:
    dear.seal(dear.gateway())
    first, second = dear.nodes[:2]
    pool = Mempool(floor=10**15)
    with rewritten(dear.url, pool.rewrite) as url:
        _held_back(
            dear,
            pool,
            url,
            lambda gateway: gateway.force(first, 1, ROOT),
            lambda gateway: gateway.force(second, 1, OTHER_ROOT),
        )
    gateway = dear.gateway()
    found = gateway.read_events(dear.deployment.transaction.block_number, gateway.block_number())
    assert [event.leaf for event in found if isinstance(event, Forced)] == [OTHER_ROOT, ROOT]


def test_a_proof_that_waits_is_still_meant_when_the_transcript_has_moved(dear) -> None:
    first, second = dear.nodes[:2]
    pool = Mempool(floor=10**15)
    with rewritten(dear.url, pool.rewrite) as url:
        _held_back(
            dear,
            pool,
            url,
            lambda gateway: gateway.challenge(first, _two_receipts(gateway, dear.nodes[2])),
            lambda gateway: gateway.challenge(second, _two_receipts(gateway, dear.nodes[3])),
        )
    assert dear.gateway().state().removed == 0b1100


def _two_receipts(gateway: LedgerGateway, culprit: DemoSigner) -> TwoStatements:
    t, subjects = keccak(b"transcript"), (ROOT, OTHER_ROOT)
    digests = [receipt_digest(gateway.federation, 1, 0, subject, t) for subject in subjects]
    first, second = (culprit.sign_digest(digest) for digest in digests)
    return TwoStatements(Fault.TWO_RECEIPTS, 1, 0, t, subjects, (first, second))


def test_a_leaf_that_was_forced_on_a_branch_that_is_gone_is_not_forced_on_the_other(scene) -> None:
    """It might contradict the leaf that its node signed for the other history, which is a fault."""
    gateway, node = scene.gateway(), scene.nodes[1]
    gateway.wait_for_block(gateway.state().end)
    snapshot = scene.rpc("evm_snapshot")
    relayer = scene.seal(gateway).sender
    gateway.force(node, 1, ROOT)
    assert scene.rpc("evm_revert", snapshot)
    gateway.wait_for_block(gateway.state().end + gateway.terms.windows.commit // 2)
    other = next(member for member in scene.nodes if member.address != relayer)
    scene.gateway().seal(other, 1, OTHER_ROOT, 2)
    scene.gateway().force(node, 1, OTHER_ROOT)
    fresh = scene.gateway()
    found = fresh.read_events(scene.deployment.transaction.block_number, fresh.block_number())
    assert [event.leaf for event in found if isinstance(event, Forced)] == [OTHER_ROOT]
    assert scene.row(node, "force").attempt == 1


def test_a_seal_of_a_branch_that_is_gone_is_not_sent_on_the_other(scene) -> None:
    """The contract would take it: it knows the round, not the leaves that were signed for another history."""
    gateway = scene.gateway()
    snapshot = scene.rpc("evm_snapshot")
    scene.seal(gateway)
    scene.score(gateway)
    gateway.certify(scene.nodes[3], 1, *_outcome(), scene.certificate(gateway))
    lost = scene.seal(gateway)
    sender = lost.sender
    assert scene.rpc("evm_revert", snapshot)
    gateway.wait_for_block(gateway.state().end + gateway.terms.windows.commit)
    gateway.abort(scene.nodes[3], 1)
    state = gateway.state()
    assert (state.round, state.phase) == (2, 0)
    gateway.wait_for_block(state.end + gateway.terms.windows.commit // 2)
    signer = next(node for node in scene.nodes if node.address == sender)
    fresh = scene.gateway()
    mined = fresh.seal(signer, 2, OTHER_ROOT, 2)
    assert [(e.round, e.root) for e in _seals(scene)] == [(2, OTHER_ROOT)]
    row = scene.row(signer, "seal", 2)
    assert (row.attempt, row.tx_hash) == (1, mined.hash)


def test_replacements_end(dear) -> None:
    relayer = _ready(dear)
    with pytest.raises(WaitTimeoutError):
        dear.gateway(receipt_timeout=0).seal(relayer, 1, ROOT, 3)
    looks = iter(range(STUCK_BLOCKS * (MAX_REPLACEMENTS + 3)))
    gateway = dear.gateway(
        sleep=lambda _: _hold(dear, 2 * read_signed(dear.row(relayer, "seal").raw).fees.most),
        clock=lambda: next(looks, 10**9),
    )
    with pytest.raises(WaitTimeoutError):
        gateway.seal(relayer, 1, ROOT, 3)
    assert len(dear.row(relayer, "seal").earlier) == 32 * MAX_REPLACEMENTS


@pytest.mark.parametrize(
    ("old", "present", "new"),
    [
        (Fees(8, 4), Fees(1, 1), Fees(9, 5)),
        (Fees(7, 1), Fees(1, 1), Fees(8, 2)),
        (Fees(8, 4), Fees(100, 50), Fees(100, 50)),
        (Fees(8, 8), Fees(9, 90), Fees(9, 9)),
        (Fees(80), Fees(10), Fees(90)),
        (Fees(80), Fees(100), Fees(100)),
        (Fees(0), Fees(10), Fees(0)),
        (Fees(0, 0), Fees(10, 5), Fees(0, 0)),
    ],
)
def test_raised_fees_replace_and_keep_up(old: Fees, present: Fees, new: Fees) -> None:
    assert raised(old, present) == new


def _outcome() -> tuple[bytes, bytes, bytes]:
    return keccak(b"manifest"), keccak(b"new model"), keccak(b"new reputations")
