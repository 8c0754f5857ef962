"""What an ARIMA predicts: the Kalman filter of its innovations form over a series, episode by episode.

The differences follow s' = F s + K e and w = mean + s[0] + e. While an episode is young the state is not
known well, so the covariance of its error runs along and tells how far to trust an innovation; once it has
faded, the gain is K (Harvey, Forecasting, Structural Time Series Models and the Kalman Filter, 1989, 3.3). A
missing value is bridged by its own prediction; what is missing long enough to part two episodes starts the
filter anew.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.models.innovations_form import InnovationsForm
from ledgerfed.series.arrays import Booleans, Floats

_FADED: Final = 2.0**-40


@dataclass(frozen=True, slots=True, eq=False)
class Recursion:
    """The innovations form of the differences, their `mean`, and the polynomial `difference`."""

    form: InnovationsForm
    difference: Floats
    mean: float


@dataclass(frozen=True, slots=True, eq=False)
class Filtered:
    """One-step `predictions` [T], `values` [T] with the missing ones filled in, predicted `states` [T, m]."""

    predictions: Floats
    values: Floats
    states: Floats


def run(model: Recursion, y: Floats, restarts: Booleans) -> Filtered:
    """Return the filter over y float64 [T], NaN where a value is missing.

    Until an episode has as many values as the difference needs, the prediction is 0 and the state unknown.

    Args:
        restarts: where an episode begins, bool [T]; true at 0.
    """
    episodes = [_episode(model, part) for part in np.split(y, np.flatnonzero(restarts)[1:])]
    columns = ([getattr(e, name) for e in episodes] for name in ("predictions", "values", "states"))
    return Filtered(*(np.concatenate(column) for column in columns))


def ahead(model: Recursion, filtered: Filtered, steps: int) -> Floats:
    """Return predictions of every value from what was known `steps` steps before it, float64 [T].

    NaN where the past is too short. Differences are added up, predictions standing in for values that are not
    known yet (Box & Jenkins, Time Series Analysis, 5.1).
    """
    found = [filtered.predictions]
    state = filtered.states
    for h in range(2, steps + 1):
        state = state @ model.form.F.T
        total = model.mean + _back(state[:, 0], h - 1)
        for lag in (np.flatnonzero(model.difference[1:]) + 1).tolist():
            total -= model.difference[lag] * _back(found[h - 1 - lag] if lag < h else filtered.values, lag)
        found.append(total)
    return found[-1]


def _episode(model: Recursion, y: Floats) -> Filtered:
    form, lost = model.form, len(model.difference) - 1
    missing = np.isnan(y)
    values, predictions = y.copy(), np.zeros(len(y))
    states = np.full((len(y), len(form.K)), np.nan)
    for t in np.flatnonzero(missing[:lost]).tolist():
        values[t] = values[t - 1] if t else 0.0
    state, error = np.zeros(len(form.K)), form.P
    for t in range(lost, len(y)):
        base = _base(model, values, t)
        states[t], predictions[t] = state, base + state[0]
        state = form.advance(state)
        if missing[t]:
            values[t] = predictions[t]
            error = form.advance(form.advance(error).T) + np.outer(form.K, form.K)
            continue
        gain, error = _learn(form, error)
        state += gain * (y[t] - predictions[t])
    return Filtered(predictions, values, states)


def _learn(form: InnovationsForm, error: Floats) -> tuple[Floats, Floats]:
    """Return the gain of the state from an innovation, and the covariance of its error thereafter."""
    if np.abs(error).max() <= _FADED:
        return form.K, error
    spread, variance = form.advance(error), 1.0 + error[0, 0]
    gain = (spread[:, 0] + form.K) / variance
    return gain, form.advance(spread.T) + np.outer(form.K, form.K) - variance * np.outer(gain, gain)


def _base(model: Recursion, values: Floats, t: int) -> float:
    """Return what the state is added to for w_t: the mean and the values that the difference takes off."""
    if len(model.difference) == 1:
        return model.mean
    return model.mean - float((model.difference[1:] * values[t - len(model.difference) + 1 : t][::-1]).sum())


def _back(values: Floats, lag: int) -> Floats:
    return np.concatenate([np.full(min(lag, len(values)), np.nan), values[: max(0, len(values) - lag)]])
