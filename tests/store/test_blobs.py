from __future__ import annotations

from pathlib import Path

import pytest

from ledgerfed.errors import InvalidValueError, NotFoundError, StoreError
from ledgerfed.protocol.hashing import keccak
from ledgerfed.store import BlobStore


def test_a_blob_is_found_by_its_keccak(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    digest = blobs.put(b"payload")
    assert digest == keccak(b"payload")
    assert blobs.get(digest) == b"payload"
    assert (tmp_path / digest.hex()[:2] / digest.hex()[2:4] / digest.hex()).is_file()


def test_putting_twice_keeps_one_file(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    assert blobs.put(b"payload") == blobs.put(b"payload")
    assert [p.name for p in tmp_path.glob("??/??/*")] == [keccak(b"payload").hex()]
    assert list(blobs.digests()) == [keccak(b"payload")]


def test_a_damaged_blob_is_never_returned_and_putting_it_again_heals_it(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    digest = blobs.put(b"payload")
    next(tmp_path.glob("??/??/*")).write_bytes(b"paylord")
    with pytest.raises(StoreError, match="does not hold what its name says"):
        blobs.get(digest)
    blobs.put(b"payload")
    assert blobs.get(digest) == b"payload"


def test_a_blob_that_is_not_here_is_not_found(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path)
    assert not blobs.has(bytes(32))
    with pytest.raises(NotFoundError, match="ask another node"):
        blobs.get(bytes(32))


def test_a_blob_above_the_cap_is_refused(tmp_path: Path) -> None:
    blobs = BlobStore(tmp_path, max_bytes=4)
    blobs.put(b"four")
    with pytest.raises(InvalidValueError, match="at most 4 bytes, got 5"):
        blobs.put(b"fives")


def test_a_digest_of_another_length_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match="32 bytes"):
        BlobStore(tmp_path).get(b"../../etc/passwd")
