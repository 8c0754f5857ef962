"""Scenario x method x seed: every method on the same rows of the same nodes, and what came of it.

The seed deals the model families out to the nodes (seed 0 in the order of the case). Where all nodes fit the
same family there is nothing to deal, and one seed says it all.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ledgerfed.consensus.gates import SAMPLES_PER_COLUMN
from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.fairness import Fairness, fairness
from ledgerfed.evaluation.methods import alone, averaging, federated, pooled, rehearsal
from ledgerfed.evaluation.methods.result import Method, Prediction, Result, Trained, train_or_replace
from ledgerfed.evaluation.metrics import geometric_mean, rmse
from ledgerfed.evaluation.scenarios import Case, Participant, participants
from ledgerfed.evaluation.scoring import INTERVALS, coverage, crps, mase, pinball
from ledgerfed.evaluation.significance import diebold_mariano, holm
from ledgerfed.models.least_squares import Linear
from ledgerfed.series.arrays import Floats

OWN_MODEL: Final = "own model"
PERSONAL: Final = "federated, personal"
METHODS: Final[Mapping[str, Method]] = {
    "naive": alone.naive,
    OWN_MODEL: alone.own_model,
    "own ridge": alone.own_ridge,
    "federated averaging": averaging.federated_averaging,
    "quality-weighted median": averaging.quality_weighted_median,
    "scalar-weighted AR": averaging.scalar_weighted,
    "centralized": pooled.centralized,
    "federated, global": federated.global_model,
    PERSONAL: rehearsal.personal_models,
    "federated, no harm": rehearsal.no_harm_mixture,
}


@dataclass(frozen=True, slots=True)
class NodeScore:
    """One node under one method. `ratio` is RMSE / naive RMSE, `errors` those of the test rows, in order.

    `coverage` is by `INTERVALS`; pinball and CRPS are in units of the node's spread in training; `rows` are
    those that it trained on; `family` is what it fitted in the end.
    """

    node: str
    family: str
    ratio: float
    mase: float
    pinball: float
    crps: float
    coverage: tuple[float, ...]
    rows: int
    errors: Floats


@dataclass(frozen=True, slots=True)
class Row:
    """One method of a case: means over nodes, who gains against the own model, and the cost of one node.

    `better` counts the nodes whose gain over their own model is significant at 5 % after Holm's correction.
    The note `replaced` says how many nodes' own family found no fit; they fitted `FALLBACK`. The note
    `too_few_samples` counts nodes whose update gate V5 would refuse, having under three rows a column.
    """

    case: str
    method: str
    seed: int
    horizon: int
    nodes: tuple[NodeScore, ...]
    ratio: float
    mase: float
    pinball: float
    crps: float
    coverage: tuple[float, ...]
    to_own: float
    to_own_by_node: tuple[float, ...]
    fairness: Fairness
    better: int
    rounds: int
    bytes_up: int
    bytes_down: int
    wire_up: int
    fit_seconds: float
    fuse_seconds: float
    notes: Mapping[str, float]


def compare(
    case: Case,
    seed: int = 0,
    horizon: int = 1,
    methods: Mapping[str, Method] = METHODS,
    on_method: Callable[[str], None] = lambda _: None,
) -> Iterator[Row]:
    """Yield a row for each method, in order; `own model` must be among them and comes before who needs it.

    Raises:
        FitError: a node finds no fit, not even on the columns of the basis.
        InvalidValueError: nobody has enough rows, `own model` is missing, or a family that filters would be
            asked for more than one step.
    """
    if OWN_MODEL not in methods:
        raise InvalidValueError(f"all methods are held against {OWN_MODEL!r}; add it to {list(methods)}")
    wanted = dealt(participants(case, horizon), case.families, seed)
    nodes = tuple(train_or_replace(participant) for participant in wanted)
    _require_direct(nodes, horizon)
    remarks = _remarks(nodes, wanted)
    own: tuple[NodeScore, ...] = ()
    waiting: list[tuple[str, Result, tuple[NodeScore, ...]]] = []
    for name, method in methods.items():
        on_method(name)
        result = method(nodes, seed)
        result = replace(result, notes={**result.notes, **remarks})
        scores = tuple(_score(n, p, case.naive) for n, p in zip(nodes, result.predictions, strict=True))
        waiting.append((name, result, scores))
        if name == OWN_MODEL:
            own = scores
        if own:
            yield from (_row(case, seed, horizon, own, *each) for each in waiting)
            waiting = []


def dealt(found: Sequence[Participant], families: Sequence[str], seed: int) -> tuple[Participant, ...]:
    """Return the participants with the families dealt out in an order that the seed decides; 0 keeps it."""
    order = np.arange(len(found)) if seed == 0 else np.random.default_rng(seed).permutation(len(found))
    return tuple(
        replace(participant, family=families[int(place) % len(families)])
        for participant, place in zip(found, order, strict=True)
    )


def _remarks(nodes: Sequence[Trained], wanted: Sequence[Participant]) -> dict[str, float]:
    """Return what all methods of a case share, as notes."""
    replaced = sum(n.participant.family != p.family for n, p in zip(nodes, wanted, strict=True))
    few = sum(n.information.n < SAMPLES_PER_COLUMN * n.information.width for n in nodes)
    return {name: float(n) for name, n in (("replaced", replaced), ("too_few_samples", few)) if n}


def _require_direct(nodes: Sequence[Trained], horizon: int) -> None:
    """Columns of the basis look back as far as the horizon asks; a filter would see what lies between."""
    filters = sorted({n.participant.family for n in nodes if not isinstance(n.fitted, Linear)})
    if horizon > 1 and filters:
        raise InvalidValueError(
            f"{filters[0]!r} predicts one step; use linear families {horizon} steps ahead"
        )


def _score(node: Trained, prediction: Prediction, lag: int) -> NodeScore:
    p = node.participant
    _, y = p.answers
    mean, sd = prediction.mean, prediction.sd
    return NodeScore(
        p.name,
        p.family,
        rmse(y - mean) / rmse(y - p.naive),
        mase(y, mean, p.past, lag),
        pinball(y, mean, sd),
        crps(y, mean, sd),
        _covered(y, prediction),
        len(node.rows[1]),
        y - mean,
    )


def _covered(y: Floats, prediction: Prediction) -> tuple[float, ...]:
    if prediction.half:
        off = np.abs(y - prediction.mean)
        return tuple(float(np.mean(off <= half)) for half in prediction.half)
    return tuple(coverage(y, prediction.mean, prediction.sd, share) for share in INTERVALS)


def _row(
    case: Case,
    seed: int,
    horizon: int,
    own: Sequence[NodeScore],
    method: str,
    result: Result,
    scores: tuple[NodeScore, ...],
) -> Row:
    ratios = np.array([s.ratio / o.ratio for s, o in zip(scores, own, strict=True)])
    chances = [diebold_mariano(s.errors, o.errors, horizon) for s, o in zip(scores, own, strict=True)]
    asked = [len(s.errors) for s in scores]
    covered = np.average([s.coverage for s in scores], axis=0, weights=asked)
    return Row(
        case=case.name,
        method=method,
        seed=seed,
        horizon=horizon,
        nodes=scores,
        ratio=geometric_mean([s.ratio for s in scores]),
        mase=float(np.mean([s.mase for s in scores])),
        pinball=float(np.mean([s.pinball for s in scores])),
        crps=float(np.mean([s.crps for s in scores])),
        coverage=tuple(float(share) for share in covered),
        to_own=geometric_mean(ratios.tolist()),
        to_own_by_node=tuple(ratios.tolist()),
        fairness=fairness(ratios),
        better=sum(holm(chances)),
        rounds=result.rounds,
        bytes_up=result.bytes_up,
        bytes_down=result.bytes_down,
        wire_up=result.wire_up,
        fit_seconds=result.fit_seconds,
        fuse_seconds=result.fuse_seconds,
        notes=result.notes,
    )
