"""A whole evaluation: its parts, each in a process of its own and kept in a file (`pieces`).

A part is a case with a seed and a horizon, or the guarantees of a case.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from ledgerfed.evaluation.compare import METHODS, compare
from ledgerfed.evaluation.documents import guarantee_document, row_document, times_document
from ledgerfed.evaluation.guarantees import Exactness, Harm, exactness, harm
from ledgerfed.evaluation.pieces import Piece, compute
from ledgerfed.evaluation.scenarios import CASES, Case, find_case

HORIZONS: Final = {"transit-180": (7,), "heart-rate": (3,), "dryer-power": (5,)}
"""Which cases are looked at further ahead too, in grid steps."""
GUARANTEED: Final = ("transit-60", "transit-180", "heart-rate", "dryer-power", "dryer-temperature")
"""The cases whose exchange is measured: all but the widest, where a round of 159 liars takes long."""
_KEYS: Final = {"compare": {"rows"}, "guarantees": {"exact", "harm"}}
SCENARIOS: Final = tuple(dict.fromkeys(case.scenario for case in CASES))


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of work with a name of its own."""

    case: str
    kind: str = "compare"
    seed: int = 0
    horizon: int = 1

    @property
    def name(self) -> str:
        """The name of its file, without suffix."""
        return f"{self.case}-{self.kind}-h{self.horizon}-s{self.seed}"


def parts(cases: Sequence[Case], seeds: int) -> tuple[Part, ...]:
    """Return the parts of these cases, the longest first; seeds matter where families are dealt out."""
    found = []
    for case in cases:
        dealt = range(seeds if len(case.families) > 1 else 1)
        found += [Part(case.name, seed=seed) for seed in dealt]
        found += [Part(case.name, horizon=steps) for steps in HORIZONS.get(case.name, ())]
        if case.name in GUARANTEED:
            found.append(Part(case.name, "guarantees"))
    return tuple(sorted(found, key=lambda part: not part.case.endswith("all-channels")))


def do(part: Part) -> dict[str, Any]:
    """Return what a part found, as a document."""
    case = find_case(part.case)
    if part.kind == "guarantees":
        return {"exact": asdict(exactness(case)), "harm": [asdict(h) for h in harm(case)]}
    rows = list(compare(case, part.seed, part.horizon))
    return {"rows": [row_document(row) | {"times": times_document(row)} for row in rows]}


def evaluate(
    wanted: Sequence[Part], directory: Path, workers: int, on_done: Callable[[Part], None]
) -> dict[Part, dict[str, Any]]:
    """Return what the parts found, computing those that `directory` does not hold.

    Raises:
        ConfigurationError: a file of an earlier run cannot be read, or a worker process was killed.
    """
    pieces = {Piece(part.name, part, do, frozenset(_KEYS[part.kind])): part for part in wanted}
    found = compute(tuple(pieces), directory, workers, lambda piece: on_done(pieces[piece]))
    done = {pieces[piece]: document for piece, document in found.items()}
    return {part: done[part] for part in sorted(wanted, key=_order)}


def gather(found: dict[Part, dict[str, Any]]) -> dict[str, Any]:
    """Return all parts as one document: rows, guarantees, and how the targets are met."""
    from ledgerfed.evaluation.targets import accuracy_targets, exchange_targets

    rows = [row for part, document in found.items() if part.kind == "compare" for row in document["rows"]]
    kept = [document for part, document in found.items() if part.kind == "guarantees"]
    exact = [Exactness(**document["exact"]) for document in kept]
    harms = [Harm(**h) for document in kept for h in document["harm"]]
    targets = (*exchange_targets(exact, harms), *accuracy_targets(rows))
    return {
        "version": version("ledgerfed"),
        "methods": list(METHODS),
        "targets": [target.document() for target in targets],
        "lines": [target.line() for target in targets],
        "exactness": [guarantee_document(e) for e in exact],
        "harm": [guarantee_document(h) for h in harms],
        "rows": [{key: value for key, value in row.items() if key != "times"} for row in rows],
        "times": [
            {
                "case": r["case"],
                "method": r["method"],
                "seed": r["seed"],
                "horizon": r["horizon"],
                **r["times"],
            }
            for r in rows
        ],
    }


def differences(found: dict[str, Any], committed: dict[str, Any], tolerance: float) -> tuple[str, ...]:
    """Return where the figures of two evaluations differ by more than `tolerance`, relative to at least 1.

    Committed figures of cases that were not evaluated do not count.
    """
    ours, theirs = _figures(found), _figures(committed)
    cases = {case for case, _ in ours}
    lines = [f"{case} {key} is missing" for case, key in sorted(theirs.keys() - ours.keys()) if case in cases]
    lines += [f"{case} {key} is not committed" for case, key in sorted(ours.keys() - theirs.keys())]
    for key in sorted(ours.keys() & theirs.keys()):
        apart = abs(ours[key] - theirs[key]) / max(1.0, abs(theirs[key]))
        if not apart <= tolerance:
            lines.append(f"{' '.join(key)} is {ours[key]}, committed is {theirs[key]}")
    return tuple(lines)


def _figures(document: dict[str, Any]) -> dict[tuple[str, str], float]:
    figures = {}
    for row in document["rows"]:
        place = f"h{row['horizon']} s{row['seed']} {row['method']}"
        for key, value in {**row, **row["notes"]}.items():
            if isinstance(value, int | float) and key not in ("seed", "horizon"):
                figures[row["case"], f"{place} {key}"] = float(value)
    for exact in document["exactness"]:
        for key in ("width", "difference", "rmse_cost", "payload_bytes"):
            figures[exact["case"], key] = float(exact[key])
    for harmed in document["harm"]:
        figures[harmed["case"], f"harm at {harmed['claim']}"] = float(harmed["robust"])
    return figures


def _order(part: Part) -> tuple[int, str, int, int]:
    return [case.name for case in CASES].index(part.case), part.kind, part.seed, part.horizon
