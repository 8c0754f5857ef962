"""Updates of one round on one grid of small integers, which is what the robust rules compute with.

Rules:
- an entry is `q * 2^-scale` with |q| < 2^17, so that a product has 34 bits and 2^19 - 1 of them sum below
  2^53;
- the scale of a round follows from the lower median of the nodes' largest values, with fixed headroom: with
  fewer than half of them hostile, no loud or silent vector chooses the resolution for everybody;
- an update that does not fit the grid is refused by name before a rule runs; nothing is clipped or wraps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.fixedpoint import shift_half_even
from ledgerfed.protocol.hashing import require_range
from ledgerfed.protocol.score import lower_median

GRID_BITS = 17
HEADROOM_BITS = 3
"""An update may hold values 2^3 times as large as the lower median of the nodes' largest ones, at least."""
SCALE_MAX = 62

Values = npt.NDArray[np.int32]
Integers = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Stack:
    """The updates of a round: `values` int32 [n, d], C-contiguous, |q| < 2^17; an entry is q * 2^-scale."""

    values: Values
    scale: int

    def __post_init__(self) -> None:
        require_range("the scale of a stack", self.scale, -SCALE_MAX, SCALE_MAX)
        require_values(self.values)


def require_values(values: Values) -> None:
    """Check that `values` are rows on the grid.

    Raises:
        InvalidValueError: not a C-contiguous int32 matrix with rows and columns, or a value outside the grid.
    """
    if values.dtype != np.int32 or values.ndim != 2 or 0 in values.shape:
        raise InvalidValueError(f"a stack is an int32 matrix with rows and columns, got {_described(values)}")
    if not values.flags.c_contiguous:
        raise InvalidValueError("the rows of a stack must be contiguous; make a copy with order='C'")
    largest = max(int(values.max()), -int(values.min()))
    if largest >> GRID_BITS:
        raise InvalidValueError(f"{largest} does not fit {GRID_BITS} bits; put the updates on a coarser grid")


def round_scale(largest: Sequence[int], scale: int) -> int:
    """Return the binary scale of a round's grid, at most `scale`.

    Args:
        largest: the largest absolute value of every update, as integers at `scale`.
        scale: the binary scale that the updates come in.

    Raises:
        InvalidValueError: there are no updates, or a largest absolute value is negative.
    """
    if any(value < 0 for value in largest):
        raise InvalidValueError(f"a largest absolute value must not be negative, got {min(largest)}")
    excess = lower_median(largest).bit_length() - (GRID_BITS - HEADROOM_BITS)
    return scale - max(0, excess)


def on_grid(vectors: Integers, scale: int, target_scale: int) -> Values:
    """Return int64 vectors [n, d] at `scale` on the grid at `target_scale`, rounded half to even.

    Raises:
        InvalidValueError: a row does not fit |q| < 2^17, or the scales are more than 62 bits apart.
    """
    if vectors.dtype != np.int64 or vectors.ndim != 2:
        raise InvalidValueError(f"vectors must be an int64 matrix, got {_described(vectors)}")
    shift = require_range("the distance of two scales", scale - target_scale, -SCALE_MAX, SCALE_MAX)
    placed = np.empty(vectors.shape, np.int32)
    for row, vector in enumerate(vectors):
        _require_fit(row, vector, shift)
        placed[row] = vector << -shift if shift <= 0 else round_shift(vector, shift)
    return placed


def _require_fit(row: int, vector: Integers, shift: int) -> None:
    """The extremes are rounded as Python integers: rounding is monotone, so all between them fit as well."""
    for extreme in (int(vector.max(initial=0)), int(vector.min(initial=0))):
        if abs(shift_half_even(extreme, shift)) >> GRID_BITS:
            raise InvalidValueError(
                f"row {row} holds {extreme}; {shift} bits coarser it is no {GRID_BITS}-bit value: refuse it"
            )


def round_shift(values: Integers, bits: int) -> Integers:
    """Return int64 values * 2^-bits rounded half to even, for bits from 1 to 62; no int64 overflows."""
    floor = values >> bits
    rest = values - (floor << bits)
    half = 1 << (bits - 1)
    rounded: Integers = floor + ((rest > half) | ((rest == half) & ((floor & 1) == 1)))
    return rounded


def _described(array: npt.NDArray[np.generic]) -> str:
    return f"{array.dtype} {list(array.shape)}"
