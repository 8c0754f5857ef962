"""Epochs: what the owner announces, when it is opened, and what it may say (ADR 8; threats N13, N14, O1)."""

import pytest
from chains import node_key
from deployed_ledger import FIRST_STATE, OWNER, deploy
from eth_abi import encode
from faults import two_statements
from hypothesis import given, settings
from hypothesis import strategies as st
from played_rounds import ANYBODY, Play, as_tuple, leaf_of

from ledgerfed.protocol.change import MAX_ENTRIES, VACANT, Change
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.signature import address_of
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Fault, Seal

CONFIG = keccak(b"configuration of epoch 1")
CHANGE_TYPE = "(bytes32,uint256,uint256[],uint256[],address[])"


def address(index):
    return address_of(node_key(index))


def hex_of(raw):
    return "0x" + raw.hex()


def change(committee=(0, 1, 2, 3), entries=(), min_updates=2, config=CONFIG):
    """A change; `entries` are (index, address)."""
    indices, addresses = zip(*entries, strict=True) if entries else ((), ())
    return Change(config, min_updates, tuple(committee), tuple(indices), tuple(addresses))


def raw(committee=(0, 1, 2, 3), indices=(), addresses=(), min_updates=2):
    """The argument of propose, be it nonsense."""
    return (CONFIG, min_updates, tuple(committee), tuple(indices), tuple(addresses))


@pytest.fixture
def play(ledger):
    return Play(ledger)


@pytest.fixture
def play_alone(local_evm):
    return lambda **terms: Play(deploy(local_evm(), **terms))


def enter(play, new):
    """Announce a change, end the round, and open the epoch."""
    play.propose(new)
    play.abort()
    for index, member in zip(new.indices, new.addresses, strict=True):
        if member != VACANT:
            play.keys[index] = next(node_key(i) for i in range(64) if address(i) == member)
    return play.open_epoch(new)


# the way of a change, on three chains


def test_a_change_is_announced_due_when_the_round_has_ended_and_opened_by_anybody(play):
    before, t = play.ledger.state(), play.ledger.view("transcript")
    new = change((1, 2, 4), [(0, VACANT), (3, address(9)), (4, address(8))], min_updates=3)
    (log,) = play.propose(new).logs
    assert log.name == "EpochProposed"
    assert log.values == {"epoch": 1, "change": new.to_bytes()}
    assert play.ledger.state() == before | {"notice": 1}
    assert play.ledger.view("transcript") == t
    assert play.ledger.view("proposal") == new.hash() == keccak(log.values["change"])

    play.certified()
    assert play.ledger.state()["notice"] == 2
    play.keys |= {3: node_key(9), 4: node_key(8)}
    receipt = play.open_epoch(new)
    logs = [(log.name, log.values) for log in receipt.logs]
    members = [int.from_bytes(address(i), "big") for i in (0, 3, 9, 8)]
    assert logs[:4] == [
        ("MemberLeft", {"index": 0, "member": members[0], "epoch": 1}),
        ("MemberLeft", {"index": 3, "member": members[1], "epoch": 1}),
        ("MemberRegistered", {"index": 3, "member": members[2], "epoch": 1}),
        ("MemberRegistered", {"index": 4, "member": members[3], "epoch": 1}),
    ]
    opened = {"round": 2, "config_hash": CONFIG, "change_hash": new.hash(), "transcript": play.t}
    assert logs[4:] == [("EpochOpened", {"epoch": 1} | opened)]

    state = {"round": 2, "end": receipt.block, "epoch": 1, "committee": 3, "min_updates": 3}
    assert play.ledger.state() == FIRST_STATE | state
    assert play.ledger.view("config_hash") == CONFIG
    assert play.ledger.view("proposal") == bytes(32)
    assert play.ledger.view("committee") == (1, 2, 4)
    assert play.ledger.view("quorum") == 3
    assert play.ledger.view("member_count") == 5
    present = [play.ledger.view("member", index) for index in range(5)]
    assert present == [hex_of(a) for a in (VACANT, address(1), address(2), address(9), address(8))]
    seats = {index: play.ledger.node(address_of(play.keys[index])) for index in (1, 2, 3, 4)}
    assert [(seats[i]["index"], seats[i]["seat"], seats[i]["joined"]) for i in seats] == [
        (1, 1, 0),
        (2, 2, 0),
        (3, 0, 1),
        (4, 3, 1),
    ]
    play.seal({1: leaf_of(1), 3: leaf_of(3), 4: leaf_of(4)}).force(4, leaf_of(4)).scores().certify()


