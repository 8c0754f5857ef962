"""What an update claims, held against itself (gate V5): no data is needed to see that it cannot be true.

Rules, for information updates; an honest one is R'R = X'X / s2 and R'z = X'y / s2 of n rows:
- the intercept is 1 in every row, so its column of R'R says n / s2, up to the rounding of n and of R;
- a calendar column is at most 1, so it says at most that; any other column at most `moment_band` times as
  much, and a lag of the target, which everybody has, at least its inverse. So R'R can claim neither more
  precision than n and s2 allow nor next to none;
- the target is its own lag. The autocovariance at distance h is stated by every pair of lags that lie h apart
  and, if h is a lag itself, by R'z; the variance by every lag and by |z|^2 + residual. The statements
  differ only by the rows at the edges and by what a native model misses: at most by `lag_spread` of the
  variance, and by twice that for the variance itself. So R cannot be shaped at will, and z must say what R
  says (the equations of Yule 1927 and Walker 1931): turned, stretched or exchanged it contradicts it.

What remains free is what data are free in: whoever invents a whole series and trains on it passes.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass

from ledgerfed.aggregation.information import PRODUCT_SCALE, ExactInformation
from ledgerfed.protocol.canonical import parse_canonical
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.payload import RESIDUAL_SCALE, S2_SCALE, InformationUpdate
from ledgerfed.protocol.score import ONE

UNIT_SLACK = ONE // 16
"""How far the mean square of a column of ones may lie from 1: n and the mantissas of R are rounded."""


@dataclass(frozen=True, slots=True)
class Claims:
    """What an information update claims about its rows, Q16.

    `moments` are the mean squares of the columns, as n and s2 make them of R'R; `spread` is the largest
    disagreement about an autocovariance, as a share of the variance (half of it for the variance itself).
    """

    moments: tuple[int, ...]
    spread: int


def claims_of(update: InformationUpdate, information: ExactInformation, lags: Sequence[int]) -> Claims:
    """Return what the update claims; `information` is what it expands to, of at least one sample."""
    unit = update.n_samples << PRODUCT_SCALE + S2_SCALE - 16
    moments = tuple(row[j] * update.s2 // unit for j, row in enumerate(information.gram))
    return Claims(moments, _spread(update, information, lags))


def are_consistent(claims: Claims, config: FederationConfig) -> bool:
    """Return whether rows on the federation's basis can be what an update claims."""
    gates, lags = config.gates, len(config.lags)
    band, moments = gates.moment_band, claims.moments
    calendar, intercept = _known_columns(config)
    return (
        all(moment <= band for moment in moments)
        and all(moment * band >= ONE * ONE for moment in moments[:lags])
        and all(moments[j] <= ONE + UNIT_SLACK for j in calendar)
        and all(abs(moments[j] - ONE) <= UNIT_SLACK for j in intercept)
        and claims.spread <= gates.lag_spread
    )


def _known_columns(config: FederationConfig) -> tuple[range, range]:
    """Return where the calendar columns and the intercept of the basis stand: at its end, in this order."""
    basis = parse_canonical(config.basis)
    ones = int(basis.get("intercept") is True)
    dates = min(len(basis.get("calendar", ())), config.width - ones)
    end = config.width - ones
    return range(end - dates, end), range(end, config.width)


def _spread(update: InformationUpdate, information: ExactInformation, lags: Sequence[int]) -> int:
    if not lags:
        return 0
    stated: defaultdict[int, list[int]] = defaultdict(list)
    for a, lag in enumerate(lags):
        stated[lag].append(information.moment[a])
        for b in range(a, len(lags)):
            stated[lags[b] - lag].append(information.gram[a][b])
    energy = sum(value * value for value in information.z)
    stated[0].append(energy + (update.residual << PRODUCT_SCALE - RESIDUAL_SCALE))
    variance = min(stated[0])
    if variance == 0:
        return 1 << 62
    widths = {distance: max(values) - min(values) for distance, values in stated.items()}
    return max((width << 16) // (variance << (distance == 0)) for distance, width in widths.items())
