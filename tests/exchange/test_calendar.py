from __future__ import annotations

import numpy as np
import pytest

from ledgerfed.exchange import fourier
from ledgerfed.exchange.calendar import calendar_column


def test_waves_go_round_in_their_cycle() -> None:
    hours = np.datetime64("2024-01-01T00:00:00") + np.arange(24 * 14) * np.timedelta64(3600, "s")
    angle = 2 * np.pi * np.arange(len(hours)) / 24
    for k, (sine, cosine) in enumerate(zip(fourier("day", 2)[::2], fourier("day", 2)[1::2], strict=True), 1):
        np.testing.assert_allclose(calendar_column(hours, sine), np.sin(k * angle), atol=1e-12)
        np.testing.assert_allclose(calendar_column(hours, cosine), np.cos(k * angle), atol=1e-12)
    np.testing.assert_allclose(calendar_column(hours, "sin:week:1"), np.sin(angle / 7), atol=1e-12)
    year = calendar_column(hours, "cos:year:1")
    assert year[0] == pytest.approx(1.0, abs=0.02)
    assert np.all(np.diff(year[24 * 7 :]) < 0)


def test_a_wave_is_as_exact_before_and_long_after_1970() -> None:
    for day in ("1969-12-31T06:00:00", "2999-01-01T06:00:00"):
        quarter = np.array([day], dtype="datetime64[s]")
        assert calendar_column(quarter, "sin:day:1")[0] == 1.0
        assert calendar_column(quarter, "cos:day:2")[0] == -1.0


def test_a_weekday_is_flagged_whatever_the_hour() -> None:
    times = np.array(["2024-01-07T23:59:59", "2024-01-08T00:00:00"], dtype="datetime64[s]")
    assert calendar_column(times, "weekday:6").tolist() == [1.0, 0.0]
    assert calendar_column(times, "weekday:0").tolist() == [0.0, 1.0]
