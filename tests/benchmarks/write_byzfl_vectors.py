"""Write tests/aggregation/byzfl.json: small inputs, and what byzfl 0.0.11 makes of them.

    make bench ARGS="--sizes 20x200"        # makes the environment
    .venv/byzfl-0.0.11/bin/python tests/benchmarks/write_byzfl_vectors.py

The inputs are integers, so that both sides see the same numbers, and small enough to be multiplied until
every mean that a rule takes is an integer: byzfl's rules commute with that. No input is written for which
the answer changes with the order of the vectors, for there a tie decides, and none for which Krum chooses
the same with one neighbour less, which is the other convention.

Its CAF and SMEA draw random numbers and are left out; so is CenteredClipping, which starts at zero with a
radius given from outside. Its geometric median makes 3 steps by default; here it runs until it stands still.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from byzfl_rules import load_aggregators, rule_of

FILE = Path(__file__).parents[1] / "aggregation" / "byzfl.json"
SEED = 20261123
CASES = ((7, 3, 1), (7, 12, 2), (9, 5, 3), (11, 20, 3), (13, 8, 5), (17, 40, 4), (17, 6, 7))
"""n, d, f: below, at and far from the least n of Krum, 2 f + 3."""
PLAIN = ("Average", "Median", "TrMean", "Krum", "MultiKrum", "MDA")
RULES = (*PLAIN, *(f"NNM+{name}" for name in PLAIN[1:]))
STEPS = 4000
ORDERS = 12
SAME = 1e-12
STILL = 1e-13
TRIES = 1000


def inputs(n: int, d: int, f: int, rng: np.random.Generator) -> Any:
    """Return n integer vectors: a cloud that is not centred, f of them loud, turned round or mirrored."""
    limit = (2**17 - 1) // (2 * (n - 2 * f) * (n - f))
    centre = rng.integers(-limit // 6, limit // 6, d)
    values = centre + np.rint(rng.normal(scale=limit / 12, size=(n, d)))
    rows = rng.permutation(n)[:f]
    values[rows] = np.rint(rng.choice([-3.0, -1.0, 2.0, 5.0], size=(f, 1)) * values[rows])
    return np.clip(values, -limit, limit)


def conventional(values: Any, f: int) -> bool:
    """Return whether Krum chooses otherwise with n - f - 2 neighbours, as the paper and Flower take."""
    squares = np.sort(((values[:, None] - values[None]) ** 2).sum(axis=2), axis=1)
    n = len(values)
    chosen = {int(squares[:, : n - f - beyond].sum(axis=1).argmin()) for beyond in (0, 1)}
    return len(chosen) == 2


def undisputed(rule: Callable[[Any], Any], values: Any, rng: np.random.Generator) -> Any | None:
    """Return the rule's output; None if it changes with the order of the vectors, so if a tie decides."""
    output = rule(values)
    for _ in range(ORDERS):
        if np.abs(rule(values[rng.permutation(len(values))]) - output).max() > SAME * np.abs(values).max():
            return None
    return output


def case(aggregators: Any, n: int, d: int, f: int, rng: np.random.Generator) -> dict[str, Any]:
    """Draw until no output hangs on a tie and Krum's hangs on its convention; return input and outputs."""
    rules = {name: rule_of(aggregators, name, f) for name in RULES}
    for _ in range(TRIES):
        values = inputs(n, d, f, rng)
        if not conventional(values, f):
            continue
        outputs = {name: undisputed(rule, values, rng) for name, rule in rules.items()}
        if all(output is not None for output in outputs.values()):
            break
    else:
        raise SystemExit(f"no undisputed input found for n = {n}, d = {d}, f = {f}")
    outputs["GeometricMedian"] = converged(aggregators, values)
    written = {name: [float(x) for x in output] for name, output in outputs.items()}
    return {"hostile": f, "values": values.astype(int).tolist(), "outputs": written}


def converged(aggregators: Any, values: Any) -> Any:
    """Return byzfl's geometric median after so many steps that twice as many change nothing."""
    result, later = (aggregators.GeometricMedian(nu=1e-9, T=t)(values) for t in (STEPS, 2 * STEPS))
    if np.abs(later - result).max() > STILL * np.abs(values).max():
        raise SystemExit("byzfl's geometric median still moves; raise STEPS")
    return later


def main() -> None:
    """Write the file."""
    aggregators = load_aggregators()
    rng = np.random.default_rng(SEED)
    cases = [case(aggregators, n, d, f, rng) for n, d, f in CASES]
    document = {"byzfl": version("byzfl"), "numpy": version("numpy"), "cases": cases}
    text = json.dumps(document, indent=1)
    FILE.write_text(text + "\n", encoding="utf-8")
    print(f"{FILE}: {len(cases)} cases, {sum(len(c['outputs']) for c in cases)} outputs")  # noqa: T201


if __name__ == "__main__":
    main()
