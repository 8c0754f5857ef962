"""CUSUM of squared errors in integers: the fast alarm for an error that grew.

Page, "Continuous inspection schemes", Biometrika 41 (1954), one-sided; the in-control level is learnt on the
way (self-starting, Hawkins 1987, The Statistician 36). Rules:
- a squared error counts in units of the mean of those before it, and for no more than CAP of them: one
  outlier is no drift;
- the sum S grows by what exceeds 1 + `slack` and never falls below zero; S > `threshold` is an alarm, and
  the change is dated at the step after S last was zero;
- nothing is judged in the first `warmup` errors;
- the threshold is not guessed: `python -m ledgerfed.evaluation.drift_calibration` simulates what S comes to
  without drift.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.series.arrays import Integers

ONE: Final = 1 << 10
"""1 in the units of `slack`, `threshold` and the sum."""
CAP: Final = 9
"""A squared error counts for at most so many mean ones: three standard deviations."""

THRESHOLD: Final = 31_296
"""Exceeded once in twenty series of 1,000 errors without drift (Student's t, five degrees of freedom)."""


@dataclass(frozen=True, slots=True)
class CusumRule:
    """`slack` and `threshold` in units of 1/1024 of a mean squared error; `warmup` in errors.

    A slack of one half is the best against a doubled error (Page's reference value, half way between).
    """

    threshold: int = THRESHOLD
    slack: int = ONE // 2
    warmup: int = 30

    def __post_init__(self) -> None:
        if self.threshold < 1 or self.slack < 0 or self.warmup < 2:
            raise InvalidValueError(f"threshold >= 1, slack >= 0 and warmup >= 2 must hold, got {self}")


@dataclass(frozen=True, slots=True)
class Cusum:
    """The sum `above` after `seen` squared errors whose capped total is `total`; zero since `rising` ones."""

    rule: CusumRule
    seen: int = 0
    total: int = 0
    above: int = 0
    rising: int = 0

    @property
    def level(self) -> int:
        """The mean squared error so far in integer units, at least 1."""
        return max(1, self.total // max(1, self.seen))

    def update(self, square: int) -> tuple[Cusum, bool]:
        """Return the sum after one more squared error (an integer), and whether it is above the threshold."""
        if self.seen < self.rule.warmup:
            return Cusum(self.rule, self.seen + 1, self.total + square), False
        counted = min(square, CAP * self.level)
        above = max(0, self.above + counted * ONE // self.level - ONE - self.rule.slack)
        after = Cusum(self.rule, self.seen + 1, self.total + counted, above, self.rising + 1 if above else 0)
        return after, above > self.rule.threshold


def largest_sums(squares: Integers, slack: int, warmup: int) -> Integers:
    """Return the largest sum that each series reaches, int64 [series], with no threshold to stop it.

    `squares` int64 [series, T]; the same integers as `Cusum.update` step by step, for calibration.

    Raises:
        InvalidValueError: no value after the warm-up, or squares too large for 64 bits.
    """
    series, steps = squares.shape
    limit = (1 << 62) // max(ONE, steps)
    if not 0 < warmup < steps or int(squares.max()) > limit:
        raise InvalidValueError(
            f"need more than {warmup} squares of at most {limit}, got {steps} of up to {squares.max()}"
        )
    total = squares[:, :warmup].sum(axis=1)
    above = np.zeros(series, dtype=np.int64)
    largest = above
    for t in range(warmup, steps):
        level = np.maximum(1, total // t)
        counted = np.minimum(squares[:, t], CAP * level)
        above = np.maximum(0, above + counted * ONE // level - ONE - slack)
        largest = np.maximum(largest, above)
        total = total + counted
    return largest
