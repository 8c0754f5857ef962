"""Lies about coefficients: pure functions, so that every method of federation can be told the same ones.

Each takes the coefficients that the hostile node would send in earnest and those of all honest nodes, and
says what to send instead. `CoefficientAttack` puts such a lie into an information update, with the node's own
precision, so that nothing but the coefficients is wrong.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.attacks.information import as_honest
from ledgerfed.evaluation.hostile import AttackContext
from ledgerfed.exchange import Information, dequantise
from ledgerfed.node import honest_update
from ledgerfed.protocol.payload import InformationUpdate
from ledgerfed.protocol.update import Update
from ledgerfed.series.arrays import Floats

Lie = Callable[[Floats, Floats, np.random.Generator], Floats]
"""From the node's own coefficients, float64 [d], and the honest ones, float64 [nodes, d], to what it says."""


@dataclass(frozen=True, slots=True)
class Scaling:
    """The node's own coefficients times `factor`; a negative one flips the sign (threat N10)."""

    factor: float

    def __call__(self, own: Floats, _honest: Floats, _: np.random.Generator) -> Floats:
        """Return factor * own."""
        return self.factor * own


@dataclass(frozen=True, slots=True)
class Gaussian:
    """The node's own coefficients and noise of `spreads` standard deviations of the honest ones."""

    spreads: float

    def __call__(self, own: Floats, honest: Floats, rng: np.random.Generator) -> Floats:
        """Return own + spreads * sd * noise."""
        return np.asarray(own + self.spreads * honest.std(axis=0) * rng.standard_normal(own.size))


@dataclass(frozen=True, slots=True)
class InnerProduct:
    """Minus `epsilon` times the honest mean: inner-product manipulation (Xie, Koyejo, Gupta 2020, UAI)."""

    epsilon: float

    def __call__(self, _own: Floats, honest: Floats, _: np.random.Generator) -> Floats:
        """Return -epsilon * mean."""
        return np.asarray(-self.epsilon * honest.mean(axis=0))


@dataclass(frozen=True, slots=True)
class LittleIsEnough:
    """The honest mean and `z` of their standard deviations, each coefficient for itself: ALIE.

    Baruch, Baruch, Goldberg 2019, NeurIPS (arXiv 1902.06156). The deviation points away from the mean's
    sign, so that the coefficients shrink; a negative z makes them grow.
    """

    z: float

    def __call__(self, _own: Floats, honest: Floats, _: np.random.Generator) -> Floats:
        """Return mean - z * sd * sign(mean)."""
        mean = honest.mean(axis=0)
        return np.asarray(mean - self.z * honest.std(axis=0) * np.sign(mean))


@dataclass(frozen=True, slots=True)
class Mimic:
    """What one honest node says, the one farthest from the honest mean: it counts for the whole ring.

    Karimireddy, He, Jaggi 2022, ICLR (arXiv 2006.09365).
    """

    def __call__(self, _own: Floats, honest: Floats, _: np.random.Generator) -> Floats:
        """Return the most remote honest coefficients."""
        apart = honest - honest.mean(axis=0)
        return np.asarray(honest[int((apart * apart).sum(axis=1).argmax())])


@dataclass(frozen=True, slots=True)
class AlongSpread:
    """The honest mean, moved by `spreads` deviations along the direction in which the honest differ most.

    There an outlier is hardest to tell from a node with data of its own; the sign lessens the coefficients.
    Compare Shejwalkar, Houmansadr 2021, NDSS, whose min-max attack picks its direction by hand.
    """

    spreads: float

    def __call__(self, _own: Floats, honest: Floats, _: np.random.Generator) -> Floats:
        """Return mean - spreads * singular value * direction."""
        mean = honest.mean(axis=0)
        _left, s, Vt = np.linalg.svd(honest - mean, full_matrices=False)
        direction = Vt[0] if Vt[0] @ mean >= 0 else -Vt[0]
        return np.asarray(mean - self.spreads * s[0] / np.sqrt(len(honest)) * direction)


@dataclass(frozen=True, slots=True)
class CoefficientAttack:
    """A lie in the guise of an honest information update; `seed` feeds the lies that draw.

    `noise` is the standard deviation, in the whitened metric, of noise of the node's own on top, so that a
    ring which tells one lie does not say it in one voice. An honest update has 1 there.
    """

    lie: Lie
    seed: int = 0
    noise: float = 0.0

    def __call__(self, context: AttackContext) -> Update:
        """Return the honest update with z = R times what the lie says."""
        own = own_update(context)
        info = dequantise(own)
        rng = draws(self.seed, context)
        said = self.lie(info.theta(), honest_coefficients(context.honest), rng)
        return as_honest(own, replace(info, z=info.R @ said + self.noise * rng.standard_normal(said.size)))


def draws(seed: int, context: AttackContext) -> np.random.Generator:
    """Return the randomness of one attacker in one round."""
    return np.random.default_rng([seed, context.round, context.index])


def own_update(context: AttackContext) -> InformationUpdate:
    """Return what the node would send in earnest; raises InvalidValueError unless it is information."""
    update = honest_update(context)
    if not isinstance(update, InformationUpdate):
        raise InvalidValueError("this attack is on information; attack predictions by SignFlip or FreeRider")
    return update


def honest_informations(updates: Sequence[Update]) -> list[Information]:
    """Return the information that the honest nodes send; raises InvalidValueError if there is none."""
    found = [dequantise(update) for update in updates if isinstance(update, InformationUpdate)]
    if not found:
        raise InvalidValueError("this attack needs to see the information of an honest node; run a dry round")
    return found


def honest_coefficients(updates: Sequence[Update]) -> Floats:
    """Return the single solutions of the honest nodes, float64 [nodes, d]."""
    return np.array([info.theta() for info in honest_informations(updates)])
