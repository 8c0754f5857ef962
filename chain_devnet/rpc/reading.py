"""From the bytes of a request to JSON values, refusing early what would hurt to parse."""

from __future__ import annotations

import json
import re

MAX_NESTING = 64

# Strings are skipped whole; one that never ends is skipped to the end, so that each byte is looked at once.
_TOKENS = re.compile(r'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)|[\[\]{}]', re.DOTALL)
_STEPS = {"[": 1, "{": 1, "]": -1, "}": -1}


def parse(body: bytes) -> object:
    """The JSON value in `body`, which must be UTF-8 (RFC 8259) and not nested deeper than `MAX_NESTING`.

    Raises:
        ValueError: it is not that.
    """
    text = body.decode()
    _refuse_deep_nesting(text)
    return json.loads(text, parse_constant=_refuse_constant)


def _refuse_deep_nesting(text: str) -> None:
    # py-evm raises the interpreter's recursion limit so far that deep JSON would overflow the C stack.
    if text.count("[") + text.count("{") <= MAX_NESTING:
        return
    depth = 0
    for token in _TOKENS.finditer(text):
        depth += _STEPS.get(token.group(), 0)
        if depth > MAX_NESTING:
            raise ValueError("too deep")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")
