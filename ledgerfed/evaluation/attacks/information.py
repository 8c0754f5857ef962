"""What a hostile node sends instead of an honest update: `UpdateMaker`s with their strength as parameter."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange import Information, dequantise, model_to_theta, quantise
from ledgerfed.exchange.distillation import predictions_of, quantise_predictions
from ledgerfed.node import TrainingContext, honest_update
from ledgerfed.protocol.payload import InformationUpdate
from ledgerfed.protocol.predictions import PRECISION_SCALE, PredictionsUpdate
from ledgerfed.protocol.update import Update
from ledgerfed.series.arrays import Floats


@dataclass(frozen=True, slots=True)
class SignFlip:
    """Poisoning: the honest coefficients times -factor, claimed with the honest precision (threat N10)."""

    factor: float = 2.5

    def __call__(self, context: TrainingContext) -> Update:
        """Return the honest update with z replaced by -factor * z, or its predictions likewise."""
        honest = honest_update(context)
        if isinstance(honest, PredictionsUpdate):
            return _predicting(honest, -self.factor * predictions_of(honest))
        info = dequantise(honest)
        return as_honest(honest, replace(info, z=-self.factor * info.z))


@dataclass(frozen=True, slots=True)
class FreeRider:
    """A node that does not train: first the base model with a little noise, then another node's last update.

    `noise` is the standard deviation in the whitened metric, where an honest update has 1 (threats N3, N4).
    """

    seed: int
    noise: float = 0.1

    def __call__(self, context: TrainingContext) -> Update:
        """Return the base in disguise, or a copy of an update that was revealed in the round before."""
        rng = np.random.default_rng([self.seed, context.round, context.index])
        last = [
            past.update
            for past in context.history
            if past.round == context.round - 1 and past.index != context.index
        ]
        if not last:
            return self._disguised_base(context, rng)
        copied = last[int(rng.integers(len(last)))]
        return replace(copied, base_model=context.base.hash())

    def _disguised_base(self, context: TrainingContext, rng: np.random.Generator) -> Update:
        honest = honest_update(context)
        theta = model_to_theta(context.base)
        if isinstance(honest, PredictionsUpdate):
            spread = self.noise / np.sqrt(np.ldexp(float(honest.precision), -PRECISION_SCALE))
            return _predicting(honest, theta + spread * rng.standard_normal(theta.size))
        shape = dequantise(honest)
        if theta.shape != shape.z.shape:
            raise InvalidValueError(f"the base model has {theta.size} coefficients, not {shape.z.size}")
        z = shape.R @ theta + self.noise * rng.standard_normal(theta.size)
        return as_honest(honest, replace(shape, z=z))


def _predicting(honest: PredictionsUpdate, predictions: Floats) -> PredictionsUpdate:
    """Return other predictions in the guise of an honest update."""
    return quantise_predictions(
        predictions,
        float(np.ldexp(float(honest.precision), -PRECISION_SCALE)),
        n=honest.n_samples,
        schema=honest.schema,
        base_model=honest.base_model,
        family=honest.family,
    )


def as_honest(honest: InformationUpdate, info: Information) -> InformationUpdate:
    """Return other information in the guise of an honest update."""
    return quantise(info, schema=honest.schema, base_model=honest.base_model, family=honest.family)
