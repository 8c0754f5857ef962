"""All parts as one table: a defence's score is its worst test accuracy over attacks, strengths and seeds."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from ledgerfed.evaluation.digits.defences import DEFENCES, MEAN, OURS
from ledgerfed.evaluation.targets import Target

NOBODY: Final = "no attack"
HELD_TO: Final = {1.0: 0.92, 0.1: 0.65}
"""Worst accuracy of ours by concentration, at least, with HELD_AT hostile nodes."""
HELD_AT: Final = 4
WITHOUT: Final = 0.01
"""How far below the mean rule ours may be when nobody attacks, in accuracy."""


def digits_summary(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the rows of the table and what is held to.

    `rows` have `defence`, `concentration`, `hostile`, `accuracy` (the worst over attacks, strengths and
    seeds; without attack the mean over seeds), `attack`, `strength` and `seed` of the worst. `targets` holds
    `evaluation.targets.Target` values, `lines` says them to a person.
    """
    order = list(DEFENCES)
    rows = sorted(
        (_row(document) for document in documents),
        key=lambda row: (-row["concentration"], row["hostile"], order.index(row["defence"])),
    )
    targets = tuple(digits_targets(rows))
    return {"rows": rows, "targets": targets, "lines": [target.line() for target in targets]}


def digits_targets(rows: Sequence[Mapping[str, Any]]) -> Iterator[Target]:
    """Yield the lines that ours is held to; those whose rows are missing are left out."""
    found = {(row["defence"], row["concentration"], row["hostile"]): row for row in rows}
    for concentration, limit in HELD_TO.items():
        title = f"digits, Dirichlet {concentration:g}"
        if (worst := found.get((OURS, concentration, HELD_AT))) is not None:
            name = f"{title}: worst accuracy ({worst['attack']} {worst['strength']})"
            yield Target(name, worst["accuracy"], limit, at_least=True)
        ours, mean = (found.get((name, concentration, 0)) for name in (OURS, MEAN))
        if ours is not None and mean is not None:
            lost = mean["accuracy"] - ours["accuracy"]
            yield Target(f"{title}: accuracy lost without attack", lost, WITHOUT)


def as_markdown(rows: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the table for a page: a line a defence, accuracies in percent with the worst attack."""
    columns = sorted({(row["concentration"], row["hostile"]) for row in rows}, key=lambda c: (-c[0], c[1]))
    found = {(row["defence"], row["concentration"], row["hostile"]): row for row in rows}
    titles = [f"{concentration:g}, {hostile or 'none'}" for concentration, hostile in columns]
    yield "| defence | " + " | ".join(titles) + " |"
    yield "|---" * (len(columns) + 1) + "|"
    for name in DEFENCES:
        if any((name, *column) in found for column in columns):
            yield f"| {name} | " + " | ".join(_cell(found.get((name, *column))) for column in columns) + " |"


def _row(document: Mapping[str, Any]) -> dict[str, Any]:
    trials = document["trials"]
    worst = min(trials, key=lambda trial: trial["test"])
    calm = worst["attack"] == NOBODY
    accuracy = sum(trial["test"] for trial in trials) / len(trials) if calm else worst["test"]
    about = {key: document[key] for key in ("defence", "concentration", "hostile")}
    return about | {
        "accuracy": accuracy,
        "attack": worst["attack"],
        "strength": worst["strength"],
        "seed": worst["seed"],
        "trials": len(trials),
    }


def _cell(row: Mapping[str, Any] | None) -> str:
    if row is None:
        return ""
    figure = f"{100 * row['accuracy']:.1f}"
    return figure if row["attack"] == NOBODY else f"{figure} ({row['attack']} {row['strength']})"
