"""What honest validators' scores look like, and how a scorer's reputation should follow from them (ADR 19).

    python -m ledgerfed.evaluation.reputation_study [--trials 3] [--json]

Each trial draws eight nodes of a scenario (stations on a day between 2002 and 2013, wards, dryers) and runs
ROUNDS dry rounds, all honest and with two sign flippers. Nodes fit on their training rows and score on their
hold-outs; no test window is looked at. The liars are two of the eight; they lie in their scores alone.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import combinations, cycle
from typing import Final

import numpy as np

from ledgerfed.consensus import reputation as rule
from ledgerfed.consensus.conduct import APART, BAND, COMMON
from ledgerfed.consensus.regret import quality
from ledgerfed.consensus.scores import LOUD, QUIET, SPREADS
from ledgerfed.datasets import load_health_wards, load_industry, load_transit
from ledgerfed.evaluation.attacks import SignFlip
from ledgerfed.evaluation.demo import EARNED, GATES, demo_config
from ledgerfed.evaluation.demo_scenarios import HEALTH, INDUSTRY, NODES, TRANSIT, DemoScenario, without
from ledgerfed.evaluation.dry_run import play_rounds
from ledgerfed.evaluation.hostile import Attack, Hostile, ScoringContext
from ledgerfed.models import load_family
from ledgerfed.node import honest_update
from ledgerfed.node.walk import LocalModel, Workbench, fit_local, prepare
from ledgerfed.protocol.manifest import Outcome
from ledgerfed.protocol.reputation import Evidence, Reputation
from ledgerfed.protocol.score import ONE, lower_median
from ledgerfed.series import Panel
from ledgerfed.series.arrays import Floats

SEED: Final = 11
ROUNDS: Final = 12
LIARS: Final = (6, 7)
FIRST_BACK, LAST_BACK = 800, 5000
"""Days before the end of the stations' panels at which a trial ends."""

Round = Mapping[int, Mapping[int, int]]
"""Scores of a round: {node: {validator: score}}, of updates that were scored."""


@dataclass(slots=True)
class Federation:
    """One trial: its scenario, the scores of each round, and (round, node, score, regret) of every admitted
    update of an honest node."""

    scenario: str
    attacked: bool
    rounds: list[Round] = field(default_factory=list)
    admitted: list[tuple[int, int, int, int]] = field(default_factory=list)


@dataclass(slots=True)
class _Recorder:
    """Scores honestly and remembers what everybody measured, by round."""

    measured: dict[int, Mapping[int, tuple[int, ...]]] = field(default_factory=dict)

    def __call__(self, context: ScoringContext) -> tuple[int, ...]:
        self.measured[context.round] = context.measured
        return context.own


def collect(trials: int, rounds: int = ROUNDS, seed: int = SEED) -> tuple[Federation, ...]:
    """Return the federations of all scenarios, honest and attacked."""
    rng = np.random.default_rng(seed)
    found = []
    for scenario in (TRANSIT, HEALTH, INDUSTRY):
        for _ in range(trials):
            benches, locals_ = _train(scenario, rng)
            flippers = {int(i): SignFlip() for i in rng.permutation(NODES)[:2]}
            found += [_play(scenario, benches, locals_, attacks, rounds) for attacks in ({}, flippers)]
    return tuple(f for f in found if f.rounds)


def _train(scenario: DemoScenario, rng: np.random.Generator) -> tuple[list[Workbench], list[LocalModel]]:
    panels = _panels(scenario)
    drawn = [panels[i] for i in rng.permutation(len(panels))[:NODES]]
    if scenario is TRANSIT:
        stop = len(panels[0]) - int(rng.integers(FIRST_BACK, LAST_BACK))
        drawn = [panel.head(stop) for panel in drawn]
    drawn = [without(panel, scenario.lacking.get(i, ())) for i, panel in enumerate(drawn)]
    benches = [prepare(panel, scenario.windows(panel), scenario.basis) for panel in drawn]
    families = [load_family(name) for name, _ in zip(cycle(scenario.families), benches, strict=False)]
    return benches, [fit_local(b, f) for b, f in zip(benches, families, strict=True)]


def _panels(scenario: DemoScenario) -> tuple[Panel, ...]:
    if scenario is TRANSIT:
        return load_transit()
    return load_health_wards(20) if scenario is HEALTH else load_industry("AgitatorPower")


def _play(
    scenario: DemoScenario,
    benches: Sequence[Workbench],
    locals_: Sequence[LocalModel],
    attacks: Mapping[int, Attack],
    rounds: int,
) -> Federation:
    recorder = _Recorder()
    everybody = {i: Hostile(attacks.get(i, honest_update), recorder) for i in range(NODES)}
    found = Federation(scenario.name, bool(attacks))
    outcomes = play_rounds(demo_config(NODES, scenario), benches, locals_, everybody, rounds)
    for number, outcome in enumerate(outcomes, 1):
        if isinstance(outcome, Outcome):
            found.rounds.append(_scored(recorder.measured[number], outcome))
            found.admitted += [
                (number, v.index, v.score, dict(v.measures)["regret"])
                for v in outcome.verdicts
                if v.score is not None and v.admitted and v.index not in attacks
            ]
    return found


