from __future__ import annotations

import json
from dataclasses import asdict
from itertools import pairwise

import numpy as np
import pytest

from ledgerfed.datasets import load_transit
from ledgerfed.errors import NotFoundError
from ledgerfed.evaluation.drift_detectors import CHANGE, World, detections, simulate
from ledgerfed.evaluation.drift_detectors import report as detector_report
from ledgerfed.evaluation.drift_scenario import (
    AFTER,
    BEFORE,
    STEP,
    WINDOW,
    Policy,
    another_week,
    fewer_riders,
    inform,
    play,
    stations,
)
from ledgerfed.evaluation.drift_study import DAYS, NONE, POLICIES, Reaction, report, study
from ledgerfed.series import DriftRule, Window, split

DAY = DAYS[1]
EITHER = DriftRule()
HALF = tuple(range(0, 20, 2))


@pytest.fixture(scope="module")
def reactions() -> dict[tuple[str, int, str], Reaction]:
    """Breaks at all and at half of the stations, on one day, under a few policies."""
    chosen = [p for p in POLICIES if p.name in (NONE.name, "forget always", "either", "either, flag")]
    found = (*study(["week"], [DAY], chosen), *study(["level"], [DAY], chosen, every=[1]))
    return {(r.kind, r.changed, r.policy): r for r in found}


def test_a_break_changes_nothing_before_its_day() -> None:
    target = np.arange(100.0)
    for change in (another_week, fewer_riders):
        changed = change(target, 40)
        np.testing.assert_array_equal(changed[:40], target[:40])
        assert (changed[40:97] != target[40:97]).all()
    assert another_week(target, 40)[40] == 43
    assert fewer_riders(target, 40)[50] == 30


def test_every_day_of_the_study_lies_before_the_default_holdout() -> None:
    assert max(DAYS) + AFTER * STEP < split(load_transit()[0]).holdout.start
    assert min(DAYS) - BEFORE * STEP - WINDOW > 0


def test_what_a_node_says_follows_from_rows_before_the_round_only() -> None:
    nodes = stations("level", HALF, DAY, DAY)
    same = stations("level", HALF, DAY + 1, DAY)
    for policy in (NONE, Policy("always", always=True), Policy("cut", cut=True)):
        for node, other in zip(nodes, same, strict=True):
            window = Window(DAY - WINDOW, DAY)
            left, right = (inform(n.design, window, DAY - 50, policy) for n in (node, other))
            np.testing.assert_array_equal(left.R, right.R)
            np.testing.assert_array_equal(left.z, right.z)


def test_only_a_believed_change_makes_a_node_forget() -> None:
    node = stations("level", (), DAY, DAY)[0].design
    window = Window(DAY - WINDOW, DAY)
    assert inform(node, window, None, POLICIES[4]).n == WINDOW
    assert inform(node, window, DAY - WINDOW - 1, Policy("either", EITHER)).n == WINDOW
    assert inform(node, window, DAY - 100, Policy("either", EITHER)).n == 100
    assert inform(node, window, DAY - 200, Policy("cut", EITHER, cut=True)).n == 200
    assert inform(node, window, DAY - 1, Policy("cut", EITHER, cut=True)).n >= 20
    assert inform(node, window, None, Policy("always", always=True)).n == 100


def test_before_the_break_all_worlds_play_alike_and_after_it_they_differ() -> None:
    broken = play(stations("week", HALF, DAY, DAY), DAY, NONE)
    sound = play(stations("week", (), DAY, DAY), DAY, NONE)
    np.testing.assert_allclose(broken.forecast[:BEFORE], sound.forecast[:BEFORE])
    assert (broken.forecast[BEFORE, HALF] > sound.forecast[BEFORE, HALF]).all()
    assert broken.alarms == ()
    assert broken.flagged() == ()


def test_nodes_notice_the_break_and_the_federation_flags_it_at_the_next_round(
    reactions: dict[tuple[str, int, str], Reaction],
) -> None:
    for changed in (10, 20):
        found = reactions["week", changed, "either"]
        assert found.noticed is not None
        assert found.noticed >= 0.8
        assert found.delay is not None
        assert found.delay < 40
        assert found.flags == 1
        assert found.flagged == 1


def test_forgetting_after_an_alarm_recovers_faster_than_not_reacting(
    reactions: dict[tuple[str, int, str], Reaction],
) -> None:
    for kind, changed, share in (("week", 20, 0.75), ("level", 20, 0.75), ("week", 10, 0.95)):
        still, alarmed = (
            np.mean(np.log(reactions[kind, changed, p].excess[1:7])) for p in (NONE.name, "either")
        )
        assert alarmed < share * still


def test_the_flag_helps_the_changed_where_the_others_did_not_change(
    reactions: dict[tuple[str, int, str], Reaction],
) -> None:
    alone, flagged, always = (
        np.mean(np.log(reactions["week", 10, p].excess[2:7]))
        for p in ("either", "either, flag", "forget always")
    )
    assert flagged < 0.9 * alone
    assert flagged == pytest.approx(always, abs=0.03)


def test_watching_costs_less_than_forgetting_always_while_nothing_changes(
    reactions: dict[tuple[str, int, str], Reaction],
) -> None:
    levels = [reactions["level", 20, p].before for p in (NONE.name, "either", "forget always")]
    assert levels == sorted(levels)
    assert levels[0] < levels[2]


def test_the_settled_federation_is_what_all_are_held_to(
    reactions: dict[tuple[str, int, str], Reaction],
) -> None:
    settled = reactions["level", 20, "settled"]
    assert set(settled.excess) == {1.0}
    for policy in (NONE.name, "forget always", "either"):
        found = reactions["level", 20, policy]
        np.testing.assert_allclose(
            found.excess, np.array(found.rounds) / np.array(settled.rounds), rtol=1e-12
        )


def test_the_report_and_the_document_hold_every_policy(
    reactions: dict[tuple[str, int, str], Reaction],
) -> None:
    text = report(list(reactions.values()))
    assert len(text.split("\n\n")[0].splitlines()) == 1 + len(reactions) == 16
    assert json.loads(json.dumps([asdict(r) for r in reactions.values()]))[0]["policy"] == "settled"


def test_an_unknown_break_is_named() -> None:
    with pytest.raises(NotFoundError, match="no break 'war'"):
        stations("war", (), DAY, DAY)


def test_simulated_series_change_at_the_step_and_not_before() -> None:
    still, moved = (simulate(w, np.random.default_rng(0)) for w in (World(), World(mean=2.0)))
    np.testing.assert_array_equal(still[:CHANGE], moved[:CHANGE])
    assert still[CHANGE] != moved[CHANGE]


def test_the_detectors_are_quiet_without_a_change_and_see_a_variance_that_grew() -> None:
    found = {(d.change, d.detector): d for d in detections(runs=6)}
    for detector in ("ADWIN", "CUSUM calibrated"):
        assert found["none", detector].false_alarms == 0
        seen = found["variance", detector]
        assert (seen.false_alarms, seen.detected) == (0, 1)
        assert seen.delay is not None
        assert seen.delay < 120
    assert len(detector_report(tuple(found.values())).splitlines()) == 17


def test_a_node_watches_its_next_forecaster_afresh_after_an_alarm() -> None:
    rule = DriftRule()
    played = play(stations("week", range(20), DAY, DAY), DAY, Policy("either", rule))
    assert 0 < len(played.alarms) == played.firing.sum()
    for node in range(20):
        days = [at for i, at, _ in played.alarms if i == node]
        assert all(later - earlier > rule.warmup for earlier, later in pairwise(days))
