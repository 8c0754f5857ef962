"""Updates without training: another node's, an older one of one's own, or the base model in disguise.

Nobody sees an update before the seal, so a copy is of an earlier round. In rounds in which there is nothing
yet to copy or to resend, these nodes are honest.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ledgerfed.evaluation.attacks.coefficients import draws, own_update
from ledgerfed.evaluation.attacks.information import as_honest
from ledgerfed.evaluation.hostile import AttackContext
from ledgerfed.exchange import dequantise, model_to_theta
from ledgerfed.node import honest_update
from ledgerfed.node.walk import make_update
from ledgerfed.protocol.payload import InformationUpdate
from ledgerfed.protocol.update import Update


@dataclass(frozen=True, slots=True)
class Copy:
    """What an honest node showed in the round before, with noise of `share` of each entry of R (N1-N3).

    The coefficients are those of the copied update, so that it says the same with another precision.
    """

    share: float = 0.0
    seed: int = 0

    def __call__(self, context: AttackContext) -> Update:
        """Return the disguised copy, relative to this round's base model."""
        rng = draws(self.seed, context)
        shown = [
            past.update
            for past in context.history
            if past.round == context.round - 1 and past.index not in context.ring
        ]
        copied = shown[int(rng.integers(len(shown)))] if shown else honest_update(context)
        copied = replace(copied, base_model=context.base.hash())
        if not (shown and self.share and isinstance(copied, InformationUpdate)):
            return copied
        info = dequantise(copied)
        R = np.triu(info.R * (1 + self.share * rng.standard_normal(info.R.shape)))
        R[np.diag_indices_from(R)] = np.abs(np.diag(R))
        return as_honest(copied, replace(info, R=R, z=R @ info.theta()))


@dataclass(frozen=True, slots=True)
class BaseWithNoise:
    """The base model under the node's own precision, with noise in the whitened metric (threat N4)."""

    noise: float
    seed: int = 0

    def __call__(self, context: AttackContext) -> Update:
        """Return R times the base model's coefficients, and noise."""
        own = own_update(context)
        info = dequantise(own)
        noise = self.noise * draws(self.seed, context).standard_normal(info.width)
        return as_honest(own, replace(info, z=info.R @ model_to_theta(context.base) + noise))


@dataclass(frozen=True, slots=True)
class Replay:
    """The node's own update of `age` rounds ago once more, as if it were of now."""

    age: int

    def __call__(self, context: AttackContext) -> Update:
        """Return the old update relative to this round's base model."""
        for past in context.history:
            if (past.round, past.index) == (context.round - self.age, context.index):
                return replace(past.update, base_model=context.base.hash())
        return honest_update(context)


@dataclass(frozen=True, slots=True)
class StaleBase:
    """Training on the model of `age` rounds ago, and saying so."""

    age: int

    def __call__(self, context: AttackContext) -> Update:
        """Return the honest update relative to the older model."""
        if len(context.earlier) < self.age:
            return honest_update(context)
        return make_update(context.bench, context.local, context.earlier[self.age - 1], context.drift)
