"""Hostile vectors: what nodes send that see the honest vectors of the same round before they answer.

In a round of ledgerfed nobody sees an update before the seal, so these know more than a hostile node there
can: the evaluation is on the safe side. Every attack is a value whose strengths are parameters; it takes what
is seen and returns one row a hostile node. Sources: sign flip and Gaussian, Li et al. 2019 (arXiv
1811.03761); inner-product manipulation, Xie et al. 2019 (arXiv 1903.03936); "a little is enough", Baruch et
al. 2019 (arXiv 1902.06156); mimic, Karimireddy et al. 2022 (arXiv 2006.09365); the widest vector inside the
honest spread, Shejwalkar and Houmansadr 2021 (NDSS, "min-max"); the search in every round follows byzfl's
optimal attacks.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Protocol

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.series.arrays import Floats


@dataclass(frozen=True, slots=True, eq=False)
class Sight:
    """What the hostile nodes of a round see.

    `honest` float64 [h, d] are the honest vectors; `flipped` float64 [h, d] what the same nodes would send
    had their labels been wrong; `earlier` float64 [h, d] the honest vectors of an older round; `hostile` how
    many rows to answer with; `answer` says what the defence would make of honest and hostile rows together,
    float64 [n, d] -> [d].

    Raises:
        InvalidValueError: nobody is hostile, or the matrices differ in shape.
    """

    honest: Floats
    flipped: Floats
    earlier: Floats
    hostile: int
    rng: np.random.Generator
    answer: Callable[[Floats], Floats]

    def __post_init__(self) -> None:
        if self.hostile < 1:
            raise InvalidValueError(
                f"an attack needs hostile nodes, got {self.hostile}; leave the attack out"
            )
        if not self.honest.shape == self.flipped.shape == self.earlier.shape:
            raise InvalidValueError(
                f"honest {self.honest.shape}, flipped {self.flipped.shape} and earlier {self.earlier.shape} "
                "vectors must have one shape"
            )

    @property
    def mean(self) -> Floats:
        """The mean of the honest vectors, float64 [d]."""
        return np.asarray(self.honest.mean(axis=0))

    def rows(self, vector: Floats) -> Floats:
        """Return the vector once for every hostile node, float64 [f, d]."""
        return np.repeat(vector[None], self.hostile, axis=0)

    def own(self, vectors: Floats) -> Floats:
        """Return what each hostile node has of vectors [h, d]: the data of honest nodes in turn."""
        return vectors[np.arange(self.hostile) % len(vectors)]

    def noise(self) -> Floats:
        """Return rows [f, d] of norm about 1 in directions of chance."""
        drawn = self.rng.standard_normal((self.hostile, self.honest.shape[1]))
        return np.asarray(drawn / np.sqrt(self.honest.shape[1]))


class VectorAttack(Protocol):
    """Anything that answers with rows [f, d], one a hostile node."""

    def __call__(self, sight: Sight) -> Floats:
        """Return the hostile vectors."""
        ...


@dataclass(frozen=True, slots=True)
class SignFlip:
    """Every hostile node trains honestly and sends the opposite, `strength` times."""

    strength: float

    def __call__(self, sight: Sight) -> Floats:
        """Return -strength times an honest vector each."""
        return -self.strength * sight.own(sight.honest)


@dataclass(frozen=True, slots=True)
class Scaling:
    """Every hostile node trains honestly and sends `strength` times the result."""

    strength: float

    def __call__(self, sight: Sight) -> Floats:
        """Return strength times an honest vector each."""
        return self.strength * sight.own(sight.honest)


@dataclass(frozen=True, slots=True)
class Gaussian:
    """Noise with `strength` times the norm of an average honest vector."""

    strength: float

    def __call__(self, sight: Sight) -> Floats:
        """Return independent noise in each row."""
        return np.asarray(self.strength * np.linalg.norm(sight.honest, axis=1).mean() * sight.noise())


@dataclass(frozen=True, slots=True)
class InnerProduct:
    """`-strength` times the honest mean, so that the aggregate's inner product with it falls (IPM)."""

    strength: float

    def __call__(self, sight: Sight) -> Floats:
        """Return the same vector in each row."""
        return sight.rows(-self.strength * sight.mean)


@dataclass(frozen=True, slots=True)
class LittleIsEnough:
    """The honest mean less `strength` honest standard deviations, coordinate by coordinate (ALIE)."""

    strength: float

    def __call__(self, sight: Sight) -> Floats:
        """Return the same vector in each row."""
        return sight.rows(sight.mean - self.strength * sight.honest.std(axis=0))


@dataclass(frozen=True, slots=True)
class Mimic:
    """All hostile nodes send what one honest node sends, so that its data count for more."""

    target: int

    def __call__(self, sight: Sight) -> Floats:
        """Return the vector of the target, counted modulo the honest nodes, in each row."""
        return sight.rows(sight.honest[self.target % len(sight.honest)])


