"""`ledgerfed evaluate --attacks`: what hostile nodes do at their worst, as a table, files and pictures."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from ledgerfed.cli.evaluate import TOLERANCE, forget, read_results, require_plots, with_progress
from ledgerfed.cli.output import emit
from ledgerfed.errors import NotFoundError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from ledgerfed.evaluation.pieces import Piece

DIGITS: Final = "digits"
DIGIT_SEEDS: Final = 1
_KEYS: Final = frozenset({"without", "attacks", "digits", "targets"})
_OF_DIGITS: Final = frozenset({"defence", "concentration", "hostile", "trials"})


def run_attacks(
    scenario: str,
    directory: Path,
    workers: int,
    check: Path | None,
    *,
    quick: bool,
    plots: bool,
    fresh: bool,
    as_json: bool,
) -> int:
    """Attack the federations of `scenario`, keep results in `directory`, print them; return the exit code."""
    from ledgerfed.evaluation.attack_study.summary import as_csv, as_text, differences, gather_attacks
    from ledgerfed.evaluation.pieces import compute

    committed = None if check is None else read_results(check, _KEYS)
    if plots:
        require_plots()
    wanted = _pieces(scenario, quick=quick)
    kept = directory / "parts"
    if fresh:
        forget(kept)
    count = workers or os.cpu_count() or 1
    done = with_progress(
        len(wanted), lambda told: compute(wanted, kept, count, lambda piece: told(piece.name))
    )
    found = gather_attacks(tuple(done.values()))
    lines = found.pop("lines")
    (directory / "attacks.json").write_text(json.dumps(found, separators=(",", ":")) + "\n", "utf-8")
    (directory / "attacks.csv").write_text(as_csv(found), "utf-8")
    drawn = _draw(found, directory) if plots and found["attacks"] else []
    wrong = () if committed is None else differences(found, committed, TOLERANCE)
    document = found | {
        "results": str(directory / "attacks.json"),
        "plots": drawn,
        "differences": list(wrong),
    }
    emit(document, as_json=as_json, lines=[*as_text(found), "", *lines, *_files(directory, drawn)])
    if wrong:
        raise VerificationError(f"{len(wrong)} figures differ from {check}; the first: {wrong[0]}")
    return 0


def _pieces(scenario: str, *, quick: bool) -> tuple[Piece, ...]:
    from ledgerfed.evaluation.attack_study.nodes import SCENARIOS
    from ledgerfed.evaluation.attack_study.parts import NEEDS, attack_parts, do_attack
    from ledgerfed.evaluation.digits.parts import digit_parts, do_digits
    from ledgerfed.evaluation.pieces import Piece

    names = [known.name for known in SCENARIOS if scenario in ("all", known.name)]
    digits = digit_parts(1 if quick else DIGIT_SEEDS, quick) if scenario in ("all", DIGITS) else ()
    if not names and not digits:
        known = ", ".join([*(known.name for known in SCENARIOS), DIGITS])
        raise NotFoundError(f"no attacks on {scenario!r}; one of all, {known}")
    return (
        *(Piece(part.name, part, do_digits, _OF_DIGITS) for part in digits),
        *(Piece(part.name, part, do_attack, NEEDS) for part in attack_parts(names, quick)),
    )


def _draw(found: dict[str, Any], directory: Path) -> list[str]:
    from ledgerfed.evaluation.attack_study.plots import draw_attacks

    return [str(path) for path in draw_attacks(found, directory)]


def _files(directory: Path, drawn: list[str]) -> Iterator[str]:
    yield ""
    yield f"results  {directory / 'attacks.json'}, {directory / 'attacks.csv'}"
    yield from (f"picture  {path}" for path in drawn)
