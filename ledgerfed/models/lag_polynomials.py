"""Polynomials in the lag operator B as a search moves them: values together with their derivatives.

A factor 1 − Σ φᵢ Bⁱ has all roots outside the unit circle exactly when its partial autocorrelations lie in
(−1, 1), so searching in them keeps an autoregression stationary and a moving average invertible (Barndorff-
Nielsen & Schou 1973, J. Multivariate Analysis 3, 408-419).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from ledgerfed.models.orders import Order
from ledgerfed.series.arrays import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Polynomials:
    """The factors φ, Φ, θ, Θ of a model, and their products by lag: φΦ = 1 − Σ aₖ Bᵏ, θΘ = 1 + Σ bₖ Bᵏ.

    `factors` are the four lists of coefficients; `ar` and `ma` hold aₖ and bₖ by lag, in increasing order;
    `jacobian` is ∂(a, b) / ∂(partials), float64 [ar lags + ma lags, p + P + q + Q].
    """

    factors: tuple[list[float], list[float], list[float], list[float]]
    ar: dict[int, float]
    ma: dict[int, float]
    jacobian: Floats

    @property
    def ar_polynomial(self) -> Floats:
        """The coefficients of φΦ, the first is 1."""
        return dense(self.ar, -1.0)

    @property
    def ma_polynomial(self) -> Floats:
        """The coefficients of θΘ, the first is 1."""
        return dense(self.ma, 1.0)


def polynomials(order: Order, partials: Sequence[float]) -> Polynomials:
    """Return the polynomials with these partial autocorrelations of φ, Φ, −θ and −Θ, one after another."""
    ends = np.cumsum([0, order.p, order.P, order.q, order.Q]).tolist()
    parts = [step_up(partials[a:b]) for a, b in pairwise(ends)]
    (phi, phi_x), (big_phi, big_phi_x), (minus, minus_x), (big_minus, big_minus_x) = parts
    ar, ar_native = multiply(phi, big_phi, order.season)
    ma, ma_native = multiply(minus, big_minus, order.season)
    jacobian = np.zeros((len(ar) + len(ma), ends[-1]))
    jacobian[: len(ar), : ends[2]] = ar_native @ _blocks(phi_x, big_phi_x)
    jacobian[len(ar) :, ends[2] :] = -ma_native @ _blocks(minus_x, big_minus_x)
    theta, big_theta = [-value for value in minus], [-value for value in big_minus]
    return Polynomials((phi, big_phi, theta, big_theta), ar, {k: -v for k, v in ma.items()}, jacobian)


def step_up(partials: Sequence[float]) -> tuple[list[float], list[list[float]]]:
    """Return φ₁..φₚ from partial autocorrelations, and the Jacobian ∂φᵢ/∂kⱼ as rows i."""
    phi: list[float] = []
    jacobian: list[list[float]] = []
    for k in partials:
        turned = phi[::-1]
        jacobian = [
            [own - k * other for own, other in zip(row, back, strict=True)] + [-value]
            for row, back, value in zip(jacobian, jacobian[::-1], turned, strict=True)
        ]
        jacobian.append([0.0] * len(phi) + [1.0])
        phi = [own - k * other for own, other in zip(phi, turned, strict=True)] + [k]
    return phi, jacobian


def product_lags(short: int, seasonal: int, season: int) -> tuple[int, ...]:
    """Return the lags at which the product of a factor in B and a factor in B^season may differ from 0."""
    powers = {i + season * j for i in range(short + 1) for j in range(seasonal + 1)}
    return tuple(sorted(powers - {0}))


def multiply(
    short: Sequence[float], seasonal: Sequence[float], season: int
) -> tuple[dict[int, float], Floats]:
    """Return the product (1 − Σ φᵢ Bⁱ)(1 − Σ Φⱼ B^(season·j)) = 1 − Σ cₖ Bᵏ.

    Returns:
        the coefficients cₖ by lag, in increasing order, and ∂c/∂(φ, Φ) float64 [lags, p + P].
    """
    if not seasonal:
        return {i + 1: phi for i, phi in enumerate(short)}, np.eye(len(short))
    lags = product_lags(len(short), len(seasonal), season)
    row = {lag: i for i, lag in enumerate(lags)}
    values = dict.fromkeys(lags, 0.0)
    jacobian = np.zeros((len(lags), len(short) + len(seasonal)))
    for i, phi in enumerate(short):
        values[i + 1] += phi
        jacobian[row[i + 1], i] += 1.0
    for j, big in enumerate(seasonal):
        at = season * (j + 1)
        values[at] += big
        jacobian[row[at], len(short) + j] += 1.0
        for i, phi in enumerate(short):
            values[at + i + 1] -= phi * big
            jacobian[row[at + i + 1], i] -= big
            jacobian[row[at + i + 1], len(short) + j] -= phi
    return values, jacobian


def dense(coefficients: dict[int, float], sign: float) -> Floats:
    """Return 1 + sign · Σ cₖ Bᵏ as an array, float64 [largest lag + 1]."""
    polynomial = np.zeros(1 + max((0, *coefficients)))
    polynomial[0] = 1.0
    for lag, value in coefficients.items():
        polynomial[lag] = sign * value
    return polynomial


def _blocks(upper: list[list[float]], lower: list[list[float]]) -> Floats:
    n = len(upper)
    both = np.zeros((n + len(lower), n + len(lower)))
    if upper:
        both[:n, :n] = upper
    if lower:
        both[n:, n:] = lower
    return both
