"""Envelopes: what a member has signed is read back, what anybody changed is not, and each is let in once."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import ConflictError, InvalidValueError, VerificationError
from ledgerfed.ledger import demo_key
from ledgerfed.network.envelope import (
    Envelope,
    Kind,
    read_credentials,
    require_authentic,
    write_credentials,
)
from ledgerfed.network.inbox import Inbox
from ledgerfed.network.message import Message
from ledgerfed.network.session import MAX_JUMP, WINDOW, Session
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak

FEDERATION = Federation(31337, bytes([7]) * 20)
KEYS = [demo_key(3, index) for index in range(3)]
MEMBERS = tuple(key.address for key in KEYS)
IDENTITY = bytes(range(32))

hashes = st.binary(min_size=32, max_size=32)
envelopes = st.builds(
    Envelope,
    kind=st.sampled_from(Kind),
    topic=st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=64),
    sender=st.just(0),
    receiver=st.just(1),
    session=hashes,
    counter=st.integers(0, (1 << 64) - 1),
    data=hashes,
)


def _signed(envelope: Envelope) -> bytes:
    return KEYS[0].sign_digest(envelope.digest(FEDERATION))


@given(envelopes)
def test_what_was_written_is_read_and_is_its_senders(envelope: Envelope) -> None:
    found, signature = read_credentials(write_credentials(envelope, _signed(envelope)))
    assert found == envelope
    require_authentic(found, signature, FEDERATION, MEMBERS, 1)


@given(envelopes, st.data())
def test_one_changed_character_makes_it_nobodys(envelope: Envelope, data: st.DataObject) -> None:
    written = write_credentials(envelope, _signed(envelope))
    place = data.draw(st.integers(0, len(written) - 1))
    other = data.draw(
        st.characters(min_codepoint=33, max_codepoint=126).filter(lambda c: c != written[place])
    )
    changed = written[:place] + other + written[place + 1 :]
    try:
        found, signature = read_credentials(changed)
    except InvalidValueError:
        return
    if (found, signature) != (envelope, _signed(envelope)):  # spare bits of base64 mean nothing
        with pytest.raises(VerificationError):
            require_authentic(found, signature, FEDERATION, MEMBERS, 1)


@pytest.mark.parametrize(
    "change",
    [
        {"kind": Kind.REQUEST},
        {"topic": "prices"},
        {"sender": 2},
        {"receiver": 2},
        {"session": bytes(32)},
        {"counter": 8},
        {"data": bytes(32)},
    ],
    ids=lambda change: next(iter(change)),
)
def test_a_signature_is_about_every_field_and_the_federation(change: dict[str, object]) -> None:
    envelope = Envelope(Kind.GOSSIP, "leaves", 0, 1, IDENTITY, 7, IDENTITY)
    digests = {envelope.digest(FEDERATION), replace(envelope, **change).digest(FEDERATION)}
    digests |= {envelope.digest(Federation(1, FEDERATION.contract))}
    digests |= {envelope.digest(Federation(FEDERATION.chain_id, bytes([8]) * 20))}
    assert len(digests) == 4


def test_the_bytes_of_an_envelope_are_pinned() -> None:
    """What members sign may change with the version of the envelope only."""
    envelope = Envelope(Kind.GOSSIP, "leaves", 0, 1, IDENTITY, 7, IDENTITY)
    assert (
        envelope.digest(FEDERATION).hex()
        == "b0f134adf7f053703f16de0c3f4dc0f6e339352b100dfef74a5d3e0a6348ffac"
    )
    assert (
        keccak(write_credentials(envelope, bytes(65)).encode()).hex()
        == "da7b7da51ddb9e361835d475ea34c586b9d7dab76bc38a50238be6b246bcc21f"
    )


@given(st.text(max_size=400))
def test_nonsense_is_not_read(text: str) -> None:
    for value in (text, f"LedgerFed {text}"):
        with pytest.raises(InvalidValueError):
            read_credentials(value)


def _numbered(counter: int, sender: int = 0) -> Envelope:
    return Envelope(Kind.GOSSIP, "leaves", sender, 1, IDENTITY, counter, bytes(32))


@given(st.lists(st.integers(0, 3 * WINDOW), max_size=60))
def test_a_session_lets_each_counter_in_once_and_forgets_no_recent_one(counters: list[int]) -> None:
    session, seen = Session(IDENTITY), set[int]()
    for counter in counters:
        due = counter not in seen and counter > max(seen, default=-1) - WINDOW
        try:
            session.admit(_numbered(counter))
            admitted = True
        except ConflictError:
            admitted = False
        assert admitted is due
        if admitted:
            seen.add(counter)
    assert session.next_counter(0) == max(seen, default=-1) + 1


def test_senders_count_for_themselves_and_nobody_jumps_to_the_end() -> None:
    session = Session(IDENTITY)
    session.admit(_numbered(5, sender=0))
    session.admit(_numbered(5, sender=2))
    with pytest.raises(ConflictError):
        session.admit(_numbered(6 + MAX_JUMP, sender=0))
    session.admit(_numbered(6, sender=0))


def test_an_inbox_keeps_the_newest_of_each_sender_and_at_least_one() -> None:
    inbox = Inbox(max_messages=3, max_bytes=10)
    inbox.subscribe("leaves")
    for number in range(5):
        inbox.put(Message("leaves", 0, bytes([number])))
        inbox.put(Message("leaves", 1, bytes([number] * 6)))
    inbox.put(Message("leaves", 2, bytes(100)))
    taken = inbox.take("leaves")
    assert [m.data[0] for m in taken if m.sender == 0] == [2, 3, 4]
    assert [m.data[0] for m in taken if m.sender == 1] == [4]
    assert [len(m.data) for m in taken if m.sender == 2] == [100]
    assert inbox.take("leaves") == []