def test_nothing_is_sealed_while_an_epoch_is_due_and_nothing_else_announced(play, reverts):
    new = change((0, 1, 2))
    play.propose(new)
    play.abort()
    play.wait()
    with reverts("an epoch is due: open it first"):
        play.ledger.transact("seal", 2, keccak(b"root"), 3, sender=play.ledger.relayer())
    with reverts("an epoch is due: open it first"):
        play.propose(change((0, 1)))
    play.abort()  # which does not lose the epoch
    assert play.ledger.state()["notice"] == 2
    play.open_epoch(new)
    play.seal()


def test_an_announcement_is_replaced_until_it_is_due(play, reverts):
    play.propose(change((0, 1)))
    play.seal()
    play.propose(change((0, 1, 2)))
    play.scores()
    play.propose(change((0, 1, 3)))
    play.certify()
    play.wait()
    for old in (change((0, 1)), change((0, 1, 2)), change((0, 1, 3), min_updates=1)):
        with reverts("another change was announced"):
            play.ledger.transact("open_epoch", as_tuple(old), sender=ANYBODY)
    play.open_epoch(change((0, 1, 3)))


def test_an_epoch_opens_after_the_challenge_window_and_the_commit_window_begins_anew(play_alone, reverts):
    play, new = play_alone(), change()
    with reverts("no epoch is due"):
        play.ledger.transact("open_epoch", as_tuple(new), sender=ANYBODY)
    play.propose(new)
    with reverts("no epoch is due"):
        play.ledger.transact("open_epoch", as_tuple(new), sender=ANYBODY)
    play.certified()
    end = play.ledger.evm.block = play.ledger.state()["end"]
    with reverts("the window has not begun"):
        play.ledger.transact("open_epoch", as_tuple(new), sender=ANYBODY)
    play.ledger.evm.block = end + 1000  # however late: the epoch does not expire
    receipt = play.open_epoch(new)
    assert play.ledger.state()["end"] == receipt.block
    with reverts("the window has not begun"):
        play.ledger.evm.block = receipt.block
        play.ledger.transact("seal", 2, keccak(b"root"), 3, sender=play.ledger.relayer())
    with reverts("no epoch is due"):
        play.ledger.transact("open_epoch", as_tuple(new), sender=ANYBODY)
    play.seal()


def test_an_epoch_that_is_due_waits_for_a_round_that_fell(play_alone, reverts):
    play, new = play_alone(), change((0, 2, 3))
    play.propose(new)
    play.certified()
    play.challenge(two_statements(play, Fault.TWO_LEAVES, 1, round_number=1, t=play.before(Seal)))
    assert (play.ledger.state()["phase"], play.ledger.state()["notice"]) == (Phase.SCORED, 2)
    play.wait()
    with reverts("the round is in another phase"):
        play.ledger.transact("open_epoch", as_tuple(new), sender=ANYBODY)
    with reverts("an epoch is due"):
        play.propose(new)
    play.abort()
    play.open_epoch(new)
    assert play.ledger.state()["removed"] == 0


def test_a_change_that_was_announced_in_a_challenge_window_waits_for_the_end_of_a_round(play_alone):
    play, new = play_alone(), change((0, 2, 3))
    play.certified()
    play.propose(new)
    play.challenge(two_statements(play, Fault.TWO_LEAVES, 1, round_number=1, t=play.before(Seal)))
    assert play.ledger.state()["notice"] == 1
    play.certify(signers=(0, 2, 3))
    assert play.ledger.state()["notice"] == 2
    play.open_epoch(new)


# members


@pytest.mark.threat("N14")
def test_who_has_left_is_nobody_until_it_joins_again_with_another_index(play_alone, reverts):
    play = play_alone()
    enter(play, change((0, 1, 2), [(3, VACANT)]))
    with reverts("not a registered node"):
        play.ledger.node(address(3))
    play.seal()
    with reverts("not a registered node"):
        play.ledger.transact("force", play.round, leaf_of(3), sender=address(3))
    play.abort()
    enter(play, change((0, 1, 2, 4), [(4, address(3))]))
    assert play.ledger.node(address(3)) == {
        "index": 4,
        "joined": 2,
        "last_forced": 0,
        "seat": 4,
        "removed": False,
    }
    assert play.ledger.view("member", 3) == hex_of(VACANT)
    with reverts("the node at this index has left"):
        play.propose(change((0, 1, 2), [(3, address(7))]))


