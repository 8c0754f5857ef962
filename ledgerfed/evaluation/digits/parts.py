"""The table in small pieces: a defence, a concentration, a number of hostile nodes; all tries and seeds."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.digits.catalogue import tries
from ledgerfed.evaluation.digits.defences import DEFENCES, find_defence
from ledgerfed.evaluation.digits.summary import NOBODY, digits_summary
from ledgerfed.evaluation.digits.training import ROUNDS, Setting, train

__all__ = ["DigitsPart", "digit_parts", "digits_summary", "do_digits"]

CONCENTRATIONS: Final = (1.0, 0.1)
BOUND: Final = 4
"""How many hostile nodes a defence stands in the runs without attack."""
HOSTILE: Final = (0, 4, 7)
"""Of 17: none, 24 % and 41 %, the first above a fifth and above two fifths."""
_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class DigitsPart:
    """A piece of the table; `quick` tries the few attacks that were worst. The seeds are 0 to `seeds` - 1.

    Raises:
        InvalidValueError: an unknown defence, or no seed or round.
    """

    defence: str
    concentration: float
    hostile: int
    seeds: int
    quick: bool = False
    rounds: int = ROUNDS

    def __post_init__(self) -> None:
        find_defence(self.defence)
        if self.seeds < 1 or self.rounds < 1:
            raise InvalidValueError(f"{self.seeds} seeds and {self.rounds} rounds: both must be positive")

    @property
    def name(self) -> str:
        """The name of its file, without suffix."""
        slug = "".join(c if c.isalnum() else "-" for c in self.defence.lower())
        spelled = f"digits-{slug}-{self.concentration:g}-{self.hostile}-{self.seeds}-{self.rounds}"
        return spelled + ("-quick" if self.quick else "")


def digit_parts(seeds: int, quick: bool = False) -> tuple[DigitsPart, ...]:
    """Return the parts of the table, those with most work first."""
    return tuple(
        DigitsPart(name, concentration, hostile, seeds, quick)
        for hostile in (HOSTILE[:2] if quick else HOSTILE)[::-1]
        for concentration in CONCENTRATIONS
        for name in DEFENCES
    )


def do_digits(part: DigitsPart) -> dict[str, Any]:
    """Return the accuracies of a part: one line for every try and seed, both held-out parts of each."""
    defence = find_defence(part.defence)
    attacks = [(t.attack, t.strength, t.vectors) for t in tries(quick=part.quick)]
    trials = []
    for attack, strength, vectors in attacks if part.hostile else [(NOBODY, "", None)]:
        for seed in range(part.seeds):
            setting = Setting(part.hostile, part.hostile or BOUND, part.concentration, seed, part.rounds)
            found = train(setting, defence, vectors)
            trials.append(
                {
                    "attack": attack,
                    "strength": strength,
                    "seed": seed,
                    "test": round(found.test, _DIGITS),
                    "validation": round(found.validation, _DIGITS),
                }
            )
    return {
        "defence": part.defence,
        "concentration": part.concentration,
        "hostile": part.hostile,
        "rounds": part.rounds,
        "trials": trials,
    }
