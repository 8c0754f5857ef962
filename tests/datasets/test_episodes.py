from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ledgerfed.datasets import episodes
from ledgerfed.datasets.episodes import EPISODE, LONGEST_LAG, NOMINAL_START, Kind, Layout, join_episodes
from ledgerfed.errors import InvalidValueError, NotFoundError
from ledgerfed.exchange import Basis, design
from ledgerfed.series import Window, align, standardisation


def layout(hold: int = 3) -> Layout:
    kinds = (Kind("vitals", {"pulse": "bpm", "heat": "degC"}), Kind("labs", {"salt": "mmol/L"}, hold))
    return Layout(("pulse", "salt", "heat"), kinds, 600, "sample")


def numbered(*lengths: int) -> list[np.ndarray]:
    """Episodes whose every reading is the episode's number, from 1."""
    return [np.full((n, 3), float(i)) for i, n in enumerate(lengths, 1)]


def test_episodes_stand_one_after_another_with_empty_rows_between() -> None:
    panel = join_episodes(layout(), "bed", "pulse", numbered(5, 8))
    gap = LONGEST_LAG + 3
    assert episodes(panel) == (Window(0, 5), Window(5 + gap, 5 + gap + 8))
    assert len(panel) == 5 + gap + 8
    assert (panel.period, panel.times[0]) == (600, NOMINAL_START)
    np.testing.assert_array_equal(panel.target, [1.0] * 5 + [np.nan] * gap + [2.0] * 8)
    for modality in panel.modalities:
        assert np.isnan(modality.values[5 : 5 + gap]).all()


def test_the_target_is_no_channel_and_a_kind_without_others_is_left_out() -> None:
    readings = [np.array([[60.0, 140.0, 37.0], [61.0, np.nan, 38.0]])]
    pulse = join_episodes(layout(), "bed", "pulse", readings)
    assert [(m.name, m.channels, m.units) for m in pulse.modalities] == [
        ("vitals", ("heat",), ("degC",)),
        ("labs", ("salt",), ("mmol/L",)),
        (EPISODE, ("elapsed",), ("sample",)),
    ]
    assert [m.valid_for for m in pulse.modalities] == [0, 1_800, 0]
    np.testing.assert_array_equal(pulse.modalities[0].values[:, 0], [37.0, 38.0])
    np.testing.assert_array_equal(pulse.modalities[1].values[:, 0], [140.0, np.nan])
    salt = join_episodes(layout(), "bed", "salt", readings)
    assert [m.name for m in salt.modalities] == ["vitals", EPISODE]
    assert (salt.target_name, salt.unit, salt.target[0]) == ("salt", "mmol/L", 140.0)


def test_only_the_clock_of_the_episode_is_known_ahead_and_restarts() -> None:
    panel = join_episodes(layout(), "bed", "pulse", numbered(3, 2))
    assert [m.name for m in panel.modalities if m.known_ahead] == [EPISODE]
    elapsed = panel.modalities[-1].values[:, 0]
    np.testing.assert_array_equal(elapsed[~np.isnan(elapsed)], [0, 1, 2, 0, 1])


@given(st.lists(st.integers(1, 9), min_size=2, max_size=4), st.integers(0, 30))
@settings(max_examples=40, deadline=None)
def test_no_lag_and_no_hold_reaches_the_episode_before(lengths: list[int], hold: int) -> None:
    panel = join_episodes(layout(hold), "bed", "pulse", numbered(*lengths))
    aligned = align(panel)
    columns = [aligned.target, *(m.values[:, 0] for m in aligned.modalities if m.name != EPISODE)]
    for number, window in enumerate(episodes(panel), 1):
        for column in columns:
            seen = column[max(0, window.start - LONGEST_LAG) : window.stop]
            assert set(seen[~np.isnan(seen)]) == {float(number)}


@given(st.lists(st.integers(1, 9), min_size=1, max_size=4), st.integers(1, 100))
@settings(max_examples=40, deadline=None)
def test_the_rows_of_the_episodes_are_found_again_whatever_is_missing(lengths: list[int], stop: int) -> None:
    readings = [np.full((n, 3), np.nan) for n in lengths]
    panel = join_episodes(layout(), "bed", "pulse", readings)
    found = episodes(panel)
    assert [len(window) for window in found] == lengths
    stop = min(stop, len(panel))
    cut = [Window(w.start, min(w.stop, stop)) for w in found if w.start < stop]
    assert list(episodes(panel.head(stop))) == cut


def test_a_regression_row_needs_its_lags_within_its_own_episode() -> None:
    rng = np.random.default_rng(1)
    panel = join_episodes(layout(), "bed", "pulse", [rng.normal(size=(40, 3)) for _ in range(3)])
    aligned = align(panel)
    scale = standardisation(aligned, Window(0, len(panel)))
    rows = design(aligned, Basis("pulse", "bpm", 600, (1, LONGEST_LAG)), scale).rows
    expected = np.concatenate([np.arange(w.start + LONGEST_LAG, w.stop) for w in episodes(panel)])
    np.testing.assert_array_equal(np.flatnonzero(rows), expected)


def test_what_has_no_episodes_is_refused() -> None:
    panel = join_episodes(layout(), "bed", "pulse", numbered(3))
    with pytest.raises(NotFoundError, match="'bed' has no modality 'episode'"):
        episodes(replace(panel, modalities=panel.modalities[:-1]))
    with pytest.raises(InvalidValueError, match="'bed' needs an episode"):
        join_episodes(layout(), "bed", "pulse", [])
    with pytest.raises(NotFoundError, match=r"no column 'mood'; one of \['heat', 'pulse', 'salt'\]"):
        join_episodes(layout(), "bed", "mood", numbered(3))