def test_a_new_key_takes_over_index_and_seat_and_the_old_one_is_nobody(play_alone, reverts):
    play = play_alone()
    play.seal().force(1, leaf_of(1)).abort()
    enter(play, change(entries=[(1, address(9))]))
    assert play.ledger.node(address(9)) == {
        "index": 1,
        "joined": 1,
        "last_forced": 0,
        "seat": 2,
        "removed": False,
    }
    with reverts("not a registered node"):
        play.ledger.node(address(1))
    play.seal().force(1, leaf_of(1))
    with reverts("not a registered node"):
        play.ledger.transact("force", play.round, leaf_of(1), sender=address(1))
    play.scores()
    with_old = {**play.keys, 1: node_key(1)}
    play.keys, new_keys = with_old, play.keys
    with reverts("a signer is not on the committee"):
        play.ledger.transact(
            "certify", play.round, *(keccak(b"x"),) * 3, play.certificate((keccak(b"x"),) * 3), sender=ANYBODY
        )
    play.keys = new_keys
    play.certify(signers=(0, 1, 3))
    enter(play, change(entries=[(1, address(1))]))  # back to the first key, a second time new


def test_a_seat_is_lost_with_the_epoch(play_alone, reverts):
    play = play_alone(nodes=6, committee=(0, 2, 4, 5))
    assert [play.ledger.node(m)["seat"] for m in play.ledger.members] == [1, 0, 2, 0, 3, 4]
    enter(play, change((1, 2, 3)))
    assert [play.ledger.node(m)["seat"] for m in play.ledger.members] == [0, 1, 2, 3, 0, 0]
    play.wait(6)
    with reverts("the sender is not on the committee"):
        play.ledger.transact("seal", 2, keccak(b"root"), 3, sender=play.ledger.members[0])
    play.seal().scores().certify(signers=(1, 2, 3))


def test_an_epoch_seats_the_removed_again_and_a_new_key_clears_a_node_without_a_seat(play_alone):
    play = play_alone(nodes=6)
    for culprit in (1, 4, 5):
        play.challenge(two_statements(play, Fault.TWO_LEAVES, culprit))
    enter(play, change(entries=[(5, address(9))]))
    assert play.ledger.state()["removed"] == 0
    removed = {i: play.ledger.node(address_of(play.keys[i]))["removed"] for i in (1, 4, 5)}
    assert removed == {1: False, 4: True, 5: False}
    again = two_statements(play, Fault.TWO_LEAVES, 4)
    assert play.refusal(again) == "the culprit was removed already"
    for culprit in (1, 5):
        play.challenge(two_statements(play, Fault.TWO_LEAVES, culprit))


def test_a_removed_node_that_gets_a_seat_answers_for_what_it_does_there(play_alone):
    play = play_alone(nodes=6)
    play.challenge(two_statements(play, Fault.TWO_LEAVES, 4))
    enter(play, change((0, 1, 2, 3, 4)))
    assert play.ledger.node(address(4))["removed"] is False
    play.challenge(two_statements(play, Fault.TWO_LEAVES, 4))
    assert play.ledger.state()["removed"] == 0b10000
    enter(play, change((0, 1, 2, 3)))
    assert play.ledger.node(address(4))["removed"] is True


def test_an_old_proof_holds_against_its_key_in_every_epoch_and_not_against_a_new_key(play_alone):
    play = play_alone()
    proof = two_statements(play, Fault.TWO_LEAVES, 1)
    play.challenge(proof)
    enter(play, change())
    play.challenge(proof)
    assert play.ledger.state()["removed"] == 0b0010
    enter(play, change(entries=[(1, address(9))]))
    assert play.refusal(proof) == "the address is not a registered node"


def test_all_signers_of_a_wrong_median_may_be_seated_again(play_alone):
    play = play_alone()
    for culprit in (0, 1, 2, 3):
        play.challenge(two_statements(play, Fault.TWO_LEAVES, culprit))
    new = change((1, 2, 3))
    play.propose(new)  # an epoch is the way out of a federation in which nobody may relay
    play.abort()
    play.open_epoch(new)
    play.seal().scores().certify()


# what may be announced


