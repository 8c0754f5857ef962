from __future__ import annotations

import numpy as np
import pytest

from ledgerfed.errors import InvalidValueError
from ledgerfed.series import Modality, Panel

DAYS = np.arange("2024-01-01", "2024-01-11", dtype="datetime64[D]").astype("datetime64[s]")


def panel(**changes: object) -> Panel:
    values = {
        "name": "a",
        "period": 86_400,
        "times": DAYS,
        "target": np.arange(10.0),
        "target_name": "riders",
        "unit": "thousand/day",
    }
    return Panel(**(values | changes))  # type: ignore[arg-type]


def test_a_panel_owns_its_numbers() -> None:
    target = np.arange(10.0)
    made = panel(target=target)
    target[0] = 99.0
    assert made.target[0] == 0.0
    with pytest.raises(ValueError, match="read-only"):
        made.target[0] = 1.0


def test_missing_values_stay_missing_and_infinite_ones_are_refused() -> None:
    assert np.isnan(panel(target=[np.nan] * 10).target).all()
    with pytest.raises(InvalidValueError, match=r"infinite at \(3,\)"):
        panel(target=[0, 1, 2, np.inf, 4, 5, 6, 7, 8, 9])


def test_a_grid_with_a_hole_is_refused_with_the_place() -> None:
    with pytest.raises(InvalidValueError, match="2024-01-03T00:00:00 to 2024-01-05T00:00:00"):
        panel(times=np.delete(DAYS, 3), target=np.arange(9.0))


@pytest.mark.parametrize("times", [DAYS[::-1], np.repeat(DAYS[:5], 2)])
def test_times_that_do_not_increase_are_refused(times: np.ndarray) -> None:
    with pytest.raises(InvalidValueError, match="must increase"):
        Modality("m", ("x",), ("1",), times, np.zeros((10, 1)))


def test_a_modality_needs_a_unit_for_each_channel_and_different_names() -> None:
    with pytest.raises(InvalidValueError, match="2 channels but 1 units"):
        Modality("m", ("x", "y"), ("1",), DAYS, np.zeros((10, 2)))
    with pytest.raises(InvalidValueError, match="different names"):
        Modality("m", ("x", "x"), ("1", "1"), DAYS, np.zeros((10, 2)))


def test_the_head_of_a_panel_holds_nothing_of_later_but_what_is_known_ahead() -> None:
    readings = Modality("w", ("x",), ("1",), DAYS, np.arange(10.0)[:, None])
    plan = Modality("g", ("x",), ("1",), DAYS, np.arange(10.0)[:, None], known_ahead=True)
    head = panel(modalities=(readings, plan)).head(4)
    assert len(head) == 4
    assert head.modalities[0].times[-1] == DAYS[3]
    assert head.modalities[1].times[-1] == DAYS[9]
