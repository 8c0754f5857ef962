"""One row a method: the same nodes, the same rows, and what came of it."""

from __future__ import annotations

import csv
import io
from dataclasses import replace

import numpy as np
import pytest
from small_case import TEST, TEST_START, TRAIN, case_of, panel

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.evaluation.compare import METHODS, OWN_MODEL, PERSONAL, Row, compare, dealt
from ledgerfed.evaluation.documents import COLUMNS, as_csv, as_markdown, as_text, case_title, row_document
from ledgerfed.evaluation.fairness import fairness
from ledgerfed.evaluation.metrics import geometric_mean, rmse
from ledgerfed.evaluation.scenarios import participants
from ledgerfed.evaluation.scoring import coverage, crps, mase
from ledgerfed.evaluation.significance import diebold_mariano, holm

PANELS = tuple(panel(seed) for seed in range(4))
MIXED = ("ar", "arma", "local_level")


@pytest.fixture(scope="module")
def rows() -> dict[str, Row]:
    return {row.method: row for row in compare(case_of(PANELS, MIXED))}


def test_the_figures_of_a_node_are_those_of_its_errors(rows: dict[str, Row]) -> None:
    found = participants(case_of(PANELS))
    for node, score in zip(found, rows["naive"].nodes, strict=True):
        _, y = node.answers
        error = y - node.naive
        sd = np.full(TEST, node.naive_spread)
        np.testing.assert_array_equal(score.errors, error)
        assert score.ratio == pytest.approx(1)
        assert score.mase == pytest.approx(mase(y, node.naive, node.past, 1))
        assert score.crps == pytest.approx(crps(y, node.naive, sd))
        assert score.coverage == pytest.approx([coverage(y, node.naive, sd, s) for s in (0.80, 0.95)])
        assert score.rows == TRAIN
    own = rows[OWN_MODEL]
    for node, score in zip(found, own.nodes, strict=True):
        assert score.ratio == pytest.approx(rmse(score.errors) / rmse(node.answers[1] - node.naive))


def test_a_row_sums_its_nodes_up(rows: dict[str, Row]) -> None:
    for row in rows.values():
        own = rows[OWN_MODEL].nodes
        ratios = [s.ratio / o.ratio for s, o in zip(row.nodes, own, strict=True)]
        assert row.ratio == pytest.approx(geometric_mean([s.ratio for s in row.nodes]))
        assert row.to_own_by_node == pytest.approx(ratios)
        assert row.to_own == pytest.approx(geometric_mean(ratios))
        assert row.fairness == fairness(np.array(ratios))
        chances = [diebold_mariano(s.errors, o.errors) for s, o in zip(row.nodes, own, strict=True)]
        assert row.better == sum(holm(chances))
        assert row.mase == pytest.approx(np.mean([s.mase for s in row.nodes]))
    assert rows[OWN_MODEL].to_own == 1
    assert rows[OWN_MODEL].better == 0


def test_coverage_counts_every_forecast_alike() -> None:
    target = PANELS[0].target.copy()
    target[TEST_START + 6 :] = np.nan
    pair = (replace(PANELS[0], target=target), PANELS[1])
    row = next(iter(compare(case_of(pair), methods={OWN_MODEL: METHODS[OWN_MODEL]})))
    few, many = row.nodes
    assert (len(few.errors), len(many.errors)) == (6, TEST)
    expected = (6 * np.array(few.coverage) + TEST * np.array(many.coverage)) / (6 + TEST)
    assert row.coverage == pytest.approx(expected)


def test_a_family_that_finds_no_fit_gives_way_to_least_squares_and_the_notes_say_so() -> None:
    # 14 rows are too few for Markov switching, which says so
    case = case_of(PANELS, ("ar", "markov_switching"), train_on=14)
    for row in compare(case):
        assert row.notes["replaced"] == 2.0
        assert [node.family for node in row.nodes] == ["ar", "arx", "ar", "arx"]
    for row in compare(replace(case, families=("ar", "arx"))):
        assert "replaced" not in row.notes