@dataclass(frozen=True, slots=True)
class LabelFlip:
    """Every hostile node trains honestly on wrong labels; `strength` times the result."""

    strength: float

    def __call__(self, sight: Sight) -> Floats:
        """Return a flipped vector each."""
        return self.strength * sight.own(sight.flipped)


@dataclass(frozen=True, slots=True)
class Copy:
    """Free riding: every hostile node sends another honest node's vector as its own."""

    def __call__(self, sight: Sight) -> Floats:
        """Return a copied vector each."""
        return sight.own(sight.honest)


@dataclass(frozen=True, slots=True)
class Replay:
    """Every hostile node sends `strength` times what an honest one sent in an older round."""

    strength: float

    def __call__(self, sight: Sight) -> Floats:
        """Return an older vector each."""
        return self.strength * sight.own(sight.earlier)


@dataclass(frozen=True, slots=True)
class Silence:
    """The base model again: vectors of zeros."""

    def __call__(self, sight: Sight) -> Floats:
        """Return zeros."""
        return np.zeros((sight.hostile, sight.honest.shape[1]))


class Heading(StrEnum):
    """Where a searched attack goes from the honest mean."""

    BACK = "back"
    """Against the mean, as inner-product manipulation does."""
    SPREAD = "spread"
    """Against the standard deviations, as "a little is enough" does."""
    SIGNS = "signs"
    """Against the signs of the mean."""

    def from_mean(self, sight: Sight) -> Floats:
        """Return the direction, float64 [d], as long as what it is made of."""
        if self is Heading.BACK:
            return -sight.mean
        return -sight.honest.std(axis=0) if self is Heading.SPREAD else -np.sign(sight.mean)


@dataclass(frozen=True, slots=True)
class Widest:
    """As far from the honest mean as no honest vector is from another (min-max)."""

    heading: Heading

    def __call__(self, sight: Sight) -> Floats:
        """Return the same vector in each row; the mean where the direction vanishes."""
        direction = self.heading.from_mean(sight)
        length = float(np.linalg.norm(direction))
        if length == 0.0:
            return sight.rows(sight.mean)
        unit = direction / length
        offsets = sight.mean - sight.honest
        along, squares = offsets @ unit, (offsets**2).sum(axis=1)
        room = np.maximum(along**2 - squares + squared_diameter(sight.honest), 0.0)
        return sight.rows(sight.mean + float((np.sqrt(room) - along).min()) * unit)


@dataclass(frozen=True, slots=True)
class Adaptive:
    """The honest mean plus `strength` times a direction; the strength is searched for against the defence.

    Of `strengths` it takes the one that brings the defence's answer furthest from the honest mean.
    """

    heading: Heading
    strengths: tuple[float, ...]
    strength: float | None = None

    def tuned(self, sight: Sight) -> Adaptive:
        """Return this attack with the strength that does most harm in this round, the first of equals."""
        return max((replace(self, strength=s) for s in self.strengths), key=lambda found: found.harm(sight))

    def harm(self, sight: Sight) -> float:
        """Return the squared distance of the defence's answer from the honest mean."""
        answer = sight.answer(np.concatenate([sight.honest, self(sight)]))
        return float(((answer - sight.mean) ** 2).sum())

    def __call__(self, sight: Sight) -> Floats:
        """Return the same vector in each row; raises InvalidValueError before a strength was chosen."""
        if self.strength is None:
            raise InvalidValueError("an adaptive attack has no strength yet; tune it first")
        return sight.rows(sight.mean + self.strength * self.heading.from_mean(sight))


@dataclass(frozen=True, slots=True)
class Apart:
    """Another attack in disguise: each row has noise of its own, `share` of its norm, so that no two agree.

    This is the answer to defences that look for duplicates.
    """

    attack: VectorAttack
    share: float

    def __call__(self, sight: Sight) -> Floats:
        """Return the rows of the other attack, moved apart."""
        rows = self.attack(sight)
        return np.asarray(rows + self.share * np.linalg.norm(rows, axis=1, keepdims=True) * sight.noise())

    def tuned(self, sight: Sight) -> Apart:
        """Return this attack with the one in disguise tuned."""
        return replace(self, attack=tuned(self.attack, sight))


def tuned(attack: VectorAttack, sight: Sight) -> VectorAttack:
    """Return the attack with its strength searched for again, if it is one that searches."""
    return attack.tuned(sight) if isinstance(attack, Adaptive | Apart) else attack


def squared_diameter(vectors: Floats) -> float:
    """Return the largest squared distance of two rows."""
    products = vectors @ vectors.T
    own = np.diag(products)
    return float(max(0.0, (own[:, None] + own[None, :] - 2 * products).max()))
