from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest

from ledgerfed.evaluation.demo import demo_config, demo_members
from ledgerfed.evaluation.demo_scenarios import TRANSIT
from ledgerfed.evaluation.dry_run import dry_rounds
from ledgerfed.models import load_family
from ledgerfed.node import walk
from ledgerfed.node.walk import LocalModel, Workbench
from ledgerfed.protocol.manifest import Outcome
from ledgerfed.series import Panel, split

BREAK = 20
"""Rows before the end of training at which the world changes."""


def changed(panel: Panel) -> Panel:
    """The panel with its weekdays moved from the break on: what was a Saturday now looks like a Wednesday."""
    at = split(panel).train.stop - BREAK
    target = panel.target.copy()
    target[at:] = np.roll(panel.target, 3)[at:]
    return replace(panel, target=target)


def prepared(panels: Sequence[Panel]) -> tuple[list[Workbench], list[LocalModel]]:
    benches = [walk.prepare(panel, split(panel), TRANSIT.basis) for panel in panels]
    return benches, [walk.fit_local(bench, load_family("arx")) for bench in benches]


def rounds(broken: frozenset[int]) -> tuple[tuple[Outcome, ...], list[Workbench], list[LocalModel]]:
    panels = [m.panel for m in demo_members(0)]
    benches, fits = prepared([changed(p) if i in broken else p for i, p in enumerate(panels)])
    return dry_rounds(demo_config(), benches, fits, {}, 3), benches, fits


@pytest.fixture(scope="module")
def broken_world() -> tuple[tuple[Outcome, ...], list[Workbench], list[LocalModel]]:
    return rounds(frozenset(range(0, 8, 2)))


def test_nobody_calls_a_steady_world_changed() -> None:
    outcomes, _, _ = rounds(frozenset())
    assert [(o.drift.flagged, o.drift.declared) for o in outcomes] == [(0, False)] * 3


def test_the_first_round_cannot_know_of_a_drift(
    broken_world: tuple[tuple[Outcome, ...], list[Workbench], list[LocalModel]],
) -> None:
    outcomes, benches, _ = broken_world
    assert not outcomes[0].drift.declared
    assert not walk.notices_drift(benches[0], demo_config().genesis_model())


def test_a_drift_that_enough_nodes_notice_is_declared_and_certified(
    broken_world: tuple[tuple[Outcome, ...], list[Workbench], list[LocalModel]],
) -> None:
    outcomes, benches, _ = broken_world
    noticing = [index for index, bench in enumerate(benches) if walk.notices_drift(bench, outcomes[0].model)]
    assert set(noticing) <= set(range(0, 8, 2))
    assert len(noticing) >= 3
    assert outcomes[1].drift.declared
    assert outcomes[1].manifest().drift == outcomes[1].drift


def test_who_knows_of_a_drift_claims_fewer_rows_and_says_so(
    broken_world: tuple[tuple[Outcome, ...], list[Workbench], list[LocalModel]],
) -> None:
    outcomes, benches, fits = broken_world
    base = outcomes[1].model
    plain = walk.make_update(benches[1], fits[1], base)
    forgetting = walk.make_update(benches[1], fits[1], base, True, forgets=True)
    assert (plain.drift, forgetting.drift) == (False, True)
    expected = sum(walk.FORGET ** (60 - 1 - age) for age in range(60))
    assert (plain.n_samples, forgetting.n_samples) == (60, round(expected))


def test_a_node_does_not_forget_below_what_is_admitted() -> None:
    panel = replace(demo_members(0)[0].panel)
    bench = walk.prepare(panel, split(panel, train=37), TRANSIT.basis)
    local = walk.fit_local(bench, load_family("ar"))
    base = demo_config().genesis_model()
    assert walk.make_update(bench, local, base, forgets=True).n_samples == 37
