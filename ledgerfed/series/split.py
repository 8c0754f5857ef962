"""Three consecutive windows at the end of a panel: [ ... | holdout | train | test ].

Rules:
- a window is a range of grid rows; the three do not overlap and the last ends with the panel;
- nothing of a later window may influence an earlier one: lags look back, statistics come from `train` only;
- the holdout, the days right before training, is what a validator scores the updates of others on; nobody
  else sees it and nobody fits on it.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledgerfed.errors import InvalidValueError
from ledgerfed.series.align import AlignedPanel
from ledgerfed.series.panel import Panel


@dataclass(frozen=True, slots=True)
class Window:
    """The grid rows `start` <= t < `stop`."""

    start: int
    stop: int

    def __post_init__(self) -> None:
        if not 0 <= self.start < self.stop:
            raise InvalidValueError(f"a window needs 0 <= start < stop, got {self.start} and {self.stop}")

    def __len__(self) -> int:
        return self.stop - self.start

    @property
    def rows(self) -> slice:
        """The window as a slice into arrays on the grid."""
        return slice(self.start, self.stop)


@dataclass(frozen=True, slots=True)
class Split:
    """The windows of a panel, in the order of time."""

    holdout: Window
    train: Window
    test: Window


def split(panel: Panel | AlignedPanel, holdout: int = 60, train: int = 60, test: int = 365) -> Split:
    """Return the three windows of these lengths (in grid rows) at the end of the panel.

    Raises:
        InvalidValueError: a window is empty, or the panel is shorter than their sum.
    """
    if min(holdout, train, test) < 1:
        raise InvalidValueError(f"every window needs a row, got {holdout}, {train} and {test}")
    end = len(panel.times)
    start = end - holdout - train - test
    if start < 0:
        raise InvalidValueError(
            f"{panel.name!r} has {end} rows, too few for {holdout} + {train} + {test}; shorten a window"
        )
    return Split(
        Window(start, start + holdout),
        Window(start + holdout, end - test),
        Window(end - test, end),
    )
