"""Derive `data/digits.npz` from a wheel of scikit-learn 1.9.1 (provenance: `data/digits.md`).

    pip download --no-deps --only-binary :all: --python-version 3.11 \\
        --platform manylinux_2_27_x86_64 scikit-learn==1.9.1
    python -m ledgerfed.datasets.derive_digits scikit_learn-1.9.1-cp311-cp311-manylinux_2_27_x86_64*.whl

The source is a compressed table of text without a header: 64 pixels and the digit a row. Nothing is changed.
"""

from __future__ import annotations

import gzip
import sys
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from ledgerfed.datasets.digits import CLASSES, DIGITS, IMAGES, INK, PIXELS
from ledgerfed.datasets.shipped import Arrays
from ledgerfed.datasets.wheel import Member, derive_file, read_member
from ledgerfed.errors import InvalidValueError

SOURCE: Final = Member(
    "scikit-learn 1.9.1",
    "52a0703bbc07ad27f560fa63fa68e4c54dd735bfbbf65b4dd3c225dc7547b6df",
    "sklearn/datasets/data/digits.csv.gz",
    "09f66e6debdee2cd2b5ae59e0d6abbb73fc2b0e0185d2e1957e9ebb51e23aa22",
)


def read_source(wheel: bytes) -> npt.NDArray[np.int64]:
    """Return the source table, int64 [rows, 65].

    Raises:
        InvalidValueError: the wheel or its member is not the pinned one, or a row is not 65 integers.
    """
    return parse(gzip.decompress(read_member(wheel, SOURCE)).decode("ascii").splitlines())


def parse(lines: list[str]) -> npt.NDArray[np.int64]:
    """Return the rows of the text, int64 [rows, 65]; raises InvalidValueError for a row of anything else."""
    rows = [line.split(",") for line in lines]
    for number, row in enumerate(rows, 1):
        if len(row) != PIXELS + 1 or not all(cell.isdecimal() for cell in row):
            raise InvalidValueError(
                f"line {number} is not {PIXELS} pixels and a digit; the source has changed"
            )
    return np.array(rows, dtype=np.int64)


def derive(table: npt.NDArray[np.int64]) -> dict[str, np.ndarray[Any, Any]]:
    """Return the arrays of `digits.npz` from the source table.

    Raises:
        InvalidValueError: a pixel is not in 0..16 or a label not in 0..9.
    """
    pixels, labels = table[:, :PIXELS], table[:, PIXELS]
    if not (0 <= pixels.min() <= pixels.max() <= INK and 0 <= labels.min() <= labels.max() < CLASSES):
        raise InvalidValueError(f"a pixel is not in 0..{INK} or a label not in 0..{CLASSES - 1}")
    return {"pixels": pixels.astype(np.uint8), "labels": labels.astype(np.uint8)}


def main(arguments: list[str]) -> int:
    """Derive the file from the wheel named in `arguments`; return the exit code."""
    return derive_file(arguments, "ledgerfed.datasets.derive_digits", DIGITS, _make)


def _make(wheel: bytes) -> tuple[Arrays, list[str]]:
    arrays = derive(read_source(wheel))
    counts = np.bincount(arrays["labels"], minlength=CLASSES)
    if counts.sum() != IMAGES:
        raise InvalidValueError(f"{counts.sum()} images, expected {IMAGES}")
    return arrays, [f"{IMAGES} images, {counts.min()} to {counts.max()} of a digit"]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
