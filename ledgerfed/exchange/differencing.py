"""Differencing folded into an autoregression: (1 - B)^d (1 - B^s)^D times its polynomial, and back."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.linear_prediction import coefficients
from ledgerfed.protocol.hashing import require_range
from ledgerfed.series.arrays import Floats

_REMAINDER = 1e-7
"""What division may leave of a polynomial that the difference divides: the rounding of its coefficients."""


@dataclass(frozen=True, slots=True)
class Difference:
    """`regular` differences at lag 1 and `seasonal` ones at lag `season`."""

    regular: int = 0
    seasonal: int = 0
    season: int = 1

    def __post_init__(self) -> None:
        require_range("the regular differences", self.regular, 0, 4)
        require_range("the seasonal differences", self.seasonal, 0, 4)
        require_range("the season", self.season, 1, 1 << 16)

    @property
    def order(self) -> int:
        """How many lags it adds to an autoregression: d + s D."""
        return self.regular + self.season * self.seasonal

    def polynomial(self) -> Floats:
        """Return its coefficients at B^0, B^1, ..., float64 [order + 1]."""
        seasonal = np.zeros(self.season + 1)
        seasonal[0], seasonal[-1] = 1.0, -1.0
        product = np.ones(1)
        for factor in [np.array([1.0, -1.0])] * self.regular + [seasonal] * self.seasonal:
            product = np.convolve(product, factor)
        return product

    def fold(self, ar: ArrayLike) -> Floats:
        """Return the autoregression of the series from that of its difference: [p] to [p + order]."""
        stationary = np.concatenate([[1.0], -coefficients("the coefficients", ar)])
        return -np.convolve(stationary, self.polynomial())[1:]

    def unfold(self, ar: ArrayLike) -> Floats:
        """Return the autoregression of the difference from that of the series: [p + order] to [p].

        Raises:
            InvalidValueError: the autoregression has not these unit roots.
        """
        rest = np.concatenate([[1.0], -coefficients("the coefficients", ar)])
        divisor = self.polynomial()
        quotient = np.zeros(max(0, len(rest) - self.order))
        for power in range(len(quotient)):
            quotient[power] = rest[power]
            rest[power : power + len(divisor)] -= quotient[power] * divisor
        left = float(np.abs(rest).max())
        if not left <= _REMAINDER:
            raise InvalidValueError(
                f"{self} leaves {left} of the autoregression; it has not these unit roots"
            )
        return -quotient[1:]
