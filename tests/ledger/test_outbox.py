"""A transaction leaves exactly once, whatever happens between the decision to send it and its receipt."""

import re

import pytest

from ledgerfed.errors import (
    ChainUnreachableError,
    ConfigurationError,
    ConflictError,
    TransactionRevertedError,
    WaitTimeoutError,
)
from ledgerfed.ledger import OutboxState, demo_key
from ledgerfed.ledger.events import Forced, Sealed
from ledgerfed.protocol.hashing import keccak

ROOT, LEAF = keccak(b"root"), keccak(b"leaf")


class Crash(BaseException):
    """The process dies here: nothing catches it."""


class DyingOutbox:
    """The real outbox of the store, in a process that dies before or after a given write."""

    def __init__(self, outbox, state, moment):
        self._outbox, self._state, self._moment = outbox, state, moment

    def __getattr__(self, name):
        return getattr(self._outbox, name)

    def _write(self, write, row, *rest):
        dies = row.state == self._state
        if dies and self._moment == "before":
            raise Crash
        write(row, *rest)
        if dies:
            raise Crash

    def add(self, row):
        self._write(self._outbox.add, row)

    def update(self, row, expected_state):
        self._write(self._outbox.update, row, expected_state)


def events(scene, gateway, kind):
    found = gateway.read_events(scene.deployment.transaction.block_number, gateway.block_number())
    return [event for event in found if isinstance(event, kind)]


def ready_to_seal(scene):
    gateway = scene.gateway()
    gateway.wait_for_block(gateway.state().end)
    return gateway, scene.relayer(gateway)


CRASHES = [
    (state, moment) for state in ("queued", "signed", "sent", "mined") for moment in ("before", "after")
]


@pytest.mark.threat("K1-K8", "C4")
@pytest.mark.parametrize(("state", "moment"), CRASHES)
def test_a_crash_at_any_write_leaves_one_transaction_after_the_restart(scene, state, moment):
    _, relayer = ready_to_seal(scene)
    nonce = scene.nonce(relayer)
    dying = scene.gateway(DyingOutbox(scene.outbox(), state, moment))
    with pytest.raises(Crash):
        dying.seal(relayer, 1, ROOT, 3)

    restarted = scene.gateway()
    restarted.reconcile(relayer.address)
    mined = restarted.seal(relayer, 1, ROOT, 3)

    assert scene.nonce(relayer) == nonce + 1
    (event,) = events(scene, restarted, Sealed)
    assert (event.at.tx_hash, event.at.block_hash) == (mined.hash, mined.block_hash)
    row = scene.row(relayer, "seal")
    assert (row.state, row.attempt, row.tx_hash) == (OutboxState.MINED, 0, mined.hash)
    assert scene.gateway().seal(relayer, 1, ROOT, 3) == mined  # however often it is asked for
    assert scene.nonce(relayer) == nonce + 1


def test_raw_bytes_are_stored_before_they_are_sent_and_the_same_bytes_go_out_again(scene):
    _, relayer = ready_to_seal(scene)
    with pytest.raises(Crash):
        scene.gateway(DyingOutbox(scene.outbox(), "signed", "after")).seal(relayer, 1, ROOT, 3)
    stored = scene.row(relayer, "seal")
    assert stored.state == OutboxState.SIGNED
    assert keccak(stored.raw) == stored.tx_hash
    assert scene.gateway().seal(relayer, 1, ROOT, 3).hash == stored.tx_hash


def test_reconciling_finds_what_was_mined_and_sends_what_was_not(scene):
    _, relayer = ready_to_seal(scene)
    with pytest.raises(Crash):
        scene.gateway(DyingOutbox(scene.outbox(), "signed", "after")).seal(relayer, 1, ROOT, 3)
    (waiting,) = scene.gateway().reconcile(relayer.address)
    assert waiting.state == OutboxState.SENT
    assert scene.gateway().reconcile(relayer.address) == ()
    assert scene.row(relayer, "seal").state == OutboxState.MINED


@pytest.mark.threat("C4")
def test_a_lost_answer_is_asked_for_again_and_nothing_is_sent_twice(scene, proxy):
    gateway, relayer = ready_to_seal(scene)
    proxy.lose = ["eth_sendRawTransaction", "eth_getTransactionReceipt", "eth_estimateGas"]
    mined = scene.gateway(url=proxy.url).seal(relayer, 1, ROOT, 3)
    assert proxy.lose == []
    assert proxy.seen.count("eth_sendRawTransaction") == 2
    (event,) = events(scene, gateway, Sealed)
    assert event.at.tx_hash == mined.hash


def test_a_chain_that_complains_and_takes_the_transaction_nevertheless_is_understood(scene, proxy):
    gateway, relayer = ready_to_seal(scene)
    proxy.complain = {"eth_sendRawTransaction": "nonce too low"}  # what nodes say of what is mined already
    mined = scene.gateway(url=proxy.url).seal(relayer, 1, ROOT, 3)
    (event,) = events(scene, gateway, Sealed)
    assert event.at.tx_hash == mined.hash


