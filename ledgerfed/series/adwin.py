"""ADWIN in integers: a window that drops its oldest part once its mean has changed.

Bifet & Gavaldà, "Learning from time-changing data with adaptive windowing", SDM 2007 (ADWIN2, with the
variance bound). Rules:
- values are integers; `one` of the rule says how many of them make 1, the range the bound is stated for;
- the window is an exponential histogram: level i holds up to `per_level` buckets of 2^i values, each as sum
  and sum of squares, so that mean and variance of any cut are exact;
- ln is taken by `decimal`, which rounds correctly, and the cut is decided in integers: the same values give
  the same alarms on every machine.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from decimal import Context, Decimal
from fractions import Fraction
from functools import lru_cache
from typing import Final

from ledgerfed.errors import InvalidValueError

Bucket = tuple[int, int]
"""Sum and sum of squares of the values of one bucket."""
Level = tuple[Bucket, ...]

_DECIMAL: Final = Context(prec=30)
_LOG_BITS: Final = 40


@dataclass(frozen=True, slots=True)
class AdwinRule:
    """When a cut counts: confidence `delta`, looked at every `clock` values, none in the first `grace`.

    Either side of a cut holds at least `shortest` values; the defaults are those of river 0.26.
    """

    delta: Fraction = Fraction(1, 500)
    clock: int = 32
    per_level: int = 5
    shortest: int = 5
    grace: int = 10
    one: int = 1

    def __post_init__(self) -> None:
        if not 0 < self.delta < 1:
            raise InvalidValueError(f"delta must lie between 0 and 1, got {self.delta}")
        if min(self.clock, self.per_level - 1, self.shortest, self.grace, self.one) < 1:
            raise InvalidValueError(
                f"clock, shortest, grace and one must be at least 1 and per_level 2, got {self}"
            )


@dataclass(frozen=True, slots=True)
class Adwin:
    """The window after `seen` values; `levels[i]` holds the buckets of 2^i values, oldest first.

    A plain value: what a node writes down before it stops is what it goes on with.
    """

    rule: AdwinRule = field(default_factory=AdwinRule)
    seen: int = 0
    levels: tuple[Level, ...] = ((),)

    @property
    def width(self) -> int:
        """The number of values in the window."""
        return sum(len(level) << i for i, level in enumerate(self.levels))

    @property
    def mean(self) -> Fraction:
        """The mean of the window in integer units; 0 when it is empty."""
        return Fraction(sum(total for level in self.levels for total, _ in level), max(1, self.width))

    def update(self, value: int) -> tuple[Adwin, bool]:
        """Return the window with one more value, and whether older values had to be dropped for it."""
        levels = _compress(_append(self.levels, (value, value * value)), self.rule.per_level)
        seen = self.seen + 1
        kept = levels
        if seen % self.rule.clock == 0 and self.width >= self.rule.grace:
            while _changed(kept, self.rule):
                kept = _without_oldest(kept)
        return Adwin(self.rule, seen, kept), kept is not levels


def _append(levels: tuple[Level, ...], bucket: Bucket) -> tuple[Level, ...]:
    return ((*levels[0], bucket), *levels[1:])


def _compress(levels: tuple[Level, ...], per_level: int) -> tuple[Level, ...]:
    i = 0
    while len(levels[i]) > per_level:
        (sum_a, squares_a), (sum_b, squares_b), *rest = levels[i]
        merged = (sum_a + sum_b, squares_a + squares_b)
        above = levels[i + 1] if i + 1 < len(levels) else ()
        levels = (*levels[:i], tuple(rest), (*above, merged), *levels[i + 2 :])
        i += 1
    return levels


def _without_oldest(levels: tuple[Level, ...]) -> tuple[Level, ...]:
    last = levels[-1][1:]
    return (*levels[:-1], last) if last or len(levels) == 1 else levels[:-1]


def _changed(levels: tuple[Level, ...], rule: AdwinRule) -> bool:
    """Return whether some cut of the window separates two means."""
    buckets = [(1 << i, *bucket) for i in range(len(levels) - 1, -1, -1) for bucket in levels[i]]
    width, total, squares = (sum(column) for column in zip(*buckets, strict=True))
    spread = width * squares - total * total  # width² times the variance
    old_width = old_total = 0
    for size, part, _ in buckets:
        old_width += size
        old_total += part
        if min(old_width, width - old_width) >= rule.shortest and _separates(
            old_width, old_total, width, total, spread, rule
        ):
            return True
    return False


def _separates(n0: int, u0: int, n: int, u: int, spread: int, rule: AdwinRule) -> bool:
    """Return |mean₀ - mean₁| > √(2 m σ² L) + ⅔ m L without a division.

    m = 1/(n₀ - shortest + 1) + 1/(n₁ - shortest + 1) = p/q, σ² = spread / n²,
    L = ln(2 ln n / δ) = log / 2^40.
    """
    n1, log = n - n0, _log(n, rule.delta)
    a, b = n0 - rule.shortest + 1, n1 - rule.shortest + 1
    p, q = a + b, a * b
    scale = 3 * q << _LOG_BITS
    left = abs(u0 * n1 - (u - u0) * n0) * scale - 2 * p * log * rule.one * n0 * n1
    if left <= 0:
        return False
    # left / (n₀ n₁ scale) > √(2 p log spread / (q 2^40 n²)), both sides squared
    return (left * n) ** 2 * (q << _LOG_BITS) > 2 * p * log * spread * (n0 * n1 * scale) ** 2


@lru_cache(maxsize=4096)
def _log(width: int, delta: Fraction) -> int:
    """Return ln(2 ln(width) / delta) in units of 2^-40, rounded half to even."""
    inner = _DECIMAL.ln(Decimal(width))
    ratio = _DECIMAL.divide(
        _DECIMAL.multiply(inner, Decimal(2 * delta.denominator)), Decimal(delta.numerator)
    )
    return int(_DECIMAL.multiply(_DECIMAL.ln(ratio), Decimal(1 << _LOG_BITS)).to_integral_value())
