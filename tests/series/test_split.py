from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError, NotFoundError
from ledgerfed.series import TARGET, Modality, Panel, Window, align, channel_column, split, standardisation

DAY = 86_400


def make(target: np.ndarray, channel: np.ndarray) -> Panel:
    days = np.datetime64("2024-01-01", "s") + np.arange(len(target)) * np.timedelta64(DAY, "s")
    weather = Modality("w", ("x",), ("1",), days, channel[:, None])
    return Panel("p", DAY, days, target, "y", "1", (weather,))


def test_the_three_windows_are_consecutive_and_end_with_the_panel() -> None:
    windows = split(make(np.zeros(600), np.zeros(600)))
    assert (windows.holdout, windows.train, windows.test) == (
        Window(115, 175),
        Window(175, 235),
        Window(235, 600),
    )


def test_a_panel_that_is_too_short_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"600 rows, too few for 200 \+ 60 \+ 365"):
        split(make(np.zeros(600), np.zeros(600)), holdout=200)
    with pytest.raises(InvalidValueError, match="every window needs a row"):
        split(make(np.zeros(600), np.zeros(600)), train=0)


@given(seed=st.integers(0, 2**32 - 1), which=st.sampled_from(["holdout", "train"]))
def test_no_later_window_influences_the_scale_of_an_earlier_one(seed: int, which: str) -> None:
    rng = np.random.default_rng(seed)
    before, after = rng.normal(size=(2, 2, 50))
    windows = split(make(before[0], before[1]), 10, 10, 20)
    window = getattr(windows, which)
    after[:, : window.stop] = before[:, : window.stop]
    one, other = (standardisation(align(make(*series)), window) for series in (before, after))
    np.testing.assert_array_equal(one.mean, other.mean)
    np.testing.assert_array_equal(one.sd, other.sd)


def test_the_training_window_has_mean_0_and_deviation_1_and_inverts() -> None:
    rng = np.random.default_rng(1)
    panel = align(make(rng.normal(5, 3, 100), rng.normal(-2, 9, 100)))
    window = Window(20, 80)
    scale = standardisation(panel, window)
    for column, values in (
        (TARGET, panel.target),
        (channel_column("w", "x"), panel.modality("w").column("x")),
    ):
        scaled = scale.apply(column, values)
        assert scaled[window.rows].mean() == pytest.approx(0, abs=1e-12)
        assert scaled[window.rows].std() == pytest.approx(1)
        np.testing.assert_allclose(scale.invert(column, scaled), values, rtol=1e-12)
    with pytest.raises(NotFoundError, match="no column 'w/z'"):
        scale.apply("w/z", panel.target)


def test_a_constant_or_missing_channel_keeps_its_unit() -> None:
    constant = standardisation(align(make(np.arange(50.0), np.full(50, 0.1))), Window(0, 50))
    assert constant.sd[1] == 1.0
    missing = standardisation(align(make(np.arange(50.0), np.full(50, np.nan))), Window(0, 50))
    assert (missing.mean[1], missing.sd[1]) == (0.0, 1.0)


def test_a_window_without_target_is_refused() -> None:
    with pytest.raises(InvalidValueError, match=r"no target in rows 0\.\.9"):
        standardisation(align(make(np.full(50, np.nan), np.zeros(50))), Window(0, 10))