@pytest.mark.threat("N13")
def test_a_change_that_cannot_be_applied_is_refused_when_it_is_announced(play_alone, reverts):
    play = play_alone(nodes=6, depth=3)
    enter(play, change((0, 1, 2, 3), [(5, VACANT)]))  # five nodes of six indices are left
    new, other = address(30), address(31)
    cases = {
        "the committee is empty": [raw(())],
        "the indices are not ascending": [
            raw((1, 0)),
            raw((0, 0)),
            raw(indices=(6, 6), addresses=(new, other)),
            raw(indices=(3, 2), addresses=(new, other)),
        ],
        "a committee member is not registered": [raw((0, 6)), raw((0, 2**256 - 1)), raw((7,), (6,), (new,))],
        "a committee member has left": [
            raw((0, 5)),
            raw((0, 1), (1,), (VACANT,)),
            raw((0, 4), (3, 4), (new, VACANT)),
        ],
        "min_updates must be from 1 to the number of members": [
            raw(min_updates=0),
            raw(min_updates=6),
            raw((0,), (4,), (VACANT,), min_updates=5),
            raw((0,), (4, 6), (VACANT, new), min_updates=6),
            raw(min_updates=2**256 - 1),
        ],
        "an index for each address": [raw(indices=(6,)), raw(addresses=(new,))],
        "an index is beyond the next one that is free": [
            raw(indices=(7,), addresses=(new,)),
            raw(indices=(6, 8), addresses=(new, other)),
            raw(indices=(2**256 - 1,), addresses=(new,)),
        ],
        "a member is the zero address": [raw(indices=(6,), addresses=(VACANT,))],
        "the node at this index has left": [
            raw(indices=(5,), addresses=(new,)),
            raw(indices=(5,), addresses=(VACANT,)),
        ],
        "a member is registered twice": [
            raw(indices=(6,), addresses=(address(0),)),
            raw(indices=(0,), addresses=(address(0),)),
            raw(indices=(0, 1), addresses=(address(1), address(0))),
            raw(indices=(3, 6), addresses=(VACANT, address(3))),
            raw(indices=(0, 6), addresses=(new, new)),
            raw(indices=(6, 7), addresses=(new, new)),
        ],
        "the members do not fit a tree of this depth": [
            raw(indices=(6, 7, 8), addresses=(new, other, address(32))),
        ],
        "no reason": [  # the ABI has no longer list
            raw(range(32)),
            raw(indices=range(6, 71), addresses=[address(0)] * 65),
        ],
    }
    for reason, wrong in cases.items():
        for argument in wrong:
            with reverts(reason):
                play.ledger.transact("propose", argument, sender=OWNER)
    assert play.ledger.state()["notice"] == 0


def test_a_change_of_64_entries_to_the_last_position_is_announced_and_opened(play_alone):
    play = play_alone(nodes=4, depth=6)
    joins = [(index, address(index)) for index in range(4, 64)]
    new = change(range(31), joins, min_updates=64)
    enter(play, new)
    assert play.ledger.view("member_count") == 64
    assert play.ledger.view("quorum") == 21
    rotated = [(index, keccak(b"new key" + bytes([index]))[-20:]) for index in range(64)]
    new = change(range(33, 64), rotated, min_updates=64)
    assert len(new.indices) == MAX_ENTRIES
    proposed = play.propose(new)
    play.abort()
    opened = play.open_epoch(new)
    assert play.ledger.view("committee") == tuple(range(33, 64))
    assert [play.ledger.node(member)["index"] for _, member in rotated] == list(range(64))
    assert max(proposed.gas_used, opened.gas_used) < 1 << 24  # EIP-7825 caps a transaction


def test_indices_are_given_out_1024_times_at_most(play_alone, reverts):
    play = play_alone(nodes=600, depth=11, min_updates=1)
    for first in range(600, 1024, MAX_ENTRIES):
        joins = [(i, keccak(b"joiner %d" % i)[-20:]) for i in range(first, min(first + MAX_ENTRIES, 1024))]
        new = change(entries=joins, min_updates=1)
        play.propose(new)
        play.abort()
        play.open_epoch(new)
    assert play.ledger.view("member_count") == 1024
    with reverts("the members do not fit a tree of this depth"):
        play.propose(change(entries=[(1024, keccak(b"one too many")[-20:])]))
    play.propose(change(entries=[(1023, VACANT)], min_updates=1023))


def test_the_last_epoch_is_the_one_that_fits_its_field(play_alone, reverts):
    play = play_alone()
    evm, here = play.ledger.evm, play.ledger.address
    packed = evm.load(here, 0)
    evm.store(here, 0, packed | (2**16 - 2) << 128)
    enter(play, change())
    assert play.ledger.state()["epoch"] == 2**16 - 1
    with reverts("the last epoch has begun"):
        play.propose(change())


# bytes


hashes = st.binary(min_size=32, max_size=32)


def test_the_bytes_of_a_change_are_its_abi_encoding(play_alone):
    new = change((0, 2), [(1, VACANT), (4, address(7)), (5, address(8))], min_updates=1)
    golden = encode([CHANGE_TYPE], [as_tuple(new)])
    play = play_alone(nodes=4)
    assert play.propose(new).logs[0].values["change"] == golden == new.to_bytes()
    assert len(golden) == 32 * (9 + 2 + 3 + 3)

    @settings(max_examples=50, deadline=None)
    @given(
        hashes,
        st.integers(1, 2**16 - 1),
        st.sets(st.integers(0, 1023), max_size=31),
        st.dictionaries(st.integers(0, 1023), st.binary(min_size=20, max_size=20), max_size=64),
    )
    def check(config, min_updates, committee, entries):
        value = change(sorted(committee), sorted(entries.items()), min_updates, config)
        assert value.to_bytes() == encode([CHANGE_TYPE], [as_tuple(value)])
        assert Change.from_bytes(value.to_bytes()) == value

    check()