def _scored(measured: Mapping[int, tuple[int, ...]], outcome: Outcome) -> Round:
    return {
        v.index: {j: row[v.index] for j, row in measured.items() if j != v.index}
        for v in outcome.verdicts
        if v.score is not None
    }


# --- how close honest scorers come to the limits of `consensus.conduct` -------------------------------------


@dataclass(frozen=True, slots=True)
class Limit:
    """The honest value that came closest to a limit: agreement as 1 / spreads, distance as a share."""

    scenario: str
    agreement: float
    apart: float


def limits(federations: Sequence[Federation]) -> tuple[Limit, ...]:
    """Return how well two honest scorers agreed at most, and how far one stood apart, by scenario."""
    found = []
    for name in dict.fromkeys(f.scenario for f in federations):
        rounds = [r for f in federations if f.scenario == name for r in f.rounds]
        closest = min(distance for r in rounds for distance in _pair_distances(r))
        found.append(Limit(name, 1 / closest, max(_apartness(r) for r in rounds)))
    return tuple(found)


def _pair_distances(scores: Round) -> Iterator[float]:
    """Yield the largest difference of each pair of scorers over updates, in spreads of the update."""
    spreads = {
        k: lower_median([abs(a - b) for a, b in combinations(s.values(), 2)]) for k, s in scores.items()
    }
    for i, j in combinations(range(NODES), 2):
        compared = [
            abs(said[i] - said[j]) / spreads[k]
            for k, said in scores.items()
            if k not in (i, j) and spreads[k] >= BAND and not said[i] == said[j] in (-ONE, ONE)
        ]
        if len(compared) >= COMMON:
            yield max(compared)


def _apartness(scores: Round) -> float:
    """Return the largest typical distance from the medians, as a share of what makes an outlier."""
    distances: dict[int, list[int]] = {}
    for said in scores.values():
        median = lower_median([*said.values()])
        for j, score in said.items():
            distances.setdefault(j, []).append(abs(score - median))
    typical = [lower_median(found) for found in distances.values()]
    return max(typical) / max(-GATES.score_floor, APART * lower_median(typical))


# --- which deviation a validator's reputation should follow -------------------------------------------------

Measure = Callable[[Sequence[int], Sequence[int]], int]
"""Distances of one scorer's scores from the medians, and the spreads of the updates, to a deviation."""
MEASURES: Final[Mapping[str, Measure]] = {
    "maximum": lambda distances, _: max(distances),
    "mean": lambda distances, _: sum(distances) // len(distances),
    "lower median": lambda distances, _: lower_median(distances),
    "mean excess": lambda distances, spreads: (
        rule.deviation(distances, [0] * len(distances), [SPREADS * s for s in spreads]) or 0
    ),
}
Lie = Callable[[int, int, np.random.Generator], int]
"""A score, the node that it is about, and randomness, to what a liar says."""
LIES: Final[Mapping[str, Lie]] = {
    "honest": lambda score, _, __: score,
    "-1 for all": lambda *_: -ONE,
    "-1 for two": lambda score, node, _: -ONE if node < 2 else score,
    "-1 for one": lambda score, node, _: -ONE if node < 1 else score,
    "random": lambda _, __, rng: int(rng.integers(-ONE, ONE + 1)),
    "negated": lambda score, _, __: -score,
    "zero": lambda *_: 0,
}


@dataclass(frozen=True, slots=True)
class Standing:
    """Validator reputation after all rounds: of liars the mean, of honest ones also the lowest ever and the
    shares that ended below LOUD and QUIET."""

    measure: str
    lie: str
    liars: float
    honest: float
    lowest: float
    not_loud: float
    silent: float


def standings(federations: Sequence[Federation], seed: int = SEED) -> tuple[Standing, ...]:
    """Return what each measure makes of liars and of honest validators beside them."""
    found = []
    for measure in MEASURES:
        for lie in LIES:
            paths = [_reputations(f.rounds, measure, lie, np.random.default_rng(seed)) for f in federations]
            lowest = np.concatenate([p[:, : LIARS[0]].min(axis=0) for p in paths])
            last = np.concatenate([p[-1, : LIARS[0]] for p in paths])
            found.append(
                Standing(
                    measure,
                    lie,
                    float(np.mean([p[-1, LIARS[0] :].mean() for p in paths])),
                    float(last.mean()),
                    float(lowest.min()),
                    float(np.mean(last < LOUD / ONE)),
                    float(np.mean(lowest < QUIET / ONE)),
                )
            )
    return tuple(found)


