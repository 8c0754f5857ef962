"""The attacks that are tried, each with its grid of strengths.

A strength is the parameter that the attack is named for. `loud` are the strengths of which none may be
admitted. Lies about coefficients and poisoned targets can be told to any method of federation, so they carry
a `lie` or a `spoil`, and `claim` where they lie about precision; the rest is this protocol's own.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from ledgerfed.errors import NotFoundError
from ledgerfed.evaluation.attacks.claims import Inflated, TinyClaim
from ledgerfed.evaluation.attacks.coefficients import (
    AlongSpread,
    CoefficientAttack,
    Gaussian,
    InnerProduct,
    Lie,
    LittleIsEnough,
    Mimic,
    Scaling,
)
from ledgerfed.evaluation.attacks.free_riding import BaseWithNoise, Copy, Replay, StaleBase
from ledgerfed.evaluation.attacks.poisoning import TargetFlip, TargetShift
from ledgerfed.evaluation.attacks.scores import Colluding, Constant, Favouring, Inverting, Silent
from ledgerfed.evaluation.attacks.timing import OnOff, Sleeper
from ledgerfed.evaluation.hostile import HONEST, Attack, Hostile, ScoreMaker
from ledgerfed.node import honest_update
from ledgerfed.protocol.score import ONE
from ledgerfed.series.arrays import Floats


@dataclass(frozen=True, slots=True)
class Setting:
    """Where an attack is made: the seed of its noise, the hostile and the honest nodes, ascending."""

    seed: int
    ring: tuple[int, ...]
    honest: tuple[int, ...]

    @property
    def faults(self) -> int:
        """f of a committee of all nodes."""
        return (len(self.ring) + len(self.honest) - 1) // 3


def _always(_: int) -> bool:
    return True


@dataclass(frozen=True, slots=True)
class Play:
    """One attack at one strength.

    `hostile` is what each of the ring does, or the first `most` of it while the others do `rest`.
    `attacks_in` says in which rounds its updates are hostile, `harmless` that they never are (only its
    scores, or nothing, is). `lie`, `spoil` and `claim` say the same attack to other methods, as far as it
    makes sense there.
    """

    hostile: Hostile
    most: int | None = None
    rest: Hostile = HONEST
    attacks_in: Callable[[int], bool] = _always
    harmless: bool = False
    lie: Lie | None = None
    spoil: Callable[[Floats], Floats] | None = None
    claim: float = 1.0

    def players(self, ring: tuple[int, ...]) -> dict[int, Hostile]:
        """Return what each of the ring does, by index."""
        most = len(ring) if self.most is None else self.most
        return {index: self.hostile if place < most else self.rest for place, index in enumerate(ring)}


@dataclass(frozen=True, slots=True)
class AttackKind:
    """An attack by name; `play` makes it at a strength.

    `refined` says that strengths between those of the grid are tried too, `beyond` that more than f
    validators may take part in it: no committee stands that, and what it leads to is only reported.
    """

    name: str
    strengths: tuple[float, ...]
    play: Callable[[float, Setting], Play]
    loud: Callable[[float], bool] = lambda _: False
    unit: str = ""
    refined: bool = True
    beyond: bool = False


def find_attack(name: str) -> AttackKind:
    """Return the attack of that name; raises NotFoundError for another."""
    for kind in ATTACKS:
        if kind.name == name:
            return kind
    raise NotFoundError(f"no attack {name!r}; one of {', '.join(kind.name for kind in ATTACKS)}")


def _lying(lie: Lie, seed: int, claim: float = 1.0, noise: float = 0.0) -> Play:
    attack: Attack = CoefficientAttack(lie, seed, noise)
    if claim != 1:
        attack = Inflated(attack, claim)
    return Play(Hostile(attack), lie=lie, claim=claim)


def _shifted(strength: float, _: Setting) -> Play:
    poison = TargetShift(strength)
    return Play(Hostile(poison), spoil=poison.spoil)


def _flipped(_strength: float, _: Setting) -> Play:
    poison = TargetFlip()
    return Play(Hostile(poison), spoil=poison.spoil)


def _copied(strength: float, setting: Setting) -> Play:
    return Play(Hostile(Copy(strength, setting.seed)), attacks_in=lambda number: number > 1)


def _replayed(strength: float, _: Setting) -> Play:
    age = round(strength)
    return Play(Hostile(Replay(age)), attacks_in=lambda number: number > age)


def _stale(strength: float, _: Setting) -> Play:
    age = round(strength)
    return Play(Hostile(StaleBase(age)), attacks_in=lambda number: number > age)


def _sleeping(strength: float, setting: Setting) -> Play:
    sleeper = Sleeper(CoefficientAttack(LittleIsEnough(2.0), setting.seed), round(strength))
    return Play(Hostile(sleeper), attacks_in=sleeper.hostile_in)


def _on_off(strength: float, setting: Setting) -> Play:
    on_off = OnOff(CoefficientAttack(LittleIsEnough(2.0), setting.seed), round(strength))
    return Play(Hostile(on_off), attacks_in=on_off.hostile_in)


def _victims(setting: Setting) -> tuple[int, ...]:
    return setting.honest[:1]


def _quiet(spreads: float, setting: Setting) -> Attack:
    """Return the update that rings send beside lying scores: one that the gates let through."""
    return CoefficientAttack(AlongSpread(spreads), setting.seed, noise=1.0) if spreads else honest_update


def _up_to_f(scores: ScoreMaker, update: Attack, setting: Setting, *, harmless: bool = False) -> Play:
    """Return a ring of which as many lie in scores as a committee stands, while all send the update."""
    return Play(Hostile(update, scores), setting.faults, Hostile(update), harmless=harmless)


def _liars(scores: ScoreMaker) -> Callable[[float, Setting], Play]:
    def play(spreads: float, setting: Setting) -> Play:
        return _up_to_f(scores, _quiet(spreads, setting), setting, harmless=spreads == 0)

    return play


def _colluding(noise: float) -> Callable[[float, Setting], Play]:
    """A ring that lifts its own updates and sinks an honest node's."""

    def play(push: float, setting: Setting) -> Play:
        scores = Colluding(_victims(setting), push, noise, setting.seed)
        return _up_to_f(scores, _quiet(2.0, setting), setting)

    return play


