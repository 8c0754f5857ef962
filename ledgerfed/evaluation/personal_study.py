"""How strong a node's prior should be, and what keeps it from harm: rules compared on earlier data only.

    python -m ledgerfed.evaluation.personal_study [--json]

No test window of `evaluation.scenarios` is looked at: stations train on windows of earlier years (eight of
them, the last ending 425 days before the panel's end), patients are judged on hours 20 to 31 or 24 to 31
after the hours before, dryers on the third batch of a group after the first two.

A rehearsal gives the rules what they may look at: all nodes fit and fuse without the last third of their
training rows, and forecast it. The models that are judged are then fitted to all training rows.

Each cell is the geometric mean of RMSE / naive RMSE, the same against the node's own least squares, the share
of nodes no worse than that by 1 %, and the worst node. Intervals: the share of values inside.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Final

import numpy as np

from ledgerfed.evaluation.fairness import fairness
from ledgerfed.evaluation.methods.federated import fuse_exactly
from ledgerfed.evaluation.metrics import geometric_mean, rmse
from ledgerfed.evaluation.scenarios import Case, batches, find_case, hours, last_days, participants
from ledgerfed.evaluation.significance import diebold_mariano
from ledgerfed.exchange import Information, information, noise_about
from ledgerfed.fusion import KAPPAS, Personal, interval, no_harm, personalise, predictive, shrinkage
from ledgerfed.fusion.forecaster import TEMPER, prior_weights
from ledgerfed.fusion.intervals import LEVELS, deviation, left_out
from ledgerfed.series.arrays import Floats

TAIL: Final = 1 / 3
"""Share of the training rows, the last ones, that a rehearsal keeps back."""
YEARS: Final = range(1, 9)
ROUNDS: Final = 3
"""Each measures noise about the model before; the first about the genesis model, which is zero."""
EARLIER_SPREAD: Final = 2.0
SIGNIFICANT: Final = 0.1


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """Training rows X [n, d], y [n], rows to forecast, and the RMSE of their naive forecast."""

    X: Floats
    y: Floats
    ahead: Floats
    truth: Floats
    naive: float

    @property
    def head(self) -> tuple[Floats, Floats]:
        """The training rows without the tail."""
        cut = len(self.y) - round(TAIL * len(self.y))
        return self.X[:cut], self.y[:cut]

    @property
    def tail(self) -> tuple[Floats, Floats]:
        """The last training rows."""
        cut = len(self.y) - round(TAIL * len(self.y))
        return self.X[cut:], self.y[cut:]


@dataclass(frozen=True, slots=True, eq=False)
class Fit:
    """What a federation of nodes knows: own messages and least squares, and the global model."""

    messages: tuple[Information, ...]
    local: tuple[Floats, ...]
    theta: Floats
    precision_mean: Floats

    def log_evidence(self) -> Floats:
        """Return the log evidence of each node's rows at each of `KAPPAS`, float64 [nodes, 15]."""
        views = [shrinkage(m, self.theta, self.precision_mean) for m in self.messages]
        return np.array([view.log_evidence() for view in views])


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What a rule may look at: the final fit, the rehearsal, and what the rehearsal proved on the tails."""

    nodes: tuple[Node, ...]
    final: Fit
    rehearsal: Fit
    proven: tuple[Floats, ...]


@dataclass(frozen=True, slots=True)
class Judged:
    """A rule on a case, over nodes: RMSE / naive, the same / local, and how nodes fare against local."""

    to_naive: float
    to_local: float
    no_worse: float
    worst: float


@dataclass(frozen=True, slots=True)
class Covered:
    """The share of values inside intervals of the forecaster in use, mean over nodes, at each of LEVELS."""

    normal: tuple[float, ...]
    calibrated: tuple[float, ...]


Rule = Callable[[Sight], list[Floats]]


def study_cases() -> dict[str, tuple[tuple[Case, ...], int]]:
    """Return the cases of each line of the study, and the horizon: all end before a test begins."""
    earlier = {
        days: tuple(
            replace(find_case(f"transit-{days}"), windows=last_days(days, 365, 365 * k + 60)) for k in YEARS
        )
        for days in (60, 180)
    }
    patients, channels = find_case("heart-rate"), find_case("heart-rate-all-channels")
    third = batches(slice(0, 2), slice(2, 3))
    return {
        "transit-60": (earlier[60], 1),
        "transit-180": (earlier[180], 1),
        "transit-180, 7 ahead": (earlier[180], 7),
        "heart-rate, 20 h": ((replace(patients, windows=hours(20, 32)),), 1),
        "heart-rate, 24 h": ((replace(patients, windows=hours(24, 32)),), 1),
        "all channels, 24 h": ((replace(channels, windows=hours(24, 32)),), 1),
        "dryer-power": ((replace(find_case("dryer-power"), windows=third),), 1),
        "dryer-temperature": ((replace(find_case("dryer-temperature"), windows=third),), 1),
    }


def study_nodes(case: Case, horizon: int) -> tuple[Node, ...]:
    """Return the nodes of a case."""
    found = []
    for p in participants(case, horizon):
        ahead, truth = p.answers
        found.append(Node(*p.train.sample(), ahead, truth, rmse(truth - p.naive)))
    return tuple(found)


def federate(samples: Sequence[tuple[Floats, Floats]]) -> Fit:
    """Return what nodes with these rows learn together, through the integers of the exchange."""
    local = tuple(information(X, y, y, 1.0, 1.0).theta() for X, y in samples)
    theta = np.zeros(samples[0][0].shape[1])
    for _ in range(ROUNDS):
        fused = fuse_exactly([information(X, y, y, 1.0, noise_about(X, y, theta)) for X, y in samples])
        theta = fused.theta
    messages = [information(X, y, y, 1.0, noise_about(X, y, theta)) for X, y in samples]
    return Fit(tuple(messages), local, fused.theta, fused.precision_mean)


def look(nodes: tuple[Node, ...]) -> Sight:
    """Return what rules may look at."""
    final, rehearsal = federate([(n.X, n.y) for n in nodes]), federate([n.head for n in nodes])
    proven = tuple(
        predictive(message, rehearsal.theta, rehearsal.precision_mean, *node.tail)
        for message, node in zip(rehearsal.messages, nodes, strict=True)
    )
    return Sight(nodes, final, rehearsal, proven)


def in_use(sight: Sight) -> list[Personal]:
    """Return the personal forecasters of this library, fitted to all training rows."""
    fit = sight.final
    return [
        personalise(message, fit.theta, fit.precision_mean, proven)
        for message, proven in zip(fit.messages, sight.proven, strict=True)
    ]


def weighted(power: float, spread: float, seen: bool, common: bool = False) -> Rule:
    """Return the rule that averages over κ by evidence to a power and, if `seen`, the rehearsal's tail.

    The prior sits at the κ that all evidence together prefers if `common`, else at `KAPPA`.
    """

    def rule(sight: Sight) -> list[Floats]:
        evidence = sight.final.log_evidence()
        centre = {"centre": float(KAPPAS[int(np.argmax(evidence.sum(axis=0)))])} if common else {}
        logs = prior_weights(spread=spread, **centre) + power * evidence
        return _averages(sight, logs + np.array(sight.proven) if seen else logs)

    return rule


def peak(common: bool) -> Rule:
    """Return the rule that takes the κ of the largest evidence, of all nodes together or of each alone."""

    def rule(sight: Sight) -> list[Floats]:
        evidence = sight.final.log_evidence()
        best = (evidence.sum(axis=0, keepdims=True) + 0 * evidence if common else evidence).argmax(axis=1)
        return _averages(sight, np.where(np.arange(len(KAPPAS)) == best[:, None], 0.0, -np.inf))

    return rule


def half_and_half(sight: Sight) -> list[Floats]:
    """Return the mean of own least squares and personal forecaster."""
    return [(a + own.theta) / 2 for a, own in zip(sight.final.local, in_use(sight), strict=True)]


def picked(sight: Sight) -> list[Floats]:
    """Return the personal forecaster, but own least squares where they were significantly better."""
    found = []
    for own, local, (mine, theirs) in zip(in_use(sight), sight.final.local, _rehearsed(sight), strict=True):
        found.append(local if diebold_mariano(theirs, mine) < SIGNIFICANT else own.theta)
    return found


def harmless(sight: Sight) -> list[Floats]:
    """Return the rule of this library: both, as far as each has earned it."""
    found = []
    errors = _rehearsed(sight)
    for own, local, node, (mine, theirs) in zip(
        in_use(sight), sight.final.local, sight.nodes, errors, strict=True
    ):
        share = no_harm(mine, theirs, len(node.y), len(local))
        found.append(share * local + (1 - share) * own.theta)
    return found


RULES: Final[Mapping[str, Rule]] = {
    "local": lambda sight: list(sight.final.local),
    "global": lambda sight: [sight.final.theta] * len(sight.nodes),
    "peak of own evidence": peak(common=False),
    "peak of all evidence": peak(common=True),
    "evidence around peak of all": weighted(1.0, EARLIER_SPREAD, seen=False, common=True),
    "evidence": weighted(1.0, EARLIER_SPREAD, seen=False),
    "tempered evidence": weighted(TEMPER, 1.0, seen=False),
    "tail": weighted(0.0, 1.0, seen=True),
    "evidence and tail": weighted(1.0, 1.0, seen=True),
    "tempered, around peak, and tail": weighted(TEMPER, 1.0, seen=True, common=True),
    "tempered evidence and tail *": lambda sight: [own.theta for own in in_use(sight)],
    "* or local if significant": picked,
    "* and local, half each": half_and_half,
    "* and local as earned **": harmless,
}
"""The rules; * is `fusion.personalise`, ** with `fusion.no_harm`."""


def judge(sights: Sequence[Sight], rule: Rule) -> Judged:
    """Return how a rule does over the nodes of all sights."""
    errors, own = (
        np.array([e for sight in sights for e in _errors(sight, r(sight))]) for r in (rule, RULES["local"])
    )
    fair = fairness(errors / own)
    ratio = geometric_mean((errors / own).tolist())
    return Judged(geometric_mean(errors.tolist()), ratio, fair.no_worse, fair.worst)


def cover(sights: Sequence[Sight]) -> Covered:
    """Return the coverage of normal intervals and of those of `fusion.intervals`, around the rule in use."""
    from scipy.stats import norm

    normal: list[list[float]] = []
    calibrated: list[list[float]] = []
    for sight in sights:
        for node, own, theta, (mine, _) in zip(
            sight.nodes, in_use(sight), harmless(sight), _rehearsed(sight), strict=True
        ):
            mean, sd = node.ahead @ theta, deviation(own, node.ahead)
            errors = np.concatenate([left_out(own, node.X, node.y)[: -len(mine)], mine])
            standardised = errors / deviation(own, node.X)
            off = np.abs(node.truth - mean) / sd
            normal.append([float(np.mean(off <= norm.ppf((1 + level) / 2))) for level in LEVELS])
            calibrated.append([interval(mean, sd, standardised, lv).coverage(node.truth) for lv in LEVELS])
    return Covered(tuple(np.mean(normal, axis=0).tolist()), tuple(np.mean(calibrated, axis=0).tolist()))


def _averages(sight: Sight, logs: Floats) -> list[Floats]:
    fit = sight.final
    raised = np.exp(logs - logs.max(axis=1, keepdims=True))
    weights = raised / raised.sum(axis=1, keepdims=True)
    views = (shrinkage(message, fit.theta, fit.precision_mean) for message in fit.messages)
    return [w @ view.thetas() for w, view in zip(weights, views, strict=True)]


def _rehearsed(sight: Sight) -> list[tuple[Floats, Floats]]:
    """Each node's errors on its tail: of its personal forecaster without the tail, and of its own model."""
    fit, found = sight.rehearsal, []
    for message, local, node in zip(fit.messages, fit.local, sight.nodes, strict=True):
        X, y = node.tail
        own = personalise(message, fit.theta, fit.precision_mean)
        found.append((y - X @ own.theta, y - X @ local))
    return found


