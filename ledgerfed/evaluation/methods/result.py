"""What every method is given and what it must give back, so that all are compared on the same rows."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.scenarios import Participant
from ledgerfed.exchange import Information, information, noise_about
from ledgerfed.models import Fitted, load_family
from ledgerfed.series.arrays import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """A participant with its native model, fitted on its training rows alone.

    `information` is what it would send in a first round; `fit_seconds` is what fitting took.
    """

    participant: Participant
    fitted: Fitted
    exchange_weight: float
    predictions: Floats
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
    """Forecasts of one node's test rows: `mean` and standard deviation `sd`, float64 [n], standardised."""

    mean: Floats
    sd: Floats

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
        FitError: the family finds no fit on these rows.
    """
    family = load_family(participant.family)
    started = time.perf_counter()
    fitted = family.fit(participant.train)
    seconds = time.perf_counter() - started
    rows = participant.train.rows
    predictions = fitted.one_step(participant.train)[rows]
    X, y = participant.train.sample()
    info = information(X, y, predictions, family.exchange_weight)
    return Trained(participant, fitted, family.exchange_weight, predictions, info, seconds)


def linear_prediction(trained: Trained, theta: Floats, used: float = 0.0) -> Prediction:
    """Return the forecasts of a linear model; `used` degrees of freedom were spent on the node's own rows."""
    X, y = trained.rows
    error = y - X @ theta
    sd = np.sqrt(float(error @ error) / max(len(y) - used, 1.0))
    ahead, _ = trained.participant.answers
    mean = np.asarray(ahead @ theta, dtype=np.float64)
    return Prediction(mean, np.full(len(mean), sd))