def _constant(value: float, setting: Setting) -> Play:
    return _up_to_f(Constant(round(value * ONE)), _quiet(2.0, setting), setting)


def _whole_ring(scores: ScoreMaker) -> Callable[[float, Setting], Play]:
    return lambda _strength, _setting: Play(Hostile(scores=scores), harmless=True)


def _withheld(validators: float, _: Setting) -> Play:
    return Play(Hostile(shows_to=round(validators)))


ATTACKS: Final = (
    AttackKind(
        "sign flip",
        (0.25, 0.5, 1, 2.5, 5),
        lambda s, at: _lying(Scaling(-s), at.seed),
        lambda s: s >= 1,
        "times",
    ),
    AttackKind(
        "scaling", (0, 0.5, 1.5, 3, 10), lambda s, at: _lying(Scaling(s), at.seed), lambda s: s >= 3, "times"
    ),
    AttackKind(
        "Gaussian",
        (0.5, 1, 3, 10, 30),
        lambda s, at: _lying(Gaussian(s), at.seed),
        lambda s: s >= 10,
        "honest spreads",
    ),
    AttackKind(
        "inner product", (0.1, 0.3, 0.5, 1, 2), lambda s, at: _lying(InnerProduct(s), at.seed), unit="times"
    ),
    AttackKind(
        "ALIE",
        (-2, -1, -0.5, 0.5, 1, 1.5, 2, 3),
        lambda s, at: _lying(LittleIsEnough(s), at.seed),
        unit="z",
    ),
    AttackKind(
        "along the spread",
        (-4, -2, -1, 1, 2, 4),
        lambda s, at: _lying(AlongSpread(s), at.seed),
        unit="honest spreads",
    ),
    AttackKind(
        "ALIE, noise of one's own",
        (-2, -1, -0.5, 0.5, 1, 1.5, 2),
        lambda s, at: _lying(LittleIsEnough(s), at.seed, noise=1.0),
        unit="z",
    ),
    AttackKind(
        "along the spread, noise of one's own",
        (-4, -2, -1, 1, 2, 4),
        lambda s, at: _lying(AlongSpread(s), at.seed, noise=1.0),
        unit="honest spreads",
    ),
    AttackKind("mimic", (1,), lambda _, at: _lying(Mimic(), at.seed), refined=False),
    AttackKind("target flip", (1,), _flipped, refined=False),
    AttackKind("target shift", (0.25, 0.5, 1, 2, 5), _shifted, lambda s: s >= 5, "deviations"),
    AttackKind(
        "claimed precision",
        (2, 10, 100, 1000),
        lambda s, at: _lying(LittleIsEnough(1.0), at.seed, s),
        unit="times",
    ),
    AttackKind(
        "tiny claim",
        (1e-5, 1e-4, 1e-3, 1e-2, 0.1),
        lambda s, at: Play(Hostile(TinyClaim(s, at.seed))),
        unit="times",
    ),
    AttackKind("copy", (0, 0.001, 0.01, 0.03, 0.1), _copied, unit="noise"),
    AttackKind(
        "base with noise",
        (0.03, 0.1, 0.3, 1, 3),
        lambda s, at: Play(Hostile(BaseWithNoise(s, at.seed))),
        unit="deviations",
    ),
    AttackKind("replay", (1, 2, 3), _replayed, unit="rounds", refined=False),
    AttackKind("stale base", (1, 2, 3), _stale, unit="models", refined=False),
    AttackKind("inverted scores", (0, 2, 4), _liars(Inverting()), unit="honest spreads"),
    AttackKind("favouring scores", (0, 2, 4), _liars(Favouring()), unit="honest spreads"),
    AttackKind("constant scores", (-1, 0, 1), _constant, unit="score", refined=False),
    AttackKind("silent scorers", (0, 2, 4), _liars(Silent()), unit="honest spreads", refined=False),
    AttackKind("more than f silent", (1,), _whole_ring(Silent()), refined=False, beyond=True),
    AttackKind("more than f inverted", (1,), _whole_ring(Inverting()), refined=False, beyond=True),
    AttackKind("colluding scorers", (0.1, 0.3, 1), _colluding(0.0), unit="push"),
    AttackKind("colluding scorers, noise", (0.1, 0.3, 1), _colluding(0.02), unit="push"),
    AttackKind("sleeper", (1, 2, 3), _sleeping, unit="honest rounds", refined=False),
    AttackKind("on-off", (2, 3), _on_off, unit="period", refined=False),
    AttackKind("withheld opening", (0, 1, 5), _withheld, unit="validators", refined=False),
    AttackKind("two leaves", (1,), lambda *_: Play(Hostile(forces=True)), refined=False),
)
