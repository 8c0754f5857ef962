"""The robust rules by name, and what each asks of the number of updates n and of hostile ones f among them.

A federation names its rule and f in its configuration, so both are part of every audited outcome. A rule that
is asked for outside its bound is an error before a round starts: too small an f is arbitrarily bad, too large
a one costs about f / (n - f) of the accuracy (arXiv 2510.04432). How each works is `ledgerfed.aggregation`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.canonical import fields
from ledgerfed.protocol.hashing import require_range


class Rule(StrEnum):
    """A robust rule. The first seven weigh whole updates, the last two take every coordinate for itself."""

    MEAN = "mean"
    REDESCENDING = "redescending"
    GEOMETRIC_MEDIAN = "geometric-median"
    KRUM = "krum"
    MULTI_KRUM = "multi-krum"
    MINIMUM_DIAMETER = "minimum-diameter"
    CENTERED_CLIPPING = "centered-clipping"
    COVARIANCE_FILTER = "covariance-filter"
    MEDIAN = "median"
    TRIMMED_MEAN = "trimmed-mean"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What a rule declares.

    `per_hostile` and `besides`: it needs n >= per_hostile * f + besides. `breakdown`: the share of hostile
    updates that it breaks down at, as a fraction (0 of 1 for the mean). `cost`: its time, in words.
    `weighs`: it gives every update a weight, instead of taking every coordinate for itself.
    """

    per_hostile: int
    besides: int
    breakdown: tuple[int, int]
    cost: str
    weighs: bool = True

    def least(self, hostile: int) -> int:
        """Return the smallest n that the rule is defined for."""
        return self.per_hostile * hostile + self.besides


_HALF = (1, 2)
DECLARATIONS: Mapping[Rule, Declaration] = {
    Rule.MEAN: Declaration(0, 1, (0, 1), "n d"),
    Rule.REDESCENDING: Declaration(2, 1, _HALF, "n d^3 + n^2 d^2"),
    Rule.GEOMETRIC_MEDIAN: Declaration(2, 1, _HALF, "n^2 d"),
    Rule.KRUM: Declaration(2, 3, _HALF, "n^2 d"),
    Rule.MULTI_KRUM: Declaration(2, 3, _HALF, "n^2 d"),
    Rule.MINIMUM_DIAMETER: Declaration(2, 1, _HALF, "n^2 d, and at worst exponential in f up to a budget"),
    Rule.CENTERED_CLIPPING: Declaration(2, 1, _HALF, "n^2 d"),
    Rule.COVARIANCE_FILTER: Declaration(2, 1, _HALF, "n^2 d + f n^2"),
    Rule.MEDIAN: Declaration(2, 1, _HALF, "n d log n", weighs=False),
    Rule.TRIMMED_MEAN: Declaration(2, 1, _HALF, "n d log n", weighs=False),
}


@dataclass(frozen=True, slots=True)
class Aggregation:
    """What a federation aggregates by: the rule, the number of hostile updates that it must stand, and
    whether every update is first averaged with its n - f nearest (nearest-neighbour mixing, Allouah et al.,
    AISTATS 2023)."""

    rule: Rule = Rule.REDESCENDING
    hostile: int = 0
    mixing: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.rule, Rule):
            raise InvalidValueError(f"the rule is one of {[*map(str, Rule)]}, got {self.rule!r}")
        require_range("the number of hostile updates", self.hostile, 0, 1 << 20)
        if not isinstance(self.mixing, bool):
            raise InvalidValueError(f"mixing must be true or false, got {self.mixing!r}")
        if self.mixing and self.rule is Rule.REDESCENDING:
            raise InvalidValueError(
                "redescending weights are taken of single updates; name another rule to mix"
            )

    def require(self, n: int) -> None:
        """Check that n updates are enough.

        Raises:
            InvalidValueError: the rule is not defined for so few.
        """
        require_bound(self.rule, n, self.hostile)

    def document(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {"rule": self.rule.value, "hostile": self.hostile, "mixing": self.mixing}

    @staticmethod
    def from_document(document: object) -> Aggregation:
        """Read the JSON object.

        Raises:
            InvalidValueError: unknown or missing keys, an unknown rule, a value out of range.
        """
        record = fields("aggregation", document, ("rule", "hostile", "mixing"))
        if record["rule"] not in [*Rule]:
            raise InvalidValueError(f"the rule is one of {[*map(str, Rule)]}, got {record['rule']!r}")
        return Aggregation(Rule(record["rule"]), record["hostile"], record["mixing"])


def require_bound(rule: Rule, n: int, hostile: int) -> None:
    """Check that `rule` is defined for n updates of which `hostile` may be anything.

    Raises:
        InvalidValueError: hostile is negative, n is too small, or the plain mean is to stand hostile updates.
    """
    if hostile < 0:
        raise InvalidValueError(f"the number of hostile updates must not be negative, got {hostile}")
    if rule is Rule.MEAN and hostile:
        raise InvalidValueError(
            f"the mean stands no hostile update, {hostile} were asked for; name another rule"
        )
    least = DECLARATIONS[rule].least(hostile)
    if n < least:
        raise InvalidValueError(
            f"{rule} with {hostile} hostile updates needs at least {least} in all, got {n}"
        )
