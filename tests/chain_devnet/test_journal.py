"""The account database against py-evm's own: whatever is done and undone, equal answers and state roots."""

from __future__ import annotations

from typing import Any

from eth.db.account import AccountDB
from eth.db.atomic import AtomicDB
from hypothesis import given, settings
from hypothesis import strategies as st

from chain_devnet.journal import JournaledAccounts
from chain_devnet.pyevm import NodeOverlay

ADDRESSES = [bytes([index]) * 20 for index in range(3)]
SLOTS = [0, 1, 2**255]
addresses = st.sampled_from(ADDRESSES)
slots = st.sampled_from(SLOTS)
numbers = st.sampled_from([0, 1, 127, 128, 2**64 - 1])
steps = st.one_of(
    st.tuples(st.just("set_balance"), addresses, numbers),
    st.tuples(st.just("set_nonce"), addresses, numbers),
    st.tuples(st.just("set_code"), addresses, st.sampled_from([b"", b"code", b"more code"])),
    st.tuples(st.just("set_storage"), addresses, slots, numbers),
    st.tuples(st.just("mark_address_warm"), addresses),
    st.tuples(st.just("mark_storage_warm"), addresses, slots),
    st.tuples(st.just("touch_account"), addresses),
    st.tuples(st.just("delete_account"), addresses),
    st.tuples(st.sampled_from(["record", "record", "discard", "commit", "next transaction", "persist"])),
)


class Pair:
    """Both databases in step."""

    def __init__(self) -> None:
        self.own = JournaledAccounts(NodeOverlay({}))
        self.reference: Any = AccountDB(AtomicDB())
        self.open: list[tuple[Any, Any]] = []
        self.deleted: set[bytes] = set()

    def do(self, step: tuple[Any, ...]) -> None:
        name, *arguments = step
        if name == "record":
            self.open.append((self.own.record(), self.reference.record()))
        elif name in ("discard", "commit"):
            if self.open:
                mine, theirs = self.open.pop()
                getattr(self.own, name)(mine)
                getattr(self.reference, name)(theirs)
        elif name in ("next transaction", "persist"):
            self.deleted.clear()
            while self.open:
                self.do(("commit",))
            for database in (self.own, self.reference):
                database.lock_changes()
                if name == "persist":
                    database.persist()
        else:
            if name == "delete_account":
                self.deleted.add(arguments[0])
            getattr(self.own, name)(*arguments)
            getattr(self.reference, name)(*arguments)

    def agree(self) -> None:
        for address in ADDRESSES:
            for question in (
                "get_balance", "get_nonce", "get_code", "get_code_hash", "account_exists", "account_is_empty",
                "account_has_code_or_nonce", "is_address_warm",
            ):  # fmt: skip
                assert getattr(self.own, question)(address) == getattr(self.reference, question)(address), (
                    question
                )
            for slot in SLOTS:
                for question in ("get_storage", "is_storage_warm"):
                    assert getattr(self.own, question)(address, slot) == getattr(self.reference, question)(
                        address, slot
                    )
                if address in self.deleted:
                    continue  # py-evm's own says either, by whether the slot was stored; no code can ask
                before = self.own.get_storage(address, slot, from_journal=False)
                assert before == self.reference.get_storage(address, slot, from_journal=False)


@settings(max_examples=300, deadline=None)
@given(st.lists(steps, max_size=25), st.lists(steps, max_size=25))
def test_it_answers_and_hashes_as_py_evms_does(first: list[Any], second: list[Any]) -> None:
    pair = Pair()
    for block in (first, second):
        for step in block:
            pair.do(step)
            pair.agree()
        pair.do(("persist",))
        pair.agree()
        assert pair.own.state_root == pair.reference.state_root


def test_a_discard_goes_back_through_later_checkpoints() -> None:
    own = JournaledAccounts(NodeOverlay({}))
    own.set_balance(ADDRESSES[0], 5)
    outer = own.record()
    own.set_balance(ADDRESSES[0], 6)
    own.commit(own.record())
    own.record()
    own.set_storage(ADDRESSES[0], 1, 9)
    own.discard(outer)
    assert (own.get_balance(ADDRESSES[0]), own.get_storage(ADDRESSES[0], 1)) == (5, 0)


def test_a_slot_s_original_is_what_it_held_when_the_transaction_began() -> None:
    own = JournaledAccounts(NodeOverlay({}))
    own.set_storage(ADDRESSES[0], 1, 9)
    own.lock_changes()
    own.delete_account(ADDRESSES[0])
    own.set_storage(ADDRESSES[0], 1, 3)
    assert own.get_storage(ADDRESSES[0], 1, from_journal=False) == 9
    own.lock_changes()
    assert own.get_storage(ADDRESSES[0], 1, from_journal=False) == 3


def test_what_was_read_before_is_not_written_again() -> None:
    overlay = NodeOverlay({})
    own = JournaledAccounts(overlay)
    own.set_balance(ADDRESSES[0], 5)
    own.persist()
    overlay.written = dict(overlay.written)
    before = len(overlay.written)
    own.set_balance(ADDRESSES[0], 6)
    own.set_balance(ADDRESSES[0], 5)
    own.persist()
    assert len(overlay.written) == before
