"""Content-addressed files: a blob is found by its keccak-256 and is what its name says."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ledgerfed.errors import InvalidValueError, NotFoundError, StoreError
from ledgerfed.protocol.hashing import keccak, require_hash

MAX_BLOB_BYTES = 1 << 26


class BlobStore:
    """Write-once files `ab/cd/<digest in hex>` under one directory.

    A blob is written to a temporary file, flushed to disk and renamed, so that a name never shows half a
    blob, whatever dies when.
    """

    def __init__(self, directory: Path, max_bytes: int = MAX_BLOB_BYTES) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        try:
            directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise StoreError(f"the blob directory {directory} cannot be made: {error.strerror}") from error

    def put(self, data: bytes) -> bytes:
        """Store a blob and return its digest; storing it again changes nothing.

        Raises:
            InvalidValueError: the blob is larger than the cap.
            StoreError: the disk refuses.
        """
        if len(data) > self._max_bytes:
            raise InvalidValueError(f"a blob has at most {self._max_bytes} bytes, got {len(data)}")
        digest = keccak(data)
        path = self._path(digest)
        if not self._holds(path, data):
            try:
                _write_once(path, data)
            except OSError as error:
                raise StoreError(f"the blob {digest.hex()} cannot be written: {error.strerror}") from error
        return digest

    def get(self, digest: bytes) -> bytes:
        """Return the blob with this digest.

        Raises:
            NotFoundError: it is not here.
            StoreError: the file holds other bytes than its name says.
        """
        path = self._path(digest)
        try:
            data = path.read_bytes()
        except FileNotFoundError as error:
            raise NotFoundError(
                f"the blob {digest.hex()} is not in this store; ask another node for it"
            ) from error
        except OSError as error:
            raise StoreError(f"the blob {path} cannot be read: {error.strerror}") from error
        if keccak(data) != digest:
            raise StoreError(
                f"the file {path} does not hold what its name says; delete it and fetch the blob again"
            )
        return data

    def has(self, digest: bytes) -> bool:
        """Return whether a file with this name exists; its bytes are checked by `get`."""
        return self._path(digest).is_file()

    def digests(self) -> Iterator[bytes]:
        """Yield the digests of all blobs in ascending order."""
        for path in sorted(self._directory.glob("??/??/*")):
            if len(path.name) == 64:
                yield bytes.fromhex(path.name)

    def _path(self, digest: bytes) -> Path:
        name = require_hash("the digest of a blob", digest).hex()
        return self._directory / name[:2] / name[2:4] / name

    @staticmethod
    def _holds(path: Path, data: bytes) -> bool:
        """Whether the file is there and intact; a damaged one is written again."""
        try:
            return path.read_bytes() == data
        except OSError:
            return False


def _write_once(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    descriptor, name = tempfile.mkstemp(prefix=".blob-", dir=path.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(name, path)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    _sync_directory(path.parent)


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
