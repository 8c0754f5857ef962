"""The benchmark of the robust rules runs at small sizes, and what it calls plain is the rule it is beside."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import benchmark_data as data
import numpy as np
import plain_rules
import pytest
from benchmark_report import Line, Search, middle, ratio, targets

from ledgerfed.aggregation.engine import aggregate
from ledgerfed.protocol.rule import Rule

HERE = Path(__file__).parent


def run(*arguments):
    command = [sys.executable, str(HERE / "rules.py"), *arguments]
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    return subprocess.run(command, capture_output=True, text=True, check=False, env=environment)


def test_every_rule_is_timed_without_byzfl_and_the_document_says_what_is_not_measured():
    done = run("--sizes", "20x200", "30x300", "--rounds", "1", "--no-byzfl", "--json")
    assert done.returncode == 0, done.stderr
    document = json.loads(done.stdout)
    assert document["threads"] == 1
    assert {line["rule"] for line in document["lines"]} >= {str(rule) for rule in Rule}
    assert {(line["n"], line["d"]) for line in document["lines"]} == {(20, 200), (30, 300)}
    for line in document["lines"]:
        assert line["exact"] > 0 < line["plain"]
        assert line["exact_over_plain"] > 0
        assert line["byzfl"] is line["byzfl_over_exact"] is None
    assert {search["kind"] for search in document["minimum_diameter"]} == set(data.KINDS)
    assert {target["met"] for target in document["targets"] if "byzfl" in target["what"]} == {None}
    assert "20 x 200" in done.stderr


def test_a_missing_byzfl_is_said_in_one_line(tmp_path):
    done = run("--sizes", "20x200", "--byzfl", str(tmp_path / "python"))
    assert done.returncode != 0
    assert (
        done.stderr.strip().splitlines()[-1].endswith("run `make bench`, or leave byzfl out with --no-byzfl")
    )


@pytest.mark.parametrize(
    ("rule", "mixing"),
    [*((rule, False) for rule in Rule), *((rule, True) for rule in Rule if rule != "mean")],
)
def test_the_plain_rule_is_the_exact_one_without_its_rounding(rule, mixing):
    for seed in range(5):
        stack = _stack(12, seed)
        f = 0 if rule is Rule.MEAN else 3
        plain = plain_rules.aggregate(rule, stack.values.astype(np.float64), f, mixing=mixing)
        exact = aggregate(rule, stack, f, range(12), mixing=mixing)
        assert np.abs(exact - plain).max() <= 1.0


def _stack(n, seed):
    rng = np.random.default_rng(seed)
    return data.stack_of(data.integers_of(data.sign_flip(n, 30, n // 4, rng)))


@pytest.mark.parametrize("kind", data.KINDS)
def test_every_kind_of_updates_fits_the_grid(kind):
    stack = data.stack_of(data.integers_of(data.KINDS[kind](50, 60, 10, np.random.default_rng(1))))
    assert stack.values.shape == (50, 60)


def _line(rule, cost, speed):
    return Line(rule, 200, 100_000, 40, 1, 1.0, 1.0, 1.0, "fails", 1.0, cost, speed, None, 1.0)


def test_targets_are_met_missed_or_not_measured():
    lines = [_line("krum", 1.2, 15.0), _line("median", 1.7, 2.9)]
    found = targets(lines, [Search("a", 3.0, True), Search("b", 21.0, True)])
    met = {target.what: target.met for target in found}
    assert met == {
        "exact over plain at 200 x 100000, worst: median": False,
        "byzfl over exact at 200 x 100000: krum": True,
        "byzfl over exact at 200 x 100000: multi-krum": None,
        "byzfl over exact at 200 x 100000: geometric-median": None,
        "byzfl over exact at 200 x 100000: geometric-median (converged)": None,
        "byzfl over exact at 200 x 100000: median": False,
        "byzfl over exact at 200 x 100000: trimmed-mean": None,
        "exact minimum-diameter at n = 50, f = 10, worst of 2 kinds of updates: b": False,
    }


def test_a_ratio_is_the_median_within_rounds_and_a_word_has_none():
    assert ratio((1.0, 10.0, 4.0), (1.0, 2.0, 2.0)) == 2.0
    assert ratio(("infeasible",), (1.0,)) is None
    assert middle((3.0, "infeasible", 5.0)) == 4.0
    assert middle(("infeasible", "infeasible")) == "infeasible"