def _errors(sight: Sight, thetas: Sequence[Floats]) -> list[float]:
    return [rmse(n.truth - n.ahead @ theta) / n.naive for n, theta in zip(sight.nodes, thetas, strict=True)]


def table(results: Mapping[str, Mapping[str, Judged]], covered: Mapping[str, Covered]) -> str:
    """Return the study as text: a block a case, a line a rule, then the intervals."""
    lines = []
    for case, judged in results.items():
        lines.append(f"{case:34}{'to naive':>10}{'to local':>10}{'no worse':>10}{'worst':>8}")
        lines += [
            f"  {name:32}{j.to_naive:10.4f}{j.to_local:10.4f}{j.no_worse:10.2f}{j.worst:8.2f}"
            for name, j in judged.items()
        ]
    heads = [f"{kind} {level:.0%}" for kind in ("normal", "in use") for level in LEVELS]
    lines.append(f"{'intervals':34}" + "".join(f"{head:>12}" for head in heads))
    for case, found in covered.items():
        lines.append(f"  {case:32}" + "".join(f"{v:12.3f}" for v in (*found.normal, *found.calibrated)))
    return "\n".join(lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the study; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ledgerfed.evaluation.personal_study")
    parser.add_argument("--json", action="store_true", help="all figures as JSON")
    options = parser.parse_args(arguments)
    results, covered = {}, {}
    for name, (cases, horizon) in study_cases().items():
        sights = [look(study_nodes(case, horizon)) for case in cases]
        results[name] = {rule: judge(sights, function) for rule, function in RULES.items()}
        covered[name] = cover(sights)
    if options.json:
        rules = {name: {r: asdict(j) for r, j in judged.items()} for name, judged in results.items()}
        document = {"rules": rules, "intervals": {name: asdict(c) for name, c in covered.items()}}
        sys.stdout.write(json.dumps(document, indent=1) + "\n")
    else:
        sys.stdout.write(table(results, covered))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
