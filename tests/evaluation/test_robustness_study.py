"""The study of robustness: its lines are those of their definitions, and newcomers contribute nothing."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache

import numpy as np
import pytest

from ledgerfed.evaluation import robustness_study
from ledgerfed.evaluation.compare import METHODS, PERSONAL
from ledgerfed.evaluation.methods.federated import rounds
from ledgerfed.evaluation.methods.result import errors_of, train_or_replace
from ledgerfed.evaluation.metrics import geometric_mean, rmse
from ledgerfed.evaluation.robustness_study import Line, newcomers, other_own_models, other_windows, table
from ledgerfed.evaluation.scenarios import Case, find_case, last_days, participants


@cache
def small(back: int = 0) -> Case:
    """Six stations, 60 days, and 60 days to forecast."""
    case = find_case("transit-60")
    return replace(case, panels=lambda: case.panels()[:6], windows=last_days(60, 60, back))


def test_a_year_earlier_is_another_comparison_of_the_same_nodes() -> None:
    now, then = ({x.method: x for x in other_windows(small(back), "")} for back in (0, 365))
    assert set(now) == set(then) == set(robustness_study.SHOWN)
    assert all(x.nodes == 6 and 0 <= x.no_worse <= 1 <= 6 * x.worst for x in (*now.values(), *then.values()))
    assert all(now[name].to_naive != then[name].to_naive for name in now)
    assert all(x.worst >= x.to_own for x in now.values())


def test_against_least_squares_the_other_own_models_are_the_headline() -> None:
    (line,) = other_own_models(small(), ("arx",))
    headline = next(x for x in other_windows(small(), "") if x.method == PERSONAL)
    assert line.to_own == pytest.approx(headline.to_own)
    assert (line.no_worse, line.worst) == pytest.approx((headline.no_worse, headline.worst))


def test_another_own_model_moves_the_yardstick_and_not_the_forecast() -> None:
    lines = list(other_own_models(small(), ("arx", "structural")))
    assert lines[0].to_naive == lines[1].to_naive
    assert lines[0].to_own != lines[1].to_own


def test_newcomers_are_forecast_by_the_others_alone() -> None:
    line = newcomers(small(), folds=3)
    nodes = tuple(train_or_replace(p) for p in participants(small()))
    found = []
    for i, node in enumerate(nodes):
        others = tuple(other for j, other in enumerate(nodes) if j % 3 != i % 3)
        _, y = node.participant.answers
        error = errors_of([node], rounds.__wrapped__(others)[-1].theta)[0]
        found.append(error / rmse(y - node.participant.naive))
    assert line.to_naive == pytest.approx(geometric_mean(found))
    everybody = METHODS["federated, global"](nodes, 0).predictions
    assert line.to_naive != pytest.approx(
        geometric_mean(
            [
                rmse(n.participant.answers[1] - p.mean) / rmse(n.participant.answers[1] - n.participant.naive)
                for n, p in zip(nodes, everybody, strict=True)
            ]
        )
    )


def test_a_rehearsal_is_paid_for() -> None:
    nodes = tuple(train_or_replace(p) for p in participants(small()))
    once, personal, mixed = (
        METHODS[name](nodes, 0) for name in ("federated, global", PERSONAL, "federated, no harm")
    )
    for result in (personal, mixed):
        assert result.rounds == 2 * once.rounds
        assert result.bytes_up == 2 * once.bytes_up
        assert result.bytes_down == 2 * once.bytes_down
        assert result.wire_up == 2 * once.wire_up


def test_the_study_prints_its_lines(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    line = Line("transit-60", "test year 1 earlier", PERSONAL, 20, 0.8, 0.9, 0.95, 1.05)
    monkeypatch.setattr(robustness_study, "study", lambda: iter([line]))
    assert robustness_study.main(["--json"]) == 0
    assert Line(**json.loads(capsys.readouterr().out)[0]) == line
    assert robustness_study.main([]) == 0
    printed = capsys.readouterr().out
    assert printed == table([line])
    assert np.isclose([float(x) for x in printed.split()[-4:]], [0.8, 0.9, 0.95, 1.05]).all()
