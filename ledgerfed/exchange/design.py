"""From a panel to regression rows on the shared basis.

Rules:
- row t holds only what is known when t is forecast: lags of 1 and more, and lag 0 of what is known ahead;
- a row with a missing value is left out, never imputed;
- the target and `standard` channels are in units of the node's own training window.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.basis import ANY, Basis, ChannelTerm
from ledgerfed.series.align import AlignedPanel
from ledgerfed.series.arrays import Booleans, Floats, Times
from ledgerfed.series.split import Window
from ledgerfed.series.standardise import TARGET, Standardisation, channel_column

_MONDAY = np.datetime64("1970-01-05", "D")


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A panel as regression rows: `X` float64 [T, d], `y` float64 [T], both standardised, NaN where missing.

    `rows` bool [T] marks the rows that count: complete, and inside the window; `times` datetime64[s] [T].
    """

    basis: Basis
    times: Times
    X: Floats
    y: Floats
    rows: Booleans

    def within(self, window: Window) -> Design:
        """Return the design as it stands at the end of `window`, counting only the rows inside it.

        What comes later is cut off, so that nothing that fits on the result can look ahead; what comes
        before stays, because lags and filters reach back.

        Raises:
            InvalidValueError: the window ends after the design, or holds no complete row.
        """
        if window.stop > len(self.times):
            raise InvalidValueError(f"the window ends at row {window.stop}, the design at {len(self.times)}")
        stop = window.stop
        inside = np.arange(stop) >= window.start
        rows = self.rows[:stop] & inside
        if not rows.any():
            raise InvalidValueError(
                f"no complete row in {window.start}..{stop - 1}; the panel lacks values there"
            )
        return replace(self, times=self.times[:stop], X=self.X[:stop], y=self.y[:stop], rows=rows)

    def sample(self) -> tuple[Floats, Floats]:
        """Return X [n, d] and y [n] of the rows that count."""
        return self.X[self.rows], self.y[self.rows]


def design(panel: AlignedPanel, basis: Basis, scale: Standardisation) -> Design:
    """Return the regression rows of the whole panel.

    Raises:
        InvalidValueError: the panel has another target, unit or period than the basis, or a term would look
            ahead.
        NotFoundError: the panel lacks a modality or channel of the basis.
    """
    found, wanted = (
        (panel.target_name, panel.unit, panel.period),
        (basis.target, basis.unit, basis.period),
    )
    if found != wanted:
        raise InvalidValueError(f"{panel.name!r} measures {found}, the basis is for {wanted}")
    y = scale.apply(TARGET, panel.target)
    columns = [_back(y, lag) for lag in basis.lags]
    columns += [_back(_channel(panel, term, scale), term.lag) for term in basis.channels]
    columns += [_calendar(panel.times, term) for term in basis.calendar]
    columns += [np.ones_like(y)] * basis.intercept
    X = np.column_stack(columns)
    rows = ~(np.isnan(X).any(axis=1) | np.isnan(y))
    return Design(basis, panel.times, X, y, rows)


def _channel(panel: AlignedPanel, term: ChannelTerm, scale: Standardisation) -> Floats:
    modality = panel.modality(term.modality)
    if term.lag == 0 and not modality.known_ahead:
        raise InvalidValueError(f"{term.name!r} would look ahead; {modality.name!r} needs a lag of 1 or more")
    values = [modality.column(channel) for channel in term.channels]
    if term.transform == ANY:
        stacked = np.stack(values)
        flags = (stacked != 0).any(axis=0).astype(np.float64)
        return np.where(np.isnan(stacked).any(axis=0), np.nan, flags)
    return scale.apply(channel_column(term.modality, term.channels[0]), values[0])


def _calendar(times: Times, term: str) -> Floats:
    day = int(term.removeprefix("weekday:"))
    weekday = (times.astype("datetime64[D]") - _MONDAY).astype(np.int64) % 7
    return np.asarray(weekday == day, dtype=np.float64)


def _back(values: Floats, lag: int) -> Floats:
    if lag == 0:
        return values
    return np.concatenate([np.full(min(lag, len(values)), np.nan), values[:-lag]])
