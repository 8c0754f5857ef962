"""From a panel to regression rows on the shared basis.

Rules:
- row t holds only what is known when t is forecast: lags of 1 and more, and lag 0 of what is known ahead;
- a row with a missing value is left out, never imputed; a padded column (`ChannelTerm.padded`) is 0 instead,
  and what it stands for is in `Design.standing`;
- the target and the channels are in units of the node's own training window, or in those that the basis pins;
  a padded channel that had no spread there, and no pinned scale, has no unit and stays 0.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.basis import AGE, ANY, HELD, MEAN, MICRO, OBSERVED, STANDARD, Basis, ChannelTerm
from ledgerfed.exchange.calendar import calendar_column
from ledgerfed.series.align import AlignedPanel
from ledgerfed.series.arrays import Booleans, Floats, Times
from ledgerfed.series.split import Window
from ledgerfed.series.standardise import TARGET, Standardisation, channel_column

HELD_BOUND = 4.0
"""Where `held` is cut: a channel that a node read a few times has a poor estimate of its spread."""


@dataclass(frozen=True, slots=True, eq=False)
class Design:
    """A panel as regression rows: `X` float64 [T, d], `y` float64 [T], both standardised, NaN where missing.

    `rows` bool [T] marks the rows that count: complete, and inside the window; `times` datetime64[s] [T].
    `standing` bool [T, d] is false where a padded column is 0 because nothing stands; without it, whatever is
    not NaN stands.
    """

    basis: Basis
    times: Times
    X: Floats
    y: Floats
    rows: Booleans
    standing: Booleans | None = None

    @property
    def present(self) -> Booleans:
        """The columns that stand in at least one row that counts, bool [d]; the others are only padding."""
        standing = ~np.isnan(self.X) if self.standing is None else self.standing
        return np.asarray(standing[self.rows].any(axis=0))

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
        standing = None if self.standing is None else self.standing[:stop]
        return replace(
            self, times=self.times[:stop], X=self.X[:stop], y=self.y[:stop], rows=rows, standing=standing
        )

    def sample(self) -> tuple[Floats, Floats]:
        """Return X [n, d] and y [n] of the rows that count."""
        return self.X[self.rows], self.y[self.rows]


def design(panel: AlignedPanel, basis: Basis, scale: Standardisation) -> Design:
    """Return the regression rows of the whole panel.

    A panel that lacks the modality or channel of a padded column gets zeros there, and `standing` is false.

    Raises:
        InvalidValueError: the panel has another target, unit or period than the basis, or a term would look
            ahead.
        NotFoundError: the panel lacks the modality or channel of a column that is not padded.
    """
    found, wanted = (
        (panel.target_name, panel.unit, panel.period),
        (basis.target, basis.unit, basis.period),
    )
    if found != wanted:
        raise InvalidValueError(f"{panel.name!r} measures {found}, the basis is for {wanted}")
    y = _in_units(scale, TARGET, panel.target, basis)
    past = _hold(y, basis.hold)
    columns = [_back(past, lag) for lag in basis.lags]
    columns += [_channel(panel, term, scale) for term in basis.channels]
    columns += [calendar_column(panel.times, term) for term in basis.calendar]
    columns += [np.ones_like(y)] * basis.intercept
    X = np.column_stack(columns)
    standing = ~np.isnan(X)
    X[:, _padded(basis)] = np.nan_to_num(X[:, _padded(basis)])
    rows = ~(np.isnan(X).any(axis=1) | np.isnan(y))
    return Design(basis, panel.times, X, y, rows, standing)


def _padded(basis: Basis) -> list[int]:
    first = len(basis.lags)
    return [first + i for i, term in enumerate(basis.channels) if term.padded]


def _hold(values: Floats, steps: int) -> Floats:
    if not steps:
        return values
    place = np.arange(len(values))
    latest = np.maximum.accumulate(np.where(np.isnan(values), -1, place))
    stands = (latest >= 0) & (place - latest <= steps)
    return np.where(stands, values[latest], np.nan)


def _channel(panel: AlignedPanel, term: ChannelTerm, scale: Standardisation) -> Floats:
    """The column at its lag, float64 [T]; NaN where nothing stands, padded or not."""
    if term.padded and not panel.has(term.modality, term.channels[0]):
        return np.full(len(panel.times), np.nan)
    modality = panel.modality(term.modality)
    if term.lag == 0 and not modality.known_ahead:
        raise InvalidValueError(f"{term.name!r} would look ahead; {modality.name!r} needs a lag of 1 or more")
    values = [modality.column(channel) for channel in term.channels]
    column = channel_column(term.modality, term.channels[0])
    if term.kind == ANY:
        stacked = np.stack(values)
        flags = (stacked != 0).any(axis=0).astype(np.float64)
        return _back(np.where(np.isnan(stacked).any(axis=0), np.nan, flags), term.lag)
    if term.kind == STANDARD:
        return _back(_in_units(scale, column, values[0], term), term.lag)
    if term.kind in (OBSERVED, AGE):
        age = modality.age[:, modality.channels.index(term.channels[0])]
        fresh = 1.0 if term.kind == OBSERVED else 1 / (1 + np.maximum(age, 0) / panel.period)
        return _back(np.where(age >= 0, fresh, np.nan), term.lag)
    held = _held(scale, column, values[0], term)
    if term.kind == HELD:
        return _back(held, term.lag)
    return _back(_statistic(held, term), term.lag)


def _in_units(scale: Standardisation, column: str, values: Floats, term: ChannelTerm | Basis) -> Floats:
    mean, sd = scale.moments(column)
    centre = mean if term.centre is None else term.centre / MICRO
    return np.asarray((values - centre) / (term.scale / MICRO if term.scale else sd))


def _held(scale: Standardisation, column: str, values: Floats, term: ChannelTerm) -> Floats:
    if not term.scale and not scale.has_spread(column):
        return values * 0
    return np.clip(_in_units(scale, column, values, term), -HELD_BOUND, HELD_BOUND)


def _statistic(held: Floats, term: ChannelTerm) -> Floats:
    before = np.full(term.span - 1, np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(np.concatenate([before, held]), term.span)
    stands = ~np.isnan(windows)
    count = stands.sum(axis=1)
    mean = np.where(stands, windows, 0).sum(axis=1) / np.maximum(count, 1)
    if term.kind == MEAN:
        return np.where(count > 0, mean, np.nan)
    squares = np.where(stands, windows - mean[:, None], 0) ** 2
    return np.where(count > 0, np.sqrt(squares.sum(axis=1) / np.maximum(count, 1)), np.nan)


def _back(values: Floats, lag: int) -> Floats:
    if lag == 0:
        return values
    return np.concatenate([np.full(min(lag, len(values)), np.nan), values[:-lag]])
