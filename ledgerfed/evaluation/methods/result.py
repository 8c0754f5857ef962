"""What every method is given and what it must give back, so that all are compared on the same rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.evaluation.scenarios import Participant
from ledgerfed.exchange import Information, information, noise_about
from ledgerfed.models import Family, Fitted, load_family
from ledgerfed.series.arrays import Floats

FALLBACK: Final = "arx"
"""What a node fits whose own family finds no fit: least squares on the basis."""


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A participant with its native model, fitted on its training rows alone.

    `predictions` are the model's of the training rows, `ahead` those of the test rows, with the parameters as
    fitted; `information` is what the node would send in a first round; `fit_seconds` is what fitting took.
    """

    participant: Participant
    fitted: Fitted
    exchange_weight: float
    predictions: Floats
    ahead: Floats
    information: Information
    fit_seconds: float

    @property
    def rows(self) -> tuple[Floats, Floats]:
        """X [n, d] and y [n] of the training rows, standardised."""
        return self.participant.train.sample()

    def informed(self, base: Floats | None) -> Information:
        """Return the information relative to a base model: exact statistics measure their noise about it."""
        if base is None or self.exchange_weight != 1:
            return self.information
        X, y = self.rows
        return information(X, y, self.predictions, 1.0, noise_about(X, y, base))


@dataclass(frozen=True, slots=True, eq=False)
class Prediction:
    """Forecasts of one node's test rows: `mean` and standard deviation `sd`, float64 [n], standardised.

    `half` are half the widths of the intervals at `scoring.INTERVALS`, float64 [n] each; without them the
    intervals are Gaussian.
    """

    mean: Floats
    sd: Floats
    half: tuple[Floats, ...] = ()

    def __post_init__(self) -> None:
        if self.mean.shape != self.sd.shape or not np.isfinite(self.mean).all():
            raise InvalidValueError("a forecast needs a finite mean and a deviation for every row")


@dataclass(frozen=True, slots=True)
class Result:
    """What a method did: a prediction for each participant, and what it cost.

    `rounds` of communication; `bytes_up` and `bytes_down` are payload bytes that one node sends and gets over
    all rounds, `wire_up` what it sends with signatures and envelopes around them; `fuse_seconds` is what
    combining took, once. `notes` are plain figures by name.
    """

    predictions: tuple[Prediction, ...]
    rounds: int = 0
    bytes_up: int = 0
    bytes_down: int = 0
    wire_up: int = 0
    fit_seconds: float = 0.0
    fuse_seconds: float = 0.0
    notes: dict[str, float] = field(default_factory=dict)


Method = Callable[[Sequence[Trained], int], Result]
"""From trained participants and a seed to forecasts of their test rows."""


def train(participant: Participant) -> Trained:
    """Return the participant with its native model fitted.

    Raises:
        FitError: the family finds no fit on these rows, or gives no prediction for one that is asked for; the
            message names the node.
        NotFoundError: no family of that name.
    """
    family = load_family(participant.family)
    try:
        return _fitted(participant, family)
    except (FitError, InvalidValueError) as error:
        raise FitError(f"node {participant.name!r}: {error}") from error


def train_or_replace(participant: Participant) -> Trained:
    """Return the participant with its native model, or with FALLBACK where its own family finds no fit.

    Raises:
        FitError: FALLBACK finds none either; the message names the node.
        NotFoundError: no family of that name.
    """
    try:
        return train(participant)
    except FitError:
        if participant.family == FALLBACK:
            raise
        return train(replace(participant, family=FALLBACK))


def _fitted(participant: Participant, family: Family) -> Trained:
    started = time.perf_counter()
    fitted = family.fit(participant.train)
    seconds = time.perf_counter() - started
    predictions = fitted.one_step(participant.train)[participant.train.rows]
    ahead = fitted.one_step(participant.through)[participant.test]
    if missing := int((~np.isfinite(ahead)).sum()):
        raise FitError(f"{family.name!r} gives no prediction for {missing} of {len(ahead)} rows")
    X, y = participant.train.sample()
    info = information(X, y, predictions, family.exchange_weight)
    return Trained(participant, fitted, family.exchange_weight, predictions, ahead, info, seconds)


def errors_of(nodes: Sequence[Trained], theta: Floats) -> Floats:
    """Return the RMSE of the coefficients on each node's test rows, float64 [nodes], standardised."""
    answers = [node.participant.answers for node in nodes]
    return np.array([np.sqrt(np.mean((y - X @ theta) ** 2)) for X, y in answers])


def linear_prediction(trained: Trained, theta: Floats, used: float = 0.0) -> Prediction:
    """Return the forecasts of a linear model; `used` degrees of freedom were spent on the node's own rows."""
    X, y = trained.rows
    error = y - X @ theta
    sd = np.sqrt(float(error @ error) / max(len(y) - used, 1.0))
    ahead, _ = trained.participant.answers
    mean = np.asarray(ahead @ theta, dtype=np.float64)
    return Prediction(mean, np.full(len(mean), sd))
