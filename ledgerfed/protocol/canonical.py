"""Canonical JSON (RFC 8785) with integers only, and a reader that accepts no other spelling.

Rules of a document:
- objects, arrays, strings, booleans, null and integers with |x| < 2^53; never a float;
- at most 32 levels deep, so that no machine's stack decides what a document is;
- keys are unique; a record read with `fields` has exactly the keys it names;
- the bytes equal their own re-encoding, so one document has one hash.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

import rfc8785

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.hashing import keccak

Document = Mapping[str, Any]
MAX_NESTING = 32
_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKET = re.compile(rb"[\[\]{}]")


def canonical_json(document: Document) -> bytes:
    """Return the RFC 8785 bytes of a document of integers, strings, booleans, nulls, lists and objects.

    Raises:
        InvalidValueError: not an object, nested too deeply, or a float, another type, or an integer of 2^53
            or more stands in it.
    """
    if not isinstance(document, Mapping):
        raise InvalidValueError(f"the document must be an object, got {type(document).__name__}")
    _require_plain(document, "$", MAX_NESTING)
    try:
        return rfc8785.dumps(dict(document))
    except (rfc8785.CanonicalizationError, UnicodeEncodeError) as error:
        raise InvalidValueError(f"the document has no canonical form: {error}") from error


def document_hash(document: Document) -> bytes:
    """Return the keccak-256 of the canonical bytes."""
    return keccak(canonical_json(document))


def parse_canonical(data: bytes) -> dict[str, Any]:
    """Read canonical JSON bytes back into an object.

    Raises:
        InvalidValueError: not JSON, not an object, duplicate keys, floats, nested too deeply, or not in
            canonical form.
    """
    if _nesting(data) > MAX_NESTING:
        raise InvalidValueError(f"the document is nested more than {MAX_NESTING} levels deep")
    try:
        document: dict[str, Any] = json.loads(
            data.decode("utf-8"),
            object_pairs_hook=_unique,
            parse_float=_no_float,
            parse_constant=_no_float,
        )
    except ValueError as error:  # also an integer of more digits than Python reads
        raise InvalidValueError(f"not a JSON document: {error}") from error
    if canonical_json(document) != data:
        raise InvalidValueError("the document is not in RFC 8785 form; re-encode it canonically")
    return document


def fields(name: str, document: object, keys: Sequence[str]) -> dict[str, Any]:
    """Return `document` if it is an object with exactly `keys`.

    Raises:
        InvalidValueError: not an object, or keys missing or unknown; the message lists them.
    """
    if not isinstance(document, dict):
        raise InvalidValueError(f"{name} must be an object, got {type(document).__name__}")
    missing, unknown = set(keys) - set(document), set(document) - set(keys)
    if missing or unknown:
        raise InvalidValueError(f"{name}: missing keys {sorted(missing)}, unknown keys {sorted(unknown)}")
    return document


def rows(name: str, value: object) -> list[Any]:
    """Return `value` if it is a list, else raise InvalidValueError naming it."""
    if not isinstance(value, list):
        raise InvalidValueError(f"{name} must be a list, got {type(value).__name__}")
    return value


def _nesting(data: bytes) -> int:
    """Return how deep the brackets of a JSON text go; a C parser would use the stack to find out."""
    brackets = _BRACKET.findall(_STRING.sub(b"", data))
    return max(accumulate(1 if bracket in b"[{" else -1 for bracket in brackets), default=0)


def _require_plain(value: object, path: str, levels: int) -> None:
    if levels < 0:
        raise InvalidValueError(f"the document is nested more than {MAX_NESTING} levels deep")
    if value is None or isinstance(value, bool | str):
        return
    if isinstance(value, int):
        if abs(value) >= 1 << 53:
            raise InvalidValueError(f"{path}: {value.bit_length()} bits are beyond 2^53; write a string")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            if not isinstance(key, str):
                raise InvalidValueError(f"{path}: the key {key!r} is not a string")
            _require_plain(item, f"{path}.{key}", levels - 1)
    elif isinstance(value, list | tuple):
        for position, item in enumerate(value):
            _require_plain(item, f"{path}[{position}]", levels - 1)
    else:
        raise InvalidValueError(f"{path}: {type(value).__name__} has no place in a canonical document")


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    record = dict(pairs)
    if len(record) != len(pairs):
        raise InvalidValueError(f"duplicate keys in {[key for key, _ in pairs]}")
    return record


def _no_float(text: str) -> None:
    raise InvalidValueError(f"the number {text} is not an integer")
