"""The study of attacks: who is attacked, what is measured, the search for the worst, and the whole as one."""

from __future__ import annotations

import json
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ledgerfed.errors import InvalidValueError, NotFoundError
from ledgerfed.evaluation.attack_study import parts
from ledgerfed.evaluation.attack_study.calibration import open_config
from ledgerfed.evaluation.attack_study.catalogue import ATTACKS, Setting, find_attack
from ledgerfed.evaluation.attack_study.nodes import SCENARIOS, Federation, find_scenario, load
from ledgerfed.evaluation.attack_study.others import FEDAVG, INFINITE, fedavg_mse, growth, median_mse
from ledgerfed.evaluation.attack_study.page import BEGIN, END, page, readme_table
from ledgerfed.evaluation.attack_study.parts import NOBODY, AttackPart, attack_parts, do_attack, settle
from ledgerfed.evaluation.attack_study.play import forecaster_mse, own_mse, play
from ledgerfed.evaluation.attack_study.plots import draw_attacks
from ledgerfed.evaluation.attack_study.search import search, worst
from ledgerfed.evaluation.attack_study.summary import (
    admitted_by_strength,
    as_csv,
    as_text,
    differences,
    gather_attacks,
)
from ledgerfed.evaluation.methods.averaging import federated_averaging, quality_weighted_median
from ledgerfed.evaluation.page import replace_table

QUICK = "health"


@lru_cache(maxsize=1)
def federation() -> Federation:
    """Ten wards by rules that let every honest one in."""
    return load(QUICK).of(range(10))


