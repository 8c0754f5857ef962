"""The threats by name, the tests that are marked with them, and the page that says so (docs/threats.md).

`python tests/threats/catalogue.py` writes the generated part of the page; a test compares it.
"""

from __future__ import annotations

import ast
import re
import sys
import tomllib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
TESTS = ROOT / "tests"
PAGE = ROOT / "docs" / "threats.md"
TABLE = "<!-- the table, written by python tests/threats/catalogue.py -->"
FURTHER = "<!-- the other table, written by python tests/threats/catalogue.py -->"
LIST = "<!-- the tests, written by python tests/threats/catalogue.py -->"
END = "<!-- end -->"
_NUMBER = re.compile(r"_n(\d+)(?=_)")


@dataclass(frozen=True, slots=True)
class Removal:
    """A defence taken away: `text` of `file`, a path in the checkout, becomes `instead`; `tests` fail."""

    threat: str
    file: str
    text: str
    instead: str
    tests: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Threat:
    """What somebody tries, and what stops it; threats that are not on nodes or validators name no removal."""

    name: str
    attack: str
    stopped_by: str
    removals: tuple[Removal, ...]


@dataclass(frozen=True, slots=True, order=True)
class Marked:
    """A test that carries the marker of a threat; `path` is relative to the directory of the tests."""

    path: str
    test: str
    threats: tuple[str, ...] = field(compare=False)


def threats() -> tuple[Threat, ...]:
    """Return the threats of threats.toml, in its order."""
    content = tomllib.loads((TESTS / "threats" / "threats.toml").read_text(encoding="utf-8"))
    return tuple(_threat(entry) for entry in content["threat"])


def marked() -> tuple[Marked, ...]:
    """Return all tests that carry a marker, read from the source of every file, by path and name."""
    return tuple(test for test in _all() if test.threats)


def unmarked() -> tuple[tuple[str, str], ...]:
    """Return (test, threat) of tests that name a threat on nodes, as in test_n3_..., and lack its marker."""
    return tuple(
        (f"{test.path}::{test.test}", f"N{number}")
        for test in _all()
        for number in _NUMBER.findall(test.test)
        if f"N{number}" not in test.threats
    )


def written(page: str, known: Sequence[Threat], tests: Sequence[Marked]) -> str:
    """Return the page with its two generated parts as they must be."""
    page = _between(page, TABLE, _table([threat for threat in known if threat.removals]))
    page = _between(page, FURTHER, _short_table([threat for threat in known if not threat.removals]))
    return _between(page, LIST, _list(known, tests))


def _threat(entry: dict[str, Any]) -> Threat:
    name = entry["name"]
    removals = tuple(
        Removal(name, item["file"], item["text"], item["instead"], tuple(item["tests"]))
        for item in entry.get("removal", ())
    )
    return Threat(name, entry["attack"], entry["stopped_by"], removals)


@cache
def _all() -> tuple[Marked, ...]:
    found: list[Marked] = []
    for path in TESTS.rglob("test_*.py"):
        if "node_modules" not in path.parts:
            tree = ast.parse(path.read_text(encoding="utf-8"))
            found += _tests_in(tree, path.relative_to(TESTS).as_posix())
    return tuple(sorted(found))


def _tests_in(tree: ast.Module, path: str) -> Iterator[Marked]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test_"):
            names = (name for decorator in node.decorator_list for name in _names(decorator, path))
            yield Marked(path, node.name, tuple(names))


def _names(decorator: ast.expr, path: str) -> Iterator[str]:
    if not isinstance(decorator, ast.Call) or ast.unparse(decorator.func) != "pytest.mark.threat":
        return
    for argument in decorator.args:
        if not isinstance(argument, ast.Constant) or not isinstance(argument.value, str):
            raise TypeError(f"{path}:{decorator.lineno}: a threat is named by a string")
        yield argument.value


def _table(known: Sequence[Threat]) -> str:
    rows = ["| | Attack | What stops it | Take this away, and its tests fail |", "|---|---|---|---|"]
    for threat in known:
        cells = threat.name, threat.attack, threat.stopped_by, "<br>".join(map(_taken, threat.removals))
        rows.append(f"| {' | '.join(cell.strip() for cell in cells)} |")
    return "\n".join(rows)


def _short_table(known: Sequence[Threat]) -> str:
    rows = ["| | Attack | What stops it |", "|---|---|---|"]
    rows += [f"| {threat.name} | {threat.attack} | {threat.stopped_by} |" for threat in known]
    return "\n".join(rows)


def _taken(removal: Removal) -> str:
    """The line that goes, the longest if there are more, without what it stands in."""
    old, new = removal.text.strip().splitlines(), removal.instead.strip().splitlines()
    gone = max((line for line in old if line not in new), key=len)
    code = gone.strip().replace("|", "\\|")
    return f"`{removal.file}`: `{code}`"


def _list(known: Sequence[Threat], tests: Sequence[Marked]) -> str:
    parts = []
    for threat in known:
        of_threat = [test for test in tests if threat.name in test.threats]
        parts.append(f"**{threat.name}**\n")
        parts += [f"- `tests/{test.path}::{test.test}`" for test in of_threat]
        parts.append("")
    return "\n".join(parts).rstrip()


def _between(page: str, start: str, text: str) -> str:
    before, _, rest = page.partition(start)
    _, _, after = rest.partition(END)
    return f"{before}{start}\n\n{text}\n\n{END}{after}"


def main() -> None:
    """Write the page."""
    page = PAGE.read_text(encoding="utf-8")
    PAGE.write_text(written(page, threats(), marked()), encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
