"""What waits for a block: gaps, replacements, order by fee, limits; and all of it outlives the process."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from eth_account import Account

from chain_devnet import Chain, ChainConfig, dev_accounts, open_chain
from chain_devnet.errors import TransactionRejectedError
from chain_devnet.pool import PoolLimits
from chain_devnet.pyevm import PyEvmBackend
from chain_devnet.state import StateEdit
from chain_devnet.store import ChainStore
from ledgerfed.errors import StoreError

GWEI = 10**9


def transfer(index: int, nonce: int, tip: int = 1, value: int = 1, gas: int = 21_000) -> bytes:
    fields = {
        "chainId": 31337,
        "nonce": nonce,
        "gas": gas,
        "to": b"\xaa" * 20,
        "value": value,
        "maxFeePerGas": 100 * GWEI + tip * GWEI,
        "maxPriorityFeePerGas": tip * GWEI,
    }
    return bytes(Account.sign_transaction(fields, dev_accounts()[index].key).raw_transaction)


def opened(directory: Path | None, *, automine: bool = True, limits: PoolLimits | None = None) -> Chain:
    chain = open_chain(directory, ChainConfig(), PyEvmBackend(), limits=limits)
    chain.automine = automine
    return chain


def mined(chain: Chain, number: int) -> list[bytes]:
    return list(chain.store.transaction_hashes(number))


@pytest.fixture
def node() -> Iterator[Chain]:
    running = opened(None)
    yield running
    running.close()


def test_a_gap_waits_and_is_mined_when_it_is_filled(node: Chain) -> None:
    third, second = node.submit(transfer(0, 2)), node.submit(transfer(0, 1))
    assert node.head.header.number == 0
    assert node.pending_nonce(dev_accounts()[0].address) == 0
    content = node.pool_content()
    assert [tx.nonce for tx in content.queued[dev_accounts()[0].address]] == [1, 2]
    assert content.pending == {}
    first = node.submit(transfer(0, 0))
    assert mined(node, 1) == [first, second, third]
    assert node.waiting == ()
    assert node.pool_content().queued == {}


def test_a_better_paid_transaction_takes_the_place_of_a_waiting_one(node: Chain) -> None:
    node.automine = False
    old = node.submit(transfer(0, 0, tip=10))
    with pytest.raises(TransactionRejectedError, match="replacement transaction underpriced"):
        node.submit(transfer(0, 0, tip=12, value=2))  # the fee cap rises by less than a tenth
    new = node.submit(transfer(0, 0, tip=40, value=2))
    assert [tx.hash for tx in node.waiting] == [new]
    assert node.waiting_transaction(old) is None
    node.mine()
    assert mined(node, 1) == [new]
    with pytest.raises(TransactionRejectedError, match="nonce too low"):
        node.submit(transfer(0, 0, tip=99))


def test_blocks_are_packed_by_tip_and_then_by_arrival(node: Chain) -> None:
    node.automine = False
    low, first, second, high = (
        node.submit(transfer(index, 0, tip)) for index, tip in enumerate([1, 5, 5, 9])
    )
    after_high = node.submit(transfer(3, 1, tip=7))
    node.mine()
    assert mined(node, 1) == [high, after_high, first, second, low]


def test_a_block_is_filled_to_its_gas_limit_and_the_rest_waits(node: Chain) -> None:
    node.automine = False
    big = [node.submit(transfer(index, 0, tip=9 - index, gas=29_990_000)) for index in range(2)]
    small = node.submit(transfer(2, 0))
    node.mine()
    assert mined(node, 1) == [big[0], small]
    assert [tx.hash for tx in node.waiting] == [big[1]]
    node.mine()
    assert mined(node, 2) == [big[1]]


def test_what_an_edit_makes_unaffordable_or_stale_is_dropped(node: Chain) -> None:
    node.automine = False
    poor, stale, fine = (node.submit(transfer(index, 0)) for index in range(3))
    node.edit(dev_accounts()[0].address, StateEdit(balance=5))
    node.edit(dev_accounts()[1].address, StateEdit(nonce=1))
    assert [tx.hash for tx in node.waiting] == [fine]
    node.mine()
    assert mined(node, 1) == [fine]
    assert not node.store.has_transaction(poor)
    assert not node.store.has_transaction(stale)


def test_a_full_pool_refuses_and_forgets_nothing() -> None:
    chain = opened(None, automine=False, limits=PoolLimits(queued=1, account=2, total=3))
    kept = [chain.submit(transfer(0, 0)), chain.submit(transfer(0, 1)), chain.submit(transfer(1, 3))]
    with pytest.raises(TransactionRejectedError, match="txpool is full"):
        chain.submit(transfer(2, 0, tip=99))
    assert [tx.hash for tx in chain.waiting] == kept
    chain.mine()
    chain.submit(transfer(2, 0))
    chain.close()


@pytest.mark.parametrize("end", ["closed", "killed"])
def test_all_that_waits_outlives_the_process(tmp_path: Path, end: str) -> None:
    chain = opened(tmp_path, automine=False)
    ready, replaced, gapped = (
        chain.submit(transfer(0, 0)), chain.submit(transfer(0, 1)), chain.submit(transfer(0, 3))
    )  # fmt: skip
    better = chain.submit(transfer(0, 1, tip=50))
    dropped = chain.submit(transfer(1, 0))
    chain.drop(dropped)
    directory = tmp_path if end == "closed" else copied(tmp_path)
    if end == "closed":
        chain.close()
    again = opened(directory, automine=False)
    assert [tx.hash for tx in again.waiting] == [ready, gapped, better]
    again.mine()
    assert mined(again, 1) == [ready, better]
    assert [entry.transaction.hash for entry in again.store.waiting()] == [gapped]
    assert [tx.hash for tx in again.waiting] == [gapped]
    assert not again.store.has_transaction(replaced)
    again.close()
    if end == "killed":
        chain.close()


def copied(directory: Path) -> Path:
    """What a kill -9 leaves: the files as they are now, the process's memory gone."""
    target = directory / "after"
    target.mkdir()
    for file in directory.glob("chain.sqlite*"):
        if not file.name.endswith("-shm"):
            (target / file.name).write_bytes(file.read_bytes())
    return target


