"""What to exchange: ways to make one model of many nodes' models, on series whose truth is known.

    python -m ledgerfed.evaluation.exchange_study [--repeats 12] [--seed 0] [--json]

Twenty nodes fit seven families to series of ARMA(2, 1) models that differ by the heterogeneity h and have
about T values. A cell is the expected squared one-step error over that of each node's true model, geometric
mean over nodes and repeats, as excess in per cent: 0 is perfect.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from typing import Final

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.exchange_methods import METHODS, Federation, judged
from ledgerfed.evaluation.synthetic_nodes import draw_nodes
from ledgerfed.series.arrays import Floats

NODES: Final = 20
LENGTHS: Final = (60, 150, 500)
HETEROGENEITY: Final = (0.0, 0.15, 0.4)


@dataclass(frozen=True, slots=True)
class Cell:
    """One method in one setting: excess error in per cent, and its standard error over the repeats."""

    method: str
    length: int
    heterogeneity: float
    excess: float
    standard_error: float


@dataclass(frozen=True, slots=True)
class Study:
    """The cells, and how many of the native fits were not usable and gave way to an autoregression."""

    cells: tuple[Cell, ...]
    fallbacks: int
    fits: int


def study(
    repeats: int,
    seed: int,
    lengths: Sequence[int] = LENGTHS,
    heterogeneities: Sequence[float] = HETEROGENEITY,
    done: Callable[[], None] = lambda: None,
) -> Study:
    """Return a cell for every method and setting; `done` is called after each repeat of each setting.

    A repeat draws from the same random numbers in every setting, so settings differ by nothing else.

    Raises:
        InvalidValueError: there is no repeat.
    """
    if repeats < 1:
        raise InvalidValueError(f"the study needs at least one repeat, got {repeats}")
    cells: list[Cell] = []
    fallbacks = fits = 0
    for length, h in product(lengths, heterogeneities):
        ratios = []
        for repeat in range(repeats):
            nodes = draw_nodes(NODES, length, h, np.random.default_rng([seed, repeat]))
            fallbacks, fits = fallbacks + sum(node.fallback for node in nodes), fits + len(nodes)
            ratios.append(list(judged(Federation(nodes)).values()))
            done()
        columns = np.log(ratios).T
        cells += [_cell(method, length, h, column) for method, column in zip(METHODS, columns, strict=True)]
    return Study(tuple(cells), fallbacks, fits)


def table(result: Study) -> str:
    """Return the study as text, a method a line, with the mean of its standard errors last."""
    settings = list(dict.fromkeys((cell.length, cell.heterogeneity) for cell in result.cells))
    lines = [_line("", [f"T{length} h{h:g}" for length, h in settings] + ["+-"])]
    for method in METHODS:
        cells = [cell for cell in result.cells if cell.method == method]
        error = float(np.mean([cell.standard_error for cell in cells]))
        lines.append(_line(method, [f"{cell.excess:.2f}" for cell in cells] + [f"{error:.2f}"]))
    lines.append(
        f"{result.fallbacks} of {result.fits} native fits were not usable; an autoregression took over\n"
    )
    return "".join(lines)


def _cell(method: str, length: int, h: float, logs: Floats) -> Cell:
    ratio = float(np.exp(logs.mean()))
    spread = float(logs.std(ddof=1)) / np.sqrt(len(logs)) if len(logs) > 1 else float("nan")
    return Cell(method, length, h, 100 * (ratio - 1), 100 * ratio * spread)


def _line(name: str, values: Sequence[str]) -> str:
    return f"{name:33}" + "".join(f"{value:>11}" for value in values) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the study; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ledgerfed.evaluation.exchange_study", description=__doc__
    )
    parser.add_argument("--repeats", type=int, default=12)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json", action="store_true", help="cells as JSON instead of a table")
    options = parser.parse_args(arguments)
    result = _with_progress(options.repeats, options.seed)
    if options.json:
        json.dump(asdict(result), sys.stdout, indent=1)
        sys.stdout.write("\n")
    else:
        sys.stdout.write(table(result))
    return 0


def _with_progress(repeats: int, seed: int) -> Study:
    from rich.console import Console
    from rich.progress import Progress

    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("settings x repeats", total=repeats * len(LENGTHS) * len(HETEROGENEITY))
        return study(repeats, seed, done=lambda: progress.advance(task))


if __name__ == "__main__":
    raise SystemExit(main())