def test_gas_is_estimated_for_the_next_block_and_given_with_a_margin(scene, proxy):
    _, relayer = ready_to_seal(scene)
    mined = scene.gateway(url=proxy.url).seal(relayer, 1, ROOT, 3)
    assert proxy.parameters["eth_estimateGas"][1] == "pending"
    limit = int(scene.rpc("eth_getTransactionByHash", "0x" + mined.hash.hex())["gas"], 16)
    assert limit >= mined.gas_used * 5 // 4


def test_a_chain_that_vanishes_after_signing_is_met_again_by_the_next_send(scene, proxy):
    gateway, relayer = ready_to_seal(scene)
    through_proxy = scene.gateway(url=proxy.url)

    class VanishingOutbox(DyingOutbox):
        def _write(self, write, row, *rest):
            write(row, *rest)
            if row.state == OutboxState.SIGNED:
                proxy.busy = 1_000

    unlucky = scene.gateway(VanishingOutbox(scene.outbox(), None, None), url=proxy.url)
    with pytest.raises(ChainUnreachableError, match="HTTP status 503"):
        unlucky.seal(relayer, 1, ROOT, 3)
    assert scene.row(relayer, "seal").state == OutboxState.SIGNED
    proxy.busy = 0
    mined = through_proxy.seal(relayer, 1, ROOT, 3)
    assert mined.hash == scene.row(relayer, "seal").tx_hash
    assert len(events(scene, gateway, Sealed)) == 1


def test_other_data_under_the_same_key_is_a_conflict_once_it_may_be_out(scene):
    gateway, relayer = ready_to_seal(scene)
    with pytest.raises(Crash):
        scene.gateway(DyingOutbox(scene.outbox(), "signed", "after")).seal(relayer, 1, ROOT, 3)
    with pytest.raises(ConflictError, match="with other data"):
        gateway.seal(relayer, 1, keccak(b"other root"), 3)
    gateway.seal(relayer, 1, ROOT, 3)
    with pytest.raises(ConflictError, match="seal of round 1 is mined with other data"):
        gateway.seal(relayer, 1, ROOT, 2)


def test_other_data_replaces_what_was_never_signed(scene):
    gateway, relayer = ready_to_seal(scene)
    with pytest.raises(Crash):
        scene.gateway(DyingOutbox(scene.outbox(), "queued", "after")).seal(relayer, 1, ROOT, 3)
    with pytest.raises(TransactionRevertedError, match="fewer leaves"):
        gateway.seal(relayer, 1, ROOT, 1)
    row = scene.row(relayer, "seal")
    assert (row.state, row.nonce, row.attempt) == (OutboxState.REVERTED, None, 0)
    gateway.seal(relayer, 1, keccak(b"other root"), 2)
    (event,) = events(scene, gateway, Sealed)
    assert (event.root, event.n) == (keccak(b"other root"), 2)
    assert scene.row(relayer, "seal").attempt == 0


def test_a_nonce_that_went_elsewhere_supersedes_and_the_call_goes_out_anew(scene):
    gateway, relayer = ready_to_seal(scene)
    with pytest.raises(Crash):
        scene.gateway(DyingOutbox(scene.outbox(), "signed", "after")).seal(relayer, 1, ROOT, 3)
    lost = scene.row(relayer, "seal")
    scene.pay(relayer, relayer.address, 1, nonce=lost.nonce)
    assert scene.gateway().reconcile(relayer.address) == ()
    superseded = scene.row(relayer, "seal")
    assert superseded.state == OutboxState.SUPERSEDED
    assert f"has nonce {lost.nonce}" in superseded.reason
    mined = gateway.seal(relayer, 1, ROOT, 3)
    row = scene.row(relayer, "seal")
    assert (row.attempt, row.nonce, row.tx_hash) == (1, lost.nonce + 1, mined.hash)


