"""A rehearsal: the federation once more without the last third of everybody's training rows.

What its forecasters miss on that tail says how far to trust which of them; the rows of the test are not
looked at. Nodes do the same between rounds with what came since (`fusion.forecaster.predictive`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np

from ledgerfed.errors import FitError
from ledgerfed.evaluation.methods.federated import Fused, rounds, sent
from ledgerfed.evaluation.methods.result import Prediction, Result, Trained, train_or_replace
from ledgerfed.evaluation.scenarios import Participant
from ledgerfed.evaluation.scoring import INTERVALS
from ledgerfed.fusion import KAPPAS, Personal, no_harm, personalise, predictive
from ledgerfed.fusion.intervals import deviation, deviations, left_out
from ledgerfed.series import Window
from ledgerfed.series.arrays import Floats

TAIL: Final = 1 / 3
"""The share of the training rows that the rehearsal does without."""


@dataclass(frozen=True, slots=True, eq=False)
class Rehearsed:
    """What a node knows of itself after the rehearsal.

    `proven` is what `predictive` says of its tail, float64 [15]; `personal` and `native` are the errors of
    its two models there, float64 [m]. A node that finds no fit without its tail learns nothing: m = 0.
    """

    proven: Floats
    personal: Floats
    native: Floats


NOTHING: Final = Rehearsed(np.zeros(len(KAPPAS)), np.empty(0), np.empty(0))


def personal_models(nodes: Sequence[Trained], _: int) -> Result:
    """Each node's own coefficients: the global model as a prior, as strong as evidence and tail say."""
    found = rounds(tuple(nodes))
    mine = _personal(nodes, found[-1])
    return _sent(found, tuple(_prediction(node, own, r) for node, own, r in mine))


def no_harm_mixture(nodes: Sequence[Trained], _: int) -> Result:
    """The same, and the native model beside it as far as its errors on the tail have earned it."""
    found = rounds(tuple(nodes))
    mixed, shares = [], []
    for node, own, rehearsed in _personal(nodes, found[-1]):
        used = len(node.fitted.parameters)
        share = no_harm(rehearsed.personal, rehearsed.native, len(node.rows[1]), used)
        alone = _prediction(node, own, rehearsed)
        mixed.append(replace(alone, mean=share * node.ahead + (1 - share) * alone.mean))
        shares.append(share)
    return replace(_sent(found, tuple(mixed)), notes={"native_share": float(np.mean(shares))})


@lru_cache(maxsize=1)
def rehearse(nodes: tuple[Trained, ...]) -> tuple[Rehearsed, ...]:
    """Return what every node learns about itself; kept, for both methods to share."""
    heads = [_fitted(_head(node.participant)) for node in nodes]
    fused = rounds.__wrapped__(tuple(head for head in heads if head is not None))[-1]
    return tuple(NOTHING if head is None else _rehearsed(head, fused) for head in heads)


def _fitted(head: Participant) -> Trained | None:
    try:
        return train_or_replace(head)
    except FitError:
        return None


def _rehearsed(head: Trained, fused: Fused) -> Rehearsed:
    X, y = head.participant.answers
    message = head.informed(fused.theta)
    own = personalise(message, fused.theta, fused.precision_mean)
    proven = predictive(message, fused.theta, fused.precision_mean, X, y)
    return Rehearsed(proven, y - X @ own.theta, y - head.ahead)


def _head(participant: Participant) -> Participant:
    """Return the participant as if its training ended before its last rows, and those were to be forecast."""
    train = participant.train
    rows = np.flatnonzero(train.rows)
    cut = int(rows[len(rows) - round(TAIL * len(rows))])
    test = train.rows & (np.arange(len(train.rows)) >= cut)
    head = train.within(Window(int(rows[0]), cut))
    return replace(participant, train=head, through=train, test=test, naive=train.y[test])


def _sent(found: Sequence[Fused], predictions: tuple[Prediction, ...]) -> Result:
    """Return the predictions with what the rounds cost a node: the rehearsal is as many again."""
    once = sent(found, predictions)
    return replace(
        once,
        rounds=2 * once.rounds,
        bytes_up=2 * once.bytes_up,
        bytes_down=2 * once.bytes_down,
        wire_up=2 * once.wire_up,
    )


def _personal(nodes: Sequence[Trained], fused: Fused) -> list[tuple[Trained, Personal, Rehearsed]]:
    return [
        (node, personalise(node.informed(fused.theta), fused.theta, fused.precision_mean, r.proven), r)
        for node, r in zip(nodes, rehearse(tuple(nodes)), strict=True)
    ]


def _prediction(node: Trained, own: Personal, rehearsed: Rehearsed) -> Prediction:
    """Return the forecasts, with intervals as wide as rows that were not fitted ask for."""
    X, _ = node.participant.answers
    fitted_X, fitted_y = node.rows
    tail = rehearsed.personal
    errors = np.concatenate([left_out(own, fitted_X, fitted_y)[: len(fitted_y) - len(tail)], tail])
    standardised = errors / deviation(own, fitted_X)
    sd = deviation(own, X)
    half = tuple(sd * deviations(standardised, level) for level in INTERVALS)
    return Prediction(X @ own.theta, sd * float(np.sqrt(np.mean(standardised**2))), half)
