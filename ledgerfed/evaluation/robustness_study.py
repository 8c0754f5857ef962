"""Whether the gains depend on the windows and on the own model that they were measured with.

    python -m ledgerfed.evaluation.robustness_study [--json]

- other windows: the comparison of a case with the test year moved back year by year, or with other batches;
- other own models: what the personal forecaster is worth to a node that fits another family alone. The
  federation still exchanges least squares on the basis, so that only the yardstick changes;
- newcomers: a fifth of the patients contributes nothing and is forecast by the others' global model.

These lines are a check of the headline table and choose nothing. They are no second test of the constants of
`fusion.forecaster`, though: those were chosen on stretches of the same earlier years (`personal_study`), and
on the third batches.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np

from ledgerfed.evaluation.compare import METHODS, OWN_MODEL, PERSONAL, compare
from ledgerfed.evaluation.fairness import fairness
from ledgerfed.evaluation.methods.federated import rounds
from ledgerfed.evaluation.methods.result import Trained, errors_of, train_or_replace
from ledgerfed.evaluation.metrics import geometric_mean, rmse
from ledgerfed.evaluation.scenarios import Case, batches, find_case, last_days, participants
from ledgerfed.series.arrays import Floats

YEARS: Final = range(5)
FOLDS: Final = 5
SHOWN: Final = ("own ridge", "centralized", "federated, global", PERSONAL, "federated, no harm")
FAMILIES: Final = ("ar", "arima", "structural", "linear_state_space")
"""Other own models: of the target's past alone, and of channels too."""
SPLITS: Final = {
    "first batch, last two": (slice(0, 1), slice(-2, None)),
    "first three, last two": (slice(0, 3), slice(-2, None)),
    "second and third, next two": (slice(1, 3), slice(3, 5)),
    "two before the last, the last": (slice(-3, -1), slice(-1, None)),
}


@dataclass(frozen=True, slots=True)
class Line:
    """A method of a case under a variation: RMSE / naive, RMSE / own model (geometric means over nodes), the
    share of nodes no worse than that by 1 %, and the worst node.
    """

    case: str
    variation: str
    method: str
    nodes: int
    to_naive: float
    to_own: float
    no_worse: float
    worst: float


def other_windows(case: Case, variation: str) -> Iterator[Line]:
    """Yield a line for each method of SHOWN on a case with other windows."""
    methods = {name: METHODS[name] for name in (OWN_MODEL, *SHOWN)}
    for row in compare(case, methods=methods):
        if row.method != OWN_MODEL:
            fair = row.fairness
            yield Line(
                case.name,
                variation,
                row.method,
                len(row.nodes),
                row.ratio,
                row.to_own,
                fair.no_worse,
                fair.worst,
            )


def other_own_models(case: Case, families: Sequence[str] = FAMILIES) -> Iterator[Line]:
    """Yield what the personal forecaster is worth to nodes whose own model is of another family."""
    found = participants(case)
    linear = tuple(train_or_replace(participant) for participant in found)
    personal = METHODS[PERSONAL](linear, 0).predictions
    truth = [node.participant.answers[1] for node in linear]
    naive = _rmses([y - node.participant.naive for y, node in zip(truth, linear, strict=True)])
    ours = _rmses([y - prediction.mean for y, prediction in zip(truth, personal, strict=True)])
    for family in families:
        own = [train_or_replace(replace(participant, family=family)) for participant in found]
        alone = _rmses([y - node.ahead for y, node in zip(truth, own, strict=True)])
        yield _line(case.name, f"own model {family}", PERSONAL, ours, alone, naive)


def newcomers(case: Case, folds: int = FOLDS) -> Line:
    """Return how the global model of the others forecasts nodes that contributed nothing.

    Every node is a newcomer once: in fold i those at the places i, i + `folds`, and so on.
    """
    nodes = tuple(train_or_replace(participant) for participant in participants(case))
    ours, alone, naive = (np.zeros(len(nodes)) for _ in range(3))
    for fold in range(folds):
        new = nodes[fold::folds]
        theta = rounds(tuple(n for i, n in enumerate(nodes) if i % folds != fold))[-1].theta
        ours[fold::folds] = errors_of(new, theta)
        alone[fold::folds] = _errors(new, lambda node: node.ahead)
        naive[fold::folds] = _errors(new, lambda node: node.participant.naive)
    return _line(
        case.name, f"one of {folds} nodes contributes nothing", "federated, global", ours, alone, naive
    )


def study() -> Iterator[Line]:
    """Yield all lines."""
    for days in (60, 180):
        case = find_case(f"transit-{days}")
        for year in YEARS:
            moved = replace(case, windows=last_days(days, 365, 365 * year))
            yield from other_windows(moved, f"test year {year} earlier")
        yield from other_own_models(case)
    for name in ("dryer-power", "dryer-temperature"):
        case = find_case(name)
        for variation, (train, test) in SPLITS.items():
            yield from other_windows(replace(case, windows=batches(train, test)), variation)
        yield from other_own_models(case)
    for name in ("heart-rate", "heart-rate-all-channels"):
        yield newcomers(find_case(name))
    yield from other_own_models(find_case("heart-rate"))


def table(lines: Sequence[Line]) -> str:
    """Return the study as text, a line each."""
    head = f"{'case':25}{'variation':42}{'method':20}"
    head += f"{'nodes':>6}{'naive':>8}{'own':>8}{'no worse':>10}{'worst':>8}"
    rows = [
        f"{x.case:25}{x.variation:42}{x.method:20}{x.nodes:6}{x.to_naive:8.4f}{x.to_own:8.4f}"
        f"{x.no_worse:10.2f}{x.worst:8.3f}"
        for x in lines
    ]
    return "\n".join([head, *rows]) + "\n"


def _line(case: str, variation: str, method: str, ours: Floats, alone: Floats, naive: Floats) -> Line:
    fair = fairness(ours / alone)
    return Line(
        case,
        variation,
        method,
        len(ours),
        geometric_mean((ours / naive).tolist()),
        geometric_mean((ours / alone).tolist()),
        fair.no_worse,
        fair.worst,
    )


def _errors(nodes: Sequence[Trained], forecast: Callable[[Trained], Floats]) -> Floats:
    return _rmses([node.participant.answers[1] - forecast(node) for node in nodes])


def _rmses(errors: Sequence[Floats]) -> Floats:
    return np.array([rmse(error) for error in errors])


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the study; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ledgerfed.evaluation.robustness_study")
    parser.add_argument("--json", action="store_true", help="all figures as JSON")
    options = parser.parse_args(arguments)
    lines = list(study())
    sys.stdout.write(
        json.dumps([asdict(x) for x in lines], indent=1) + "\n" if options.json else table(lines)
    )
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
