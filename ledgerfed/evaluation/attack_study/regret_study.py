"""How steeply regret should weigh, on years before those of the study (docs/adr/0021).

    python -m ledgerfed.evaluation.attack_study.regret_study [--years 1 3]

For every scale: what it costs without attack, against no regret at all, and the worst growth of the honest
nodes' test error under attacks that stay inside the distances, by two fifths of the nodes, against the same
federation without them.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ledgerfed.evaluation.attack_study.catalogue import Setting, find_attack
from ledgerfed.evaluation.attack_study.nodes import MOST_HOSTILE, Federation, load
from ledgerfed.evaluation.attack_study.play import play
from ledgerfed.protocol.score import ONE
from ledgerfed.series.arrays import Floats

SCALES: Final = (1 / 24, 1 / 16, 1 / 12, 1 / 8, 1 / 4, 64.0)
"""The last one is none: no honest node and no quiet attack comes near it."""
ATTACKS: Final = (
    ("ALIE", -1.0),
    ("ALIE, noise of one's own", -1.0),
    ("ALIE, noise of one's own", 0.5),
    ("ALIE, noise of one's own", 1.0),
    ("along the spread, noise of one's own", -2.0),
    ("along the spread, noise of one's own", 1.0),
    ("mimic", 1.0),
    ("scaling", 0.5),
    ("target shift", 0.25),
)


@dataclass(frozen=True, slots=True)
class Row:
    """One scale in one year: `cost` and `growth` are ratios of test MSE, geometric means over nodes."""

    year: int
    scale: float
    cost: float
    refused: int
    growth: float
    attack: str


def scaled(federation: Federation, scale: float) -> Federation:
    """Return the federation with another scale of regret."""
    limits = {**federation.scenario.limits, "regret_scale": round(scale * ONE)}
    return replace(federation, scenario=replace(federation.scenario, limits=limits))


def study(year: int, seed: int = 0) -> Iterator[Row]:
    """Yield a row for every scale, of transit federations whose test ends `year` years early."""
    federation = load("transit", year)
    everybody = tuple(range(len(federation)))
    drawn = np.random.default_rng(seed).permutation(everybody)[: round(MOST_HOSTILE * len(federation))]
    ring = tuple(sorted(int(i) for i in drawn))
    honest = tuple(i for i in everybody if i not in ring)
    free = play(scaled(federation, SCALES[-1]), everybody).mse
    for scale in SCALES:
        under = scaled(federation, scale)
        calm = play(under, everybody)
        found = []
        for name, strength in ATTACKS:
            attack = find_attack(name).play(strength, Setting(seed, ring, honest))
            grown = _ratio(play(under, honest, ring, attack).mse, calm.mse[list(honest)])
            found.append((grown, f"{name} {strength:g}"))
        growth, attack_name = max(found)
        refused = calm.honest.total - calm.honest.admitted
        yield Row(year, scale, _ratio(calm.mse, free), refused, growth, attack_name)


def _ratio(ours: Floats, theirs: Floats) -> float:
    return float(np.exp(np.mean(np.log(ours / theirs))))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ledgerfed.evaluation.attack_study.regret_study")
    parser.add_argument("--years", type=int, nargs="+", default=[1, 3])
    out = sys.stdout
    out.write("| years before | scale | without attack | honest refused | worst growth | under |\n")
    out.write("|---|---|---|---|---|---|\n")
    for year in parser.parse_args(arguments).years:
        for row in study(year):
            scale = "none" if row.scale == SCALES[-1] else f"{row.scale:.3f}"
            cells = f"{scale} | {row.cost:.3f} | {row.refused} | {row.growth:.3f} | {row.attack}"
            out.write(f"| {row.year} | {cells} |\n")
            out.flush()
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
