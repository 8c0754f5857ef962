"""The page and README's table of an evaluation, from its results.

    ledgerfed evaluate --scenario all --plots --dir docs/evaluation
    python -m ledgerfed.evaluation.page docs/evaluation/results.json

writes `docs/evaluation.md` and replaces the table between the two marks in README.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ledgerfed.errors import InvalidValueError, LedgerFedError
from ledgerfed.evaluation.compare import METHODS, OWN_MODEL, PERSONAL
from ledgerfed.evaluation.documents import COLUMNS, as_markdown, case_title

BEGIN: Final = "<!-- evaluation: python -m ledgerfed.evaluation.page -->"
END: Final = "<!-- /evaluation -->"
SHORT: Final = {
    "naive": "naive",
    OWN_MODEL: "own model",
    "own ridge": "own ridge",
    "federated averaging": "FedAvg",
    "quality-weighted median": "median",
    "scalar-weighted AR": "scalar AR",
    "centralized": "centralized",
    "federated, global": "**global**",
    PERSONAL: "**personal**",
    "federated, no harm": "**no harm**",
}
_PREFACE: Final = """\
Scales, orders and strengths come from the training part alone. Every method forecasts the same rows of the
test part, at rolling origins, with the parameters exactly as exchanged. *Own model* is what a node fits
alone, *centralized* is least squares on all rows, *global* and *personal* are of this federation,
*no harm* mixes the personal forecast with the native one as far as that has earned it. *To own* is the error
against the node's own model, a geometric mean; *no worse* the share of nodes whose error grows by at most
1 %; *better* counts the nodes whose gain over their own model is significant (Diebold-Mariano, small-sample
factor, Holm over nodes, 5 %)."""
_ACCURACY: Final = ("ratio", "mase", "pinball", "crps", "coverage_80", "coverage_95", "better")
_FAIRNESS: Final = ("to_own", "no_worse", "worst", "p90", "gini", "jain")
_COST: Final = ("rounds", "bytes_up", "bytes_down", "wire_up")


def readme_table(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield README's table: a case a line, RMSE / naive by method, and who gains by the personal one."""
    names = " | ".join(SHORT[name] for name in METHODS)
    yield f"| case | {names} | personal / own | no worse | worst |"
    yield "|---|" + "---|" * (len(METHODS) + 3)
    for title, rows in _cases(found).items():
        personal = rows[PERSONAL]
        cells = [f"{rows[name]['ratio']:.3f}" for name in METHODS]
        gains = f"{personal['to_own']:.3f} | {personal['no_worse']:.0%} | {personal['worst']:.2f}"
        yield f"| {title} | " + " | ".join(cells) + f" | {gains} |"


def page(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of docs/evaluation.md."""
    yield "# What the federation gains, measured"
    yield ""
    yield "Written by `python -m ledgerfed.evaluation.page docs/evaluation/results.json` from the results of"
    yield "`ledgerfed evaluate --scenario all --plots --dir docs/evaluation`. Do not edit."
    yield ""
    yield from _PREFACE.splitlines()
    yield ""
    yield "![RMSE / naive by case and method](evaluation/errors.svg)"
    yield ""
    yield "![Each node against its own model](evaluation/gains.svg)"
    yield ""
    yield from targets_table(found["targets"])
    for title, keys in (("Accuracy", _ACCURACY), ("Who gains", _FAIRNESS), ("Cost", _COST)):
        yield f"## {title}"
        yield ""
        yield from as_markdown(found["rows"], keys)
        yield ""
    yield from _guarantees(found)


def replace_table(readme: str, table: Sequence[str], begin: str = BEGIN, end: str = END) -> str:
    """Return README with the table between two marks replaced; raises InvalidValueError without them."""
    before, found, rest = readme.partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise InvalidValueError(f"README has no place for the table; put {begin} and {end} there")
    return before + begin + "\n" + "\n".join(table) + "\n" + end + after


def main(arguments: Sequence[str]) -> int:
    """Write page and table from the results named in `arguments`; return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m ledgerfed.evaluation.page RESULTS\n")
        return 2
    try:
        found = json.loads(Path(arguments[0]).read_text("utf-8"))
        Path("docs/evaluation.md").write_text("\n".join(page(found)).rstrip() + "\n", "utf-8")
        readme = Path("README.md")
        readme.write_text(replace_table(readme.read_text("utf-8"), tuple(readme_table(found))), "utf-8")
    except (LedgerFedError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _cases(found: Mapping[str, Any]) -> dict[str, dict[str, Mapping[str, Any]]]:
    cases: dict[str, dict[str, Mapping[str, Any]]] = {}
    for row in found["rows"]:
        cases.setdefault(case_title(row), {})[row["method"]] = row
    return cases


def targets_table(targets: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    """Yield the section about what was held to: measured, limit, met or missed."""
    yield "## What it is held to"
    yield ""
    yield "| target | measured | limit | |"
    yield "|---|---|---|---|"
    for t in targets:
        side = "≥" if t["at_least"] else "≤"
        verdict = "met" if t["met"] else f"**missed by {abs(t['measured'] - t['limit']):.3g}**"
        yield f"| {t['target']} | {t['measured']:.4g} | {side} {t['limit']:g} | {verdict} |"
    yield ""


def _guarantees(found: Mapping[str, Any]) -> Iterator[str]:
    yield "## One hostile node"
    yield ""
    yield "It sends the model times -2 and claims so many times its honest precision; the figures are the"
    yield "honest nodes' test error over that without it, geometric means."
    yield ""
    yield "![Harm of one hostile node](evaluation/harm.svg)"
    yield ""
    yield "| case | nodes | claim | plain sum | this federation |"
    yield "|---|---|---|---|---|"
    for h in found["harm"]:
        yield f"| {h['case']} | {h['nodes']} | {h['claim']:,} | {h['plain']:.3f} | {h['robust']:.4f} |"
    yield ""
    yield f"Columns: {', '.join(COLUMNS.values())}."


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
