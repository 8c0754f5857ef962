"""The global model as a prior for one node's message, at every strength at once.

Rules:
- θ(κ) = (P + κP̄)⁻¹(Rᵀz + κP̄θ): the prior has the mean θ of the global model and κ times the precision P̄ of
  an average contributor;
- how well κ explains a node's rows is their marginal likelihood. It needs the node's message and the global
  model only, both public once a round is opened, so that every node can weigh everybody's evidence;
- nothing is inverted: one eigen-decomposition of P̄ and one singular-value decomposition of R in its metric
  serve all κ, so that nearly deterministic columns cost no more digits than they must (the generalised
  singular values of Tikhonov's problem: Hansen, Rank-Deficient and Discrete Ill-Posed Problems, 2.1).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.information import Information
from ledgerfed.series.arrays import Floats, read_only_floats

KAPPAS: Final = read_only_floats("kappas", np.concatenate([[1e-6], np.logspace(-2, 2, 13), [1e4]]), (15,))
"""The strengths that are averaged over: the node alone, 0.01 to 100 contributors, the global model."""


@dataclass(frozen=True, slots=True, eq=False)
class Shrinkage:
    """A message seen from the prior: coordinates in which P̄ is the identity and P is diagonal.

    `axes` float64 [d, d] has the directions as columns, `strength` float64 [d] the node's precision along
    them in units of P̄, `pull` float64 [d] how far the node's data pull away from the prior's mean `theta`,
    in standard deviations of their noise.
    """

    theta: Floats
    axes: Floats
    strength: Floats
    pull: Floats

    def log_evidence(self) -> Floats:
        """Return the log marginal likelihood of the rows at each of `KAPPAS`, up to a constant; [15].

        0.5 (log|κP̄| − log|P + κP̄| − rᵀ(I + R(κP̄)⁻¹Rᵀ)⁻¹r) with r = z − Rθ.
        """
        kept = KAPPAS[:, None] / (KAPPAS[:, None] + self.strength)
        return np.asarray(0.5 * (np.log(kept) - kept * self.pull**2).sum(axis=1))

    def thetas(self) -> Floats:
        """Return θ(κ) at each of `KAPPAS`, float64 [15, d]."""
        step = np.sqrt(self.strength) * self.pull / (self.strength + KAPPAS[:, None])
        return np.asarray(self.theta + step @ self.axes.T)

    def covariance(self, weights: Floats) -> Floats:
        """Return the covariance of the coefficients under `weights` of `KAPPAS` [15], float64 [d, d].

        That of the posterior at each κ, and the spread of θ(κ) between them.
        """
        within = self.axes * (weights @ (1 / (self.strength + KAPPAS[:, None])))
        thetas = self.thetas()
        apart = thetas - weights @ thetas
        return np.asarray(within @ self.axes.T + (weights[:, None] * apart).T @ apart)


def shrinkage(own: Information, theta: Floats, precision_mean: Floats) -> Shrinkage:
    """Return a message against the prior of the global model.

    Args:
        own: the node's message.
        theta: coefficients of the global model [d].
        precision_mean: precision P̄ of an average contributor [d, d] (Λ / contributors).

    Raises:
        InvalidValueError: widths differ, or P̄ is no precision.
    """
    if theta.shape != (own.width,) or precision_mean.shape != (own.width, own.width):
        raise InvalidValueError(
            f"a message of {own.width} columns needs a model of as many, got {theta.shape} and "
            f"{precision_mean.shape}"
        )
    unwhiten = _inverse_root(precision_mean)
    U, strength, Vt = np.linalg.svd(own.R @ unwhiten)
    return Shrinkage(theta, unwhiten @ Vt.T, strength**2, U.T @ (own.z - own.R @ theta))


def _inverse_root(precision: Floats) -> Floats:
    """Return A with Aᵀ P̄ A = I; directions below the rounding of P̄ count as that rounding."""
    scale = np.sqrt(np.diag(precision))
    if not (np.isfinite(precision).all() and (scale > 0).all()):
        raise InvalidValueError("the mean precision must be finite with a positive diagonal; give a ridge")
    values, vectors = np.linalg.eigh(precision / np.outer(scale, scale))
    floor = len(values) * np.finfo(float).eps * values[-1]
    return np.asarray(vectors / np.sqrt(np.maximum(values, floor)) / scale[:, None])
