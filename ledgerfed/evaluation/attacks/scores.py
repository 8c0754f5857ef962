"""Lying scorers: `ScoreMaker`s (threats V1-V3). What they do not hold or a gate refused stays as it is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ledgerfed.evaluation.hostile import ScoringContext
from ledgerfed.protocol.score import GATED, NOT_HELD, ONE, clip_score


@dataclass(frozen=True, slots=True)
class Inverting:
    """Says the opposite of what it measured."""

    def __call__(self, context: ScoringContext) -> tuple[int, ...]:
        """Return every score with the other sign."""
        return _said(context, context.own, lambda _, score: -score)


@dataclass(frozen=True, slots=True)
class Constant:
    """Says `value` (Q16) of everybody, and measures nothing."""

    value: int

    def __call__(self, context: ScoringContext) -> tuple[int, ...]:
        """Return the same score for all."""
        return _said(context, context.own, lambda _index, _score: self.value)


@dataclass(frozen=True, slots=True)
class Favouring:
    """The best score for its ring, the worst for everybody else."""

    def __call__(self, context: ScoringContext) -> tuple[int, ...]:
        """Return ONE for the ring, -ONE for the others."""
        return _said(context, context.own, lambda index, _: ONE if index in context.ring else -ONE)


@dataclass(frozen=True, slots=True)
class Colluding:
    """One vector for the whole ring: it lifts its own by `push`, sinks `victims`, and is honest otherwise.

    The vector is what the first of the ring measured. `push` and `noise` are shares of ONE; with `noise` each
    adds its own, so that no two vectors are equal.
    """

    victims: tuple[int, ...]
    push: float = 1.0
    noise: float = 0.0
    seed: int = 0

    def __call__(self, context: ScoringContext) -> tuple[int, ...]:
        """Return the ring's vector."""
        rng = np.random.default_rng([self.seed, context.round, context.index])
        sigma = self.noise * ONE
        shared = context.measured[context.ring[0]]

        def say(index: int, score: int) -> int:
            moved = self.push * ((index in context.ring) - (index in self.victims))
            return clip_score(round(score + moved * ONE + sigma * rng.standard_normal()))

        return _said(context, shared, say)


@dataclass(frozen=True, slots=True)
class Silent:
    """Commits to scores and never reveals them (threat V3)."""

    def __call__(self, _: ScoringContext) -> None:
        """Return nothing."""
        return


def _said(
    context: ScoringContext, scores: tuple[int, ...], say: Callable[[int, int], int]
) -> tuple[int, ...]:
    """Return the vector with `say` in place of scores; the validator's own entry stays 0 where it is one."""
    return tuple(
        own if own in (NOT_HELD, GATED) or index == context.index else say(index, score)
        for index, (own, score) in enumerate(zip(context.own, scores, strict=True))
    )
