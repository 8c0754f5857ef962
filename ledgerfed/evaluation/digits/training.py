"""Rounds of training on digits with hostile nodes among the 17, every round through the exact engine."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.aggregation.grid import Integers
from ledgerfed.consensus.gates import order_key
from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.attacks.vectors import LabelFlip, Sight, VectorAttack, tuned
from ledgerfed.evaluation.digits.defences import Defence, Evidence, Received
from ledgerfed.evaluation.digits.model import accuracy, initial
from ledgerfed.evaluation.digits.rounding import as_floats, place
from ledgerfed.evaluation.digits.shares import Shares, deal, images
from ledgerfed.evaluation.digits.workers import Sent, Workers
from ledgerfed.protocol.hashing import keccak, word
from ledgerfed.series.arrays import Floats

NODES: Final = 17
ROUNDS: Final = 250
STEP: Final = 1.0
EVERY: Final = 10
"""An adaptive attack searches for its strength again after so many rounds."""
AGE: Final = 25
"""A replayed vector is so many rounds old."""
CLAIM: Final = 1_000
"""Hostile nodes claim so many times the best quality that an honest one reports."""
DIVERGED: Final = 1 << 10
"""A run whose honest vectors hold larger values than this has diverged and ends there."""
QUALITY_BITS: Final = 16
QUALITY_MAX: Final = 1 << 40


@dataclass(frozen=True, slots=True)
class Setting:
    """A run: `hostile` of NODES are so if there is an attack, and the defence stands `bound` of them.

    Raises:
        InvalidValueError: half or more of the nodes are hostile, or there are no rounds.
    """

    hostile: int
    bound: int
    concentration: float
    seed: int
    rounds: int = ROUNDS

    def __post_init__(self) -> None:
        if not 0 <= 2 * self.hostile < NODES or not 0 <= 2 * self.bound < NODES or self.rounds < 1:
            raise InvalidValueError(
                f"{self.hostile} hostile, bound {self.bound}, {self.rounds} rounds: fewer than half of "
                f"{NODES} nodes may be hostile, and a run has rounds"
            )


@dataclass(frozen=True, slots=True, eq=False)
class Trained:
    """The parameters after the last round, float64 [2410], and the accuracies on both held-out parts."""

    theta: Floats
    test: float
    validation: float


def train(setting: Setting, defence: Defence, attack: VectorAttack | None) -> Trained:
    """Return what the federation learns under attack; without one nobody is hostile.

    Raises:
        InvalidValueError: hostile nodes without an attack or the other way round, or the defence is not
            defined for so many.
    """
    if (attack is None) != (setting.hostile == 0):
        raise InvalidValueError(f"{setting.hostile} hostile nodes and the attack {attack}: name both or none")
    shares = deal(setting.seed, NODES - setting.hostile, setting.concentration)
    workers = Workers(shares, np.random.default_rng([setting.seed, 4]), defence.smoothing)
    theta = initial(np.random.default_rng([setting.seed, 3]))
    rounds = _Rounds(setting, defence, attack)
    for number in range(setting.rounds):
        sent = workers.train(theta, flipped=rounds.wants_flipped)
        if np.abs(sent.vectors).max() > DIVERGED:
            break
        theta = theta - STEP * rounds.decide(number, sent)
    return Trained(theta, *(_score(theta, shares, part) for part in ("test", "validation")))


class _Rounds:
    """What outlasts a round: the evidence, the vectors that may be replayed, the strength of the attack."""

    def __init__(self, setting: Setting, defence: Defence, attack: VectorAttack | None) -> None:
        self._setting, self._defence, self._attack = setting, defence, attack
        self._rng = np.random.default_rng([setting.seed, 5])
        self._evidence: Evidence = (None,) * NODES
        self._past: deque[Floats] = deque(maxlen=AGE)
        self.wants_flipped = isinstance(attack, LabelFlip)

    def decide(self, number: int, sent: Sent) -> Floats:
        """Return the aggregate of round `number`, float64 [d], and remember what the next ones need."""
        quality = np.minimum(sent.quality * (1 << QUALITY_BITS), QUALITY_MAX // CLAIM).astype(np.int64)
        vectors, claims = sent.vectors, quality
        if self._attack is not None:
            sight = self._sight(number, sent, quality)
            if number % EVERY == 0:
                self._attack = tuned(self._attack, sight)
            vectors, claims = self._with_hostile(sent.vectors, self._attack(sight), quality)
        self._past.append(sent.vectors)
        found, self._evidence = self._answer(number, vectors, claims)
        return found

    def _sight(self, number: int, sent: Sent, quality: Integers) -> Sight:
        honest, hostile = sent.vectors, self._setting.hostile

        def answer(vectors: Floats) -> Floats:
            _, claims = self._with_hostile(honest, vectors[len(honest) :], quality)
            return self._answer(number, vectors, claims)[0]

        earlier = self._past[0] if self._past else honest
        return Sight(honest, sent.flipped, earlier, hostile, self._rng, answer)

    def _with_hostile(self, honest: Floats, rows: Floats, quality: Integers) -> tuple[Floats, Integers]:
        claims = np.full(len(rows), CLAIM * quality.max())
        return np.concatenate([honest, rows]), np.concatenate([quality, claims])

    def _answer(self, number: int, vectors: Floats, claims: Integers) -> tuple[Floats, Evidence]:
        """A refused update is one of the hostile ones that the rule need not stand any more."""
        placed = place(vectors, refuses=self._defence.refuses)
        present = np.flatnonzero(placed.fits).tolist()
        received = Received(
            placed.stack,
            max(0, self._setting.bound - (len(vectors) - len(present))),
            _ranks(self._setting.seed, number, present),
            tuple(claims[present].tolist()),
            tuple(self._evidence[i] for i in present),
        )
        found, after = self._defence.decide(received)
        evidence = list(self._evidence)
        for i, value in zip(present, after, strict=True):
            evidence[i] = value
        return as_floats(found, placed.stack.scale), tuple(evidence)


def _ranks(seed: int, number: int, present: list[int]) -> tuple[int, ...]:
    opened = keccak(word(seed) + word(number))
    order = sorted(range(len(present)), key=lambda place: order_key(opened, present[place]))
    ranks = [0] * len(order)
    for rank, position in enumerate(order):
        ranks[position] = rank
    return tuple(ranks)


def _score(theta: Floats, shares: Shares, part: str) -> float:
    chosen = shares.test if part == "test" else shares.validation
    return accuracy(theta, images().pixels[chosen], images().labels[chosen])