def test_a_snapshot_brings_back_what_waited_on_disk_too(tmp_path: Path) -> None:
    chain = opened(tmp_path, automine=False)
    kept = chain.submit(transfer(0, 0))
    number = chain.snapshot()
    chain.submit(transfer(1, 0))
    chain.mine()
    chain.submit(transfer(2, 5))
    chain.revert(number)
    assert [tx.hash for tx in chain.waiting] == [kept]
    chain.close()
    again = opened(tmp_path)
    assert [tx.hash for tx in again.waiting] == [kept]
    again.close()


def test_a_write_that_fails_accepts_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    chain = opened(tmp_path, automine=False)
    old = chain.submit(transfer(0, 0))

    def full(*_: object) -> None:
        raise StoreError("disk full")

    for method, automine in (("write_waiting", False), ("append", True)):
        chain.automine = automine
        with monkeypatch.context() as failing:
            failing.setattr(ChainStore, method, full)
            for raw in (transfer(0, 0, tip=50), transfer(1, 0)):
                with pytest.raises(StoreError, match="disk full"):
                    chain.submit(raw)
        assert [tx.hash for tx in chain.waiting] == [old]
        assert chain.head.header.number == 0
    chain.mine()
    assert mined(chain, 1) == [old]
    chain.close()


@pytest.mark.parametrize("gas", [21_000, 29_990_000])  # the second does not fit beside the delegation
def test_a_nonce_that_another_transaction_uses_up_leaves_the_next_one_waiting(node: Chain, gas: int) -> None:
    node.automine = False
    passive, active = dev_accounts()[:2]
    stale, following = node.submit(transfer(0, 0, gas=gas)), node.submit(transfer(0, 1))
    delegation = Account.sign_authorization(
        {"chainId": 31337, "address": b"\xbb" * 20, "nonce": 0}, passive.key
    )
    fields = {
        "chainId": 31337, "nonce": 0, "gas": 100_000, "to": b"\xaa" * 20, "value": 0, "data": b"",
        "maxFeePerGas": 200 * GWEI, "maxPriorityFeePerGas": 50 * GWEI, "authorizationList": [delegation],
    }  # fmt: skip
    first = node.submit(bytes(Account.sign_transaction(fields, active.key).raw_transaction))
    node.mine()
    assert mined(node, 1) == [first]
    assert [tx.hash for tx in node.waiting] == [following]
    node.mine()
    assert mined(node, 2) == [following]
    assert not node.store.has_transaction(stale)
