"""1,797 handwritten digits of 8 by 8 pixels (`data/digits.md`)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ledgerfed.datasets.shipped import FOLDER, Shipped, read_arrays
from ledgerfed.series.arrays import Floats

DIGITS: Final = Shipped(
    FOLDER / "digits.npz",
    ("pixels", "labels"),
    "93082938db9fb85fa001af14d4c5acf8c6996841800563daf630c7d0c5be3190",
)
"""The shipped file; the digest is what `derive_digits` prints."""
IMAGES: Final = 1_797
PIXELS: Final = 64
INK: Final = 16
"""The darkest pixel: one of the 4 by 4 dots that it counts."""
CLASSES: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class Digits:
    """The images in the order of the source.

    `pixels` float64 [1797, 64] in 0..1, row by row from the upper left; `labels` int64 [1797] in 0..9.
    """

    pixels: Floats
    labels: npt.NDArray[np.int64]


def load_digits() -> Digits:
    """Return the images.

    Raises:
        StoreError: the shipped file is missing or not the one that this release was made with.
    """
    arrays = read_arrays(DIGITS)
    return Digits(arrays["pixels"] / INK, arrays["labels"].astype(np.int64))
