"""Global models for the study of modalities: nodes, their messages, and the ways to fuse them, in floats.

Every model takes two rounds or more: each later round measures a node's noise about the model before it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ledgerfed.evaluation.metrics import rmse_ratio
from ledgerfed.evaluation.scenarios import Participant
from ledgerfed.exchange import Basis, Information, information, noise_about
from ledgerfed.fusion.combine import fuse, personal
from ledgerfed.fusion.missing import complete_own, fuse_completed, onto_present, pool_moments
from ledgerfed.series.arrays import Booleans, Floats


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Regression rows: `X` float64 [n, d] and `y` float64 [n]."""

    X: Floats
    y: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """A node's training rows, the rows to forecast, and the naive forecast of those, float64 [n]."""

    train: Rows
    test: Rows
    naive: Floats

    def error(self, forecast: Floats) -> float:
        """Return RMSE / naive RMSE of a forecast of the test rows."""
        return rmse_ratio(self.test.y, forecast, self.naive)


@dataclass(frozen=True, slots=True, eq=False)
class Model:
    """A global model: coefficients [d], and the precision [d, d] of a typical node, its weight as a prior.

    `link` [d, d] is what a missing column is predicted from the others by; the identity for not at all.
    """

    theta: Floats
    typical: Floats
    link: Floats

    def for_all(self, present: Booleans) -> Floats:
        """Return the global coefficients for a node with these columns, zero on the others."""
        return onto_present(self.theta, present, self.link)

    def for_one(self, rows: Rows, present: Booleans, base: Booleans) -> Floats:
        """Return the personal coefficients of a node: the model as a prior for its own rows."""
        own = complete_own(message(rows, present, base, self), present, self.link)
        blended = personal(own, self.theta, self.typical)
        return onto_present(blended, present, self.link)


Fuse = Callable[[Sequence[Information], Sequence[Booleans], Model | None], Model]
"""From messages, the columns of each, and the model of the round before, to a model."""


def node_of(participant: Participant) -> Node:
    """Return the rows of a participant of a case."""
    return Node(Rows(*participant.train.sample()), Rows(*participant.answers), participant.naive)


def base_columns(basis: Basis) -> Booleans:
    """Return the columns that every node has, bool [d]: all but the channels."""
    mask = np.ones(basis.width, dtype=bool)
    mask[len(basis.lags) : len(basis.lags) + len(basis.channels)] = False
    return mask


def modality_columns(basis: Basis) -> dict[str, Booleans]:
    """Return the columns of an expert for each modality, bool [d]: the base and the channels of one."""
    masks = {}
    first = len(basis.lags)
    for name in dict.fromkeys(term.modality for term in basis.channels):
        masks[name] = base_columns(basis)
        masks[name][first : first + len(basis.channels)] = [t.modality == name for t in basis.channels]
    return masks


def message(rows: Rows, present: Booleans, base: Booleans, model: Model | None) -> Information:
    """Return a node's message, zero padded; its noise is about `model`, or about its own base columns."""
    X = np.where(present, rows.X, 0.0)
    if model is None:
        s2 = information(rows.X[:, base], rows.y, rows.y, 1.0).s2
    else:
        s2 = noise_about(X, rows.y, model.for_all(present))
    return information(X, rows.y, rows.y, 1.0, s2)


def pad(infos: Sequence[Information], _: Sequence[Booleans], __: Model | None) -> Model:
    """The plain sum: zeros where columns are missing, in messages and in forecasts."""
    theta, precision = fuse(infos, [1.0] * len(infos))
    return Model(theta, precision / len(infos), np.eye(len(theta)))


def add_up(infos: Sequence[Information], masks: Sequence[Booleans], _: Model | None) -> Model:
    """The plain sum of messages that lack nothing; nodes that lack columns get forecasts from the others."""
    summed = pad(infos, masks, None)
    return replace(summed, link=summed.typical)


def complete(infos: Sequence[Information], masks: Sequence[Booleans], last: Model | None) -> Model:
    """The sum of messages that each node completes by the round before; in the first nobody can."""
    if last is None:
        return add_up(infos, masks, None)
    completed = [complete_own(info, mask, last.link) for info, mask in zip(infos, masks, strict=True)]
    return add_up(completed, masks, None)


def maximise_likelihood(infos: Sequence[Information], masks: Sequence[Booleans], _: Model | None) -> Model:
    """Moment-EM over the messages; a typical node, as a prior, is one that has every column."""
    moments = pool_moments(infos, masks)
    precision = fuse_completed(infos, masks, [1.0] * len(infos), moments)
    rows = np.array([info.n for info in infos]) / moments.noise
    return Model(moments.theta, moments.xx * float(rows.mean()), precision)


def train(
    parts: Sequence[Rows], masks: Sequence[Booleans], base: Booleans, fuse_round: Fuse, rounds: int = 2
) -> Model:
    """Return the global model after so many rounds, each node with the columns of its mask."""
    pairs = list(zip(parts, masks, strict=True))
    model = fuse_round([message(rows, mask, base, None) for rows, mask in pairs], masks, None)
    for _ in range(1, rounds):
        model = fuse_round([message(rows, mask, base, model) for rows, mask in pairs], masks, model)
    return model
