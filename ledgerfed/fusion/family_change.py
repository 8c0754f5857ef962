"""How a node changes its family between rounds: only to one that is no worse on its own latest rows.

The candidate learns twice from the rows before the tail: from the node's values alone, and from values moved
half way to what the global (or personal) model predicts for them, which is how it starts from what the
federation knows (self-distillation, Furlanello et al. 2018). Tail errors, which neither fit has seen,
decide; the winner is then fitted to all rows. The test rows are nobody's business here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.exchange.design import Design
from ledgerfed.models.family import Family, Fitted
from ledgerfed.series.arrays import Floats, Integers
from ledgerfed.series.split import Window

HALF = 0.5
"""How far the values move towards the model's predictions."""


@dataclass(frozen=True, slots=True)
class FamilyChange:
    """The decision: the model to go on with, whether it is of the new family, and why.

    `before` and `after` are mean squared errors on the tail, standardised; `after` is None when no fit of
    the candidate came about. `distilled` says whether the model started from the federation's.
    `reason` speaks of the tail as "there".
    """

    fitted: Fitted
    changed: bool
    distilled: bool
    before: float
    after: float | None
    reason: str


def change_family(
    current: Family, candidate: Family, own: Design, tail: int, theta: Floats | None = None
) -> FamilyChange:
    """Return which family the node goes on with, fitted to all rows of `own` that count.

    Args:
        own: the node's training rows.
        tail: how many of the last rows that count judge; the fits that are judged do not see them.
        theta: coefficients of the global or personal model, float64 [d]; None to start from nothing.

    Raises:
        InvalidValueError: the tail leaves nothing to fit on, or θ has another width.
        FitError: the current family cannot be fitted, so there is nothing to compare with.
    """
    if theta is not None and theta.shape != (own.basis.width,):
        raise InvalidValueError(f"theta has the shape {theta.shape}, the basis {own.basis.width} columns")
    earlier, judged = _apart(own, tail)
    before = _error(current.fit(earlier), own, judged)
    tried = [_try(candidate, earlier, own, judged, theta, share) for share in _starts(theta)]
    after, share, reason = min(tried, key=lambda trial: np.inf if trial[0] is None else trial[0])
    if after is not None and not after <= before:
        reason = f"{candidate.name!r} errs by {after:.4g} there, {current.name!r} by {before:.4g}"
    if not reason:
        try:
            fitted = candidate.fit(_moved(own, theta, share))
            return FamilyChange(fitted, True, share > 0, before, after, "no worse there")
        except FitError as error:
            reason = str(error)
    return FamilyChange(current.fit(own), False, False, before, after, reason)


def _starts(theta: Floats | None) -> tuple[float, ...]:
    return (0.0,) if theta is None else (0.0, HALF)


def _try(
    candidate: Family, earlier: Design, own: Design, judged: Integers, theta: Floats | None, share: float
) -> tuple[float | None, float, str]:
    """Return the tail error, the share it started with, and why there is no error if there is none."""
    try:
        return _error(candidate.fit(_moved(earlier, theta, share)), own, judged), share, ""
    except FitError as error:
        return None, share, str(error)


def _apart(own: Design, tail: int) -> tuple[Design, Integers]:
    counting = np.flatnonzero(own.rows)
    if not 0 < tail < len(counting):
        raise InvalidValueError(f"a tail of {tail} of {len(counting)} rows leaves nothing to fit or to judge")
    judged = counting[-tail:]
    return own.within(Window(0, int(judged[0]))), judged


def _moved(own: Design, theta: Floats | None, share: float) -> Design:
    if theta is None or share == 0:
        return own
    predicted = np.where(own.rows, np.where(own.rows[:, None], own.X, 0.0) @ theta, own.y)
    return replace(own, y=(1 - share) * own.y + share * predicted)


def _error(fitted: Fitted, own: Design, judged: Integers) -> float:
    error = own.y[judged] - fitted.one_step(own)[judged]
    if not np.isfinite(error).all():
        raise FitError(f"{fitted.family!r} gives no prediction for some of the last {len(judged)} rows")
    return float(np.mean(error * error))
