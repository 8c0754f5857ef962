"""How far honest nodes stay from every limit of the gates, on rows that the demonstration does not test on.

    python -m ledgerfed.evaluation.calibration [--trials 40] [SCENARIO ...]

A trial of transit draws eight stations and a day between 2002 and 2013. The other scenarios have no years
before: their trials draw eight nodes, who fits what and who lacks which modalities, on the windows before the
test. Each trial runs three rounds, honest and with the two attackers of the demonstration.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import permutations
from typing import Final

import numpy as np

from ledgerfed.aggregation.information import expand
from ledgerfed.consensus.claims import UNIT_SLACK, claims_of
from ledgerfed.datasets import load_health_wards, load_industry, load_transit
from ledgerfed.evaluation.attacks import FreeRider, SignFlip
from ledgerfed.evaluation.demo import ROUNDS, demo_config
from ledgerfed.evaluation.demo_scenarios import (
    NODES,
    SCENARIOS,
    TRANSIT,
    DemoScenario,
    find_scenario,
    without,
)
from ledgerfed.evaluation.dry_run import play_rounds
from ledgerfed.exchange import Information, dequantise, model_to_theta
from ledgerfed.models import load_family
from ledgerfed.node import UpdateMaker
from ledgerfed.node.walk import LocalModel, Workbench, fit_local, make_update, prepare
from ledgerfed.protocol.manifest import Outcome
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.payload import InformationUpdate
from ledgerfed.protocol.score import ONE
from ledgerfed.series import Panel
from ledgerfed.series.arrays import Floats

_PANELS: Final[Mapping[str, Callable[[], Sequence[Panel]]]] = {
    "transit": load_transit,
    "health": lambda: load_health_wards(20),
    "industry": lambda: load_industry("AgitatorPower"),
}
"""All panels that the nodes of a trial are drawn from."""
SEED = 7
FIRST_BACK, LAST_BACK = 800, 5000
"""Days before the end of the panels at which a trial of transit ends."""
LACKING = 0.2
"""How often a node of a trial lacks a modality that some nodes of the demonstration lack."""


@dataclass(slots=True)
class Findings:
    """What the trials measured: verdicts by who was judged, and the extremes of honest nodes by gate."""

    scenario: DemoScenario
    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    measures: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def calibrate(scenario: DemoScenario, trials: int, seed: int = SEED) -> Findings:
    """Run the trials of a scenario and return what they measured."""
    rng = np.random.default_rng(seed)
    findings = Findings(scenario)
    for trial in range(trials):
        benches, locals_ = _train(scenario, rng)
        _observe(findings, benches, locals_, {})
        first, second = (int(i) for i in rng.permutation(NODES)[:2])
        _observe(findings, benches, locals_, {first: SignFlip(), second: FreeRider(trial)})
    return findings


def _train(scenario: DemoScenario, rng: np.random.Generator) -> tuple[list[Workbench], list[LocalModel]]:
    panels = [_poorer(panel, scenario, rng) for panel in _draw(scenario, rng)]
    benches = [prepare(panel, scenario.windows(panel), scenario.basis) for panel in panels]
    names = rng.permutation([scenario.families[i % len(scenario.families)] for i in range(NODES)])
    return benches, [fit_local(b, load_family(str(n))) for b, n in zip(benches, names, strict=True)]


def _draw(scenario: DemoScenario, rng: np.random.Generator) -> list[Panel]:
    panels = _PANELS[scenario.name]()
    chosen = [panels[i] for i in rng.permutation(len(panels))[:NODES]]
    if scenario is not TRANSIT:
        return chosen
    stop = len(panels[0]) - int(rng.integers(FIRST_BACK, LAST_BACK))
    return [panel.head(stop) for panel in chosen]


def _poorer(panel: Panel, scenario: DemoScenario, rng: np.random.Generator) -> Panel:
    names = sorted({name for lacking in scenario.lacking.values() for name in lacking})
    return without(panel, tuple(name for name in names if rng.random() < LACKING))


def _observe(
    findings: Findings,
    benches: Sequence[Workbench],
    locals_: Sequence[LocalModel],
    attacks: dict[int, UpdateMaker],
) -> None:
    config = demo_config(len(benches), findings.scenario)
    found = play_rounds(config, benches, locals_, attacks, ROUNDS)
    outcomes = [outcome for outcome in found if isinstance(outcome, Outcome)]
    findings.verdicts["a round", "aborts"] += len(found) - len(outcomes)
    for verdict in (verdict for outcome in outcomes for verdict in outcome.verdicts):
        who = type(attacks[verdict.index]).__name__ if verdict.index in attacks else "honest"
        findings.verdicts[who, verdict.reason.value] += 1
        if attacks:
            continue
        for name, value in verdict.measures:
            findings.measures[name].append(value / ONE)
        if verdict.score is not None:
            findings.measures["score"].append(verdict.score / ONE)
    if not attacks and outcomes:
        for base in (config.genesis_model(), outcomes[-1].model):
            _compare(findings, benches, locals_, base)


def _compare(
    findings: Findings, benches: Sequence[Workbench], locals_: Sequence[LocalModel], base: GlobalModel
) -> None:
    """Measure what the updates on this base claim, from forgetting nodes too, and how near pairs come."""
    lags, bits = findings.scenario.basis.lags, _bits(findings.scenario)
    measures = findings.measures
    updates = [make_update(b, m, base) for b, m in zip(benches, locals_, strict=True)]
    forgetful = [make_update(b, m, base, forgets=True) for b, m in zip(benches, locals_, strict=True)]
    for update in (*updates, *forgetful):
        if isinstance(update, InformationUpdate):
            claims = claims_of(update, expand(update), lags)
            measures["lag_spread"].append(claims.spread / ONE)
            measures["lag_moment"] += [moment / ONE for moment in claims.moments[: len(lags)]]
            measures["moment_highest"].append(max(claims.moments) / ONE)
            measures["unit"].append(abs(claims.moments[-1] / ONE - 1))
            measures["noise"].append(update.residual / update.n_samples / ONE)
    own = [dequantise(update) for update in updates if isinstance(update, InformationUpdate)]
    if base.contributors:
        measures["base_distance"] += [_distance(info, model_to_theta(base)) for info in own]
    for ours, theirs in permutations(own, 2):
        misalignment = _misalignment(ours, theirs)
        measures["misalignment"].append(misalignment)
        if misalignment < 2.0**-bits:
            measures["twin"].append(min(_distance(ours, theirs.theta()), _off(ours.z, theirs.z)))


def _bits(scenario: DemoScenario) -> int:
    return demo_config(NODES, scenario).gates.twin_alignment_bits


def _misalignment(left: Information, right: Information) -> float:
    product = float(np.sum(left.R * right.R))
    return 1 - product**2 / float(np.sum(left.R**2) * np.sum(right.R**2))


def _distance(info: Information, theta: Floats) -> float:
    error = info.z - info.R @ theta
    return float(error @ error) / info.width


def _off(ours: Floats, theirs: Floats) -> float:
    along = float(ours @ theirs)
    beside = float(ours @ ours) - (along**2 / float(theirs @ theirs) if along > 0 else 0.0)
    return beside / len(ours)


def report(findings: Findings) -> str:
    """Return the findings as text: each limit beside what honest nodes came to."""
    measures = findings.measures
    gates = demo_config(NODES, findings.scenario).gates
    relative = [d / limit for d, limit in zip(measures["distance"], measures["distance_limit"], strict=True)]
    rows = (
        ("V5 noise, lowest", min(measures["noise"]), ONE / gates.noise_band),
        ("V5 noise, highest", max(measures["noise"]), gates.noise_band / ONE),
        ("V5 coefficient, largest", max(measures["largest_coefficient"]), gates.norm_bound / ONE),
        ("V5 mean square of a lag, lowest", min(measures["lag_moment"]), ONE / gates.moment_band),
        ("V5 mean square of a column, highest", max(measures["moment_highest"]), gates.moment_band / ONE),
        ("V5 intercept, off one by", max(measures["unit"]), UNIT_SLACK / ONE),
        ("V5 spread of autocovariances, largest", max(measures["lag_spread"]), gates.lag_spread / ONE),
        ("V6 distance from the base, smallest", min(measures["base_distance"]), gates.base_distance / ONE),
        ("V6 misalignment, smallest", min(measures["misalignment"]), 2.0**-gates.copy_alignment_bits),
        ("V6 distance of twins, smallest", min(measures["twin"], default=np.inf), gates.twin_distance / ONE),
        ("V7 distance / limit, largest", max(relative), 1.0),
        ("V8 score, lowest", min(measures["score"]), gates.score_floor / ONE),
        ("V8 regret, largest", max(measures["regret"]), gates.regret_limit / ONE),
    )
    lines = [f"{'honest nodes, ' + findings.scenario.name:40}{'found':>12}{'limit':>12}"]
    lines += [f"{name:40}{found:12.5f}{limit:12.5f}" for name, found, limit in rows]
    lines += ["", f"{'judged':16}{'verdict':28}{'times':>8}"]
    lines += [f"{who:16}{reason:28}{n:8}" for (who, reason), n in sorted(findings.verdicts.items()) if n]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ledgerfed.evaluation.calibration", description=__doc__)
    parser.add_argument("scenarios", nargs="*", metavar="SCENARIO", default=[s.name for s in SCENARIOS])
    parser.add_argument("--trials", type=int, default=40)
    options = parser.parse_args(arguments)
    reports = (report(calibrate(find_scenario(name), options.trials)) for name in options.scenarios)
    sys.stdout.write("\n".join(reports))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
