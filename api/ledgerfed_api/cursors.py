"""Where the next page starts, as an opaque text that only this server can make.

A cursor binds the list (path and filters), the last key, and the block that the index stood at: another list
refuses it, and after a fork that took the block back it is stale (threat P4).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import os
import tempfile
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledgerfed.errors import StoreError
from ledgerfed_api.problems import CursorError

_TAG_BYTES = 16


@dataclass(frozen=True, slots=True)
class Position:
    """The key of the last item of a page, and the block that the index stood at then."""

    key: tuple[int | str, ...]
    block_number: int
    block_hash: str


class CursorKey:
    """The secret that signs cursors."""

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def write(self, scope: str, position: Position) -> str:
        """Return the cursor of a position in the list that `scope` names."""
        payload = json.dumps([list(position.key), position.block_number, position.block_hash]).encode()
        return base64.urlsafe_b64encode(self._tag(scope, payload) + payload).decode().rstrip("=")

    def read(self, scope: str, cursor: str) -> Position:
        """Return the position of a cursor.

        Raises:
            CursorError: this server did not make it, or for another list.
        """
        try:
            data = base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4))
        except (binascii.Error, ValueError) as error:
            raise CursorError(f"the cursor {cursor[:40]!r} is not one; start again without it") from error
        tag, payload = data[:_TAG_BYTES], data[_TAG_BYTES:]
        if not hmac.compare_digest(tag, self._tag(scope, payload)):
            raise CursorError("the cursor belongs to another list or filter; start again without it")
        key, number, block_hash = _parsed(payload)
        return Position(tuple(key), number, block_hash)

    def _tag(self, scope: str, payload: bytes) -> bytes:
        return hmac.digest(self._secret, scope.encode() + b"\n" + payload, hashlib.sha256)[:_TAG_BYTES]


def _parsed(payload: bytes) -> Any:
    return json.loads(payload)  # it carried our tag, so it is what `write` made


def open_cursor_key(path: Path) -> CursorKey:
    """Return the key in a file, made when it is not there, so that cursors outlive a restart.

    Raises:
        StoreError: the file can be neither read nor made.
    """
    try:
        if not path.exists():
            _make_secret(path)
        secret = path.read_bytes()
    except OSError as error:
        raise StoreError(f"the cursor key {path} cannot be used: {error.strerror}") from error
    if len(secret) != 32:
        raise StoreError(f"the cursor key {path} has {len(secret)} bytes, not 32; delete it")
    return CursorKey(secret)


def _make_secret(path: Path) -> None:
    descriptor, name = tempfile.mkstemp(dir=path.parent)  # mode 0600
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(os.urandom(32))
        with suppress(FileExistsError):  # another server was first; its key counts
            os.link(name, path)
    finally:
        os.unlink(name)
