"""How far honest nodes stay from every limit of the gates, on years that end before the demonstration.

    python -m ledgerfed.evaluation.calibration [--trials 60]

Each trial draws eight stations and a day between 2002 and 2013 and runs three rounds, honest and with the two
attackers of the demonstration. The demonstration's own rows are never touched.
"""

from __future__ import annotations

import argparse
import sys
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations, cycle

import numpy as np

from ledgerfed.aggregation.information import ExactInformation, expand
from ledgerfed.datasets import load_transit
from ledgerfed.evaluation.attacks import FreeRider, SignFlip
from ledgerfed.evaluation.demo import GATES, ROUNDS, demo_config
from ledgerfed.evaluation.demo_scenarios import TRANSIT
from ledgerfed.evaluation.dry_run import dry_rounds
from ledgerfed.evaluation.transit import DEMO_STATIONS, FAMILIES
from ledgerfed.models import load_family
from ledgerfed.node import UpdateMaker
from ledgerfed.node.walk import LocalModel, Workbench, fit_local, make_update, prepare
from ledgerfed.protocol.payload import InformationUpdate
from ledgerfed.protocol.score import ONE

SEED = 7
FIRST_BACK, LAST_BACK = 800, 5000
"""Days before the end of the panels at which a trial ends."""


@dataclass(slots=True)
class Findings:
    """What the trials measured: verdicts by who was judged, and the extremes of honest nodes by gate."""

    verdicts: Counter[tuple[str, str]] = field(default_factory=Counter)
    measures: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))


def calibrate(trials: int, seed: int = SEED) -> Findings:
    """Run the trials and return what they measured."""
    rng = np.random.default_rng(seed)
    findings = Findings()
    for trial in range(trials):
        benches, locals_ = _train(rng)
        _observe(findings, benches, locals_, {})
        first, second = (int(i) for i in rng.permutation(len(benches))[:2])
        _observe(findings, benches, locals_, {first: SignFlip(), second: FreeRider(trial)})
    return findings


def _train(rng: np.random.Generator) -> tuple[list[Workbench], list[LocalModel]]:
    panels = load_transit()
    stop = len(panels[0]) - int(rng.integers(FIRST_BACK, LAST_BACK))
    chosen = [panels[i].head(stop) for i in rng.permutation(len(panels))[: len(DEMO_STATIONS)]]
    benches = [prepare(panel, TRANSIT.windows(panel), TRANSIT.basis) for panel in chosen]
    families = [load_family(name) for name, _ in zip(cycle(FAMILIES), benches, strict=False)]
    return benches, [fit_local(b, f) for b, f in zip(benches, families, strict=True)]


def _observe(
    findings: Findings,
    benches: Sequence[Workbench],
    locals_: Sequence[LocalModel],
    attacks: dict[int, UpdateMaker],
) -> None:
    outcomes = dry_rounds(demo_config(len(benches)), benches, locals_, attacks, ROUNDS)
    for verdict in (verdict for outcome in outcomes for verdict in outcome.verdicts):
        who = type(attacks[verdict.index]).__name__ if verdict.index in attacks else "honest"
        findings.verdicts[who, verdict.reason.value] += 1
        if attacks:
            continue
        for name, value in verdict.measures:
            findings.measures[name].append(value / ONE)
        if verdict.score is not None:
            findings.measures["score"].append(verdict.score / ONE)
    if not attacks:
        base = outcomes[-1].model
        honest = [make_update(b, m, base) for b, m in zip(benches, locals_, strict=True)]
        updates = [expand(update) for update in honest if isinstance(update, InformationUpdate)]
        findings.measures["misalignment"] += [_misalignment(a, b) for a, b in combinations(updates, 2)]


def _misalignment(left: ExactInformation, right: ExactInformation) -> float:
    rows = zip(left.rows, right.rows, strict=True)
    product = sum(a * b for x, y in rows for a, b in zip(x, y, strict=True))
    return 1 - float(product) ** 2 / (float(left.trace) * float(right.trace))


def report(findings: Findings) -> str:
    """Return the findings as text: each limit beside what honest nodes came to."""
    measures = findings.measures
    relative = [d / limit for d, limit in zip(measures["distance"], measures["distance_limit"], strict=True)]
    bits = GATES.copy_alignment_bits
    rows = (
        ("V5 noise, lowest", min(measures["noise"]), ONE / GATES.noise_band),
        ("V5 noise, highest", max(measures["noise"]), GATES.noise_band / ONE),
        ("V5 coefficient, largest", max(measures["largest_coefficient"]), GATES.norm_bound / ONE),
        ("V6 distance from the base, smallest", min(measures["base_distance"]), GATES.base_distance / ONE),
        (
            "V6 misalignment of two nodes, smallest",
            min(measures["misalignment"]),
            2.0**-bits,
        ),
        ("V7 distance / limit, largest", max(relative), 1.0),
        ("V8 score, lowest", min(measures["score"]), GATES.score_floor / ONE),
    )
    lines = [f"{'honest nodes':40}{'found':>12}{'limit':>12}"]
    lines += [f"{name:40}{found:12.5f}{limit:12.5f}" for name, found, limit in rows]
    lines += ["", f"{'judged':16}{'verdict':24}{'times':>8}"]
    lines += [f"{who:16}{reason:24}{n:8}" for (who, reason), n in sorted(findings.verdicts.items())]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the report; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ledgerfed.evaluation.calibration", description=__doc__)
    parser.add_argument("--trials", type=int, default=60)
    options = parser.parse_args(arguments)
    sys.stdout.write(report(calibrate(options.trials)))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
