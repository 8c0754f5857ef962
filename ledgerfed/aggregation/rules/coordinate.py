"""The rules that take every coordinate for itself, in integers: median and trimmed mean.

Source: Yin et al., ICML 2018 (arXiv 1803.01498). A block of columns is copied transposed, so that what is
sorted lies in a row: sorting whole short rows is faster than selecting in them, and than sorting down the
columns. The block size changes no bit of the result, nor does the order of the updates, so no tie needs
breaking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np

from ledgerfed.aggregation.grid import Integers, Values
from ledgerfed.aggregation.weights import divide_rounded
from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.rule import Rule, require_bound

BLOCK = 512
"""Columns that are sorted at a time: with hundreds of updates they fit the second-level cache."""


def median(values: Values, block: int = BLOCK) -> Integers:
    """Return the median of every coordinate, int64 [d] on the grid of the values.

    Of an even number of updates it is the mean of the two in the middle, rounded half to even.

    Args:
        values: int32 [n, d].
        block: columns sorted at a time.

    Raises:
        InvalidValueError: there is no update, or the values are no int32 matrix.
    """
    n = _rows(values)
    require_bound(Rule.MEDIAN, n, 0)
    low, high = (n - 1) // 2, n // 2

    def middle(ordered: Values) -> Integers:
        total = ordered[:, low].astype(np.int64) + ordered[:, high]
        return divide_rounded(total, 2)

    return _by_column(values, middle, block)


def trimmed_mean(values: Values, hostile: int, block: int = BLOCK) -> Integers:
    """Return the mean of every coordinate without its `hostile` smallest and largest values.

    It is one division, rounded half to even: int64 [d] on the grid of the values.

    Args:
        values: int32 [n, d].
        hostile: f, how many values are dropped at each end.
        block: columns sorted at a time.

    Raises:
        InvalidValueError: n < 2 f + 1, f is negative, or the values are no int32 matrix.
    """
    n = _rows(values)
    require_bound(Rule.TRIMMED_MEAN, n, hostile)

    def kept(ordered: Values) -> Integers:
        total = ordered[:, hostile : n - hostile].sum(axis=1, dtype=np.int64)
        return divide_rounded(total, n - 2 * hostile)

    return _by_column(values, kept, block)


def _rows(values: Values) -> int:
    if values.ndim != 2 or values.dtype != np.int32:
        shape = " x ".join(str(length) for length in values.shape)
        raise InvalidValueError(f"a coordinate rule needs an int32 matrix, got {values.dtype} of {shape}")
    return len(values)


def _by_column(values: Values, reduce: Callable[[Values], Integers], block: int) -> Integers:
    result = np.empty(values.shape[1], dtype=np.int64)
    for columns, ordered in _sorted_blocks(values, block):
        result[columns] = reduce(ordered)
    return result


def _sorted_blocks(values: Values, block: int) -> Iterator[tuple[slice, Values]]:
    """Yield columns and their values as rows in ascending order; the next block overwrites them."""
    if block < 1:
        raise InvalidValueError(f"a block has at least one column, got {block}")
    n, d = values.shape
    buffer = np.empty((min(block, d), n), dtype=np.int32)
    for start in range(0, d, block):
        columns = slice(start, min(start + block, d))
        rows = buffer[: columns.stop - start]
        rows[...] = values[:, columns].T
        rows.sort(axis=1)
        yield columns, rows
