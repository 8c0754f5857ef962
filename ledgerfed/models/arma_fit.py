"""The estimates of an ARIMA, whichever criterion they come from."""

from __future__ import annotations

from dataclasses import dataclass

from ledgerfed.models.orders import Order


@dataclass(frozen=True, slots=True)
class ArmaFit:
    """Coefficients of φ(B) = 1 − φ₁B − …, Φ(B^s), θ(B) = 1 + θ₁B + … and Θ(B^s), and the noise variance `s2`.

    `mean` is that of the differences, of which `rows` in `runs` runs went in; `criterion` is −2 log of the
    (conditional or exact) likelihood, and `opening` what the first difference of every run contributes to it;
    `iterations` is how many steps the search took.
    """

    order: Order
    mean: float
    ar: tuple[float, ...]
    seasonal_ar: tuple[float, ...]
    ma: tuple[float, ...]
    seasonal_ma: tuple[float, ...]
    s2: float
    rows: int
    runs: int
    criterion: float
    opening: float
    iterations: int
