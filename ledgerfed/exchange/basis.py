"""The shared basis: which lags, channels and calendar terms every regression row is made of.

Rules:
- the columns stand in this order: target lags, channel terms, calendar terms, intercept;
- the document names everything that gives a column its meaning, in integers and strings only; its hash is
  the basis id, the schema of every update on it;
- target and channels are in units of the node's own mean and spread, which never leave it, unless the basis
  pins a public centre or scale (an instrument's range, a clinical reference): then a node that saw a channel
  stand still, or hardly at all, still speaks of the same thing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.canonical import document_hash
from ledgerfed.protocol.hashing import require_range

STANDARD = "standard"
ANY = "any"
HELD = "held"
OBSERVED = "observed"
AGE = "age"
MEAN = "mean"
SD = "sd"
TRANSFORMS = (STANDARD, ANY, HELD, OBSERVED, AGE, f"{MEAN}:k", f"{SD}:k")
WEEKDAYS = tuple(f"weekday:{day}" for day in range(7))
"""Calendar terms: 1 on that day of the week, Monday is 0; known ahead."""
CYCLES = {"day": 86_400, "week": 604_800, "year": 31_556_952}
"""Lengths in seconds of what a wave can follow; a day and a week begin at 00:00 UTC (of Monday)."""
MAX_HARMONIC = 12
WAVES = tuple(
    f"{wave}:{cycle}:{k}" for cycle in CYCLES for k in range(1, MAX_HARMONIC + 1) for wave in ("sin", "cos")
)
"""Calendar terms: sine and cosine that go round k times in a cycle; known ahead."""
MICRO = 1_000_000
"""What a pinned centre or scale counts in: millionths of the channel's unit."""
_MAX_LAG = 1 << 16
_MAX_SPAN = 1 << 10


def fourier(cycle: str, harmonics: int = 1) -> tuple[str, ...]:
    """Return the calendar terms of the first waves of a cycle, such as `sin:day:1` and `cos:day:1`.

    Raises:
        InvalidValueError: no such cycle, or not 1..12 harmonics.
    """
    require_range("the harmonics of a cycle", harmonics, 1, MAX_HARMONIC)
    if cycle not in CYCLES:
        raise InvalidValueError(f"no cycle {cycle!r}; one of {list(CYCLES)}")
    return tuple(f"{wave}:{cycle}:{k}" for k in range(1, harmonics + 1) for wave in ("sin", "cos"))


@dataclass(frozen=True, slots=True)
class ChannelTerm:
    """A column made of channels of one modality, `lag` grid steps back.

    Two transforms need a reading; a row without one is left out:

    - `standard` takes one channel in units of the node's own spread;
    - `any` takes several and is 1 where at least one of them is not zero, else 0.

    The others take one channel and are never missing, so that rarely measured channels, and modalities that
    some nodes lack, can be columns:

    - `held` is the value that stands at that lag in units of the node's own spread, cut at 4 of them, and 0,
      the node's mean, where nothing stands: use it together with a mask;
    - `observed`, the mask, is 1 where a reading stands, else 0;
    - `age` is 1 / (1 + periods since the reading): 1 when just read, falling to 0, which is also what it is
      where nothing stands, as if the reading were infinitely old;
    - `mean:k` and `sd:k` are mean and population deviation of `held` over those of the k grid steps ending at
      that lag where a reading stands, and 0 if it stands at none.

    `scale` and `centre`, in millionths of the channel's unit, replace the node's own spread and mean; the
    scale 0 and the centre None leave them.
    """

    modality: str
    channels: tuple[str, ...]
    lag: int
    transform: str = STANDARD
    scale: int = 0
    centre: int | None = None

    def __post_init__(self) -> None:
        _require_units(self.modality, self.scale, self.centre)
        require_range(f"the lag of {self.modality!r}", self.lag, 0, _MAX_LAG)
        kind, colon, steps = self.transform.partition(":")
        if kind in (MEAN, SD) and colon:
            if not steps.isdecimal() or str(int(steps)) != steps or not 2 <= int(steps) <= _MAX_SPAN:
                raise InvalidValueError(
                    f"{self.transform!r} needs 2..{_MAX_SPAN} grid steps behind the colon"
                )
        elif self.transform not in TRANSFORMS[:5]:
            raise InvalidValueError(f"a transform is one of {list(TRANSFORMS)}, got {self.transform!r}")
        if not self.channels or (self.transform != ANY and len(self.channels) > 1):
            raise InvalidValueError(f"{self.transform!r} cannot take the channels {list(self.channels)}")

    @property
    def kind(self) -> str:
        """The transform without its number of steps."""
        return self.transform.partition(":")[0]

    @property
    def span(self) -> int:
        """How many grid steps the column looks at, the last of them `lag` steps back."""
        steps = self.transform.partition(":")[2]
        return int(steps) if steps else 1

    @property
    def padded(self) -> bool:
        """Whether the column is 0, not missing, where nothing stands."""
        return self.transform not in (STANDARD, ANY)

    @property
    def name(self) -> str:
        """The column's name, such as `weather/temp@1` or `labs/lactate:age@1`."""
        suffix = f":{self.transform}" if self.padded else ""
        return f"{self.modality}/{'|'.join(self.channels)}{suffix}@{self.lag}"


