"""Who takes part in a case, on which rows, and that nothing looks ahead."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_case import LENGTH, TEST, TEST_START, TRAIN, case_of, changed_from, panel, trained

from ledgerfed.datasets import load_industry
from ledgerfed.datasets.episodes import episodes
from ledgerfed.errors import FitError, InvalidValueError, NotFoundError
from ledgerfed.evaluation.compare import METHODS, compare
from ledgerfed.evaluation.methods.result import Trained, train
from ledgerfed.evaluation.scenarios import (
    CASES,
    batches,
    find_case,
    hours,
    last_days,
    participants,
)
from ledgerfed.series import Window

FILTERS = ("ar", "arma", "local_level", "linear_state_space", "dynamic_regression", "structural")
PANELS = tuple(panel(seed) for seed in range(3))


def forecasts(nodes: tuple[Trained, ...]) -> dict[str, tuple[np.ndarray, ...]]:
    """The forecasts of every node by every method."""
    return {name: tuple(p.mean for p in method(nodes, 0).predictions) for name, method in METHODS.items()}


@pytest.fixture(scope="module")
def original() -> tuple[tuple[Trained, ...], dict[str, tuple[np.ndarray, ...]]]:
    nodes = trained(case_of(PANELS))
    return nodes, forecasts(nodes)


@settings(max_examples=12, deadline=None)
@given(t=st.integers(0, TEST - 1), seed=st.integers(0, 1_000))
def test_no_method_looks_ahead(
    original: tuple[tuple[Trained, ...], dict[str, tuple[np.ndarray, ...]]], t: int, seed: int
) -> None:
    nodes = trained(case_of(tuple(changed_from(p, TEST_START + t, seed) for p in PANELS)))
    for name, changed in forecasts(nodes).items():
        for before, after in zip(original[1][name], changed, strict=True):
            np.testing.assert_array_equal(before[: t + 1], after[: t + 1], err_msg=name)


@pytest.mark.parametrize("family", FILTERS)
def test_no_native_model_looks_ahead(family: str) -> None:
    for t in (0, 9):
        pair = [
            trained(case_of((p,), (family,))) for p in (PANELS[0], changed_from(PANELS[0], TEST_START + t, 7))
        ]
        (before,), (after,) = pair
        assert before.fitted.parameters == after.fitted.parameters
        np.testing.assert_array_equal(before.ahead[: t + 1], after.ahead[: t + 1])
        assert not np.array_equal(before.ahead[t + 1 :], after.ahead[t + 1 :])


@pytest.mark.parametrize("horizon", [2, 5])
def test_a_forecast_further_ahead_knows_only_what_is_known_then(horizon: int) -> None:
    t = 12
    late = tuple(changed_from(p, TEST_START + t, 1) for p in PANELS)
    before, after = (forecasts(trained(case_of(panels), horizon)) for panels in (PANELS, late))
    for name in METHODS:
        for a, b in zip(before[name], after[name], strict=True):
            np.testing.assert_array_equal(a[: t + horizon], b[: t + horizon], err_msg=name)
            assert not np.array_equal(a, b)


def test_the_test_window_changes_neither_scale_nor_information_nor_naive_spread(
    original: tuple[tuple[Trained, ...], dict[str, tuple[np.ndarray, ...]]],
) -> None:
    nodes = trained(case_of(tuple(changed_from(p, TEST_START, 3) for p in PANELS)))
    for before, after in zip(original[0], nodes, strict=True):
        for a, b in zip(before.rows, after.rows, strict=True):
            np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(before.information.R, after.information.R)
        np.testing.assert_array_equal(before.information.z, after.information.z)
        np.testing.assert_array_equal(before.participant.past, after.participant.past)
        assert before.information.s2 == after.information.s2
        assert before.participant.naive_spread == after.participant.naive_spread


def test_scale_is_that_of_the_training_window_alone() -> None:
    early = changed_from(PANELS[0], 0, 5)
    target = np.concatenate(
        [early.target[: LENGTH - TEST - TRAIN], PANELS[0].target[LENGTH - TEST - TRAIN :]]
    )
    changed = replace(PANELS[0], target=target)
    (a,), (b,) = (participants(case_of((p,))) for p in (PANELS[0], changed))
    np.testing.assert_array_equal(a.past, b.past)
    assert len(a.past) == TRAIN
    assert a.past.mean() == pytest.approx(0, abs=1e-12)
    assert a.past.std() == pytest.approx(1, rel=0.01)


def test_training_rows_lie_in_the_training_window_and_test_rows_behind_it() -> None:
    (node,) = participants(case_of((PANELS[0],)))
    assert np.flatnonzero(node.train.rows).tolist() == list(range(TEST_START - TRAIN, TEST_START))
    assert np.flatnonzero(node.test).tolist() == list(range(TEST_START, LENGTH))
    assert len(node.answers[1]) == len(node.naive) == TEST


def test_the_naive_forecast_is_the_last_value_known_at_the_horizon() -> None:
    for horizon in (1, 4):
        (node,) = participants(case_of((PANELS[0],)), horizon)
        y = node.through.y
        np.testing.assert_array_equal(node.naive, y[TEST_START - horizon : LENGTH - horizon])


def test_a_seasonal_naive_forecast_is_not_asked_beyond_its_season() -> None:
    case = replace(case_of(PANELS), naive=7)
    assert participants(case, 7)
    with pytest.raises(InvalidValueError, match="not known 8 steps ahead"):
        participants(case, 8)


def test_the_spread_of_the_naive_forecast_counts_complete_rows_alone() -> None:
    weather = PANELS[0].modalities[0]
    values = weather.values.copy()
    values[TEST_START - 40 : TEST_START - 20] = np.nan
    poorer = replace(weather, values=values, valid_for=0)
    (node,) = participants(case_of((replace(PANELS[0], modalities=(poorer,)),)))
    y, rows = node.train.y, node.train.rows
    steps = (y[1:] - y[:-1])[rows[1:]]
    assert rows.sum() == TRAIN - 20
    assert node.naive_spread == pytest.approx(np.sqrt(np.mean(steps**2)))


def test_all_methods_forecast_the_same_rows() -> None:
    rows = list(compare(case_of(PANELS)))
    counted = {tuple(len(node.errors) for node in row.nodes) for row in rows}
    assert counted == {(TEST,) * 3}
    assert [row.method for row in rows] == list(METHODS)


def test_rows_that_are_incomplete_on_the_basis_are_asked_of_nobody() -> None:
    target = PANELS[0].target.copy()
    target[TEST_START + 5] = np.nan
    (node,) = participants(case_of((replace(PANELS[0], target=target),)))
    missing = set(range(TEST_START, LENGTH)) - set(np.flatnonzero(node.test).tolist())
    assert missing == {TEST_START + 5, TEST_START + 6, TEST_START + 7, TEST_START + 8}


def test_nodes_with_too_little_to_train_on_or_to_forecast_are_left_out() -> None:
    few, still, flat, silent = (PANELS[0].target.copy() for _ in range(4))
    few[TEST_START - TRAIN : TEST_START - 10] = np.nan
    still[TEST_START - 1 :] = 50.0
    flat[TEST_START - TRAIN : TEST_START] = 50.0
    silent[TEST_START - TRAIN : TEST_START] = np.nan
    odd = tuple(replace(PANELS[0], target=target) for target in (few, still, flat, silent))
    found = participants(case_of((*odd, PANELS[1])))
    assert [node.name for node in found] == ["node 1"]
    with pytest.raises(InvalidValueError, match="no node of 'made up' has 12 rows"):
        participants(case_of(odd))


def test_families_are_dealt_out_in_turn_to_those_who_take_part() -> None:
    silent = replace(PANELS[0], target=np.full(LENGTH, np.nan))
    found = participants(case_of((silent, *PANELS), ("ar", "arx")))
    assert [node.family for node in found] == ["ar", "arx", "ar"]


def test_windows_of_days_hours_and_batches() -> None:
    assert last_days(20, 10)(PANELS[0]) == (Window(100, 120), Window(120, 130))
    assert last_days(20, 10, back=30)(PANELS[0]) == (Window(70, 90), Window(90, 100))
    assert hours(32, 48)(PANELS[0]) == (Window(0, 32), Window(32, 48))
    dryer = load_industry("AgitatorPower")[0]
    runs = episodes(dryer)
    train_window, test = batches(slice(0, 2), slice(-2, None))(dryer)
    assert (train_window.start, train_window.stop) == (runs[0].start, runs[1].stop)
    assert (test.start, test.stop) == (runs[-2].start, runs[-1].stop)


def test_a_family_that_finds_no_fit_names_the_node() -> None:
    (node,) = participants(case_of((PANELS[0],), train_on=14))
    with pytest.raises(FitError, match=r"^node 'node 0': 'markov_switching' needs"):
        train(replace(node, family="markov_switching"))


def test_cases_have_names_of_their_own_and_known_families() -> None:
    names = [case.name for case in CASES]
    assert len(set(names)) == len(names)
    assert find_case("transit-60").naive == 7
    with pytest.raises(NotFoundError, match="no case 'moon'; one of"):
        find_case("moon")


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_test_windows_begin_where_training_ends_or_later(case: object) -> None:
    found = find_case(case.name)  # type: ignore[attr-defined]
    for node in found.panels():
        train_window, test = found.windows(node)
        assert train_window.stop <= test.start < test.stop <= len(node)
