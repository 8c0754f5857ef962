"""`make gas`: what each call costs, against the goals and against the committed snapshot.

It ends with an error when a figure is above its goal, has grown by more than 2 %, or is missing on either
side.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from gas_scenarios import Figure, measure
from rich.console import Console
from rich.table import Table

SNAPSHOT = Path(__file__).with_name("gas.json")
GROWTH = 1.02


def objections(figures: Sequence[Figure], snapshot: Mapping[str, int]) -> dict[str, str]:
    """What is wrong, by the name of the figure."""
    found = {}
    for figure in figures:
        before = snapshot.get(figure.name)
        if figure.at_most is not None and figure.gas > figure.at_most:
            found[figure.name] = f"above the goal of {figure.at_most:,}"
        elif figure.tracked and before is None:
            found[figure.name] = "not in the snapshot; write it with --update"
        elif figure.tracked and before is not None and figure.gas > before * GROWTH:
            found[figure.name] = f"more than 2 % above the snapshot's {before:,}"
    for name in snapshot.keys() - {figure.name for figure in figures}:
        found[name] = "in the snapshot, and no scenario measures it; drop it with --update"
    return found


def read_snapshot() -> dict[str, int]:
    """The committed figures by name."""
    return dict(json.loads(SNAPSHOT.read_text("utf-8"))) if SNAPSHOT.exists() else {}


def write_snapshot(figures: Sequence[Figure]) -> None:
    """Commit to the figures as they are now."""
    content = {figure.name: figure.gas for figure in figures if figure.tracked}
    SNAPSHOT.write_text(json.dumps(content, indent=1) + "\n", "utf-8")


def main(arguments: Sequence[str]) -> int:
    """Measure and report; the exit code is 1 when something is wrong."""
    parser = argparse.ArgumentParser(prog="make gas", description="Gas of RoundLedger's calls.")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    parser.add_argument("--update", action="store_true", help="write the snapshot first")
    options = parser.parse_args(arguments)
    figures = measure()
    if options.update:
        write_snapshot(figures)
    snapshot = read_snapshot()
    wrong = objections(figures, snapshot)
    _print_json(figures, snapshot, wrong) if options.json else _print_table(figures, snapshot, wrong)
    return 1 if wrong else 0


def _print_json(figures: Sequence[Figure], snapshot: Mapping[str, int], wrong: Mapping[str, str]) -> None:
    rows = [
        {"name": f.name, "gas": f.gas, "snapshot": snapshot.get(f.name), "goal": f.at_most} for f in figures
    ]
    sys.stdout.write(json.dumps({"figures": rows, "objections": dict(wrong)}, indent=1) + "\n")


def _print_table(figures: Sequence[Figure], snapshot: Mapping[str, int], wrong: Mapping[str, str]) -> None:
    table = Table("figure", "gas", "snapshot", "change", "goal", "")
    for column in table.columns[1:5]:
        column.justify = "right"
    for figure in figures:
        before = snapshot.get(figure.name)
        change = "" if before is None else f"{(figure.gas / before - 1) * 100:+.2f} %"
        goal = "" if figure.at_most is None else f"≤ {figure.at_most:,}"
        verdict = f"[red]{wrong[figure.name]}[/red]" if figure.name in wrong else "ok"
        table.add_row(
            figure.name, f"{figure.gas:,}", "" if before is None else f"{before:,}", change, goal, verdict
        )
    console = Console()
    console.print(table)
    for name in sorted(wrong.keys() - {figure.name for figure in figures}):
        console.print(f"[red]{name}: {wrong[name]}[/red]")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
