"""Block time: it follows a clock, can be moved ahead or set, and never stands still or goes back."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from ledgerfed.errors import InvalidValueError

LATEST_TIME = 2**62


@dataclass(frozen=True, slots=True)
class Timeline:
    """How far time runs ahead of the clock, in seconds, and the next block's time if it was set."""

    lead: int = 0
    next_time: int | None = None

    def timestamp(self, parent: int, now: int) -> int:
        """Time of the block after one of time `parent` when the clock says `now`."""
        if self.next_time is not None and self.next_time > parent:
            return self.next_time
        return max(parent + 1, now + self.lead)

    def moved(self, seconds: int) -> Timeline:
        """Time that runs `seconds` further ahead.

        Raises:
            InvalidValueError: beyond what a header can hold.
        """
        if not 0 <= seconds < LATEST_TIME - self.lead:
            raise InvalidValueError(f"cannot move time by {seconds} s; that is before now or out of range")
        return replace(self, lead=self.lead + seconds)

    def set_to(self, timestamp: int, newest: int) -> Timeline:
        """Time whose next block has exactly `timestamp`.

        Raises:
            InvalidValueError: not after `newest`, the newest block's time.
        """
        if not newest < timestamp < LATEST_TIME:
            raise InvalidValueError(f"timestamp {timestamp} is not after the newest block's {newest}")
        return replace(self, next_time=timestamp)

    def after(self, timestamp: int, now: int, *, anchored: bool) -> Timeline:
        """Time after a block; if it is `anchored` or was set, the clock goes on from that block's time."""
        if anchored or self.next_time is not None:
            return Timeline(timestamp - now)
        return self

    def to_meta(self) -> dict[str, str]:
        """What the store keeps of it."""
        next_time = "" if self.next_time is None else str(self.next_time)
        return {"time_lead": str(self.lead), "next_time": next_time}

    @classmethod
    def from_meta(cls, meta: Mapping[str, str | None]) -> Timeline:
        """The timeline that `to_meta` described; a fresh one where nothing was kept."""
        next_time = meta["next_time"]
        return cls(int(meta["time_lead"] or 0), int(next_time) if next_time else None)
