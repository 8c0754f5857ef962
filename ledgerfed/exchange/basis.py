"""The shared basis: which lags, channels and calendar terms every regression row is made of.

Rules:
- the columns stand in this order: target lags, channel terms, calendar terms, intercept;
- the document names everything that gives a column its meaning, in integers and strings only; its hash is
  the basis id, the schema of every update on it;
- scales are not part of it: each node standardises with its own, and they never leave it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.canonical import document_hash
from ledgerfed.protocol.hashing import require_range

STANDARD = "standard"
ANY = "any"
WEEKDAYS = tuple(f"weekday:{day}" for day in range(7))
"""Calendar terms: 1 on that day of the week, Monday is 0; known ahead."""
_MAX_LAG = 1 << 16


@dataclass(frozen=True, slots=True)
class ChannelTerm:
    """A column made of channels of one modality, `lag` grid steps back.

    `standard` takes one channel in units of the node's own spread; `any` takes several and is 1 where at
    least one of them is not zero, else 0.
    """

    modality: str
    channels: tuple[str, ...]
    lag: int
    transform: str = STANDARD

    def __post_init__(self) -> None:
        require_range(f"the lag of {self.modality!r}", self.lag, 0, _MAX_LAG)
        if self.transform not in (STANDARD, ANY):
            raise InvalidValueError(f"a transform is {STANDARD!r} or {ANY!r}, got {self.transform!r}")
        if not self.channels or (self.transform == STANDARD and len(self.channels) > 1):
            raise InvalidValueError(f"{self.transform!r} cannot take the channels {list(self.channels)}")

    @property
    def name(self) -> str:
        """The column's name, such as `weather/temp@1`."""
        return f"{self.modality}/{'|'.join(self.channels)}@{self.lag}"


@dataclass(frozen=True, slots=True)
class Basis:
    """The columns of a design: `target` in `unit` on a grid of `period` seconds, and what explains it."""

    target: str
    unit: str
    period: int
    lags: tuple[int, ...]
    channels: tuple[ChannelTerm, ...] = ()
    calendar: tuple[str, ...] = ()
    intercept: bool = True

    def __post_init__(self) -> None:
        require_range("the period of a basis", self.period, 1, 1 << 40)
        for lag in self.lags:
            require_range("a lag of the target", lag, 1, _MAX_LAG)
        for term in self.calendar:
            if term not in WEEKDAYS:
                raise InvalidValueError(f"no calendar term {term!r}; one of {list(WEEKDAYS)}")
        if not self.names or len(set(self.names)) != len(self.names):
            raise InvalidValueError(f"a basis needs different columns, got {list(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the columns, in order."""
        lags = tuple(f"{self.target}@{lag}" for lag in self.lags)
        channels = tuple(term.name for term in self.channels)
        return lags + channels + self.calendar + (("intercept",) if self.intercept else ())

    @property
    def width(self) -> int:
        """The number of columns d."""
        return len(self.names)

    @property
    def reach(self) -> int:
        """How many grid steps a row looks back."""
        return max((0, *self.lags, *(term.lag for term in self.channels)))

    @property
    def basis_id(self) -> bytes:
        """The keccak-256 of the canonical document (32 bytes)."""
        return document_hash(self.document())

    def document(self) -> dict[str, Any]:
        """Return the basis as a JSON-able document of integers, strings and booleans."""
        return {
            "calendar": list(self.calendar),
            "channels": [
                {
                    "channels": list(term.channels),
                    "lag": term.lag,
                    "modality": term.modality,
                    "transform": term.transform,
                }
                for term in self.channels
            ],
            "intercept": self.intercept,
            "period": self.period,
            "target": {"lags": list(self.lags), "name": self.target, "unit": self.unit},
        }

    @staticmethod
    def from_document(document: Mapping[str, Any]) -> Basis:
        """Read a document back.

        Raises:
            InvalidValueError: keys are missing or unknown, or a value is not allowed.
        """
        try:
            target = document["target"]
            basis = Basis(
                target["name"],
                target["unit"],
                document["period"],
                tuple(target["lags"]),
                tuple(
                    ChannelTerm(t["modality"], tuple(t["channels"]), t["lag"], t["transform"])
                    for t in document["channels"]
                ),
                tuple(document["calendar"]),
                document["intercept"],
            )
        except (KeyError, TypeError) as error:
            raise InvalidValueError(f"not the document of a basis: {error!r}") from error
        if basis.document() != document:
            raise InvalidValueError("the document of the basis holds more than a basis; remove unknown keys")
        return basis
