"""Arrays that ship with the package, pinned by digest: what a derivation wrote is what a reader gets."""

from __future__ import annotations

import hashlib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ledgerfed.errors import InvalidValueError, StoreError

Arrays = Mapping[str, np.ndarray[Any, Any]]
FOLDER = Path(__file__).parent / "data"


@dataclass(frozen=True, slots=True)
class Shipped:
    """An npz file: where it is, the names of its arrays in order, and their digest."""

    path: Path
    names: tuple[str, ...]
    sha256: str


def read_arrays(shipped: Shipped) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of the file.

    Raises:
        StoreError: no such file, not an npz of these arrays, or another digest than the pinned one.
    """
    try:
        with np.load(shipped.path, allow_pickle=False) as archive:
            arrays = {name: archive[name] for name in shipped.names}
    except (OSError, KeyError, ValueError, zipfile.BadZipFile) as error:
        raise StoreError(f"{shipped.path} cannot be read ({error}); reinstall ledgerfed") from error
    found = digest(arrays)
    if found != shipped.sha256:
        raise StoreError(
            f"{shipped.path} holds arrays with digest {found}, not {shipped.sha256}; reinstall ledgerfed"
        )
    return arrays


def write_arrays(shipped: Shipped, arrays: Arrays) -> None:
    """Write the arrays as compressed npz; raises InvalidValueError unless they are those of the file."""
    if tuple(arrays) != shipped.names:
        raise InvalidValueError(f"expected the arrays {shipped.names}, got {tuple(arrays)}")
    with shipped.path.open("wb") as out:
        np.savez_compressed(out, allow_pickle=False, **dict(arrays))


def digest(arrays: Arrays) -> str:
    """Return the SHA-256 over name, type, shape and little-endian values of each array, in order."""
    state = hashlib.sha256()
    for name, array in arrays.items():
        plain = np.ascontiguousarray(array, dtype=array.dtype.newbyteorder("<"))
        state.update(f"{name} {plain.dtype.str} {plain.shape}\n".encode())
        state.update(plain.tobytes())
    return state.hexdigest()
