"""Orders of ARIMA models, the season of a basis, and the choice of an order on a node's own data.

The choice is by AICc (Hurvich & Tsai 1989, Biometrika 76, 297-307) over a small grid, on rows that all
candidates share; the same data choose the same order, and a tie goes to the smaller model.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Final

import numpy as np

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.exchange.basis import Basis
from ledgerfed.exchange.differencing import Difference
from ledgerfed.series.arrays import Floats

ROWS_PER_COEFFICIENT: Final = 5
"""How many residuals a coefficient needs: below that, estimates say more of noise than of the series."""
LEAST_ROWS: Final = 16
"""The fewest residuals from which anything is fitted."""
LARGEST: Final = 3
"""The largest p + q that is tried: with more, both sides begin to share roots."""
CLOSEST: Final = 0.99
"""How close to the unit circle a chosen model's inverse roots may come; see `near_unit_root`."""
_CYCLES: Final = {86_400: 7, 3_600: 24}
"""The natural season by grid period in seconds: a week of days, a day of hours."""


@dataclass(frozen=True, slots=True)
class Order:
    """The order (p, d, q)(P, D, Q) at `season`; a season of 0 means that there is none."""

    p: int = 0
    d: int = 0
    q: int = 0
    P: int = 0
    D: int = 0
    Q: int = 0
    season: int = 0

    def __post_init__(self) -> None:
        if min(self.numbers) < 0:
            raise InvalidValueError(f"orders are 0 or more, got {self}")
        if self.season < 2 and (self.P or self.D or self.Q):
            raise InvalidValueError(f"{self} has seasonal terms; a season of 2 or more must go with them")

    def __str__(self) -> str:
        seasonal = f"({self.P},{self.D},{self.Q})_{self.season}" if self.season else ""
        return f"({self.p},{self.d},{self.q}){seasonal}"

    @property
    def numbers(self) -> tuple[int, ...]:
        """The seven numbers, as they stand in the fields."""
        return (self.p, self.d, self.q, self.P, self.D, self.Q, self.season)

    @property
    def lost(self) -> int:
        """How many values the differences need before the first of them."""
        return self.d + self.season * self.D

    @property
    def difference(self) -> Floats:
        """The coefficients of (1 - B)^d (1 - B^season)^D, float64 [lost + 1]."""
        return Difference(self.d, self.D, max(1, self.season)).polynomial()

    @property
    def reach(self) -> int:
        """How many differences the autoregression looks back."""
        return self.p + self.season * self.P

    @property
    def has_mean(self) -> bool:
        """Whether there is a mean to estimate: where nothing is differenced."""
        return self.d + self.D == 0

    @property
    def size(self) -> int:
        """The number of coefficients: p + q + P + Q, and the mean where nothing is differenced."""
        return self.p + self.q + self.P + self.Q + self.has_mean


def season_of(basis: Basis) -> int:
    """Return the season of a basis in grid steps, 0 if it has none.

    Days have the season of a week and hours that of a day, if the basis speaks of it: by a lag of one season,
    or by terms of the weekday and lags that reach as far back.
    """
    season = _CYCLES.get(basis.period, 0)
    speaks = season in basis.lags or (season == 7 and bool(basis.calendar) and max((0, *basis.lags)) >= 7)
    return season if speaks else 0


def grid(p: int, q: int, season: int, differences: Iterable[int] = (0,)) -> tuple[Order, ...]:
    """Return the orders up to these with p + q at most LARGEST, the smallest first.

    With a season they are of the seasonal difference, with a moving average at the season, which undoes what
    differencing put in.
    """
    D = Q = int(season > 0)
    found = [
        Order(i, d, j, 0, D, Q, season)
        for d, i, j in product(differences, range(p + 1), range(q + 1))
        if i + j <= LARGEST
    ]
    return tuple(sorted(found, key=lambda order: (order.size, order.d, order.numbers)))


def aicc(criterion: float, n: int, coefficients: int) -> float:
    """Return the corrected Akaike criterion from −2 log L of `n` values; infinite if they are too few.

    The noise variance counts as one parameter more.
    """
    k = coefficients + 1
    if n <= k + 1 or n < ROWS_PER_COEFFICIENT * coefficients:
        return math.inf
    return criterion + 2 * k * n / (n - k - 1)


def near_unit_root(ar: Sequence[float], ma: Sequence[float], reverting: bool = True) -> bool:
    """Tell whether an inverse root of θ or φ lies beyond CLOSEST; if `reverting`, positive ones of φ may.

    Such a model follows the noise of its own rows: a cycle that never fades, or differences undone. A
    positive root of φ is slow reversion to the mean, which series do have, unless a difference could take its
    place. `auto.arima` of R's forecast refuses roots as close (Hyndman & Khandakar 2008, J. Statistical
    Software 27).
    """
    moving = np.roots([1.0, *ma])
    own = np.roots([1.0, *(-value for value in ar)])
    if reverting:
        own = own[(own.real <= 0) | (np.abs(own.imag) > 0)]
    return bool(np.abs(np.concatenate([moving, own])).max(initial=0.0) > CLOSEST)


def choose(family: str, candidates: Iterable[Order], criterion: Callable[[Order], float]) -> Order:
    """Return the order with the least criterion, the first such of `candidates`.

    A candidate whose criterion raises FitError takes no part.

    Raises:
        FitError: no candidate has a finite criterion; the message holds the first reason.
    """
    best, least, reason = None, math.inf, ""
    for order in candidates:
        try:
            value = criterion(order)
        except FitError as error:
            reason = reason or f": {error}"
            continue
        if value < least:
            best, least = order, value
    if best is None:
        raise FitError(f"{family!r} finds no order for so few rows; train on more{reason}")
    return best