@pytest.fixture
def open_rules(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rules that refuse nobody honest, so that what is tested here is no calibration."""
    config = Federation.config
    monkeypatch.setattr(Federation, "config", lambda self: open_config(config(self)))


def document(part: AttackPart) -> dict[str, Any]:
    return json.loads(json.dumps(do_attack(part)))


@lru_cache(maxsize=1)
def found() -> tuple[dict[str, Any], ...]:
    """The quick documents of two attacks and of none."""
    wanted = (NOBODY, 0.0), ("sign flip", 0.4), ("two leaves", 0.4)
    return tuple(document(AttackPart(QUICK, attack, share, quick=True)) for attack, share in wanted)


@pytest.mark.parametrize("name", [scenario.name for scenario in SCENARIOS])
def test_windows_follow_each_other_and_the_test_is_the_evaluations(name: str) -> None:
    whole = load(name)
    assert len(whole) == {"transit": 20, "health": 27, "industry": 12}[name]
    for node, bench in zip(whole.nodes, whole.benches, strict=True):
        holdout, train = np.flatnonzero(bench.holdout.rows), np.flatnonzero(bench.train.rows)
        tested = np.flatnonzero(node.participant.test)
        assert holdout[-1] < train[0] <= train[-1] < tested[0]
        assert np.array_equal(bench.train.sample()[1], node.participant.train.sample()[1])
        assert len(train) >= 3 * bench.train.basis.width


def test_the_rules_ask_for_no_more_updates_than_two_fifths_of_refused_ones_leave() -> None:
    for scenario in SCENARIOS:
        whole = load(scenario.name)
        config = whole.config()
        left = len(whole) - round(0.4 * len(whole))
        assert config.min_updates == 2 * config.aggregation.hostile + 1 < left
        assert config.schema == whole.benches[0].train.basis.basis_id


def test_transit_can_be_looked_at_earlier_and_the_others_cannot() -> None:
    whole, earlier = load("transit"), load("transit", 1)
    assert earlier.nodes[0].participant.through.times[-1] < whole.nodes[0].participant.through.times[-300]
    with pytest.raises(InvalidValueError, match="too few episodes"):
        load("industry", 1)
    with pytest.raises(NotFoundError, match="transit, health, industry"):
        find_scenario("finance")


def test_the_seed_draws_who_is_hostile_and_everybody_is_somebody() -> None:
    first, again, other = settle(QUICK, 0.4, 0), settle(QUICK, 0.4, 0), settle(QUICK, 0.4, 1)
    assert first == again
    assert first.ring != other.ring
    assert len(first.ring) == 11
    assert sorted(first.ring + first.honest) == list(range(27))
    assert first.faults == 8


@pytest.mark.usefixtures("open_rules")
def test_without_attack_everybody_is_judged_and_forecasts_better_than_alone() -> None:
    everybody = tuple(range(10))
    calm = play(federation(), everybody)
    assert (calm.honest.total, calm.honest.admitted, calm.hostile.total) == (50, 50, 0)
    own = np.array([own_mse(node) for node in federation().nodes])
    assert growth(calm.mse, own) < 1
    again = play(federation(), everybody)
    assert np.array_equal(calm.mse, again.mse)


def test_a_federation_that_certified_nothing_leaves_everybody_its_own_model() -> None:
    genesis = federation().config().genesis_model()
    assert forecaster_mse(federation(), 3, genesis) == own_mse(federation().nodes[3])


@pytest.mark.usefixtures("open_rules")
def test_every_attack_of_the_catalogue_can_be_played_and_is_counted() -> None:
    ring, honest = (1, 4, 6, 9), (0, 2, 3, 5, 7, 8)
    for kind in ATTACKS:
        strength = kind.strengths[-1]
        attack = kind.play(strength, Setting(0, ring, honest))
        played = play(federation(), honest, ring, attack, rounds=2)
        active = 0 if attack.harmless else sum(attack.attacks_in(r) for r in (1, 2))
        assert played.hostile.total == (0 if played.aborted == 2 else len(ring) * active), kind.name
        assert (played.aborted == 2) == (kind.name == "more than f silent"), kind.name
        assert np.isfinite(played.mse).all(), kind.name


@pytest.mark.usefixtures("open_rules")
def test_only_as_many_are_silent_as_a_committee_may_miss() -> None:
    setting = Setting(0, (1, 4, 6, 9), (0, 2, 3, 5, 7, 8))
    players = find_attack("silent scorers").play(2.0, setting).players(setting.ring)
    silent = [type(player.scores).__name__ == "Silent" for player in players.values()]
    assert silent == [True, True, True, False]
    assert setting.faults == 3


def test_names_strengths_and_loud_ones_are_as_a_grid_wants_them() -> None:
    names = [kind.name for kind in ATTACKS]
    assert len(set(names)) == len(names)
    for kind in ATTACKS:
        assert list(kind.strengths) == sorted(set(kind.strengths)), kind.name
    loud = {kind.name for kind in ATTACKS if any(kind.loud(s) for s in kind.strengths)}
    assert loud == {"sign flip", "scaling", "Gaussian", "target shift"}
    with pytest.raises(NotFoundError, match="sign flip"):
        find_attack("nuisance")


def test_the_search_finds_a_peak_between_two_strengths_of_the_grid() -> None:
    def peak(strength: float) -> float:
        return -((strength - 2.2) ** 2)

    tried = search((1.0, 2.0, 4.0, 8.0), peak, 3)
    assert [strength for strength, _ in tried[:6]] == [1, 2, 4, 8, pytest.approx(1.41), pytest.approx(2.83)]
    assert abs(worst(tried)[0] - 2.2) < 0.2
    assert worst(tried)[1] >= max(peak(s) for s in (1.0, 2.0, 4.0, 8.0))
    assert len(search((1.0, 2.0), peak, 0)) == 2


def test_the_search_stays_inside_the_grid_and_crosses_zero_by_halves() -> None:
    tried = search((-1.0, 3.0), lambda s: s, 2)
    assert [strength for strength, _ in tried] == [-1, 3, 1, pytest.approx(1.73)]
    for grid in ((), (2.0, 1.0)):
        with pytest.raises(InvalidValueError, match="ascends"):
            search(grid, float, 1)


def test_without_attack_the_others_are_the_methods_of_the_evaluation() -> None:
    whole = load(QUICK)
    everybody = tuple(range(len(whole)))
    for ours, method in ((fedavg_mse, federated_averaging), (median_mse, quality_weighted_median)):
        predictions = method(whole.nodes, 0).predictions
        truth = [node.participant.answers[1] for node in whole.nodes]
        theirs = [float(np.mean((y - p.mean) ** 2)) for y, p in zip(truth, predictions, strict=True)]
        assert ours(whole, everybody) == pytest.approx(theirs, rel=1e-9)


def test_what_hostile_nodes_send_moves_the_mean_and_the_median() -> None:
    whole, at = load(QUICK), settle(QUICK, 0.4, 0)
    calm = fedavg_mse(whole, at.honest)
    flips = [find_attack("sign flip").play(s, at) for s in (0.25, 5.0)]
    mild, wild = (growth(fedavg_mse(whole, at.honest, at.ring, flip), calm) for flip in flips)
    assert 1 < mild < wild <= INFINITE
    shift = find_attack("target shift").play(2.0, at)
    assert growth(fedavg_mse(whole, at.honest, at.ring, shift), calm) > 1.5
    claims = [find_attack("claimed precision").play(c, at) for c in (2.0, 1000.0)]
    shy, bold = (growth(fedavg_mse(whole, at.honest, at.ring, c), calm) for c in claims)
    assert bold > shy
    median = median_mse(whole, at.honest)
    assert growth(median_mse(whole, at.honest, at.ring, flips[0]), median) > 1.05


def test_growth_is_a_geometric_mean_and_bounded() -> None:
    assert growth(np.array([2.0, 8.0]), np.array([1.0, 1.0])) == pytest.approx(4)
    assert growth(np.array([np.inf, np.nan]), np.array([1.0, 1.0])) == pytest.approx(INFINITE)


def test_parts_cover_every_attack_and_the_quick_ones_fewer_shares() -> None:
    full, quick = attack_parts(["health"], quick=False), attack_parts(["health"], quick=True)
    assert len(full) == 2 * len(ATTACKS) + 1
    assert len(quick) == len(ATTACKS) + 1
    assert len({part.name for part in (*full, *quick)}) == len(full) + len(quick)
    assert {part.attack for part in full} == {NOBODY, *(kind.name for kind in ATTACKS)}


def test_a_part_tries_strengths_between_those_of_the_grid_and_is_repeatable(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    kind = replace(find_attack("sign flip"), strengths=(0.5, 1.0))
    monkeypatch.setattr(parts, "find_attack", lambda _: kind)
    part = AttackPart(QUICK, kind.name, 0.4)
    monkeypatch.setattr(parts, "SEEDS", {0.4: 1})
    done = do_attack(part)
    assert [trial["strength"] for trial in done["trials"]][:2] == [0.5, 1.0]
    assert done["trials"][2]["strength"] == pytest.approx(0.707)
    assert do_attack(part) == done


def test_all_parts_together_say_who_was_admitted_and_what_was_met() -> None:
    whole = gather_attacks(found())
    assert [calm["scenario"] for calm in whole["without"]] == [QUICK]
    assert [attack["attack"] for attack in whole["attacks"]] == ["sign flip", "two leaves"]
    names = [target["target"] for target in whole["targets"]]
    assert any("worst" in name and "everybody honest" in name for name in names)
    assert any("loud attacks admitted" in name for name in names)
    assert len(whole["lines"]) == len(names)
    assert admitted_by_strength(whole["attacks"][0]).keys() <= {0.25, 1.0, 5.0}
    rows = as_csv(whole).splitlines()
    assert len(rows) == 1 + sum(len(attack["trials"]) for attack in whole["attacks"])
    assert any("sign flip" in line for line in as_text(whole))


def trial(strength: float, **measures: Any) -> dict[str, Any]:
    calm = {"growth": 1.0, "growth_honest_only": 1.0, "worst_growth": 1.0, "to_own": 0.9}
    calm |= {"worst_to_own": 0.99, "worst_to_own_before": 0.99, "hostile": 10, "hostile_admitted": 0}
    calm |= {"honest": 30, "honest_rejected": 0, "aborted": 0, FEDAVG: None, "median": None}
    calm |= {"FedAvg_to_own": None, "median_to_own": None, "loud": False, "seed": 0}
    return {**calm, "strength": strength, **measures}


def made(attack: str, *trials: dict[str, Any], share: float = 0.4) -> dict[str, Any]:
    return {"scenario": "transit", "attack": attack, "share": share, "unit": "", "trials": list(trials)}


def verdicts(*attacks: dict[str, Any]) -> dict[str, tuple[float, bool]]:
    calm = {
        "scenario": "transit",
        "attack": NOBODY,
        "share": 0.0,
        "unit": "",
        "nodes": 20,
        "honest": 100,
        "honest_rejected": 1,
        "to_own": 0.9,
        "worst_to_own": 0.99,
        "trials": [],
    }
    targets = gather_attacks([calm, *attacks])["targets"]
    return {t["target"].removeprefix("transit: "): (t["measured"], t["met"]) for t in targets}


def test_the_targets_take_the_worst_of_everything_and_name_it() -> None:
    said = verdicts(
        made("sign flip", trial(1, growth=1.01), trial(2.5, growth=1.04, loud=True, hostile_admitted=1)),
        made("ALIE", trial(1, growth=1.2, hostile_admitted=3), trial(2, growth=1.1, hostile_admitted=10)),
        made("mimic", trial(1, worst_to_own=1.02), share=0.2),
        made("more than f silent", trial(0, growth=3.0)),
    )
    assert said["sign flip x 2.5, MSE / everybody honest"] == (1.04, True)
    assert said["worst (ALIE 1), MSE / everybody honest"] == (1.2, False)
    assert said["worst node / own (mimic 1 at 20%)"] == (1.02, False)
    assert said["loud attacks admitted"] == (0.1, False)
    assert said["ALIE (z = 1) admitted"] == (0.3, False)
    assert said["honest rejected without attack"] == (0.01, True)


def test_honest_rejections_are_counted_over_all_trials() -> None:
    said = verdicts(made("copy", trial(0, honest_rejected=1), trial(1, honest=70)))
    assert said["honest rejected under attack"] == (0.01, True)


def test_a_figure_that_differs_from_the_committed_one_is_named() -> None:
    whole = gather_attacks(found())
    other = json.loads(json.dumps(whole))
    assert differences(whole, other, 1e-9) == ()
    other["attacks"][0]["trials"][0]["growth"] += 0.1
    (line,) = differences(whole, other, 1e-3)
    assert line.startswith("health 0.4 sign flip 0.25 s0 growth is")
    del other["attacks"][1]
    assert any("two leaves" in line for line in differences(whole, other, 1.0))


def test_the_page_and_the_table_show_every_attack_and_target() -> None:
    whole = gather_attacks(found())
    text = "\n".join(page(whole))
    assert all(attack["attack"] in text for attack in whole["attacks"])
    assert all(target["target"] in text for target in whole["targets"])
    table = tuple(readme_table(whole))
    assert table[0].startswith("| scenario | attack |")
    assert any("worst found" in line for line in table)
    readme = replace_table(f"before\n{BEGIN}\nold\n{END}\nafter", table, BEGIN, END)
    assert "old" not in readme
    assert readme.startswith("before")
    with pytest.raises(InvalidValueError, match="no place for the table"):
        replace_table("nothing", table, BEGIN, END)


def test_pictures_are_the_same_bytes_each_time(tmp_path: Path) -> None:
    whole = gather_attacks(found())
    drawn = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        drawn.append([path.read_bytes() for path in draw_attacks(whole, tmp_path / name)])
    assert drawn[0] == drawn[1]
    assert len(drawn[0]) == 2
