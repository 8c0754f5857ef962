"""How near honest nodes come to every limit of the gates, on rows before the test windows.

    python -m ledgerfed.evaluation.attack_study.calibration [SCENARIO ...]

Rounds in which everybody is honest and no limit binds: all nodes, and subsets of them as large as what is
left when two fifths are refused. Of transit the windows end one to five years before those of the study;
health and industry have too few episodes for that, so there it is the study's own training rows and
hold-outs. No test row is looked at.
"""

from __future__ import annotations

import sys
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations
from typing import Final

import numpy as np

from ledgerfed.aggregation.information import ROW_SCALE, ExactInformation, distance, expand, pool, solve
from ledgerfed.evaluation.attack_study.nodes import MOST_HOSTILE, SCENARIOS, Federation, find_scenario, load
from ledgerfed.evaluation.dry_run import dry_rounds
from ledgerfed.node.walk import make_update
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.payload import InformationUpdate
from ledgerfed.protocol.score import ONE

ROUNDS: Final = 5
DRAWS: Final = 6
YEARS: Final = range(1, 6)
WIDE: Final = 1 << 40


@dataclass(slots=True)
class Extremes:
    """What was measured, by name; every value is one honest node's, or one pair's."""

    values: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def measure(name: str) -> Extremes:
    """Return what honest nodes of a scenario measure where no limit binds."""
    found = Extremes()
    scenario = find_scenario(name)
    for back in YEARS if scenario.moves else (0,):
        for federation in _federations(load(name, back)):
            _observe(found, federation)
    return found


def open_config(config: FederationConfig) -> FederationConfig:
    """Return the configuration with every limit out of reach of an honest node."""
    gates = replace(
        config.gates,
        noise_band=WIDE,
        norm_bound=WIDE,
        root_bound=WIDE,
        base_distance=0,
        copy_alignment_bits=40,
        moment_band=WIDE,
        lag_spread=1 << 32,
        twin_alignment_bits=40,
        twin_distance=0,
        ring_distance=0,
        outlier_factor=WIDE,
        score_floor=-ONE,
        regret_limit=1 << 32,
    )
    return replace(config, gates=gates)


def report(name: str, found: Extremes) -> Iterator[str]:
    """Yield the extremes and the outer percentiles of every measure."""
    yield f"{name:34}{'lowest':>12}{'1 %':>12}{'95 %':>12}{'99 %':>12}{'highest':>12}"
    for what, values in sorted(found.values.items()):
        marks = np.quantile(values, [0, 0.01, 0.95, 0.99, 1])
        yield f"{what:34}" + "".join(f"{mark:12.5f}" for mark in marks)


def _federations(whole: Federation) -> Iterator[Federation]:
    yield whole
    left = len(whole) - round(MOST_HOSTILE * len(whole))
    rng = np.random.default_rng(len(whole))
    for _ in range(DRAWS):
        yield whole.of(sorted(rng.permutation(len(whole))[:left].tolist()))


def _observe(found: Extremes, federation: Federation) -> None:
    config = open_config(federation.config())
    outcomes = dry_rounds(config, federation.benches, federation.locals_, {}, ROUNDS)
    for verdict in (verdict for outcome in outcomes for verdict in outcome.verdicts):
        measures = dict(verdict.measures)
        for what in measures.keys() - {"distance_limit", "staleness"}:
            found.values[what].append(measures[what] / ONE)
        if "distance" in measures:
            limit = measures["distance_limit"] / config.gates.outlier_factor
            found.values["distance / median"].append(measures["distance"] / ONE / limit)
        if verdict.score is not None:
            found.values["score"].append(verdict.score / ONE)
    for model in (config.genesis_model(), outcomes[-1].model):
        made = [make_update(b, m, model) for b, m in zip(federation.benches, federation.locals_, strict=True)]
        shown = [expand(update) for update in made if isinstance(update, InformationUpdate)]
        for left, right in combinations(shown, 2):
            found.values["pair: 1 - cos² of R"].append(_misalignment(left, right))
            found.values["pair: twin distance"].append(min(_twin(config, left, right)))
            found.values["pair: z off a multiple"].append(_unstretched(left, right))


def _misalignment(left: ExactInformation, right: ExactInformation) -> float:
    rows = zip(left.rows, right.rows, strict=True)
    product = sum(a * b for x, y in rows for a, b in zip(x, y, strict=True))
    return 1 - float(product) ** 2 / (float(left.trace) * float(right.trace))


def _unstretched(left: ExactInformation, right: ExactInformation) -> float:
    """Return how far z lies from a multiple of the other, squared, per coefficient; the smaller of both."""
    ours, theirs = (np.ldexp(np.array(item.z, dtype=np.float64), -ROW_SCALE) for item in (left, right))
    off = 1 - float(ours @ theirs) ** 2 / float(ours @ ours) / float(theirs @ theirs)
    return off * min(float(ours @ ours), float(theirs @ theirs)) / len(ours)


def _twin(config: FederationConfig, left: ExactInformation, right: ExactInformation) -> Iterator[float]:
    prior = config.prior << (96 - config.precision_scale)
    for ours, theirs in ((left, right), (right, left)):
        theta = solve(pool([(theirs, ONE)], prior, config.width), config.theta_scale)
        yield distance(ours, theta) / ONE


def main(arguments: Sequence[str]) -> int:
    """Print the extremes of the scenarios named in `arguments`, or of all; return the exit code."""
    for name in arguments or [scenario.name for scenario in SCENARIOS]:
        sys.stdout.write("\n".join(report(name, measure(name))) + "\n\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
