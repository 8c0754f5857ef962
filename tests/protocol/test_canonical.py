"""One document has one spelling, and the reader takes no other."""

from __future__ import annotations

import json

import pytest
import rfc8785
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.canonical import canonical_json, document_hash, fields, parse_canonical, rows
from ledgerfed.protocol.hashing import from_hex, keccak, to_hex

SAFE = (1 << 53) - 1
text = st.text(st.characters(exclude_categories=("Cs",)), max_size=8)
leaves = st.one_of(st.none(), st.booleans(), st.integers(-SAFE, SAFE), text)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(text, inner, max_size=4),
    max_leaves=12,
)
documents = st.dictionaries(text, values, max_size=5)


@given(documents)
def test_a_document_comes_back_from_its_bytes(document):
    data = canonical_json(document)
    assert parse_canonical(data) == document
    assert document_hash(document) == keccak(data)


@given(documents)
def test_key_order_does_not_change_the_bytes(document):
    assert canonical_json(dict(reversed(document.items()))) == canonical_json(document)


@given(documents, st.sampled_from([{"indent": 1}, {"separators": (", ", ":")}, {"ensure_ascii": True}]))
def test_any_other_spelling_is_refused(document, style):
    other = json.dumps(document, **{"separators": (",", ":"), **style}).encode()
    if other != canonical_json(document):
        with pytest.raises(InvalidValueError, match="RFC 8785"):
            parse_canonical(other)


@pytest.mark.parametrize(
    "data",
    [
        b'{"a":1.0}',
        b'{"a":1e2}',
        b'{"a":-0}',
        b'{"a":01}',
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":1,"a":1}',
        b'{"a":{"b":1,"b":2}}',
        b'{"b":1,"a":1}',
        b'{"a":1} ',
        b' {"a":1}',
        b'{"a":"\\u0062"}',
        b'{"a":"\\ud800"}',
        b'{"a":"\\/"}',
        b'\xef\xbb\xbf{"a":1}',
        b'{"a":"\xff"}',
        b'{"a":9007199254740992}',
        b'{"a":' + b"9" * 5000 + b"}",
        b'{"a":-' + b"9" * 5000 + b"}",
        b'{"a":' + b"[" * 600 + b"]" * 600 + b"}",
        b'{"a":' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b"[]",
        b"1",
        b'"a"',
        b"null",
        b"",
        b"{",
    ],
)
def test_what_is_not_canonical_is_refused(data):
    with pytest.raises(InvalidValueError):
        parse_canonical(data)


@given(st.binary(max_size=64))
def test_any_bytes_are_refused_or_are_canonical(data):
    try:
        document = parse_canonical(data)
    except InvalidValueError:
        return
    assert rfc8785.dumps(document) == data


@pytest.mark.parametrize(
    "document",
    [
        {"a": 1.5},
        {"a": 1.0},
        {"a": b"bytes"},
        {"a": {1, 2}},
        {"a": [1, [2.0]]},
        {1: "a"},
        {"a": {None: 1}},
        {"a": 1 << 53},
        {"a": -(1 << 53)},
        {"a": 1 << 40_000},
        {"a": "\ud800"},
        {"\udfff": 1},
        [],
        [("a", 1)],
        "a",
        5,
        None,
    ],
)
def test_what_has_no_canonical_form_is_refused(document):
    with pytest.raises(InvalidValueError):
        canonical_json(document)


def test_a_document_nested_beyond_reason_is_refused():
    nested: list = []
    for _ in range(5000):
        nested = [nested]
    with pytest.raises(InvalidValueError, match="nested"):
        canonical_json({"a": nested})


@pytest.mark.parametrize("value", [[], None, "x", {"a": 1}, {"a": 1, "b": 2, "c": 3}])
def test_a_record_has_exactly_its_keys(value):
    with pytest.raises(InvalidValueError, match="the thing"):
        fields("the thing", value, ("a", "b"))


@pytest.mark.parametrize("value", [{}, None, "ab", 3])
def test_rows_are_a_list(value):
    with pytest.raises(InvalidValueError, match="the rows must be a list"):
        rows("the rows", value)


@given(st.binary(min_size=32, max_size=32))
def test_hex_round_trips(value):
    assert from_hex("a hash", to_hex(value)) == value


@pytest.mark.parametrize(
    "spelling",
    [
        "0X" + "ab" * 32,
        "0x" + "AB" * 32,
        "ab" * 32,
        "0x" + "ab" * 31,
        "0x" + "ag" * 32,
        "0x" + "٣" * 64,
        7,
        None,
    ],
)
def test_other_spellings_of_a_hash_are_refused(spelling):
    with pytest.raises(InvalidValueError, match="a hash must be"):
        from_hex("a hash", spelling)
