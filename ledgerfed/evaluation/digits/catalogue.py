"""The attacks of the table, each with the strengths that are searched; the table shows the worst."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from ledgerfed.evaluation.attacks.vectors import (
    Adaptive,
    Apart,
    Copy,
    Gaussian,
    Heading,
    InnerProduct,
    LabelFlip,
    LittleIsEnough,
    Mimic,
    Replay,
    Scaling,
    SignFlip,
    Silence,
    VectorAttack,
    Widest,
)


@dataclass(frozen=True, slots=True)
class Try:
    """One attack at one strength, as the table names it."""

    attack: str
    strength: str
    vectors: VectorAttack


APART: Final = 0.6
"""Noise against the length of a vector: two rows of one attack then have a cosine of about 0.74."""
_BACK: Final = Adaptive(Heading.BACK, (1.1, 1.25, 1.5, 2.0, 3.0, 5.0))
_SPREAD: Final = Adaptive(Heading.SPREAD, (-1.5, 0.25, 0.5, 1.0, 1.5, 2.0, 3.0))

TRIES: Final = (
    *(Try("sign flip", f"{s:g}", SignFlip(s)) for s in (1.0, 2.5)),
    Try("scaling", "5", Scaling(5.0)),
    *(Try("Gaussian", f"{s:g}", Gaussian(s)) for s in (1.0, 5.0)),
    *(Try("IPM", f"{s:g}", InnerProduct(s)) for s in (0.1, 0.5, 1.0)),
    *(Try("ALIE", f"{s:g}", LittleIsEnough(s)) for s in (-1.5, 0.5, 1.0, 1.5)),
    *(Try("mimic", f"node {i}", Mimic(i)) for i in (0, 5)),
    *(Try("label flip", f"{s:g}", LabelFlip(s)) for s in (1.0, 3.0)),
    Try("copy", "1", Copy()),
    Try("replay", "1", Replay(1.0)),
    Try("silence", "0", Silence()),
    *(Try("widest", heading.value, Widest(heading)) for heading in Heading),
    Try("adaptive IPM", "searched", _BACK),
    Try("adaptive ALIE", "searched", _SPREAD),
    Try("IPM, apart", "1", Apart(InnerProduct(1.0), APART)),
    Try("mimic, apart", "node 5", Apart(Mimic(5), APART)),
    Try("adaptive IPM, apart", "searched", Apart(_BACK, APART)),
    Try("adaptive ALIE, apart", "searched", Apart(_SPREAD, APART)),
)
_QUICK: Final = {("IPM", "0.5"), ("ALIE", "1"), ("mimic", "node 5"), ("label flip", "1"), ("widest", "back")}
_SEARCHED: Final = {"adaptive IPM", "adaptive ALIE", "adaptive IPM, apart"}


def tries(*, quick: bool = False) -> tuple[Try, ...]:
    """Return the tries, with `quick` only those that were worst for some rule."""
    return tuple(t for t in TRIES if not quick or (t.attack, t.strength) in _QUICK or t.attack in _SEARCHED)
