"""The small profile: a constrained node sends n and its autocovariances r_0..r_M, two bytes each.

Rules:
- r is that of the series in the node's own units (`series.standardise`: mean 0, variance 1), so neither its
  scale nor its mean leaves the node;
- a profile is positive definite, also after rounding; sums of such are, so that every model made of them is
  stable (Brockwell and Davis, Time Series: Theory and Methods, 8.2);
- n / s² times their Toeplitz matrix is information on lags, so these nodes and all others share one sum.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.information import Information
from ledgerfed.exchange.linear_prediction import coefficients, levinson
from ledgerfed.series.arrays import Floats, Integers, read_only_floats

SCALE = 14
"""Autocovariances travel as int16 at 2^-14: from -2 to just below 2, and r_0 is about 1."""
_LARGEST = (1 << 15) - 1


@dataclass(frozen=True, slots=True, eq=False)
class SmallProfile:
    """`n` values with the autocovariances `r` float64 [M + 1], positive definite; n > M."""

    n: int
    r: Floats

    def __post_init__(self) -> None:
        object.__setattr__(self, "r", read_only_floats("r", self.r, (len(self.r),)))
        levinson(self.r)
        if not self.n > self.lags:
            raise InvalidValueError(
                f"{self.n} values cannot tell {self.lags} lags from noise; send fewer lags"
            )

    @property
    def lags(self) -> int:
        """The number of lags M."""
        return len(self.r) - 1

    @property
    def s2(self) -> float:
        """The noise variance about the best AR(M), on n - M degrees of freedom."""
        return levinson(self.r).variance * self.n / (self.n - self.lags)

    def information(self, lags: Sequence[int]) -> Information:
        """Return what the profile says about a basis of these lags of the target and nothing else.

        RᵀR = n/s² · r_{|i-j|} and Rᵀz = n/s² · r_i over the lags i, j, with the noise s² about their fit.

        Raises:
            InvalidValueError: a lag is beyond those of the profile, or repeated.
        """
        chosen = np.asarray(lags, dtype=np.int64)
        if not chosen.size or len(set(lags)) != len(lags) or not 1 <= min(lags) <= max(lags) <= self.lags:
            raise InvalidValueError(f"the profile knows the lags 1..{self.lags}, asked for {list(lags)}")
        gram, moment = toeplitz(self.r)[np.ix_(chosen, chosen)], self.r[chosen]
        L = np.asarray(np.linalg.cholesky(gram), dtype=np.float64)
        z = np.asarray(np.linalg.solve(L, moment), dtype=np.float64)
        s2 = (float(self.r[0]) - float(z @ z)) * self.n / (self.n - len(chosen))
        scale = np.sqrt(self.n / s2)
        return Information(self.n, s2, scale * L.T, scale * z, float(self.n - len(chosen)))


def small_profile(y: Floats, lags: int) -> SmallProfile:
    """Return the profile of a standardised series y float64 [n] without gaps.

    r_j = Σ y_t y_{t-j} / n with no correction for the shorter sums, which would cost the definiteness.

    Raises:
        InvalidValueError: a value is missing, there are not more values than lags, or all are zero.
    """
    y = coefficients("the series (a gap has no small profile; send full information)", y)
    n = len(y)
    if not n > lags >= 1:
        raise InvalidValueError(f"{n} values have no {lags} lags; send a longer series or at least one lag")
    return SmallProfile(n, np.array([y[j:] @ y[: n - j] / n for j in range(lags + 1)]))


def quantise_profile(profile: SmallProfile) -> Integers:
    """Return r_0..r_M as integers at 2^-SCALE, each in int16; rounded half to even.

    Rounding may cost the definiteness. Adding c to r_0 adds c to every eigenvalue of the Toeplitz matrix, so
    r_0 is lifted until the smallest is at least one unit: white noise of at most (M + 2) 2^-SCALE.

    Raises:
        InvalidValueError: r_0 does not fit; the series is not standardised.
    """
    integers = np.rint(np.ldexp(profile.r, SCALE)).astype(np.int64)
    least = float(np.linalg.eigvalsh(toeplitz(integers.astype(np.float64))).min())
    integers[0] += max(0, int(np.ceil(1.0 - least)))
    if integers[0] > _LARGEST:
        raise InvalidValueError(f"r_0 is {profile.r[0]}, the small profile holds less than 2; standardise")
    return integers


def dequantise_profile(n: int, integers: Integers) -> SmallProfile:
    """Return the profile that the integers carry, exactly; raises InvalidValueError if it is none."""
    if np.abs(integers).max(initial=0) > _LARGEST:
        raise InvalidValueError(f"autocovariances travel in 16 bits, got {integers.tolist()}")
    return SmallProfile(n, np.ldexp(integers.astype(np.float64), -SCALE))


def combine(profiles: Sequence[SmallProfile], weights: Sequence[float]) -> Floats:
    """Return Σ w n r / s², float64 [M + 1]: the autocovariances of all series, each in units of its noise.

    Raises:
        InvalidValueError: nothing to combine, different lags, or a weight is negative or all are zero.
    """
    if len({profile.lags for profile in profiles}) != 1 or len(weights) != len(profiles):
        raise InvalidValueError(
            f"combining needs profiles of the same lags with a weight each, got the lags "
            f"{[profile.lags for profile in profiles]} and {len(weights)} weights"
        )
    if min(weights) < 0 or not sum(weights) > 0:
        raise InvalidValueError(f"weights must not be negative nor all zero, got {list(weights)}")
    scaled = [w * p.n / p.s2 * p.r for w, p in zip(weights, profiles, strict=True)]
    return np.asarray(np.sum(scaled, axis=0), dtype=np.float64)


def theta(r: Floats) -> Floats:
    """Return the coefficients [M] that autocovariances r [M + 1] give, always of a stable model."""
    return levinson(r).ar


def toeplitz(r: Floats) -> Floats:
    """Return the symmetric matrix r_{|i-j|}, [M + 1, M + 1]."""
    index = np.arange(len(r))
    return np.asarray(r[np.abs(index[:, None] - index)], dtype=np.float64)
