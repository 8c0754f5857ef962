from __future__ import annotations

import json
import re
from pathlib import Path

import numpy as np
import pytest

from ledgerfed.evaluation.personal_study import (
    RULES,
    Sight,
    cover,
    federate,
    judge,
    look,
    main,
    study_cases,
    study_nodes,
)
from ledgerfed.evaluation.scenarios import find_case

RECORD = Path(__file__).parents[2] / "docs/adr/0017-personal-forecasters.md"


@pytest.fixture(scope="module")
def dryers() -> Sight:
    (case,), horizon = study_cases()["dryer-power"]
    return look(study_nodes(case, horizon))


@pytest.mark.parametrize("line", list(study_cases()))
def test_nothing_is_judged_on_a_row_that_a_test_uses(line: str) -> None:
    for case in study_cases()[line][0]:
        tested = find_case(case.name).windows
        for panel in case.panels():
            _, test = tested(panel)
            assert max(window.stop for window in case.windows(panel)) <= test.start


def test_the_rehearsal_never_sees_the_tail(dryers: Sight) -> None:
    again = federate([node.head for node in dryers.nodes])
    np.testing.assert_array_equal(again.theta, dryers.rehearsal.theta)
    for node, message in zip(dryers.nodes, dryers.rehearsal.messages, strict=True):
        assert message.n == len(node.head[1]) == len(node.y) - len(node.tail[1]) < len(node.y)


def test_local_is_the_measure_and_the_rule_in_use_gains_on_it(dryers: Sight) -> None:
    local = judge([dryers], RULES["local"])
    assert (local.to_local, local.no_worse, local.worst) == (1.0, 1.0, 1.0)
    used = judge([dryers], RULES["* and local as earned **"])
    assert used.to_local < 0.9
    assert used.to_naive == pytest.approx(local.to_naive * used.to_local)
    assert used.no_worse >= 0.9
    assert used.worst < 1.05


def test_calibrated_intervals_are_closer_to_their_level_than_normal_ones(dryers: Sight) -> None:
    found = cover([dryers])
    for level, normal, calibrated in zip((0.8, 0.95), found.normal, found.calibrated, strict=True):
        assert abs(calibrated - level) < abs(normal - level)


@pytest.mark.slow
def test_the_decision_record_quotes_what_the_study_finds(capsys: pytest.CaptureFixture[str]) -> None:
    """A share may move by one node of twelve: it counts nodes on either side of a sharp edge."""
    assert main(["--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    lines = [line.split("|")[1:-1] for line in RECORD.read_text().splitlines() if line.startswith("|")]
    cases = [cell.strip() for cell in lines[0][1:]]
    assert cases == list(found["rules"])
    rows = [line for line in lines if re.match(r"[ (.;0-9)]+$", line[1])]
    assert len(rows) == 15
    for name, *cells in rows:
        for case, cell in zip(cases, cells, strict=True):
            quoted = [float(figure) for figure in re.findall(r"[0-9.]+", cell)]
            if len(quoted) == 3:
                judged = found["rules"][case][name.strip()]
                expected = [judged["to_local"], judged["no_worse"], judged["worst"]]
                apart = np.abs(np.subtract(quoted, expected))
                assert (apart <= (0.005, 0.09, 0.03)).all(), f"{case}, {name}: {expected}"
            else:
                kind, level = name.strip().split(", ")
                inside = found["intervals"][case]["normal" if kind == "normal" else "calibrated"]
                assert quoted[0] == pytest.approx(inside[("80 %", "95 %").index(level)], abs=0.005)