def masked(modality: str, channel: str, lag: int) -> tuple[ChannelTerm, ...]:
    """Return the three columns `held`, `observed` and `age` of a channel that is often missing."""
    return tuple(ChannelTerm(modality, (channel,), lag, transform) for transform in (HELD, OBSERVED, AGE))


@dataclass(frozen=True, slots=True)
class Basis:
    """The columns of a design: `target` in `unit` on a grid of `period` seconds, and what explains it.

    Where a lag of the target is missing, the last value up to `hold` steps before it stands in; with 0, the
    default, such a row is left out. `scale` and `centre` pin the target's units as those of a `ChannelTerm`.
    """

    target: str
    unit: str
    period: int
    lags: tuple[int, ...]
    channels: tuple[ChannelTerm, ...] = ()
    calendar: tuple[str, ...] = ()
    intercept: bool = True
    hold: int = 0
    scale: int = 0
    centre: int | None = None

    def __post_init__(self) -> None:
        require_range("the period of a basis", self.period, 1, 1 << 40)
        _require_units(self.target, self.scale, self.centre)
        for lag in self.lags:
            require_range("a lag of the target", lag, 1, _MAX_LAG)
        for term in self.calendar:
            if term not in WEEKDAYS and term not in WAVES:
                raise InvalidValueError(
                    f"no calendar term {term!r}; one of {list(WEEKDAYS)} or such as {WAVES[0]!r}"
                )
        require_range("the hold of a basis", self.hold, 0, _MAX_LAG)
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
        lags = (lag + self.hold for lag in self.lags)
        return max((0, *lags, *(term.lag + term.span - 1 for term in self.channels)))

    @property
    def basis_id(self) -> bytes:
        """The keccak-256 of the canonical document (32 bytes)."""
        return document_hash(self.document())

    def at_horizon(self, steps: int) -> Basis:
        """Return the basis of direct forecasts `steps` grid steps ahead; 1 step is the basis itself.

        Lags of the target and of channels move back by `steps` - 1, so that row t holds only what is known
        at t - `steps`. Calendar terms and channels at lag 0 are known ahead and stay.

        Raises:
            InvalidValueError: less than 1 step, or a lag would become too long.
        """
        require_range("the steps of a horizon", steps, 1, _MAX_LAG)
        return replace(
            self,
            lags=tuple(lag + steps - 1 for lag in self.lags),
            channels=tuple(replace(t, lag=t.lag + steps - 1) if t.lag else t for t in self.channels),
        )

    def document(self) -> dict[str, Any]:
        """Return the basis as a JSON-able document of integers, strings and booleans."""
        hold = {"hold": self.hold} if self.hold else {}
        return {
            "calendar": list(self.calendar),
            "channels": [
                {
                    "channels": list(term.channels),
                    "lag": term.lag,
                    "modality": term.modality,
                    "transform": term.transform,
                }
                | _pinned(term)
                for term in self.channels
            ],
            "intercept": self.intercept,
            "period": self.period,
            "target": {"lags": list(self.lags), "name": self.target, "unit": self.unit}
            | hold
            | _pinned(self),
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
                    ChannelTerm(
                        t["modality"],
                        tuple(t["channels"]),
                        t["lag"],
                        t["transform"],
                        t.get("scale", 0),
                        t.get("centre"),
                    )
                    for t in document["channels"]
                ),
                tuple(document["calendar"]),
                document["intercept"],
                target.get("hold", 0),
                target.get("scale", 0),
                target.get("centre"),
            )
        except (KeyError, TypeError, AttributeError) as error:
            raise InvalidValueError(f"not the document of a basis: {error!r}") from error
        if basis.document() != document:
            raise InvalidValueError("the document of the basis holds more than a basis; remove unknown keys")
        return basis


def _require_units(name: str, scale: int, centre: int | None) -> None:
    require_range(f"the scale of {name!r}", scale, 0, (1 << 53) - 1)
    if centre is not None:
        require_range(f"the centre of {name!r}", centre, -(1 << 53) + 1, (1 << 53) - 1)


def _pinned(term: Basis | ChannelTerm) -> dict[str, int]:
    scale = {"scale": term.scale} if term.scale else {}
    return scale if term.centre is None else scale | {"centre": term.centre}
