"""Fit times of the own kernels against statsmodels, in one run, and how far the estimates differ.

    python tests/benchmarks/fit_times.py [--sizes 200 1000 10000] [--repeats 5] [--json]

Both sides fit the same series in turn, and the least processor time of each counts, so that what else runs on
the machine plays little part. `difference` is the largest difference of a parameter in statsmodels' standard
errors; `lost` is by how much log-likelihood, judged by statsmodels, our parameters fall short of its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

# the kernels are small; threads would only wait for each other
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import numpy as np
from scipy.signal import lfilter
from statsmodels.tsa.api import VAR
from statsmodels.tsa.ar_model import AutoReg
from statsmodels.tsa.arima.model import ARIMA
from statsmodels.tsa.statespace.structural import UnobservedComponents

from ledgerfed.models.arma_fit import ArmaFit
from ledgerfed.models.arma_likelihood import fit_likelihood
from ledgerfed.models.autoregression import fit_ar, fit_var
from ledgerfed.models.css import fit_arma
from ledgerfed.models.local_level_likelihood import fit_local_level
from ledgerfed.models.orders import Order
from ledgerfed.series.arrays import Floats

SEED = 20261123
TARGETS = {("AR(8)", 1000): 14.0, ("ARMA(2,1) conditional", 1000): 100.0, ("local level", 1000): 100.0}
"""The ratios that the project holds itself to."""


@dataclass(frozen=True, slots=True)
class Line:
    """One model at one length: milliseconds of both, their ratio and target, and how the estimates differ."""

    model: str
    length: int
    statsmodels_ms: float
    own_ms: float
    ratio: float
    target: float | None
    difference: float
    lost: float


@dataclass(frozen=True, slots=True)
class Case:
    """What to time: the oracle's fit, ours, and how to compare what they return."""

    model: str
    oracle: Callable[[], Any]
    own: Callable[[], Any]
    compare: Callable[[Any, Any], tuple[float, float]]


def arma_series(T: int, ar: Sequence[float], ma: Sequence[float], rng: np.random.Generator) -> Floats:
    """Return T values of an ARMA whose coefficients are well apart, after 500 to forget the start."""
    noise = rng.normal(size=T + 500)
    return np.asarray(lfilter([1.0, *ma], [1.0, *(-a for a in ar)], noise))[500:]


def cases(T: int, rng: np.random.Generator) -> tuple[Case, ...]:
    """Return the cases of one length."""
    short, long = arma_series(T, (0.5, -0.3, 0.2), (), rng), arma_series(T, (1.2, -0.5), (0.4,), rng)
    level = np.cumsum(rng.normal(scale=0.3, size=T)) + rng.normal(size=T)
    four = rng.normal(size=(T, 4))
    four[1:] += 0.5 * four[:-1]

    def arma() -> Any:
        return ARIMA(long, order=(2, 0, 1)).fit()

    return (
        Case("AR(8)", lambda: AutoReg(short, 8).fit(), lambda: fit_ar(short, 8), _compare_ar),
        Case("VAR(4) of 4", lambda: VAR(four).fit(4), lambda: fit_var(four, 4), _compare_var),
        Case("ARMA(2,1) conditional", arma, lambda: fit_arma(long, 2, 1), _compare_arma),
        Case("ARMA(2,1) exact", arma, lambda: fit_likelihood(long, Order(2, 0, 1)), _compare_arma),
        Case(
            "local level",
            lambda: UnobservedComponents(level, level="local level").fit(disp=False),
            lambda: fit_local_level(level),
            _compare_level,
        ),
    )


def measure(case: Case, length: int, repeats: int) -> Line:
    """Time both sides in turn, `repeats` times, our fit ten times each."""
    theirs, ours = float("inf"), float("inf")
    for _ in range(repeats):
        oracle, took = _timed(case.oracle)
        theirs = min(theirs, took)
        for _ in range(10):
            own, took = _timed(case.own)
            ours = min(ours, took)
    difference, lost = case.compare(oracle, own)
    target = TARGETS.get((case.model, length))
    return Line(case.model, length, theirs, ours, theirs / ours, target, difference, lost)


def _timed(fit: Callable[[], Any]) -> tuple[Any, float]:
    start = time.thread_time()
    result = fit()
    return result, 1e3 * (time.thread_time() - start)


def _compare_ar(oracle: Any, own: Any) -> tuple[float, float]:
    apart = np.abs(np.concatenate([[own.constant], own.ar]) - oracle.params)
    return float((apart / oracle.bse).max()), 0.0


def _compare_var(oracle: Any, own: Any) -> tuple[float, float]:
    stacked = np.vstack([own.constant, *(matrix.T for matrix in own.ar)])
    return float((np.abs(stacked - oracle.params) / oracle.stderr).max()), 0.0


def _compare_arma(oracle: Any, own: ArmaFit) -> tuple[float, float]:
    return _compare_likelihood(oracle, np.array([own.mean, *own.ar, *own.ma, own.s2]))


def _compare_level(oracle: Any, own: Any) -> tuple[float, float]:
    return _compare_likelihood(oracle, np.array([own.sigma2_irregular, own.sigma2_level]))


def _compare_likelihood(oracle: Any, own: Floats) -> tuple[float, float]:
    apart = np.abs(own - oracle.params) / oracle.bse
    return float(apart.max()), float(oracle.llf - oracle.model.loglike(own))


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return 1 if a target is missed, else 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[200, 1000, 10_000])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    warnings.simplefilter("ignore")  # what statsmodels warns of shows in the differences
    lines = [
        measure(case, T, options.repeats)
        for T in options.sizes
        for case in cases(T, np.random.default_rng(SEED))
    ]
    if options.json:
        sys.stdout.write(json.dumps([asdict(line) for line in lines], indent=1) + "\n")
    else:
        sys.stdout.write(table(lines))
    return int(any(line.target is not None and line.ratio < line.target for line in lines))


def table(lines: Sequence[Line]) -> str:
    """Return the lines as text."""
    text = f"{'model':23}{'T':>7}{'statsmodels ms':>16}{'own ms':>9}{'ratio':>8}{'target':>8}"
    text += f"{'difference':>12}{'lost':>10}\n"
    for line in lines:
        target = "" if line.target is None else f"{line.target:.0f}"
        text += (
            f"{line.model:23}{line.length:7}{line.statsmodels_ms:16.2f}{line.own_ms:9.3f}{line.ratio:8.1f}"
            f"{target:>8}{line.difference:12.1e}{line.lost:10.1e}\n"
        )
    return text


if __name__ == "__main__":
    raise SystemExit(main())
