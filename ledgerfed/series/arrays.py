"""Read-only arrays: what a frozen value is made of."""

from __future__ import annotations

from typing import TypeVar

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ledgerfed.errors import InvalidValueError

Floats = NDArray[np.float64]
Booleans = NDArray[np.bool_]
Integers = NDArray[np.int64]
Times = NDArray[np.datetime64]
_T = TypeVar("_T", bound=np.generic)


def read_only_floats(name: str, values: ArrayLike, shape: tuple[int, ...]) -> Floats:
    """Return `values` as read-only float64 of `shape`; NaN means missing.

    Raises:
        InvalidValueError: another shape, or an infinite value; the message names the place.
    """
    array = _own(np.asarray(values, dtype=np.float64))
    if array.shape != shape:
        raise InvalidValueError(f"{name} must have the shape {shape}, got {array.shape}")
    if np.isinf(array).any():
        place = tuple(int(i) for i in np.argwhere(np.isinf(array))[0])
        raise InvalidValueError(f"{name} is infinite at {place}; leave what is missing as NaN")
    return array


def read_only_times(name: str, times: ArrayLike) -> Times:
    """Return `times` as read-only datetime64[s], one dimension, strictly increasing.

    Raises:
        InvalidValueError: empty, not one-dimensional, not a time somewhere, or not increasing.
    """
    array = _own(np.asarray(times, dtype="datetime64[s]"))
    if array.ndim != 1 or not array.size:
        raise InvalidValueError(f"{name} must be a list of at least one time, got the shape {array.shape}")
    if np.isnat(array).any():
        raise InvalidValueError(f"{name} has no time at {int(np.argmax(np.isnat(array)))}")
    steps = np.diff(array)
    if (steps <= np.timedelta64(0, "s")).any():
        at = int(np.argmax(steps <= np.timedelta64(0, "s")))
        raise InvalidValueError(f"{name} must increase, but {array[at]} is followed by {array[at + 1]}")
    return array


def _own(array: NDArray[_T]) -> NDArray[_T]:
    if not array.flags.writeable:
        return array
    array = array.copy()
    array.setflags(write=False)
    return array
