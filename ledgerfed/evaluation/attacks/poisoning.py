"""Poisoned data: the node follows every rule of training, on rows whose target is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace

from ledgerfed.evaluation.hostile import AttackContext
from ledgerfed.node.walk import fit_local, make_update
from ledgerfed.protocol.update import Update
from ledgerfed.series.arrays import Floats


@dataclass(frozen=True, slots=True)
class TargetFlip:
    """Trains on -y: what label flipping is to a classifier."""

    def __call__(self, context: AttackContext) -> Update:
        """Return the update of the flipped target."""
        return _trained_on(context, self.spoil(context.bench.train.y))

    def spoil(self, y: Floats) -> Floats:
        """Return -y."""
        return -y


@dataclass(frozen=True, slots=True)
class TargetShift:
    """Trains on y + `shift`, in the node's standardised units: forecasts that are too high by so much."""

    shift: float

    def __call__(self, context: AttackContext) -> Update:
        """Return the update of the shifted target."""
        return _trained_on(context, self.spoil(context.bench.train.y))

    def spoil(self, y: Floats) -> Floats:
        """Return y + shift."""
        return y + self.shift


def _trained_on(context: AttackContext, y: Floats) -> Update:
    bench = replace(context.bench, train=replace(context.bench.train, y=y))
    local = fit_local(bench, context.local.family)
    return make_update(bench, local, context.base, context.drift, forgets=context.forgets)
