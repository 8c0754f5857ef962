"""A node's own forecaster: its data and the global model, in the proportion that the data ask for.

Rules:
- the strength of the prior is not chosen but averaged over (Bayesian model averaging: Hoeting et al. 1999,
  Statistical Science 14), each κ weighing as much as its evidence;
- before its own data, a node expects a κ near the one that all messages together prefer: Cauchy in log κ. A
  node of few rows stays near what the others found, an odd one leaves it (empirical Bayes: Efron and Morris
  1973, Journal of the American Statistical Association 68).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.information import Information
from ledgerfed.fusion.combine import KAPPA
from ledgerfed.fusion.shrinkage import KAPPAS, evidence, shrinkage
from ledgerfed.series.arrays import Floats

SPREAD: Final = 2.0
"""Scale of the Cauchy prior on log κ around the common κ (`ledgerfed.evaluation.personal_study`)."""
STRAY: Final = 0.01
"""Share of messages that are expected to say nothing about the others' κ: it bounds what one message can do
to the common κ, be it of an odd node or of a liar."""


@dataclass(frozen=True, slots=True, eq=False)
class Personal:
    """A node's own coefficients `theta` float64 [d] and what is not known about them.

    `covariance` float64 [d, d] is that of the coefficients, the spread over κ included; `weights` float64
    [15] those of `KAPPAS`, which sum to 1; `s2` the noise variance, in the node's standardised units.
    """

    theta: Floats
    covariance: Floats
    weights: Floats
    s2: float

    @property
    def kappa(self) -> float:
        """The geometric mean of the strengths under their weights."""
        return float(np.exp(self.weights @ np.log(KAPPAS)))


def common_kappa(messages: Sequence[Information], theta: Floats, precision_mean: Floats) -> float:
    """Return the κ that all messages together prefer, one of `KAPPAS`; `KAPPA` if there is none.

    A message counts as stray with the probability `STRAY`, so that one alone moves the sum by little. Give
    those that the round admitted: what was rejected has no say here either.

    Raises:
        InvalidValueError: see `shrinkage`.
    """
    if not messages:
        return KAPPA
    shares = np.array([_softmax(evidence(m, theta, precision_mean)) for m in messages])
    total = np.log((1 - STRAY) * shares + STRAY / len(KAPPAS)).sum(axis=0)
    return float(KAPPAS[int(np.argmax(total))])


def prior_weights(centre: float) -> Floats:
    """Return log weights of `KAPPAS` before a node's own data, [15]: Cauchy in log κ around `centre`.

    Raises:
        InvalidValueError: the centre is not positive.
    """
    if not centre > 0:
        raise InvalidValueError(f"the centre of the strengths must be positive, got {centre}")
    return np.asarray(-np.log1p((np.log(KAPPAS / centre) / SPREAD) ** 2))


def personalise(
    own: Information, messages: Sequence[Information], theta: Floats, precision_mean: Floats
) -> Personal:
    """Return the node's own forecaster.

    Args:
        own: the node's information; its noise is that about the global model where it sends exact
            statistics, and its native model's where it sends a projection.
        messages: what all nodes sent, the node itself included; without any the prior sits at `KAPPA`.
        theta: coefficients of the global model [d].
        precision_mean: precision P̄ of an average contributor [d, d] (Λ / contributors).

    Raises:
        InvalidValueError: see `shrinkage`.
    """
    view = shrinkage(own, theta, precision_mean)
    prior = prior_weights(common_kappa(messages, theta, precision_mean))
    weights = _softmax(view.log_evidence() + prior)
    return Personal(weights @ view.thetas(), view.covariance(weights), weights, own.s2)


def _softmax(logs: Floats) -> Floats:
    raised = np.exp(logs - logs.max())
    return np.asarray(raised / raised.sum())
