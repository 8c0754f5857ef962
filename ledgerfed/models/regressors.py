"""Which columns of the basis, besides the lags of the target, a native model regresses on.

The calendar always, the channels if there are rows enough for all of them: coefficients that say more of
noise than of the series are worse than none, and which channel matters is what the federation finds out.
"""

from __future__ import annotations

from ledgerfed.exchange.design import Design
from ledgerfed.models.orders import ROWS_PER_COEFFICIENT


def regressors(design: Design, others: int, intercept: bool = False) -> tuple[int, ...]:
    """Return the columns, in the order of the basis.

    Args:
        others: how many coefficients the model has besides.
        intercept: whether the one of the basis is a regressor.
    """
    basis = design.basis
    first = len(basis.lags) + len(basis.channels)
    known = tuple(range(first, first + len(basis.calendar) + (basis.intercept and intercept)))
    channels = tuple(range(len(basis.lags), first))
    needed = ROWS_PER_COEFFICIENT * (len(channels) + len(known) + others)
    return (*channels, *known) if int(design.rows.sum()) >= needed else known
