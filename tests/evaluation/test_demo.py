"""Whoever the seed makes hostile is refused, whoever it leaves honest is not."""

from __future__ import annotations

from itertools import permutations

import pytest

from ledgerfed.datasets import TRANSIT_BASIS
from ledgerfed.evaluation.attacks import FreeRider, SignFlip
from ledgerfed.evaluation.calibration import calibrate, report
from ledgerfed.evaluation.demo import demo_config, demo_members
from ledgerfed.evaluation.dry_run import dry_rounds
from ledgerfed.models import load_family
from ledgerfed.node.walk import LocalModel, Workbench, fit_local, prepare
from ledgerfed.protocol.manifest import Reason
from ledgerfed.series import split

PAIRS = list(permutations(range(8), 2))


@pytest.fixture(scope="module")
def trained() -> tuple[list[Workbench], list[LocalModel]]:
    members = demo_members(0)
    benches = [prepare(m.panel, split(m.panel), TRANSIT_BASIS) for m in members]
    return benches, [fit_local(b, load_family(m.family)) for b, m in zip(benches, members, strict=True)]


def judge(trained: tuple[list[Workbench], list[LocalModel]], pair: tuple[int, int], rounds: int) -> None:
    flipper, rider = pair
    attacks = {flipper: SignFlip(), rider: FreeRider(seed=flipper)}
    for outcome in dry_rounds(demo_config(), *trained, attacks, rounds):
        reasons = [verdict.reason for verdict in outcome.verdicts]
        copied = Reason.BASE_COPY if outcome.round == 1 else Reason.COPY
        expected = [Reason.ADMITTED] * 8
        expected[flipper], expected[rider] = Reason.OUTLIER, copied
        assert reasons == expected, f"attackers {pair}, round {outcome.round}"


@pytest.mark.parametrize("pair", PAIRS[::11], ids=str)
def test_both_attackers_are_refused_and_no_honest_node_is(
    trained: tuple[list[Workbench], list[LocalModel]], pair: tuple[int, int]
) -> None:
    judge(trained, pair, rounds=3)


@pytest.mark.slow
@pytest.mark.parametrize("pair", PAIRS, ids=str)
def test_every_pair_of_attackers_is_refused_for_six_rounds(
    trained: tuple[list[Workbench], list[LocalModel]], pair: tuple[int, int]
) -> None:
    judge(trained, pair, rounds=6)


def test_without_attackers_everybody_is_admitted(trained: tuple[list[Workbench], list[LocalModel]]) -> None:
    for outcome in dry_rounds(demo_config(), *trained, {}, 3):
        assert all(verdict.admitted for verdict in outcome.verdicts)


def test_equal_inputs_give_equal_models(trained: tuple[list[Workbench], list[LocalModel]]) -> None:
    first, second = (dry_rounds(demo_config(), *trained, {}, 2)[-1].manifest().hash() for _ in range(2))
    assert first == second


def test_the_seed_decides_who_is_hostile_and_which_keys_they_hold() -> None:
    hostile = {tuple(i for i, m in enumerate(demo_members(seed)) if m.attack) for seed in range(8)}
    assert len(hostile) > 1
    assert demo_members(1)[0].signer.address != demo_members(2)[0].signer.address


def test_calibration_touches_no_row_of_the_demonstration_and_finds_honest_nodes_within_the_limits() -> None:
    findings = calibrate(trials=2)
    honest = {reason for who, reason in findings.verdicts if who == "honest"}
    assert honest == {"admitted"}
    assert "V8 score, lowest" in report(findings)
