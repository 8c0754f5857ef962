"""The pool against a model of one flat list: what it takes, what is pending, and in which order it goes."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from eth_hash.auto import keccak
from hypothesis import given, settings
from hypothesis import strategies as st

from chain_devnet.admission import SenderState
from chain_devnet.errors import TransactionRejectedError
from chain_devnet.pool import Pool, PoolLimits, Waiting, by_price, may_replace
from chain_devnet.transaction import Transaction

RICH = 10**9
LIMITS = PoolLimits(queued=3, account=6, total=10)
SENDERS = [bytes([index]) * 20 for index in (1, 2, 3)]


def transaction(sender: bytes, nonce: int, fee: int = 100, tip: int = 10, value: int = 0) -> Transaction:
    raw = repr((sender, nonce, fee, tip, value)).encode()
    return Transaction(
        raw=raw, hash=keccak(raw), kind=2, chain_id=31337, nonce=nonce, max_priority_fee=min(tip, fee),
        max_fee=fee, gas=10, to=bytes(20), value=value, data=b"", access_list=(), authorizations=(),
        v=0, y_parity=0, r=1, s=1, sender=sender,
    )  # fmt: skip


transactions = st.builds(
    transaction,
    st.sampled_from(SENDERS),
    st.integers(0, 9),
    fee=st.sampled_from([50, 54, 55, 56, 100, 111, 150]),
    tip=st.sampled_from([0, 1, 10, 11, 12, 40]),
    value=st.sampled_from([0, 0, 0, RICH // 3]),
)


@dataclass
class Model:
    """All that waits, in order of arrival; every question is answered by looking at each of them."""

    nonces: dict[bytes, int]
    waiting: list[Transaction] = field(default_factory=list)

    def of(self, sender: bytes) -> list[Transaction]:
        return sorted((tx for tx in self.waiting if tx.sender == sender), key=lambda tx: tx.nonce)

    def first_free(self, sender: bytes) -> int:
        used = {tx.nonce for tx in self.of(sender)}
        return next(nonce for nonce in range(self.nonces[sender], 100) if nonce not in used)

    def takes(self, tx: Transaction) -> bool:
        own = self.of(tx.sender)
        same = [old for old in own if old.nonce == tx.nonce]
        cost = sum(old.value + old.gas * old.max_fee for old in own if old not in same)
        if tx in self.waiting or cost + tx.value + tx.gas * tx.max_fee > RICH:
            return False
        if same:
            old = same[0]
            tip = max(old.max_priority_fee * 11, (old.max_priority_fee + 1) * 10)
            return tx.max_fee * 10 >= old.max_fee * 11 and tx.max_priority_fee * 10 >= tip
        free = self.first_free(tx.sender)
        gapped = sum(old.nonce > free for old in own)
        room = len(self.waiting) < LIMITS.total and len(own) < LIMITS.account
        return room and (tx.nonce <= free or gapped < LIMITS.queued)

    def add(self, tx: Transaction) -> None:
        same = (tx.sender, tx.nonce)
        self.waiting = [old for old in self.waiting if (old.sender, old.nonce) != same] + [tx]

    def pending(self, base_fee: int) -> list[Transaction]:
        ready = []
        for sender in SENDERS:
            free = self.first_free(sender)
            for tx in self.of(sender):
                if tx.max_fee < base_fee or tx.nonce >= free:
                    break
                ready.append(tx)
        ordered = []
        while ready:
            heads = [min((tx for tx in ready if tx.sender == s), key=lambda tx: tx.nonce) for s in
                     {tx.sender for tx in ready}]  # fmt: skip
            best = min(
                heads,
                key=lambda tx: (-min(tx.max_fee - base_fee, tx.max_priority_fee), self.waiting.index(tx)),
            )
            ordered.append(best)
            ready.remove(best)
        return ordered


@settings(max_examples=300, deadline=None)
@given(
    st.lists(transactions | st.tuples(st.just("drop"), st.integers(0, 20)), max_size=40),
    st.tuples(*[st.integers(0, 4)] * 3),
    st.sampled_from([0, 50, 55, 101]),
)
def test_the_pool_does_what_a_flat_list_would(
    steps: list[Transaction | tuple[str, int]], nonces: tuple[int, int, int], base_fee: int
) -> None:
    pool, stored = Pool(LIMITS), dict[bytes, Waiting]()
    model = Model(dict(zip(SENDERS, nonces, strict=True)))
    for step in steps:
        if isinstance(step, tuple):
            if step[1] < len(model.waiting):
                pool.drop([model.waiting.pop(step[1]).hash])
            else:
                save(pool, stored)
        elif step.nonce >= model.nonces[step.sender]:  # others are refused before the pool is asked
            taken = accepts(pool, step, model.nonces[step.sender])
            assert taken == model.takes(step)
            if taken:
                model.add(step)
        assert list(pool) == model.waiting
        assert pool.executable(model.nonces, base_fee) == model.pending(base_fee)
        for sender in SENDERS:
            assert pool.next_nonce(sender, model.nonces[sender]) == model.first_free(sender)
    content = pool.content(model.nonces)
    pending = [tx for run in content.pending.values() for tx in run]
    queued = [tx for run in content.queued.values() for tx in run]
    assert sorted(tx.hash for tx in pending + queued) == sorted(tx.hash for tx in model.waiting)
    assert all(tx.nonce < model.first_free(tx.sender) for tx in pending)
    assert all(tx.nonce > model.first_free(tx.sender) for tx in queued)
    save(pool, stored)
    assert sorted(stored.values(), key=lambda entry: entry.arrival) == list(pool.snapshot())


def accepts(pool: Pool, tx: Transaction, nonce: int) -> bool:
    try:
        pool.add(tx, SenderState(nonce, RICH, b""))
    except TransactionRejectedError:
        return False
    return True


def save(pool: Pool, stored: dict[bytes, Waiting]) -> None:
    delta = pool.delta()
    for tx_hash in delta.removed:
        del stored[tx_hash]
    stored.update({entry.transaction.hash: entry for entry in delta.added})
    pool.mark_saved()


@pytest.mark.parametrize(
    ("fee", "tip", "enough"),
    [
        (110, 11, True),
        (109, 11, False),
        (110, 10, False),
        (1_000, 10, False),
        (100, 100, False),
        (110, 12, True),
    ],
)
def test_a_replacement_pays_a_tenth_more_of_both_fees(fee: int, tip: int, enough: bool) -> None:
    assert may_replace(transaction(SENDERS[0], 0), transaction(SENDERS[0], 0, fee, tip)) is enough


def test_a_tenth_more_is_not_rounded_down() -> None:
    old = transaction(SENDERS[0], 0, fee=200, tip=40)
    assert not may_replace(old, transaction(SENDERS[0], 0, fee=220, tip=43))
    assert not may_replace(old, transaction(SENDERS[0], 0, fee=219, tip=44))
    assert may_replace(old, transaction(SENDERS[0], 0, fee=220, tip=44))


def test_even_a_free_transaction_is_not_replaced_by_an_equal_one() -> None:
    free = transaction(SENDERS[0], 0, fee=0, tip=0)
    assert not may_replace(free, transaction(SENDERS[0], 0, fee=0, tip=0, value=1))
    assert may_replace(free, transaction(SENDERS[0], 0, fee=1, tip=1))


def test_a_well_paid_transaction_waits_for_the_cheap_one_before_it() -> None:
    cheap, dear = transaction(SENDERS[0], 0, tip=1), transaction(SENDERS[0], 1, tip=90)
    middle = transaction(SENDERS[1], 0, tip=50)
    runs = [[Waiting(cheap, 0), Waiting(dear, 1)], [Waiting(middle, 2)]]
    assert by_price(runs, 0) == [middle, cheap, dear]
    assert by_price(runs, 101) == []


def test_what_can_never_run_is_found() -> None:
    pool = Pool()
    used, dear, good = (transaction(SENDERS[0], nonce, value=nonce * 500) for nonce in range(3))
    for tx in (used, dear, good):
        pool.add(tx, SenderState(0, RICH, b""))
    accounts = {SENDERS[0]: SenderState(1, 1_600, b"")}
    assert pool.hopeless(accounts) == [used, good]


def test_every_refusal_has_the_words_that_clients_look_for() -> None:
    pool, rich = Pool(PoolLimits(queued=1, account=3, total=4)), SenderState(0, RICH, b"")
    first = transaction(SENDERS[0], 0)
    pool.add(first, rich)
    with pytest.raises(TransactionRejectedError, match=r"^already known"):
        pool.add(first, rich)
    with pytest.raises(TransactionRejectedError, match=r"^replacement transaction underpriced"):
        pool.add(transaction(SENDERS[0], 0, value=1), rich)
    with pytest.raises(TransactionRejectedError, match=r"^insufficient funds for gas \* price \+ value"):
        pool.add(transaction(SENDERS[0], 1, value=RICH), rich)
    pool.add(transaction(SENDERS[0], 2), rich)
    with pytest.raises(TransactionRejectedError, match=r"^txpool is full: 1 .* wait for nonce 1"):
        pool.add(transaction(SENDERS[0], 3), rich)
    pool.add(transaction(SENDERS[0], 1), rich)
    with pytest.raises(TransactionRejectedError, match=r"^txpool is full: 3 transactions of 0x0101"):
        pool.add(transaction(SENDERS[0], 3), rich)
    pool.add(transaction(SENDERS[1], 0), rich)
    with pytest.raises(TransactionRejectedError, match=r"^txpool is full: 4 transactions"):
        pool.add(transaction(SENDERS[2], 0), rich)
    assert pool.add(transaction(SENDERS[0], 0, fee=110, tip=11), rich).transaction == first
