"""A node's own forecaster: its data and the global model, in the proportion that the data ask for.

Rules:
- the strength κ of the prior is not chosen but averaged over (Bayesian model averaging: Hoeting et al. 1999,
  Statistical Science 14), with a Cauchy prior on log κ around `KAPPA`;
- what speaks for a κ is first the evidence of the rows that the node fits on. It counts a quarter: rows that
  follow each other, and shocks that reach all nodes at once, make nodes look more alike than they are (a
  tempered posterior: Grünwald and van Ommen 2017, Bayesian Analysis 12);
- then, in full, how well θ(κ) forecast rows that it was not fitted on: prequential likelihood (Dawid 1984,
  Journal of the Royal Statistical Society A 147). It adds up over rounds.

The constants are those of `python -m ledgerfed.evaluation.personal_study` (ADR 0017).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.information import Information
from ledgerfed.fusion.combine import KAPPA
from ledgerfed.fusion.shrinkage import KAPPAS, shrinkage
from ledgerfed.series.arrays import Floats

SPREAD: Final = 1.0
"""Scale of the Cauchy prior on log κ around `KAPPA`."""
TEMPER: Final = 0.25
"""What the evidence of the node's fitted rows counts, against 1 for rows forecast before they were seen."""


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


def prior_weights(centre: float = KAPPA, spread: float = SPREAD) -> Floats:
    """Return log weights of `KAPPAS` before a node's own data, [15]: Cauchy in log κ around `centre`.

    Raises:
        InvalidValueError: centre or spread is not positive.
    """
    if not (centre > 0 and spread > 0):
        raise InvalidValueError(f"centre and spread of κ must be positive, got {centre} and {spread}")
    return np.asarray(-np.log1p((np.log(KAPPAS / centre) / spread) ** 2))


def predictive(own: Information, theta: Floats, precision_mean: Floats, X: Floats, y: Floats) -> Floats:
    """Return how well θ(κ) forecast rows X [m, d], y [m] that `own` does not hold, at each of `KAPPAS`; [15].

    The log likelihood −m/2 log Σe² of normal errors, their variance profiled out, up to a constant. That of
    several rounds adds up.

    Raises:
        InvalidValueError: widths differ, or P̄ is no precision.
    """
    errors = y[:, None] - X @ shrinkage(own, theta, precision_mean).thetas().T
    squares = np.maximum((errors * errors).sum(axis=0), np.finfo(float).tiny)
    return np.asarray(-len(y) / 2 * np.log(squares))


def personalise(
    own: Information, theta: Floats, precision_mean: Floats, proven: Floats | None = None
) -> Personal:
    """Return the node's own forecaster.

    Args:
        own: the node's information; its noise is that about the global model where it sends exact
            statistics, and its native model's where it sends a projection.
        theta: coefficients of the global model [d].
        precision_mean: precision P̄ of an average contributor [d, d] (Λ / contributors).
        proven: what `predictive` gave for rows that the forecasters had not seen [15]: a validation tail, a
            holdout, the rows since an earlier round.

    Raises:
        InvalidValueError: widths differ, P̄ is no precision, or `proven` is not one finite number for each κ.
    """
    view = shrinkage(own, theta, precision_mean)
    logs = prior_weights() + TEMPER * view.log_evidence()
    if proven is not None:
        if proven.shape != KAPPAS.shape or not np.isfinite(proven).all():
            raise InvalidValueError(f"needs a finite likelihood for each of {len(KAPPAS)} κ, got {proven}")
        logs = logs + proven
    raised = np.exp(logs - logs.max())
    weights = np.asarray(raised / raised.sum())
    return Personal(weights @ view.thetas(), view.covariance(weights), weights, own.s2)
