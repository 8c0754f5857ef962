from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError, NotFoundError
from ledgerfed.exchange import ANY, Basis, ChannelTerm, Design, design
from ledgerfed.exchange.basis import HELD, MICRO
from ledgerfed.series import Modality, Panel, Window, align, split, standardisation

DAY = 86_400
ROWS = 60
RAIN = ChannelTerm("weather", ("rain",), 1)
GAME = ChannelTerm("games", ("home", "cup"), 0, ANY)
BASIS = Basis("y", "1", DAY, (1, 7), (RAIN, GAME), ("weekday:0", "weekday:6"))


TRAIN = Window(20, 40)


def panel(target: np.ndarray, rain: np.ndarray, games: np.ndarray) -> Panel:
    """Daily from Monday, 2024-01-01."""
    days = np.datetime64("2024-01-01", "s") + np.arange(len(target)) * np.timedelta64(DAY, "s")
    weather = Modality("weather", ("rain",), ("mm",), days, rain[:, None])
    fixtures = Modality("games", ("home", "cup"), ("flag", "flag"), days, games, known_ahead=True)
    return Panel("p", DAY, days, target, "y", "1", (weather, fixtures))


def random_panel(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    return rng.normal(10, 3, ROWS), rng.gamma(1, 2, ROWS), (rng.random((ROWS, 2)) < 0.2).astype(float)


def made(series: tuple[np.ndarray, np.ndarray, np.ndarray], train: Window = TRAIN) -> Design:
    aligned = align(panel(*series))
    return design(aligned, BASIS, standardisation(aligned, train))


def test_a_row_holds_what_its_names_say() -> None:
    target, rain, games = random_panel(1)
    made_design = made((target, rain, games))
    window = slice(20, 40)
    y = (target - target[window].mean()) / target[window].std()
    x = (rain - rain[window].mean()) / rain[window].std()
    t = 34  # 2024-02-04, a Sunday
    expected = [y[33], y[27], x[33], float(games[34].any()), 0.0, 1.0, 1.0]
    np.testing.assert_allclose(made_design.X[t], expected, rtol=1e-12)
    assert made_design.y[t] == pytest.approx(y[t])
    assert made_design.X[35, 4:6].tolist() == [1.0, 0.0]


def test_a_row_with_a_missing_value_is_left_out_and_never_imputed() -> None:
    target, rain, games = random_panel(2)
    target[30] = np.nan
    made_design = made((target, rain, games))
    assert np.flatnonzero(~made_design.rows).tolist() == [*range(7), 30, 31, 37]
    X, y = made_design.within(Window(25, 40)).sample()
    assert X.shape == (12, BASIS.width)
    assert np.isfinite(X).all()
    assert np.isfinite(y).all()


def test_weather_of_the_same_day_would_look_ahead() -> None:
    aligned = align(panel(*random_panel(3)))
    today = Basis("y", "1", DAY, (1,), (ChannelTerm("weather", ("rain",), 0),))
    with pytest.raises(InvalidValueError, match="'weather/rain@0' would look ahead"):
        design(aligned, today, standardisation(aligned, Window(0, 40)))


def test_a_panel_of_another_measure_or_without_a_modality_is_refused() -> None:
    aligned = align(panel(*random_panel(3)))
    scale = standardisation(aligned, Window(0, 40))
    with pytest.raises(InvalidValueError, match="the basis is for"):
        design(aligned, Basis("y", "kW", DAY, (1,)), scale)
    with pytest.raises(NotFoundError, match="no modality 'traffic'"):
        design(aligned, Basis("y", "1", DAY, (1,), (ChannelTerm("traffic", ("cars",), 1),)), scale)


def test_a_window_cuts_the_future_off() -> None:
    whole = made(random_panel(4))
    inside = whole.within(Window(20, 40))
    assert len(inside.X) == len(inside.y) == len(inside.times) == 40
    assert np.flatnonzero(inside.rows).tolist() == list(range(20, 40))
    with pytest.raises(InvalidValueError, match="no complete row"):
        whole.within(Window(0, 7))
    with pytest.raises(InvalidValueError, match="ends at row 61"):
        whole.within(Window(0, 61))


@given(seed=st.integers(0, 2**32 - 1), which=st.sampled_from(["holdout", "train"]))
def test_no_later_window_influences_the_rows_of_an_earlier_one(seed: int, which: str) -> None:
    before, after = random_panel(seed), random_panel(seed + 1)
    window = getattr(split(panel(*before), 15, 15, 20), which)
    for old, new in zip(before[:2], after[:2], strict=True):
        new[: window.stop] = old[: window.stop]
    after[2][: window.stop] = before[2][: window.stop]
    one, other = (made(series, window).within(window) for series in (before, after))
    np.testing.assert_array_equal(one.X, other.X)
    np.testing.assert_array_equal(one.y, other.y)
    np.testing.assert_array_equal(one.rows, other.rows)


@given(seed=st.integers(0, 2**32 - 1), t=st.integers(8, ROWS - 1))
def test_a_row_does_not_know_its_own_day_but_for_the_fixtures(seed: int, t: int) -> None:
    series = random_panel(seed)
    one = made(series, Window(0, 8)).X[t]
    series[0][t:] += 5
    series[1][t:] += 5
    np.testing.assert_array_equal(made(series, Window(0, 8)).X[t], one)


def test_a_pinned_unit_replaces_the_nodes_own_mean_and_spread() -> None:
    target, rain, games = random_panel(6)
    rain[:40] = 2.0  # dry, by this gauge: no spread of its own
    aligned = align(panel(target, rain, games))
    pinned = ChannelTerm("weather", ("rain",), 1, HELD, scale=4 * MICRO, centre=MICRO)
    basis = Basis("y", "1", DAY, (1,), (pinned,), scale=5 * MICRO, centre=10 * MICRO)
    made_design = design(aligned, basis, standardisation(aligned, TRAIN))
    np.testing.assert_allclose(made_design.y, (target - 10) / 5)
    np.testing.assert_allclose(made_design.X[1:, 1], np.clip((rain[:-1] - 1) / 4, -4, 4))
    assert Basis.from_document(basis.document()) == basis
    assert basis.basis_id != replace(basis, centre=None).basis_id
    own_mean = replace(basis, channels=(replace(pinned, centre=None),))
    held = design(aligned, own_mean, standardisation(aligned, TRAIN))
    np.testing.assert_allclose(held.X[1:, 1], np.clip((rain[:-1] - 2) / 4, -4, 4))
