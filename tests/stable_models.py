"""Random stable autoregressions and invertible moving averages, for property tests."""

from __future__ import annotations

import numpy as np
from hypothesis import strategies as st

from ledgerfed.exchange.linear_prediction import step_up


def reflections(most: int, least: int = 0) -> st.SearchStrategy[np.ndarray]:
    """Partial autocorrelations of a stable model: `least` to `most` of them."""
    return st.lists(st.floats(-0.9, 0.9), min_size=least, max_size=most).map(np.array)


def autoregressions(most: int, least: int = 0) -> st.SearchStrategy[np.ndarray]:
    """Coefficients of a stable autoregression."""
    return reflections(most, least).map(step_up)


def moving_averages(most: int, least: int = 0) -> st.SearchStrategy[np.ndarray]:
    """Coefficients of an invertible moving average."""
    return reflections(most, least).map(lambda k: -step_up(k))
