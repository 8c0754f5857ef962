"""The demonstration as it happens: a table of nodes and phases, or plain lines where there is no terminal."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from rich.console import Console, Group
from rich.live import Live
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from ledgerfed.node import Progress as NodeProgress
from ledgerfed.protocol.manifest import Manifest

STEPS = ("commit", "open", "score", "reveal", "certify")
"""What every node does in a round, in order; each is a column."""


@dataclass(slots=True)
class Watcher:
    """Takes what the nodes report and shows it on stderr."""

    stations: Sequence[str]
    families: Sequence[str]
    attacks: Sequence[str | None]
    rounds: int
    console: Console = field(default_factory=lambda: Console(file=sys.stderr))
    _round: int = 0
    _done: dict[int, set[str]] = field(default_factory=dict)
    _gas: list[str] = field(default_factory=list)
    _verdicts: dict[int, str] = field(default_factory=dict)
    _live: Live | None = None
    _progress: Progress = field(
        default_factory=lambda: Progress(
            TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn()
        )
    )

    @contextmanager
    def watching(self) -> Iterator[None]:
        """Show progress while the block runs."""
        total = self.rounds * len(self.stations) * len(STEPS)
        self._progress.add_task("rounds", total=total)
        if not self.console.is_interactive:
            yield
            return
        with Live(self._render(), console=self.console, refresh_per_second=8, transient=False) as self._live:
            yield
            self._live.update(self._render())

    def told(self, progress: NodeProgress) -> None:
        """Take one report of a node."""
        if progress.round != self._round:
            self._round, self._done = progress.round, {}
        if progress.gas:
            line = f"round {progress.round}: {progress.step} by node {progress.index}, {progress.gas:,} gas"
            self._gas.append(line)
            self._say(line)
        elif progress.step in STEPS:
            self._done.setdefault(progress.index, set()).add(progress.step)
            self._progress.advance(self._progress.task_ids[0])
            reached = sum(progress.step in steps for steps in self._done.values())
            if reached == len(self.stations):
                self._say(f"round {progress.round}: {progress.step} done by all {reached} nodes")
        elif progress.step in ("sit out", "refuse", "reverted"):
            self._say(f"round {progress.round}: node {progress.index}, {progress.step}: {progress.detail}")
        if self._live is not None:
            self._live.update(self._render())

    def certified(self, manifest: Manifest) -> None:
        """Take the outcome of a round."""
        for verdict in manifest.verdicts:
            value = manifest.reputations[verdict.index].trainer.value / 65536
            self._verdicts[verdict.index] = f"{verdict.reason.value}  R {value:.2f}"
        rejected = ", ".join(f"{v.index} ({v.reason.value})" for v in manifest.verdicts if not v.admitted)
        admitted = sum(v.admitted for v in manifest.verdicts)
        self._say(f"round {manifest.round}: {admitted} admitted; not admitted: {rejected or 'none'}")

    def _say(self, line: str) -> None:
        if self._live is None:
            self.console.print(line, highlight=False, markup=False)

    def _render(self) -> Group:
        table = Table(title=f"round {self._round or 1} of {self.rounds}", title_justify="left")
        for name in ("node", "station", "model", *STEPS, "last verdict"):
            table.add_column(name)
        for index, station in enumerate(self.stations):
            done = self._done.get(index, set())
            marks = ["[green]●[/]" if step in done else "[dim]·[/]" for step in STEPS]
            name = f"[red]{station}[/]" if self.attacks[index] else station
            verdict = self._verdicts.get(index, "")
            colour = "green" if verdict.startswith("admitted") else "red"
            table.add_row(
                str(index), name, self.families[index], *marks, f"[{colour}]{verdict}[/]" if verdict else ""
            )
        gas = Table.grid()
        for line in self._gas[-4:]:
            gas.add_row(f"[dim]{line}[/]")
        return Group(table, self._progress, gas)
