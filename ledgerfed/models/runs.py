"""Runs of consecutive differences side by side, and where a search over them starts."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Final

import numpy as np

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.exchange.linear_prediction import step_down
from ledgerfed.models.orders import LEAST_ROWS, ROWS_PER_COEFFICIENT, Order
from ledgerfed.series.arrays import Floats, Integers

_START_BOUND: Final = 0.9
_RIDGE: Final = 2.0**-40


@dataclass(frozen=True, slots=True, eq=False)
class Runs:
    """Differences `w` float64 [runs, longest], filled up with 0 behind the `lengths` int64 [runs]."""

    w: Floats
    lengths: Integers

    def mask(self, skip: int) -> Floats:
        """Return 1 where a run has a value, else 0, float64 [runs, longest - skip], from place `skip` on."""
        places = np.arange(self.w.shape[1] - skip)
        return np.asarray(places < (self.lengths - skip)[:, None], dtype=np.float64)

    def lagged(self, skip: int, lags: tuple[int, ...]) -> Floats:
        """Return w at the lags (at most `skip`) from place `skip` on, [lags, runs, longest - skip]."""
        length = self.w.shape[1]
        columns = np.empty((len(lags), len(self.w), length - skip))
        for column, lag in zip(columns, lags, strict=True):
            column[:] = self.w[:, skip - lag : length - lag]
        # a run alone fills its row
        return columns if len(self.w) == 1 else columns * self.mask(skip)


def runs_of(y: Floats, order: Order, skip: int) -> Runs:
    """Return the runs of differences of y float64 [T] that are longer than `skip`.

    Raises:
        FitError: they give too few residuals for the coefficients.
        InvalidValueError: y is not one-dimensional.
    """
    if y.ndim != 1:
        raise InvalidValueError(f"a series has one dimension, got the shape {y.shape}")
    w = differenced(y, order)
    pieces = [piece for piece in _pieces(w) if len(piece) > skip]
    rows = sum(len(piece) - skip for piece in pieces)
    needed = max(LEAST_ROWS, ROWS_PER_COEFFICIENT * order.size)
    if rows < needed:
        raise FitError(
            f"ARIMA{order} needs {needed} values behind each other, found {rows}; "
            "train on more or a smaller order"
        )
    lengths = np.array([len(piece) for piece in pieces])
    stacked = np.zeros((len(pieces), int(lengths.max())))
    for row, piece in zip(stacked, pieces, strict=True):
        row[: len(piece)] = piece
    return Runs(stacked, lengths)


def differenced(y: Floats, order: Order) -> Floats:
    """Return (1 − B)^d (1 − B^s)^D y, float64 [T], NaN where one of the values is missing."""
    if not order.lost:
        return y
    w = np.full(len(y), np.nan)
    n = max(0, len(y) - order.lost)
    w[order.lost :] = 0.0
    polynomial = order.difference
    for lag in np.flatnonzero(polynomial):
        w[order.lost :] += polynomial[lag] * y[order.lost - lag : order.lost - lag + n]
    return w


def hannan_rissanen(runs: Runs, order: Order) -> Floats:
    """Return a constant (where nothing is differenced) and partial autocorrelations of φ, Φ, −θ, −Θ.

    The residuals of a long autoregression stand in for the noise in a regression (Hannan & Rissanen 1982,
    Biometrika 69, 81-94). Cross terms of seasonal products are left to the search that starts here; where
    rows are too few, it starts at 0.
    """
    first, start = int(order.has_mean), np.zeros(order.size)
    own = (*range(1, order.p + 1), *(order.season * (i + 1) for i in range(order.P)))
    noise = (*range(1, order.q + 1), *(order.season * (i + 1) for i in range(order.Q)))
    rows = int(runs.lengths.sum())
    long = min(8 + max(noise), max(1, rows // (4 * len(runs.lengths)))) if noise else 0
    skip = max((long, *own))
    if not order.size or np.maximum(runs.lengths - skip, 0).sum() < 2 * order.size:
        return start
    mask = runs.mask(skip)
    columns = [runs.lagged(skip, (0,)), *[mask[None]] * first]
    if own:
        columns.append(runs.lagged(skip, own))
    if noise:
        columns.append(_past_noise(runs, long, skip, noise) * mask)
    theta = _regress(np.concatenate(columns).reshape(1 + order.size, -1))
    ends = np.cumsum([first, order.p, order.P, order.q, order.Q])
    start[:first] = theta[:first]
    for part, (a, b) in enumerate(pairwise(ends.tolist())):
        if b > a:
            start[a:b] = step_down(theta[a:b] if part < 2 else -theta[a:b], _START_BOUND)
    return start


def _pieces(w: Floats) -> list[Floats]:
    present = np.isfinite(w)
    if present.all():
        return [w]
    steps = np.diff(np.concatenate([[0], present.astype(np.int8), [0]]))
    starts, stops = np.flatnonzero(steps == 1), np.flatnonzero(steps == -1)
    return [w[start:stop] for start, stop in zip(starts, stops, strict=True)]


def _past_noise(runs: Runs, long: int, skip: int, lags: tuple[int, ...]) -> Floats:
    columns = runs.lagged(long, tuple(range(long + 1)))
    columns = np.concatenate([columns, runs.mask(long)[None]]).reshape(long + 2, -1)
    residuals = np.zeros_like(runs.w)
    residuals[:, long:] = (columns[0] - _regress(columns) @ columns[1:]).reshape(len(runs.w), -1)
    length = runs.w.shape[1]
    past = np.zeros((len(lags), len(runs.w), length - skip))
    for row, lag in zip(past, lags, strict=True):
        back = min(max(0, lag - skip), length - skip)
        row[:, back:] = residuals[:, skip - lag + back : max(0, length - lag)]
    return past


def _regress(columns: Floats) -> Floats:
    """Return least squares of the first row on the others, by normal equations: a start needs no more."""
    gram = columns[1:] @ columns[1:].T
    diagonal = np.einsum("ii->i", gram)
    diagonal += _RIDGE * (1.0 + diagonal)
    return np.asarray(np.linalg.solve(gram, columns[1:] @ columns[0]), dtype=np.float64)
