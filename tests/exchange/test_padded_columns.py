from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError, NotFoundError
from ledgerfed.exchange import RIDGE, Basis, ChannelTerm, Design, design, information, masked
from ledgerfed.exchange.design import HELD_BOUND
from ledgerfed.series import Modality, Panel, Window, align, standardisation

HOUR = 3600
ROWS = 48
TRAIN = Window(4, 32)
LABS = (
    *masked("labs", "ph", 1),
    ChannelTerm("labs", ("ph",), 1, "mean:4"),
    ChannelTerm("labs", ("ph",), 1, "sd:4"),
)
BASIS = Basis("y", "1", HOUR, (1, 2), LABS)
START = np.datetime64("2024-01-01T00:00:00")


def panel(target: np.ndarray, readings: np.ndarray, valid_for: int | None = None) -> Panel:
    """Hourly; a reading of `labs/ph` wherever `readings` is not NaN."""
    times = START + np.arange(len(target)) * np.timedelta64(HOUR, "s")
    labs = Modality("labs", ("ph",), ("1",), times, readings[:, None], valid_for=valid_for)
    return Panel("p", HOUR, times, target, "y", "1", (labs,))


def sparse(seed: int, share: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    readings = np.where(rng.random(ROWS) < share, rng.normal(7.4, 0.1, ROWS), np.nan)
    return rng.normal(80, 5, ROWS), readings


def made(panel: Panel, basis: Basis = BASIS, train: Window = TRAIN) -> Design:
    aligned = align(panel)
    return design(aligned, basis, standardisation(aligned, train))


def column(rows: Design, name: str) -> np.ndarray:
    return rows.X[:, rows.basis.names.index(name)]


def test_columns_of_a_rare_channel_hold_value_mask_freshness_and_window() -> None:
    target, _ = sparse(0)
    readings = np.full(ROWS, np.nan)
    readings[[6, 9, 20]] = [7.0, 7.2, 7.4]
    rows = made(panel(target, readings, valid_for=5 * HOUR))
    stands = np.r_[6:15, 20:26]
    value = np.full(ROWS, np.nan)
    value[6:9], value[9:15], value[20:26] = 7.0, 7.2, 7.4
    trained = value[TRAIN.rows][~np.isnan(value[TRAIN.rows])]
    held = (value - trained.mean()) / trained.std()
    for t in range(2, ROWS):
        at, window = t - 1, held[max(0, t - 4) : t]
        window = window[~np.isnan(window)]
        age = at - max((r for r in (6, 9, 20) if r <= at), default=0)
        expected = [
            held[at] if at in stands else 0.0,
            float(at in stands),
            1 / (1 + age) if at in stands else 0.0,
            window.mean() if window.size else 0.0,
            window.std() if window.size else 0.0,
        ]
        np.testing.assert_allclose(rows.X[t, 2:7], expected, atol=1e-12)
    assert rows.rows[2:].all()
    assert rows.standing is not None
    np.testing.assert_array_equal(np.flatnonzero(rows.standing[:, 2]), stands + 1)


def test_a_node_that_lacks_the_modality_gets_zeros_that_say_nothing() -> None:
    target, _ = sparse(1)
    bare = replace(panel(target, np.full(ROWS, np.nan)), modalities=())
    train = made(bare).within(TRAIN)
    assert not train.X[:, 2:7].any()
    assert train.present.tolist() == [True, True, *[False] * 5, True]
    X, y = train.sample()
    assert len(y) == len(TRAIN)
    info = information(X, y, y, 1.0)
    np.testing.assert_allclose(info.precision()[2:7, 2:7], RIDGE * np.eye(5), atol=1e-12)
    alone = information(X[:, [0, 1, 7]], y, y, 1.0)
    np.testing.assert_allclose(info.theta()[[0, 1, 7]], alone.theta(), rtol=1e-9)


def test_a_channel_that_was_never_read_in_training_stays_zero_when_it_is_read_later() -> None:
    target, readings = sparse(2)
    readings[: TRAIN.stop] = np.nan
    readings[TRAIN.stop + 1] = 7.4
    rows = made(panel(target, readings))
    assert not column(rows, "labs/ph:held@1").any()
    assert not column(rows, "labs/ph:mean:4@1").any()
    assert column(rows, "labs/ph:observed@1")[TRAIN.stop + 2] == 1.0
    assert not rows.within(TRAIN).present[2:7].any()
    assert rows.within(Window(TRAIN.start, ROWS)).present.all()


def test_a_channel_that_never_moved_in_training_has_no_unit_and_stays_zero() -> None:
    target, readings = sparse(3)
    readings[: TRAIN.stop] = np.where(np.isnan(readings[: TRAIN.stop]), np.nan, 7.4)
    readings[TRAIN.stop :] = 9.0
    assert not column(made(panel(target, readings)), "labs/ph:held@1").any()


def test_a_held_value_far_outside_the_training_window_is_cut() -> None:
    target, readings = sparse(4)
    readings[-5:] = 1e6
    rows = made(panel(target, readings))
    assert column(rows, "labs/ph:held@1")[-3:].tolist() == [HELD_BOUND] * 3
    readings[-5:] = -1e6
    assert column(made(panel(target, readings)), "labs/ph:held@1")[-1] == -HELD_BOUND


def test_a_column_that_is_not_padded_still_needs_its_modality() -> None:
    target, readings = sparse(5)
    for transform in ("standard", "any"):
        basis = replace(BASIS, channels=(ChannelTerm("labs", ("gas",), 1, transform),))
        with pytest.raises(NotFoundError, match="no channel 'gas'"):
            made(panel(target, readings), basis)
    padded = replace(BASIS, channels=masked("labs", "gas", 1))
    assert not made(panel(target, readings), padded).within(TRAIN).present[2:5].any()


def test_a_padded_column_of_now_would_look_ahead_too() -> None:
    for transform in ("held", "observed", "age", "mean:4", "sd:4"):
        basis = replace(BASIS, channels=(ChannelTerm("labs", ("ph",), 0, transform),))
        with pytest.raises(InvalidValueError, match="would look ahead"):
            made(panel(*sparse(6)), basis)


def test_a_missing_lag_of_the_target_is_held_as_long_as_the_basis_says() -> None:
    target, readings = sparse(7)
    target[[10, 11, 12]] = np.nan
    dropped, held = (made(panel(target, readings), replace(BASIS, hold=hold)) for hold in (0, 2))
    assert np.flatnonzero(~dropped.rows).tolist() == [0, 1, 10, 11, 12, 13, 14]
    assert np.flatnonzero(~held.rows).tolist() == [0, 1, 10, 11, 12, 13, 14]
    assert held.X[11, :2].tolist() == [held.y[9]] * 2
    one_more = made(panel(target, readings), replace(BASIS, hold=3))
    assert np.flatnonzero(~one_more.rows).tolist() == [0, 1, 10, 11, 12]
    assert one_more.X[13, :2].tolist() == [one_more.y[9]] * 2
    assert one_more.X[14, :2].tolist() == [one_more.y[13], one_more.y[9]]


@given(
    seed=st.integers(0, 2**32 - 1),
    t=st.integers(8, ROWS - 1),
    steps=st.integers(1, 4),
    hold=st.integers(0, 3),
)
def test_a_row_at_a_horizon_knows_nothing_of_the_steps_before_it(
    seed: int, t: int, steps: int, hold: int
) -> None:
    target, readings = sparse(seed)
    basis = replace(BASIS, hold=hold).at_horizon(steps)
    one = made(panel(target, readings), basis, Window(0, 4)).X[t]
    target[t - steps + 1 :] += 5
    readings[t - steps + 1 :] = 3.0
    np.testing.assert_array_equal(made(panel(target, readings), basis, Window(0, 4)).X[t], one)
