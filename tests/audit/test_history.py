"""A history and its events exist only if they are well formed, and have one spelling."""

from dataclasses import fields, replace

import pytest

from ledgerfed.audit import Certificate, ChainHead, TrustInputs
from ledgerfed.audit.events import EVENTS, Genesis, event_document, read_event
from ledgerfed.audit.history import read_history
from ledgerfed.errors import InvalidValueError
from ledgerfed.ledger import events as emitted
from ledgerfed.protocol.canonical import canonical_json, parse_canonical
from ledgerfed.protocol.hashing import keccak


def test_chain_json_is_read_back_to_the_same_history(history):
    assert read_history(history.config, history.chain_bytes(), history.blobs) == history


def test_a_history_keeps_its_blobs_to_itself(history):
    blobs = dict(history.blobs)
    copy = replace(history, blobs=blobs)
    blobs.clear()
    assert copy == history
    with pytest.raises(TypeError):
        copy.blobs[keccak(b"x")] = b"x"


def test_every_event_has_the_fields_that_the_ledger_emits():
    for name, kind in EVENTS.items():
        own = {f.name for f in fields(kind)}
        assert own == {f.name for f in fields(getattr(emitted, name))}


def test_every_event_is_read_back_from_its_flat_document(history):
    for event in history.events:
        document = parse_canonical(canonical_json(event_document(event)))
        assert not any(isinstance(value, dict) for value in document.values())
        assert read_event(document) == event


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"name": "Slashed"}, "an event is one of"),
        ({"name": 7}, "an event is one of"),
        ({"surprise": 1}, "unknown keys"),
        ({"root": "0x00"}, "root must be 0x and 64 hex digits"),
        ({"root": 5}, "root must be"),
        ({"relayer": "0x" + "00" * 20}, "relayer is the zero address"),
        ({"round": -1}, "round must be an integer"),
        ({"round": "1"}, "round must be an integer"),
        ({"n": True}, "n must be an integer"),
        ({"block_number": -1}, "block_number must be an integer"),
        ({"log_index": None}, "log_index must be an integer"),
        ({"timestamp": 1 << 53}, "timestamp must be an integer"),
        ({"block_hash": "0xAA" + "00" * 31}, "lower-case"),
        ({"tx_hash": None}, "tx_hash must be"),
    ],
)
def test_an_event_that_is_not_well_formed_is_refused(history, changes, reason):
    sealed = event_document(history.events[6])
    assert sealed["name"] == "Sealed"
    with pytest.raises(InvalidValueError, match=reason):
        read_event({**sealed, **changes})


@pytest.mark.parametrize("windows", [[1, 2, 3, 4], [1, 2, 3, 4, -5], "12345", [1, 2, 3, 4, "5"]])
def test_genesis_has_five_windows(history, windows):
    document = event_document(next(event for event in history.events if isinstance(event, Genesis)))
    with pytest.raises(InvalidValueError, match="window"):
        read_event({**document, "windows": windows})


def test_what_is_no_object_is_no_event():
    for document in (None, [], "Sealed", 5):
        with pytest.raises(InvalidValueError, match="an event is one of"):
            read_event(document)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda h: {"events": h.events[::-1]}, "events must stand in chain order"),
        (lambda h: {"events": (h.events[0], *h.events)}, "events must stand in chain order"),
        (lambda h: {"certificates": h.certificates[::-1]}, "certificates must stand in ascending round"),
        (lambda h: {"blobs": {keccak(b"a"): b"b"}}, "hashes to"),
        (lambda h: {"code_hash": b"short"}, "the code hash must be 32 bytes"),
    ],
)
def test_a_history_that_contradicts_itself_does_not_exist(history, change, reason):
    with pytest.raises(InvalidValueError, match=reason):
        replace(history, **change(history))


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda: Certificate(0, bytes(65)), "the round of a certificate"),
        (lambda: Certificate(1, b""), "has no signatures"),
        (lambda: Certificate(1, bytes(66)), "not a multiple of 65"),
        (lambda: ChainHead(-1, bytes(32), bytes(32)), "the number of the head block"),
        (lambda: ChainHead(1, bytes(31), bytes(32)), "the hash of the head block"),
        (lambda: ChainHead(1, bytes(32), bytes(31)), "the transcript at the head"),
        (lambda: TrustInputs(genesis_transcript=bytes(31)), "genesis_transcript must be 32 bytes"),
        (lambda: TrustInputs(members=(bytes(19),)), "a member must be a 20-byte address"),
    ],
)
def test_values_that_cannot_be_do_not_exist(make, reason):
    with pytest.raises(InvalidValueError, match=reason):
        make()


@pytest.mark.parametrize("name", ["block_hash", "tx_hash"])
def test_a_place_has_whole_hashes(history, name):
    with pytest.raises(InvalidValueError, match=f"{name} must be 32 bytes"):
        replace(history.events[0].at, **{name: bytes(31)})


def test_a_certificate_splits_into_its_signatures():
    assert Certificate(1, b"a" * 65 + b"b" * 65).split() == (b"a" * 65, b"b" * 65)
