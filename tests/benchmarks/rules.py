"""Seconds of every robust rule: exact, in plain float64, and byzfl 0.0.11's, in one run on the same threads.

    make bench [ARGS="--sizes 50x10000 200x100000 1000x10000 --rounds 5 --json --check --no-byzfl"]

One update in five is hostile. Every round calls all sides in turn, so that what else runs on the machine hits
all of them; seconds are medians over the rounds, ratios are medians of the ratios within a round.

    exact   what a validator runs: `engine.aggregate` on updates that are on the grid of the round
    plain   the same rule and steps in vectorised float64 (`plain_rules.py`)
    byzfl   its rule on a float64 array, and on a float32 tensor as its torch half takes it
    pass    one look at every integer, less than which no rule can do

Threads: OPENBLAS_NUM_THREADS, by default one for every idle core: several on busy cores wait for each other
and make a product tens of times slower. Exit code 0, or 3 with --check if a target is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from statistics import median
from typing import Any

os.environ.setdefault("OPENBLAS_NUM_THREADS", str(max(1, (os.cpu_count() or 1) - int(os.getloadavg()[0]))))
# torch's threads; they would wait for work by spinning, while the other side is timed
os.environ.setdefault("OMP_NUM_THREADS", os.environ["OPENBLAS_NUM_THREADS"])
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import benchmark_data as data
import numpy as np
import plain_rules
from benchmark_report import CONVERGED, Case, Line, Search, Seconds, middle, print_tables, ratio, targets
from byzfl_process import FAILS, INFEASIBLE, Byzfl

from ledgerfed.aggregation.engine import aggregate
from ledgerfed.aggregation.gram import gram, squared_distances
from ledgerfed.aggregation.grid import Stack
from ledgerfed.aggregation.rules import geometric_median
from ledgerfed.aggregation.rules.diameter import minimum_diameter_subset
from ledgerfed.protocol.rule import Rule

THREADS = int(os.environ["OPENBLAS_NUM_THREADS"])
SEED = 20261123
SIZES = ((50, 10_000), (200, 100_000), (1000, 10_000))
DIAMETER = (50, 10_000, 10)
DRAWS = 5
CASE_SECONDS = 10.0
"""No new round of a case starts after this."""
BYZFL = Path(sys.prefix) / "byzfl-0.0.11" / "bin" / "python"
CASES = (
    Case(Rule.MEAN, "Average"),
    Case(Rule.MEDIAN, "Median"),
    Case(Rule.TRIMMED_MEAN, "TrMean"),
    Case(Rule.KRUM, "Krum"),
    Case(Rule.MULTI_KRUM, "MultiKrum"),
    Case(Rule.GEOMETRIC_MEDIAN, "GeometricMedian"),
    Case(Rule.GEOMETRIC_MEDIAN, f"GeometricMedian:{geometric_median.STEPS}", note=CONVERGED),
    Case(Rule.MINIMUM_DIAMETER, "MDA"),
    Case(Rule.CENTERED_CLIPPING, "CenteredClipping"),
    Case(Rule.COVARIANCE_FILTER, "CAF"),
    Case(Rule.REDESCENDING),
    Case(Rule.TRIMMED_MEAN, "NNM+TrMean", mixing=True),
    Case(Rule.MULTI_KRUM, "NNM+MultiKrum", mixing=True),
)


def measure(case: Case, stack: Stack, floats: plain_rules.Floats, byzfl: Byzfl | None, rounds: int) -> Line:
    """Time every side in turn; the first round warms up, and counts only if it is the only one."""
    n, d = stack.values.shape
    f = 0 if case.rule is Rule.MEAN else n // 5

    def theirs(torch: bool) -> Seconds:
        return None if byzfl is None or case.byzfl is None else byzfl.seconds(case.byzfl, f, torch)

    sides: list[Callable[[], Seconds]] = [
        lambda: timed(lambda: aggregate(case.rule, stack, f, range(n), mixing=case.mixing)),
        lambda: timed(lambda: plain_rules.aggregate(case.rule, floats, f, mixing=case.mixing)),
        lambda: theirs(torch=False),
        lambda: theirs(torch=True),
        lambda: timed(stack.values.max),
    ]
    taken: list[list[Seconds]] = []
    start = time.monotonic()
    while len(taken) <= rounds and (not taken or time.monotonic() - start < CASE_SECONDS):
        taken.append([side() for side in sides])
        sides = [_repeated(*pair) for pair in zip(sides, taken[-1], strict=True)]
    exact, plain, float64, float32, one_pass = columns = list(zip(*(taken[1:] or taken), strict=True))
    return Line(
        *(case.name, n, d, f, len(exact)),
        *(middle(column) for column in columns),
        exact_over_plain=ratio(exact, plain),
        byzfl_over_exact=ratio(float64, exact),
        byzfl_float32_over_exact=ratio(float32, exact),
        exact_over_pass=ratio(exact, one_pass),
    )


def _repeated(side: Callable[[], Seconds], took: Seconds) -> Callable[[], Seconds]:
    """Return the side for the next round: what cannot be waited for is not asked again."""
    return (lambda: took) if took in (INFEASIBLE, FAILS) else side


def timed(call: Callable[[], object]) -> float:
    """Return the seconds of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def measure_size(n: int, d: int, byzfl: Byzfl | None, rounds: int) -> Iterator[Line]:
    """Yield a line for every rule at one size, on sign-flipped updates."""
    stack = _placed(data.integers_of(data.sign_flip(n, d, n // 5, np.random.default_rng(SEED))))
    floats = stack.values.astype(np.float64)
    if byzfl is not None:
        byzfl.load(stack.values)
    for case in CASES:
        line = measure(case, stack, floats, byzfl, rounds)
        say(f"  {line}")
        yield line


def _placed(updates: data.Integers) -> Stack:
    start = time.perf_counter()
    stack = data.stack_of(updates)
    took = time.perf_counter() - start
    say(f"{len(updates)} x {updates.shape[1]}: {took:.3f} s to put int64 updates on the grid")
    return stack


def search(kind: str, rounds: int) -> Search:
    """Time exact MDA with its Gram matrix on one kind of updates; of several draws the slowest counts."""
    n, d, f = DIAMETER
    draws = (data.KINDS[kind](n, d, f, np.random.default_rng(seed)) for seed in range(DRAWS))
    found = [_searched(data.stack_of(data.integers_of(draw)), f, rounds) for draw in draws]
    return Search(kind, 1e3 * max(took for took, _ in found), all(exact for _, exact in found))


def _searched(stack: Stack, f: int, rounds: int) -> tuple[float, bool]:
    """Return the seconds of exact MDA, and whether it stayed within its budget."""
    ranks = range(len(stack.values))
    subset = minimum_diameter_subset(squared_distances(gram(stack.values)), f, ranks)
    taken = [timed(lambda: aggregate(Rule.MINIMUM_DIAMETER, stack, f, ranks)) for _ in range(rounds)]
    return median(taken), subset.exact


def say(text: str) -> None:
    """Show progress, apart from the result."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def worker(options: argparse.Namespace) -> Iterator[Byzfl | None]:
    """Yield byzfl's process, or None without byzfl."""
    if options.no_byzfl:
        yield None
        return
    if not options.byzfl.is_file():
        raise SystemExit(
            f"{options.byzfl} does not exist; run `make bench`, or leave byzfl out with --no-byzfl"
        )
    byzfl = Byzfl(options.byzfl, options.limit)
    try:
        yield byzfl
    finally:
        byzfl.close()


def size(text: str) -> tuple[int, int]:
    """Return n and d of "200x100000"."""
    n, _, d = text.partition("x")
    return int(n), int(d)


def options_of(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=size, nargs="+", default=SIZES, metavar="NxD")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--limit", type=float, default=60.0, help="seconds to wait for one call of byzfl")
    parser.add_argument("--byzfl", type=Path, default=BYZFL, help="the python that has byzfl 0.0.11")
    parser.add_argument("--no-byzfl", action="store_true")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--check", action="store_true", help="exit with 3 if a target is missed")
    return parser.parse_args(arguments)


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the tables, or JSON; return 3 if a target is missed and --check is set, else 0."""
    options = options_of(arguments)
    say(f"{THREADS} threads; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with worker(options) as byzfl:
        lines = [line for n, d in options.sizes for line in measure_size(n, d, byzfl, options.rounds)]
    searches = [search(kind, options.rounds) for kind in data.KINDS]
    found = targets(lines, searches)
    if options.json:
        document: dict[str, Any] = {"threads": THREADS, "numpy": np.__version__}
        document |= {"lines": lines, "minimum_diameter": searches, "targets": found}
        sys.stdout.write(json.dumps(document, indent=1, default=asdict) + "\n")
    else:
        print_tables(lines, searches, found, THREADS)
    return 3 if options.check and any(target.met is False for target in found) else 0


if __name__ == "__main__":
    raise SystemExit(main())
