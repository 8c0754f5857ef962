"""What the benchmark of the robust rules found: lines, targets and tables."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import median

from byzfl_process import INFEASIBLE
from rich.console import Console
from rich.table import Table

from ledgerfed.protocol.rule import Rule

EXACT_COST = 1.6
FASTER_AT = (200, 100_000)
CONVERGED = " (converged)"
FASTER = {
    str(Rule.KRUM): 15.0,
    str(Rule.MULTI_KRUM): 15.0,
    str(Rule.GEOMETRIC_MEDIAN): 15.0,
    f"{Rule.GEOMETRIC_MEDIAN}{CONVERGED}": 15.0,
    str(Rule.MEDIAN): 3.0,
    str(Rule.TRIMMED_MEAN): 2.0,
}
DIAMETER_MS = 20.0
NOTES = f"""\
byzfl's geometric median makes 3 steps;{CONVERGED} lets it make as many as ours makes at most.
byzfl's centered clipping makes one step from zero, its covariance filter one random power step a round.
{INFEASIBLE}: more seconds than the limit, or for mixing more than 4 GB."""
WIDTH = 130

Seconds = float | str | None
"""Or why there are none: "infeasible", "fails"; None where nothing was asked."""


@dataclass(frozen=True, slots=True)
class Case:
    """A rule, byzfl's name for it, and whether mixing goes first."""

    rule: Rule
    byzfl: str | None = None
    mixing: bool = False
    note: str = ""

    @property
    def name(self) -> str:
        """What the table calls it."""
        return f"{'mixing + ' if self.mixing else ''}{self.rule}{self.note}"


@dataclass(frozen=True, slots=True)
class Line:
    """One rule at one size: seconds of every side, and their ratios."""

    rule: str
    n: int
    d: int
    hostile: int
    rounds: int
    exact: Seconds
    plain: Seconds
    byzfl: Seconds
    byzfl_float32: Seconds
    one_pass: Seconds
    exact_over_plain: float | None
    byzfl_over_exact: float | None
    byzfl_float32_over_exact: float | None
    exact_over_pass: float | None

    def __str__(self) -> str:
        return (
            f"{self.rule}: exact {shown(self.exact)}, plain {shown(self.plain)}, byzfl {shown(self.byzfl)}, "
            f"float32 {shown(self.byzfl_float32)}"
        )


@dataclass(frozen=True, slots=True)
class Search:
    """Exact MDA on one kind of updates: milliseconds, and whether its budget sufficed."""

    kind: str
    ms: float
    exact: bool


@dataclass(frozen=True, slots=True)
class Target:
    """What the project holds itself to, and what was measured; None where it was not."""

    what: str
    bound: str
    measured: float | None
    met: bool | None


def middle(column: Sequence[Seconds]) -> Seconds:
    """Return the median of the seconds, or why there are none."""
    numbers = [entry for entry in column if isinstance(entry, float)]
    return median(numbers) if numbers else column[0]


def ratio(above: Sequence[Seconds], below: Sequence[Seconds]) -> float | None:
    """Return the median ratio within a round, None where one side has no seconds."""
    ratios = [
        a / b for a, b in zip(above, below, strict=True) if isinstance(a, float) and isinstance(b, float)
    ]
    return median(ratios) if ratios else None


def targets(lines: Sequence[Line], searches: Sequence[Search]) -> list[Target]:
    """Return what the project holds itself to beside what was measured."""
    return [*_costs(lines), *_speedups(lines), _diameter(searches)]


def _costs(lines: Sequence[Line]) -> Iterator[Target]:
    for n, d in dict.fromkeys((line.n, line.d) for line in lines):
        here = [line for line in lines if (line.n, line.d) == (n, d) and line.exact_over_plain is not None]
        worst = max(here, key=lambda line: line.exact_over_plain or 0.0)
        what = f"exact over plain at {n} x {d}, worst: {worst.rule}"
        yield _at_most(what, EXACT_COST, "x", worst.exact_over_plain)


def _speedups(lines: Sequence[Line]) -> Iterator[Target]:
    n, d = FASTER_AT
    for rule, least in FASTER.items():
        found = next((x.byzfl_over_exact for x in lines if (x.rule, x.n, x.d) == (rule, n, d)), None)
        met = None if found is None else found >= least
        yield Target(f"byzfl over exact at {n} x {d}: {rule}", f">= {least:g} x", found, met)


def _diameter(searches: Sequence[Search]) -> Target:
    worst = max(searches, key=lambda search: search.ms)
    kinds = f"worst of {len(searches)} kinds of updates: {worst.kind}"
    return _at_most(f"exact minimum-diameter at n = 50, f = 10, {kinds}", DIAMETER_MS, "ms", worst.ms)


def _at_most(what: str, bound: float, unit: str, measured: float | None) -> Target:
    return Target(what, f"<= {bound:g} {unit}", measured, None if measured is None else measured <= bound)


def print_tables(
    lines: Sequence[Line], searches: Sequence[Search], found: Sequence[Target], threads: int
) -> None:
    """Print everything for a person."""
    console = Console(width=max(WIDTH, Console().width))
    for n, d in dict.fromkeys((line.n, line.d) for line in lines):
        here = [line for line in lines if (line.n, line.d) == (n, d)]
        console.print(_size_table(here, f"{n} updates of {d}, {n // 5} hostile, {threads} threads: seconds"))
    console.print(NOTES, highlight=False)
    console.print(_search_table(searches))
    console.print(_target_table(found))


def _size_table(lines: Sequence[Line], title: str) -> Table:
    columns = ("exact", "plain", "byzfl", "byzfl\nfloat32")
    ratios = ("exact\n/ plain", "byzfl\n/ exact", "float32\n/ exact", "exact\n/ pass")
    table = Table(title=title, title_justify="left")
    table.add_column("rule", no_wrap=True)
    for name in (*columns, *ratios):
        table.add_column(name, justify="right")
    for line in lines:
        seconds = (line.exact, line.plain, line.byzfl, line.byzfl_float32)
        factors = (line.exact_over_plain, line.byzfl_over_exact, line.byzfl_float32_over_exact)
        table.add_row(line.rule, *map(shown, seconds), *map(_factor, (*factors, line.exact_over_pass)))
    return table


def _search_table(searches: Sequence[Search]) -> Table:
    table = Table("updates", title="exact minimum-diameter", title_justify="left")
    table.add_column("ms", justify="right")
    table.add_column("within its budget")
    for search in searches:
        table.add_row(search.kind, f"{search.ms:.1f}", "yes" if search.exact else "no: fallback")
    return table


def _target_table(found: Sequence[Target]) -> Table:
    table = Table("held to", "bound", title="targets", title_justify="left")
    table.add_column("measured", justify="right")
    table.add_column("met")
    words = {None: "not measured", True: "yes", False: "no"}
    for target in found:
        measured = "" if target.measured is None else f"{target.measured:.2f}"
        table.add_row(target.what, target.bound, measured, words[target.met])
    return table


def shown(seconds: Seconds) -> str:
    """Return seconds with three digits, or the word that stands for them."""
    if isinstance(seconds, float):
        return f"{seconds:.3g}"
    return seconds or "-"


def _factor(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f}" if value >= 10 else f"{value:.2f}"
