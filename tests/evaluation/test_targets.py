"""Targets: met or missed, each on its own side, and limits by how many rows a node has."""

from __future__ import annotations

from typing import Any

import pytest

from ledgerfed.evaluation.compare import PERSONAL
from ledgerfed.evaluation.targets import SCALAR, TO_OWN, Target, accuracy_targets


def rows(case: str = "transit-60", horizon: int = 1, seed: int = 0, **figures: Any) -> list[dict[str, Any]]:
    nodes = [{"rows": 60, "to_own": 1.08}, {"rows": 180, "to_own": 1.04}]
    ours = {"to_own": 0.8, "ratio": 0.9, "no_worse": 0.95, "nodes": nodes} | figures
    place = {"case": case, "horizon": horizon, "seed": seed}
    return [{**place, "method": PERSONAL, **ours}, {**place, "method": SCALAR, "ratio": 0.95}]


def missed(found: tuple[Target, ...]) -> list[str]:
    return [target.name for target in found if not target.met]


@pytest.mark.parametrize(
    ("measured", "at_least", "met"),
    [(0.9, True, True), (0.899, True, False), (0.9, False, True), (0.901, False, False)],
)
def test_a_limit_has_a_good_side_and_belongs_to_it(measured: float, at_least: bool, met: bool) -> None:
    target = Target("share", measured, 0.9, at_least)
    assert target.met is met
    assert target.document()["met"] is met
    assert ("met" in target.line()) is met
    assert ("MISSED by 0.001" in target.line()) is not met


def test_a_figure_that_is_no_number_is_missed() -> None:
    assert not Target("share", float("nan"), 0.9, at_least=True).met
    assert not Target("error", float("nan"), 0.9).met


def test_all_is_met_where_all_is_good() -> None:
    found = accuracy_targets(rows())
    assert missed(found) == []
    assert {target.limit for target in found if "own model" in target.name} == {TO_OWN["transit-60"]}


@pytest.mark.parametrize(
    ("figures", "name"),
    [
        ({"to_own": 0.83}, "transit-60: personal / own model"),
        ({"ratio": 1.01}, "transit-60: personal / naive"),
        ({"ratio": 0.96}, "transit-60: personal / scalar-weighted"),
        ({"no_worse": 0.89}, "transit-60: share of nodes at most 1 % worse"),
        ({"nodes": [{"rows": 99, "to_own": 1.11}]}, "transit-60: worst node of < 100 rows / own"),
        ({"nodes": [{"rows": 100, "to_own": 1.06}]}, "transit-60: worst node of >= 100 rows / own"),
    ],
)
def test_each_figure_can_miss(figures: dict[str, Any], name: str) -> None:
    assert name in missed(accuracy_targets(rows(**figures)))


def test_a_node_of_few_rows_may_lose_more_and_does_not_widen_the_limit_of_the_others() -> None:
    nodes = [{"rows": 99, "to_own": 1.10}, {"rows": 100, "to_own": 1.06}]
    assert missed(accuracy_targets(rows(nodes=nodes))) == ["transit-60: worst node of >= 100 rows / own"]


def test_other_horizons_seeds_and_cases_must_pay_at_all() -> None:
    further = [*rows(horizon=7, to_own=0.99), *rows(seed=2, to_own=1.01), *rows("other", to_own=0.99)]
    found = accuracy_targets(further)
    assert missed(found) == ["transit-60, seed 2: personal / own model"]
    assert all(target.limit == 1.0 for target in found if "personal /" in target.name)
    worst = [target.name for target in found if "worst" in target.name]
    assert worst == ["other: worst node of >= 100 rows / own", "other: worst node of < 100 rows / own"]
