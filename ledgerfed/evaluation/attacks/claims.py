"""Lies about precision: how much a node says it knows, whatever it says."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.attacks.coefficients import draws, own_update
from ledgerfed.evaluation.attacks.information import as_honest
from ledgerfed.evaluation.hostile import Attack, AttackContext
from ledgerfed.exchange import dequantise, model_to_theta
from ledgerfed.protocol.payload import InformationUpdate
from ledgerfed.protocol.update import Update


@dataclass(frozen=True, slots=True)
class Inflated:
    """Another attack, claimed with `claim` times its precision and `samples` times its rows (threat N16)."""

    inner: Attack
    claim: float
    samples: float = 1.0

    def __call__(self, context: AttackContext) -> Update:
        """Return the inner update with R and z times the root of the claim; the residual stays as it was."""
        update = self.inner(context)
        if not isinstance(update, InformationUpdate):
            raise InvalidValueError("only information claims a precision matrix; the inner update has none")
        info, root = dequantise(update), np.sqrt(self.claim)
        louder = replace(
            info,
            n=round(self.samples * info.n),
            R=root * info.R,
            z=root * info.z,
            s2=info.s2 / self.claim,
        )
        return as_honest(update, louder)


@dataclass(frozen=True, slots=True)
class TinyClaim:
    """The base model with noise, claimed with so little precision that it changes nothing.

    No score can tell it from an honest update of small effect, so it earns reputation without training.
    `noise` is the standard deviation in the whitened metric, where an honest update has 1.
    """

    claim: float
    seed: int = 0
    noise: float = 1.0

    def __call__(self, context: AttackContext) -> Update:
        """Return R times the root of the claim, and z that agrees with the base model but for the noise."""
        own = own_update(context)
        info = dequantise(own)
        R = np.sqrt(self.claim) * info.R
        noise = self.noise * draws(self.seed, context).standard_normal(info.width)
        return as_honest(own, replace(info, R=R, z=R @ model_to_theta(context.base) + noise))
