"""Combining information in floats: the reference for the exact aggregation, and each node's own forecaster.

A sum of information is the information of the pooled rows, so without liars the fused coefficients equal
the centralised weighted least-squares fit (Zhu, Li, Wang 2019, arXiv 1908.04904).
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.information import Information
from ledgerfed.series.arrays import Floats

KAPPA = 2.0
"""How many average nodes the global model counts for as a prior; 0.3 to 10 were good on other data."""


def fuse(informations: Sequence[Information], weights: Sequence[float]) -> tuple[Floats, Floats]:
    """Return θ = Λ⁻¹ Σ w Rᵀz, float64 [d], and Λ = Σ w RᵀR, float64 [d, d].

    Λ itself is never factorised: θ comes from a QR of the stacked √w R, which keeps half the digits more.

    Raises:
        InvalidValueError: nothing to fuse, widths differ, or a weight is negative or all are zero.
    """
    widths = {info.width for info in informations}
    if len(widths) != 1 or len(weights) != len(informations):
        raise InvalidValueError(
            f"fusing needs updates of one width with a weight each, got the widths {sorted(widths)}, "
            f"{len(informations)} updates and {len(weights)} weights"
        )
    if min(weights) < 0 or not sum(weights) > 0:
        raise InvalidValueError(f"weights must not be negative nor all zero, got {list(weights)}")
    roots = [float(np.sqrt(w)) for w in weights]
    R = np.vstack([root * info.R for root, info in zip(roots, informations, strict=True)])
    z = np.concatenate([root * info.z for root, info in zip(roots, informations, strict=True)])
    theta, _, rank, _ = np.linalg.lstsq(R, z)
    if rank < R.shape[1]:
        raise InvalidValueError(f"the fused information has rank {rank} of {R.shape[1]}; give a ridge")
    return theta, R.T @ R


def personal(own: Information, theta: Floats, precision_mean: Floats, kappa: float = KAPPA) -> Floats:
    """Return (P + κP̄)⁻¹ (Rᵀz + κP̄θ): the global model as a prior for the node's own data, float64 [d].

    Args:
        own: the node's information, P = RᵀR.
        theta: coefficients of the global model [d].
        precision_mean: precision of an average contributor P̄ [d, d] (Λ / contributors).
        kappa: weight of the prior; 0 leaves the node alone, ∞ gives the global model.

    Raises:
        InvalidValueError: kappa is negative.
    """
    if kappa < 0:
        raise InvalidValueError(f"kappa must be at least 0, got {kappa}")
    prior = kappa * precision_mean
    return np.asarray(np.linalg.solve(own.precision() + prior, own.eta() + prior @ theta), dtype=np.float64)


def predict(X: Floats, theta: Floats) -> Floats:
    """Return one-step forecasts X θ in standardised units, float64 [n]."""
    return np.asarray(X @ theta, dtype=np.float64)
