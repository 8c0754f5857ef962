"""Concept drift as a node sees it: did its forecaster's one-step errors grow, and since when?

Two detectors watch the same squared errors: ADWIN, which assumes nothing about them and is slow to be wrong,
and a calibrated CUSUM, which is quick. Rules:
- an error is rounded to multiples of 2^-20 of the node's standardised unit; from there on all is integers;
- a missing error (NaN) is skipped, never imputed;
- only errors that grew are drift: a forecaster that got better needs no new data;
- the first alarm is the last word: the node trains on the rows since the change, and watches the new
  forecaster with a new monitor.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from fractions import Fraction
from math import isfinite
from typing import Any, Final

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.series.adwin import Adwin, AdwinRule
from ledgerfed.series.arrays import Floats, Integers
from ledgerfed.series.cusum import CAP, ONE, Cusum, CusumRule

GRID_BITS: Final = 20
LARGEST: Final = 1 << 10
"""Errors beyond this many standardised units count as this many."""
ADWIN: Final = "adwin"
CUSUM: Final = "cusum"


@dataclass(frozen=True, slots=True)
class DriftRule:
    """Which detectors watch; None leaves one out.

    ADWIN sees squares in units of the mean of the first `warmup`, which it does not see.
    """

    adwin: AdwinRule | None = field(default_factory=lambda: AdwinRule(one=ONE))
    cusum: CusumRule | None = field(default_factory=CusumRule)
    warmup: int = 30

    def __post_init__(self) -> None:
        if self.adwin is None and self.cusum is None:
            raise InvalidValueError("no detector is left to watch for drift; give ADWIN or CUSUM a rule")
        if self.warmup < 2:
            raise InvalidValueError(f"the warm-up needs at least 2 errors, got {self.warmup}")


@dataclass(frozen=True, slots=True)
class DriftStatus:
    """Whether the errors grew, by whose word, and the row from which on they did (None without an alarm).

    `since` and `at`, the row of the alarm, count from 0.
    """

    alarm: bool = False
    since: int | None = None
    at: int | None = None
    detector: str | None = None


@dataclass(frozen=True, slots=True)
class DriftMonitor:
    """What a node knows after `seen` errors: `first` is the sum of the first squares in grid units.

    A plain value: `document` is what a node writes down before it stops, `from_document` goes on with it.
    """

    rule: DriftRule = field(default_factory=DriftRule)
    seen: int = 0
    first: int = 0
    adwin: Adwin | None = None
    cusum: Cusum | None = None
    status: DriftStatus = DriftStatus()

    def update(self, error: float) -> tuple[DriftMonitor, bool]:
        """Return the monitor after one more one-step error, and whether it has alarmed; once is for good.

        Raises:
            InvalidValueError: the error is not finite.
        """
        if not isfinite(error):
            raise InvalidValueError(f"a one-step error must be finite, got {error}; leave out missing ones")
        return self._after(round(min(max(error, -LARGEST), LARGEST) * (1 << GRID_BITS)) ** 2)

    def _after(self, square: int) -> tuple[DriftMonitor, bool]:
        if self.status.alarm:
            return self, True
        seen = self.seen + 1
        first = self.first + square if seen <= self.rule.warmup else self.first
        cusum, by_cusum = self._cusum(square)
        adwin, by_adwin = self._adwin(square)
        status = self.status
        if cusum is not None and by_cusum:
            status = DriftStatus(True, seen - cusum.rising, self.seen, CUSUM)
        elif adwin is not None and by_adwin:
            status = DriftStatus(True, seen - adwin.width, self.seen, ADWIN)
        return DriftMonitor(self.rule, seen, first, adwin, cusum, status), status.alarm

    def _cusum(self, square: int) -> tuple[Cusum | None, bool]:
        if self.rule.cusum is None:
            return None, False
        return (self.cusum or Cusum(self.rule.cusum)).update(square)

    def _adwin(self, square: int) -> tuple[Adwin | None, bool]:
        if self.rule.adwin is None or self.seen < self.rule.warmup:
            return None, False
        before = self.adwin or Adwin(self.rule.adwin)
        unit = max(1, self.first // self.rule.warmup)
        after, changed = before.update(min(CAP * ONE, square * ONE // unit))
        return after, changed and after.mean > before.mean

    def document(self) -> dict[str, Any]:
        """Return the monitor as a JSON-able document of integers, strings, booleans and null."""
        document = asdict(self)
        if self.rule.adwin is not None:
            delta = self.rule.adwin.delta
            document["rule"]["adwin"]["delta"] = [delta.numerator, delta.denominator]
        for name in (ADWIN, CUSUM):
            if document[name] is not None:
                del document[name]["rule"]
        if self.adwin is not None:
            document[ADWIN]["levels"] = [[list(bucket) for bucket in level] for level in self.adwin.levels]
        return document

    @staticmethod
    def from_document(document: Mapping[str, Any]) -> DriftMonitor:
        """Read a document back.

        Raises:
            InvalidValueError: keys are missing or unknown, or a value is not allowed.
        """
        try:
            rule = _rule(document["rule"])
            monitor = DriftMonitor(
                rule,
                document["seen"],
                document["first"],
                _adwin(rule.adwin, document[ADWIN]),
                None
                if rule.cusum is None or document[CUSUM] is None
                else Cusum(rule.cusum, **document[CUSUM]),
                DriftStatus(**document["status"]),
            )
        except (KeyError, TypeError, ValueError, ZeroDivisionError) as error:
            raise InvalidValueError(f"not the document of a drift monitor: {error!r}") from error
        if monitor.document() != document:
            raise InvalidValueError("the document holds more than a drift monitor; remove unknown keys")
        return monitor


def drift_status(errors: Floats, rule: DriftRule | None = None) -> DriftStatus:
    """Return what the detectors say about one forecaster's one-step errors, float64 [T], oldest first.

    The errors should be ones the forecaster made on rows it was not fitted on, in standardised units; NaN
    marks a missing one. `since` and `at` are places in `errors`. A node with an alarm trains on the rows from
    `since` on and flags its update.

    Raises:
        InvalidValueError: an error is infinite.
    """
    monitor = DriftMonitor(rule or DriftRule())
    places = np.flatnonzero(~np.isnan(errors))
    for place in places:
        monitor, alarm = monitor.update(float(errors[place]))
        if alarm:
            break
    status = monitor.status
    if status.since is None or status.at is None:
        return status
    return replace(status, since=int(places[status.since]), at=int(places[status.at]))


def squared_steps(errors: Floats) -> Integers:
    """Return the squares of `errors` on the grid, in units of 2^-40 of a standardised unit squared, int64."""
    clipped = np.clip(errors, -LARGEST, LARGEST)
    steps = np.rint(clipped * float(1 << GRID_BITS)).astype(np.int64)
    return np.asarray(steps * steps)


def _rule(document: Mapping[str, Any]) -> DriftRule:
    adwin, cusum = document[ADWIN], document[CUSUM]
    return DriftRule(
        None if adwin is None else AdwinRule(**{**adwin, "delta": Fraction(*adwin["delta"])}),
        None if cusum is None else CusumRule(**cusum),
        document["warmup"],
    )


def _adwin(rule: AdwinRule | None, document: Mapping[str, Any] | None) -> Adwin | None:
    if rule is None or document is None:
        return None
    levels = tuple(tuple((total, squares) for total, squares in level) for level in document["levels"])
    return Adwin(rule, document["seen"], levels)
