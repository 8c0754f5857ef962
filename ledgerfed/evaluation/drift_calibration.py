"""What the CUSUM of squared errors comes to without drift: thresholds for a stated false-alarm rate.

    python -m ledgerfed.evaluation.drift_calibration [--trials 20000] [--json]

Each trial runs the detector, warm-up and running mean included, over errors that do not change: normal ones,
and Student's t with five degrees of freedom, closer to what forecasters leave. The line of t5, 1,000 errors
and 5 % is `series.cusum.THRESHOLD`.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Final

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.series.arrays import Floats, Integers
from ledgerfed.series.cusum import ONE, THRESHOLD, CusumRule, largest_sums
from ledgerfed.series.drift import squared_steps

SEED: Final = 11
HORIZONS: Final = (500, 1000, 1500)
RATES: Final = (0.05, 0.01)
_BLOCK: Final = 500

Draw = Callable[[np.random.Generator, tuple[int, int]], Floats]


def normal(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Return standard normal errors."""
    return rng.standard_normal(shape)


def student(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
    """Return errors of variance 1 from Student's t with five degrees of freedom."""
    return rng.standard_t(5, shape) * float(np.sqrt(3 / 5))


DRAWS: Final[Mapping[str, Draw]] = {"normal": normal, "t5": student}


@dataclass(frozen=True, slots=True)
class Calibrated:
    """The threshold that a share `rate` of series without drift exceeds within `horizon` judged errors.

    `threshold` in units of 1 / 1024; `run_length` is the mean number of errors to a false alarm that the rate
    amounts to if alarms come at a constant rate.
    """

    errors: str
    horizon: int
    rate: float
    threshold: int
    run_length: int


def sums_without_drift(rule: CusumRule, draw: Draw, horizon: int, trials: int, seed: int = SEED) -> Integers:
    """Return the largest sum in each of `trials` series of `horizon` judged errors, int64, ascending."""
    if min(horizon, trials) < 1:
        raise InvalidValueError(f"a calibration needs errors and trials, got {horizon} and {trials}")
    rng = np.random.default_rng([seed, horizon])
    blocks = [min(_BLOCK, trials - start) for start in range(0, trials, _BLOCK)]
    sums = [
        largest_sums(squared_steps(draw(rng, (n, rule.warmup + horizon))), rule.slack, rule.warmup)
        for n in blocks
    ]
    return np.sort(np.concatenate(sums))


def threshold_for(sums: Integers, rate: float) -> int:
    """Return the smallest threshold that at most a share `rate` of the ascending `sums` exceeds.

    Raises:
        InvalidValueError: the rate is not between 0 and 1, or too small for so few trials.
    """
    if not 0 < rate < 1 or rate * len(sums) < 1:
        raise InvalidValueError(f"a rate of {rate} cannot be read off {len(sums)} trials; run more of them")
    return int(sums[len(sums) - 1 - int(rate * len(sums))])


def calibrate(trials: int, rule: CusumRule | None = None) -> tuple[Calibrated, ...]:
    """Return the thresholds for each kind of error, horizon and rate; `rule` gives slack and warm-up."""
    rule = rule or CusumRule()
    found = []
    for name, draw in DRAWS.items():
        for horizon in HORIZONS:
            sums = sums_without_drift(rule, draw, horizon, trials)
            found += [
                Calibrated(name, horizon, rate, threshold_for(sums, rate), _run_length(horizon, rate))
                for rate in RATES
            ]
    return tuple(found)


def _run_length(horizon: int, rate: float) -> int:
    return round(-horizon / float(np.log1p(-rate)))


def report(found: Sequence[Calibrated]) -> str:
    """Return the thresholds as text, the one in use marked."""
    lines = [f"{'errors':10}{'judged':>8}{'rate':>8}{'run length':>12}{'threshold':>12}{'/ 1024':>8}"]
    lines += [
        f"{c.errors:10}{c.horizon:8}{c.rate:8.2f}{c.run_length:12}{c.threshold / ONE:12.2f}{c.threshold:8}"
        + ("  in use" if c.threshold == THRESHOLD else "")
        for c in found
    ]
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the thresholds; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ledgerfed.evaluation.drift_calibration")
    parser.add_argument("--trials", type=int, default=20_000)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args(arguments)
    found = calibrate(options.trials)
    sys.stdout.write(
        json.dumps([asdict(c) for c in found], indent=1) + "\n" if options.json else report(found)
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