def test_the_notes_count_the_nodes_whose_updates_a_gate_would_refuse() -> None:
    few = PANELS[0].target.copy()
    few[TEST_START - TRAIN : TEST_START - 17] = np.nan  # 17 rows less three lags, under 3 x 5
    for row in compare(case_of((replace(PANELS[0], target=few), *PANELS[1:]))):
        assert row.notes["too_few_samples"] == 1
    for row in compare(case_of(PANELS)):
        assert "too_few_samples" not in row.notes


def test_a_node_that_finds_no_fit_at_all_is_named() -> None:
    still = replace(
        PANELS[2], name="Lost Hills", target=50 + 0.5 * np.sign(np.sin(np.arange(130.0) * np.pi / 2 + 0.5))
    )
    with pytest.raises(FitError, match=r"^node 'Lost Hills': "):
        list(compare(case_of((*PANELS[:2], still))))


def test_filters_are_not_asked_for_more_than_one_step() -> None:
    with pytest.raises(InvalidValueError, match="'arma' predicts one step"):
        list(compare(case_of(PANELS, MIXED), horizon=2))
    assert len(list(compare(case_of(PANELS, ("ar", "arx")), horizon=2))) == len(METHODS)


def test_the_own_model_must_be_among_the_methods() -> None:
    with pytest.raises(InvalidValueError, match="held against 'own model'"):
        list(compare(case_of(PANELS), methods={"naive": METHODS["naive"]}))


def test_rows_come_in_the_order_of_the_methods_and_each_is_announced() -> None:
    told: list[str] = []
    found = [row.method for row in compare(case_of(PANELS), on_method=told.append)]
    assert found == told == list(METHODS)


def test_seeds_deal_the_families_out_anew_and_always_alike() -> None:
    found = participants(case_of(PANELS))
    hands = [tuple(p.family for p in dealt(found, MIXED, seed)) for seed in range(12)]
    assert hands[0] == ("ar", "arma", "local_level", "ar")
    assert len(set(hands)) > 3
    assert hands == [tuple(p.family for p in dealt(found, MIXED, seed)) for seed in range(12)]
    assert all(sorted(hand) == sorted(hands[0]) for hand in hands)


def test_equal_inputs_give_equal_documents(rows: dict[str, Row]) -> None:
    again = {row.method: row_document(row) for row in compare(case_of(PANELS, MIXED))}
    assert again == {method: row_document(row) for method, row in rows.items()}


def test_text_csv_and_markdown_show_every_row(rows: dict[str, Row]) -> None:
    documents = [row_document(row) for row in rows.values()]
    text = list(as_text(documents))
    assert text[0] == "\nmade up"
    assert [line.split("  ")[0] for line in text[2:]] == list(METHODS)
    parsed = list(csv.DictReader(io.StringIO(as_csv(documents))))
    assert [row["method"] for row in parsed] == list(METHODS)
    assert set(COLUMNS) < set(parsed[0])
    assert float(parsed[-1]["ratio"]) == documents[-1]["ratio"]
    page = list(as_markdown(documents, ("ratio", "to_own")))
    assert page[0] == "| case | method | RMSE / naive | to own |"
    assert len(page) == 2 + len(documents)
    assert page[3].startswith(f"| made up | {OWN_MODEL} | ")


def test_documents_hold_plain_numbers_and_no_single_error(rows: dict[str, Row]) -> None:
    document = row_document(rows[PERSONAL])
    assert set(document["nodes"][0]) == {"node", "family", "ratio", "to_own", "rows"}
    assert [node["family"] for node in document["nodes"]] == ["ar", "arma", "local_level", "ar"]
    assert set(COLUMNS) <= set(document)
    assert all(isinstance(document[key], int | float) for key in COLUMNS)


def test_a_case_is_called_by_its_horizon_and_seed_where_they_are_not_the_first() -> None:
    row = {"case": "transit-60", "horizon": 1, "seed": 0}
    assert case_title(row) == "transit-60"
    assert case_title(row | {"horizon": 7, "seed": 2}) == "transit-60, 7 steps ahead, seed 2"