def _reputations(rounds: Sequence[Round], measure: str, lie: str, rng: np.random.Generator) -> Floats:
    nodes = [Reputation(EARNED, EARNED)] * NODES
    path = []
    for scores in rounds:
        told = {
            k: {j: LIES[lie](s, k, rng) if j in LIARS else s for j, s in said.items()}
            for k, said in scores.items()
        }
        medians = {k: lower_median([*said.values()]) for k, said in told.items()}
        spreads = {k: lower_median([abs(s - medians[k]) for s in said.values()]) for k, said in told.items()}
        for j in range(NODES):
            mine = [k for k in told if j in told[k]]
            if mine:
                distances = [abs(told[k][j] - medians[k]) for k in mine]
                deviation = MEASURES[measure](distances, [spreads[k] for k in mine])
                nodes[j] = rule.validate_step(nodes[j], deviation)
        path.append([node.validator.value / ONE for node in nodes])
    return np.array(path, dtype=np.float64)


# --- whether an admitted update should have to improve on the base ------------------------------------------

Quality = Callable[[int, int], int]
"""Score and regret of an admitted update to its quality, all Q16."""


def as_it_is(_score: int, regretted: int) -> int:
    """Return the quality by `consensus.regret`."""
    return quality(regretted, GATES.regret_scale)


def for_a_gain(score: int, regretted: int) -> int:
    """Return half of that for no gain over the base, all of it for one of 1 %."""
    return as_it_is(score, regretted) * (ONE + max(0, min(ONE, 100 * score))) >> 17


QUALITIES: Final[Mapping[str, Quality]] = {"as it is": as_it_is, "half at 0, one from 1 %": for_a_gain}


@dataclass(frozen=True, slots=True)
class Worth:
    """Honest admitted updates after the first round: how many improve on the base, and what honest trainers'
    reputation is at the end under a definition of quality, with the share below full influence."""

    scenario: str
    quality: str
    improving: float
    median: float
    reputation: float
    below: float


def worths(federations: Sequence[Federation]) -> tuple[Worth, ...]:
    """Return what honest trainers would earn."""
    found = []
    for name in dict.fromkeys(f.scenario for f in federations):
        mine = [f for f in federations if f.scenario == name]
        late = [score / ONE for f in mine for number, _, score, _ in f.admitted if number > 1]
        for name_, worth in QUALITIES.items():
            ends = [end for f in mine for end in _ends(f, worth)]
            found.append(
                Worth(
                    name,
                    name_,
                    float(np.mean(np.array(late) > 0)),
                    float(np.median(late)),
                    float(np.mean([end.value / ONE for end in ends])),
                    float(np.mean([rule.influence(Reputation(end, EARNED)) < ONE for end in ends])),
                )
            )
    return tuple(found)


def _ends(federation: Federation, worth: Quality) -> Iterator[Evidence]:
    for node in {index for _, index, _, _ in federation.admitted}:
        evidence = EARNED
        for _, index, score, regretted in federation.admitted:
            if index == node:
                good = worth(score, regretted)
                evidence = rule.step(evidence, good, ONE - good)
        yield evidence


def report(federations: Sequence[Federation]) -> str:
    """Return the three tables as text."""
    lines = [f"{'scenario':10}{'closest pair':>14}{'limit':>8}{'farthest scorer':>18}{'limit':>8}"]
    lines += [
        f"{x.scenario:10}{f'1/{x.agreement:.0f}':>14}{f'1/{BAND}':>8}{x.apart:18.2f}{1:8.2f}"
        for x in limits(federations)
    ]
    lines += [
        "",
        f"{'measure':14}{'two liars':14}{'liars':>8}{'honest':>8}{'lowest':>8}{'<0.60':>8}{'<0.25':>8}",
    ]
    lines += [
        f"{x.measure:14}{x.lie:14}{x.liars:8.3f}{x.honest:8.3f}{x.lowest:8.3f}"
        f"{100 * x.not_loud:6.1f} %{100 * x.silent:6.1f} %"
        for x in standings(federations)
    ]
    lines += ["", f"{'scenario':10}{'quality':26}{'improving':>10}{'median':>9}{'R':>8}{'<0.40':>8}"]
    lines += [
        f"{x.scenario:10}{x.quality:26}{100 * x.improving:8.1f} %{x.median:9.4f}{x.reputation:8.3f}"
        f"{100 * x.below:6.1f} %"
        for x in worths(federations)
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the study; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ledgerfed.evaluation.reputation_study")
    parser.add_argument("--trials", type=int, default=3)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    federations = collect(options.trials)
    if options.json:
        document = {
            "limits": [asdict(row) for row in limits(federations)],
            "standings": [asdict(row) for row in standings(federations)],
            "worths": [asdict(row) for row in worths(federations)],
        }
        sys.stdout.write(json.dumps(document, indent=1) + "\n")
        return 0
    sys.stdout.write(report(federations))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
