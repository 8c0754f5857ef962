"""`ledgerfed evaluate`: methods compared on real data, as a table, files and pictures."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ledgerfed.cli.output import emit
from ledgerfed.errors import ConfigurationError, InvalidValueError, NotFoundError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from ledgerfed.evaluation.runs import Part

_T = TypeVar("_T")
_KEYS: Final = frozenset({"rows", "exactness", "harm"})
TOLERANCE: Final = 2e-3
"""Relative difference that `--check` forgives: other processors add up in another order."""


def run_evaluate(
    scenario: str,
    seeds: int,
    directory: Path,
    workers: int,
    check: Path | None,
    *,
    plots: bool,
    fresh: bool,
    as_json: bool,
) -> int:
    """Evaluate the cases of `scenario`, keep results in `directory`, and print them; return the exit code."""
    from ledgerfed.evaluation import runs
    from ledgerfed.evaluation.documents import as_csv, as_text

    committed = None if check is None else read_results(check, _KEYS)
    if plots:
        require_plots()
    wanted = runs.parts(_cases(scenario), seeds)
    kept = directory / "parts"
    if fresh:
        forget(kept)
    found = runs.gather(_compute(wanted, kept, workers or os.cpu_count() or 1))
    lines = found.pop("lines")
    (directory / "results.json").write_text(json.dumps(found, separators=(",", ":")) + "\n", "utf-8")
    (directory / "results.csv").write_text(as_csv(found["rows"]), "utf-8")
    drawn = _draw(found, directory) if plots else []
    wrong = () if committed is None else runs.differences(found, committed, TOLERANCE)
    document = found | {
        "results": str(directory / "results.json"),
        "plots": drawn,
        "differences": list(wrong),
    }
    emit(document, as_json=as_json, lines=[*as_text(found["rows"]), "", *lines, *_files(directory, drawn)])
    if wrong:
        raise VerificationError(f"{len(wrong)} figures differ from {check}; the first: {wrong[0]}")
    return 0


def _cases(scenario: str) -> Any:
    from ledgerfed.evaluation.runs import SCENARIOS
    from ledgerfed.evaluation.scenarios import CASES

    found = [case for case in CASES if scenario in ("all", case.scenario, case.name)]
    if not found:
        names = [case.name for case in CASES]
        raise NotFoundError(f"no scenario {scenario!r}; one of all, {', '.join(SCENARIOS)}, or of {names}")
    return found


def _compute(wanted: tuple[Part, ...], kept: Path, workers: int) -> Any:
    from ledgerfed.evaluation import runs

    return with_progress(
        len(wanted), lambda told: runs.evaluate(wanted, kept, workers, lambda part: told(part.name))
    )


def with_progress(total: int, run: Callable[[Callable[[str], None]], _T]) -> _T:
    """Return what `run` gives; it tells the names of what it has done, `total` in all, for a bar to show."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

    columns = TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
    console = Console(file=sys.stderr)
    with Progress(*columns, console=console, disable=not console.is_interactive) as progress:
        task = progress.add_task("evaluating", total=total)
        return run(lambda name: progress.update(task, advance=1, description=name))


def forget(kept: Path) -> None:
    """Delete the pieces of earlier runs."""
    for file in kept.glob("*.json"):
        file.unlink()


def read_results(path: Path, keys: frozenset[str]) -> dict[str, Any]:
    """Return committed results, which have these keys.

    Raises:
        NotFoundError: there is no such file.
        InvalidValueError: it does not hold such results.
    """
    try:
        document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"there are no results {path}") from error
    except (OSError, ValueError) as error:
        raise InvalidValueError(f"{path} holds no results: {error}") from error
    if not isinstance(document, dict) or not keys <= document.keys():
        raise InvalidValueError(f"{path} holds no results; it needs {', '.join(sorted(keys))}")
    return document


def require_plots() -> None:
    """Find out before the work, not after it; raises ConfigurationError without matplotlib."""
    try:
        from ledgerfed.evaluation import plots  # noqa: F401
    except ImportError as error:
        raise ConfigurationError(f"pictures need matplotlib; install ledgerfed[plots] ({error})") from error


def _draw(found: dict[str, Any], directory: Path) -> list[str]:
    from ledgerfed.evaluation.plots import draw

    return [str(path) for path in draw(found, directory)]


def _files(directory: Path, drawn: list[str]) -> Iterator[str]:
    yield ""
    yield f"results  {directory / 'results.json'}, {directory / 'results.csv'}"
    yield from (f"picture  {path}" for path in drawn)
