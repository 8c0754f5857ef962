"""Transitions as values: what they hash to, and the tails that challenges and evidence carry."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol import transcript
from ledgerfed.protocol.hashing import keccak, word
from ledgerfed.protocol.transition import (
    KINDS,
    Abort,
    Certify,
    Dispute,
    EpochOpening,
    Fault,
    Force,
    Scores,
    Seal,
    parse_tail,
    tail_of,
)

A, B = keccak(b"a"), keccak(b"b")
hashes = st.binary(min_size=32, max_size=32)
numbers = st.integers(0, (1 << 256) - 1) | st.integers(0, 40)
rounds = st.integers(1, (1 << 32) - 1)
transitions = st.one_of(
    *(
        st.builds(
            kind,
            *(
                rounds if f.name == "round" else hashes if f.type == "bytes" else numbers
                for f in fields(kind)
            ),
        )
        for kind in KINDS.values()
    )
)


@given(st.lists(transitions, max_size=6))
def test_a_tail_comes_back_whole(steps):
    tail = tail_of(steps)
    assert parse_tail(tail) == tuple(steps)
    assert len(tail) % 32 == 0


@given(st.lists(transitions, min_size=1, max_size=4), st.data())
def test_a_tail_that_is_cut_or_grows_is_refused_or_ends_earlier(steps, data):
    tail = tail_of(steps)
    ends = [len(tail_of(steps[:k])) for k in range(len(steps))]
    cut = data.draw(st.integers(0, len(tail) - 1))
    if cut in ends:
        assert parse_tail(tail[:cut]) == tuple(steps[: ends.index(cut)])
    else:
        with pytest.raises(InvalidValueError, match=r"the tail ends within|begins no transition"):
            parse_tail(tail[:cut])
    with pytest.raises(InvalidValueError):
        parse_tail(tail + data.draw(st.binary(min_size=1, max_size=31)))


@given(st.binary(max_size=200) | st.lists(st.integers(0, 9).map(word), max_size=8).map(b"".join))
def test_no_bytes_but_a_tail_pass_for_one(data):
    try:
        steps = parse_tail(data)
    except InvalidValueError:
        return
    assert tail_of(steps) == data


@pytest.mark.parametrize("kind", [0, 8, 1 << 255])
def test_an_unknown_kind_begins_no_transition(kind):
    with pytest.raises(InvalidValueError, match="byte 96 of the tail begins no transition"):
        parse_tail(Scores(1, A).step() + word(kind) + bytes(200))


@pytest.mark.parametrize(
    "make",
    [
        lambda: Seal(0, A, 1),
        lambda: Seal(1 << 32, A, 1),
        lambda: Seal(True, A, 1),
        lambda: Seal(1, A[:31], 1),
        lambda: Seal(1, A, -1),
        lambda: Seal(1, A, 1 << 256),
        lambda: Force(1, 2.0, A),
        lambda: Certify(1, A, A, A + b"\x00"),
        lambda: Dispute(-1, 1, 1, A),
        lambda: EpochOpening(1, None, A),
        lambda: parse_tail(word(3) + word(0) + A),
        lambda: parse_tail(word(3) + word(1 << 32) + A),
    ],
)
def test_a_transition_out_of_range_cannot_be_made(make):
    with pytest.raises(InvalidValueError):
        make()


def test_a_dispute_may_name_round_0_because_nodes_can_sign_statements_for_it():
    """The contract accepts any round up to the current one; a node that choked on it would be cut off."""
    dispute = Dispute(0, Fault.TWO_LEAVES, 2, A)
    assert parse_tail(dispute.step()) == (dispute,)
    assert transcript.after_dispute(B, 0, Fault.TWO_LEAVES, 2, A) == dispute.after(B)


def test_every_kind_and_field_makes_another_transcript():
    after = [
        transcript.after_dispute(A, 3, 1, 2, B),
        transcript.after_dispute(A, 4, 1, 2, B),
        transcript.after_dispute(A, 3, 2, 2, B),
        transcript.after_dispute(A, 3, 1, 3, B),
        transcript.after_dispute(A, 3, 1, 2, A),
        transcript.after_dispute(B, 3, 1, 2, B),
        transcript.after_epoch(A, 3, 1, B),
        transcript.after_epoch(A, 4, 1, B),
        transcript.after_epoch(A, 3, 2, B),
        transcript.after_epoch(A, 3, 1, A),
        transcript.after_force(A, 3, 1, B),
        transcript.after_certify(A, 3, word(1), word(2), B),
        transcript.after_seal(A, 3, B, 1),
    ]
    assert len(set(after)) == len(after)


def test_a_fault_of_one_node_names_its_index_and_a_wrong_median_the_seats_of_its_signers():
    committee = (1, 4, 6, 9)
    assert Dispute(5, Fault.BROKEN_RECEIPT, 6, A).indices(committee) == {6}
    assert Dispute(5, Fault.WRONG_MEDIAN, 0b1011, A).indices(committee) == {1, 4, 9}
    assert Dispute(5, Fault.WRONG_MEDIAN, 1 << 200, A).indices(committee) == set()


def test_an_abort_of_a_disputed_round_says_so():
    assert transcript.after_abort(A, 3, transcript.Phase.DISPUTED) == keccak(A + word(6) + word(3) + word(5))
    assert Abort(3, 5).after(A) == transcript.after_abort(A, 3, transcript.Phase.DISPUTED)
