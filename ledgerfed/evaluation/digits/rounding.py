"""From the workers' floats to the integers that the rules take."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from ledgerfed.aggregation.grid import GRID_BITS, Integers, Stack, on_grid, round_scale
from ledgerfed.errors import InvalidValueError
from ledgerfed.series.arrays import Floats

FINE: Final = 30
"""Workers send integers at 2^-30; the round's grid is coarser."""


@dataclass(frozen=True, slots=True, eq=False)
class Placed:
    """The updates of a round that fit its grid, and which nodes' they are, bool [n]."""

    stack: Stack
    fits: npt.NDArray[np.bool_]


def place(vectors: Floats, *, refuses: bool = True) -> Placed:
    """Return vectors [n, d] on the grid of the round.

    With `refuses` the lower median of the nodes' largest values chooses the grid and what does not fit is
    refused, as the federation does; without, the loudest chooses it, which is what a plain mean would take.

    Raises:
        InvalidValueError: a value is not finite or beyond 2^32.
    """
    if not (np.abs(vectors) < 1 << 32).all():
        raise InvalidValueError("a vector holds a value that is not finite or beyond 2^32; refuse it")
    fine = np.rint(vectors * (1 << FINE)).astype(np.int64)
    largest = np.abs(fine).max(axis=1)
    scale = round_scale(largest.tolist(), FINE) if refuses else _widest(int(largest.max()))
    fits = largest <= ((1 << GRID_BITS) - 1) << (FINE - scale)
    return Placed(Stack(on_grid(fine[fits], FINE, scale), scale), fits)


def as_floats(vector: Integers, scale: int) -> Floats:
    """Return an aggregate int64 [d] at 2^-scale as float64 [d]."""
    return np.ldexp(vector.astype(np.float64), -scale)


def _widest(largest: int) -> int:
    return FINE - max(0, largest.bit_length() - (GRID_BITS - 1))