def test_a_transaction_that_fails_in_its_block_says_why_and_may_be_tried_again(scene, chain):
    gateway, first = ready_to_seal(scene)
    gateway.wait_for_block(gateway.state().end + gateway.terms.windows.commit // 2)
    second = next(node for node in scene.nodes if node != first)
    with pytest.raises(Crash):
        scene.gateway(DyingOutbox(scene.outbox(), "signed", "after")).seal(second, 1, ROOT, 2)
    with chain.manual_mining() as mine:  # both wait, and the other one comes first
        with pytest.raises(WaitTimeoutError):
            scene.gateway(receipt_timeout=0).seal(first, 1, ROOT, 3)
        scene.rpc("eth_sendRawTransaction", "0x" + scene.row(second, "seal").raw.hex())
        mine()
    gateway.reconcile(second.address)
    failed = scene.row(second, "seal")
    assert (failed.state, failed.attempt) == (OutboxState.REVERTED, 0)
    assert re.search(r"seal of round 1 failed in block \d+: .*another phase", failed.reason)
    assert failed.gas_used > 21_000
    with pytest.raises(TransactionRevertedError, match=r"was refused: .*another phase"):
        gateway.seal(second, 1, ROOT, 2)
    again = scene.row(second, "seal")
    assert (again.state, again.attempt, again.nonce) == (OutboxState.REVERTED, 1, None)


def test_waiting_transactions_of_one_key_take_consecutive_nonces(scene, new_federation, chain):
    gateways = [scene.gateway(receipt_timeout=0)]
    gateways.append(scene.gateway(deployment=new_federation(), receipt_timeout=0))
    gateways[1].wait_for_block(gateways[1].state().end)
    for gateway in gateways:
        gateway.seal(scene.relayer(gateway), 1, ROOT, 3)
    node = scene.nodes[0]
    nonce = scene.nonce(node)
    with chain.manual_mining() as mine:
        for gateway in gateways:
            with pytest.raises(WaitTimeoutError, match="force of round 1 is not mined after 0 s"):
                gateway.force(node, 1, LEAF)
        waiting = scene.gateway().reconcile(node.address)
        assert [row.nonce for row in waiting] == [nonce, nonce + 1]
        assert [row.contract for row in waiting] == [gateway.federation.contract for gateway in gateways]
        mine()
        mined = [gateway.force(node, 1, LEAF) for gateway in gateways]
    assert [transaction.hash for transaction in mined] == [row.tx_hash for row in waiting]
    assert mined[0].block_number == mined[1].block_number


def test_a_transaction_queues_behind_those_that_other_programs_sent_with_the_key(scene, chain):
    gateway, relayer = ready_to_seal(scene)
    impatient = scene.gateway(receipt_timeout=0)
    with chain.manual_mining() as mine:
        scene.pay(relayer, relayer.address, 1)
        with pytest.raises(WaitTimeoutError):
            impatient.seal(relayer, 1, ROOT, 3)
        mine()
        mined = impatient.seal(relayer, 1, ROOT, 3)
    (event,) = events(scene, gateway, Sealed)
    assert event.at.tx_hash == mined.hash


@pytest.mark.threat("C1")
def test_a_reorganisation_sends_the_same_bytes_again(scene):
    gateway, relayer = ready_to_seal(scene)
    snapshot = scene.rpc("evm_snapshot")
    mined = gateway.seal(relayer, 1, ROOT, 3)
    assert scene.rpc("evm_revert", snapshot)
    gateway.wait_for_block(gateway.block_number() + 1)  # another block takes the place
    assert events(scene, gateway, Sealed) == []
    again = scene.gateway().seal(relayer, 1, ROOT, 3)
    assert again.hash == mined.hash
    assert again.block_hash != mined.block_hash
    assert len(events(scene, gateway, Sealed)) == 1
    row = scene.row(relayer, "seal")
    assert (row.state, row.block_hash) == (OutboxState.MINED, again.block_hash)


def test_threads_that_share_a_key_share_its_transactions(scene):
    from concurrent.futures import ThreadPoolExecutor

    gateway, relayer = ready_to_seal(scene)
    nonce = scene.nonce(relayer)
    gateways = [scene.gateway() for _ in range(4)]
    with ThreadPoolExecutor(4) as pool:
        mined = list(pool.map(lambda g: g.seal(relayer, 1, ROOT, 3), gateways))
    assert set(mined) == {mined[0]}
    assert scene.nonce(relayer) == nonce + 1
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda pair: pair[0].force(pair[1], 1, LEAF), zip(gateways[:3], scene.nodes[:3], strict=True)
            )
        )
    assert sorted(event.index for event in events(scene, gateway, Forced)) == [0, 1, 2]


def test_an_account_without_funds_is_named_and_can_go_on_when_funded(scene, new_federation):
    poor = demo_key(7, scene.deployment.transaction.block_number + 10_000)
    gateway = scene.gateway(deployment=new_federation(nodes=(poor, *scene.nodes[1:])))
    gateway.wait_for_block(gateway.state().end + 4)
    gateway.seal(scene.nodes[1], 1, ROOT, 2)
    with pytest.raises(ConfigurationError, match=f"0x{poor.address.hex()} cannot pay for force of round 1"):
        gateway.force(poor, 1, LEAF)
    scene.pay(demo_key(7, 100), poor.address, 10**18)
    assert gateway.force(poor, 1, LEAF).sender == poor.address


def test_a_demo_key_is_not_used_on_a_chain_of_worth(new_federation):
    from chain_devnet import DevnetServer

    with DevnetServer(chain_id=5) as server, pytest.raises(ConfigurationError, match="this chain is 5"):
        new_federation(url=server.url)
