"""The page and README's table of the attacks, from their results.

    ledgerfed evaluate --attacks --plots --dir docs/evaluation
    python -m ledgerfed.evaluation.attack_study.page docs/evaluation/attacks.json

writes `docs/attacks.md` and replaces the table between the two marks in README.md.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from ledgerfed.errors import LedgerFedError
from ledgerfed.evaluation.attack_study.others import FEDAVG, INFINITE, MEDIAN
from ledgerfed.evaluation.attack_study.parts import SHARES, TO_OWN
from ledgerfed.evaluation.attack_study.summary import SIGN_FLIP, admitted_by_strength
from ledgerfed.evaluation.digits.summary import as_markdown
from ledgerfed.evaluation.page import replace_table, targets_table

BEGIN: Final = "<!-- attacks: python -m ledgerfed.evaluation.attack_study.page -->"
END: Final = "<!-- /attacks -->"
_PREFACE: Final = """\
Hostile nodes are one ring that sees the honest updates of a round before it sends its own. Every attack is
tried at several strengths, and between the worst and its neighbours; the seed draws who is hostile. A run
is {rounds} rounds of the real decision: its gates, everybody's scores on private hold-outs, reputations.
*MSE* is the honest nodes' test error over that without attack, a geometric mean over nodes of what their own
forecasters make of the last model: first against the same federation with everybody honest, then against
the honest nodes alone. *FedAvg* and *median* are plain federated averaging and the quality-weighted median
under the same lies at their worst, against themselves without attack; "-" where an attack is on something
that they do not have. *More than f* lying or silent scorers no committee stands: what they do is only
reported. *Admitted* is the share of hostile node-rounds with any weight, over all strengths;
*worst node* the RMSE of the worst honest node over that of its own model."""

_DIGITS: Final = """\
Accuracy in percent of a 64-32-10 network that 17 nodes train together, at its worst over attacks, strengths
and seeds, by the concentration of the Dirichlet split and the number of hostile nodes."""

_TO_OWN: Final = (*TO_OWN.values(), "to_own")


def readme_table(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield README's table: by scenario at the largest share, without attack and under four of them.

    The three methods' figures are RMSE over that of the nodes' own models.
    """
    yield "| scenario | attack | FedAvg | median | this federation | its MSE | admitted | worst node |"
    yield "|---|---|---|---|---|---|---|---|"
    for calm in found["without"]:
        name = calm["scenario"]
        most = [a for a in found["attacks"] if a["scenario"] == name and a["share"] == SHARES[-1]]
        if not most:
            continue
        alone = " | ".join(_times(calm[key]) for key in _TO_OWN)
        yield f"| {name} | none | {alone} | 1 | - | {calm['worst_to_own']:.2f} |"
        for title, trials in _headlines(most):
            yield f"| {name} | {title} | {_row(trials)} |"
    if found["digits"]:
        yield ""
        yield "Digits, worst accuracy (%) by Dirichlet concentration and number of hostile nodes of 17:"
        yield ""
        yield from as_markdown(found["digits"])


def page(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of docs/attacks.md."""
    yield "# What hostile nodes can do, measured"
    yield ""
    yield "Written by `python -m ledgerfed.evaluation.attack_study.page docs/evaluation/attacks.json` from"
    yield "the results of `ledgerfed evaluate --attacks --plots --dir docs/evaluation`. Do not edit."
    yield ""
    yield from _PREFACE.format(rounds=found["rounds"]).splitlines()
    yield ""
    yield "![MSE under each attack at its worst](evaluation/attacks-growth.svg)"
    yield ""
    yield "![Who is admitted](evaluation/attacks-admission.svg)"
    yield ""
    yield from targets_table(found["targets"])
    yield from _without(found["without"])
    for (name, share), attacks in _grouped(found["attacks"]).items():
        yield f"## {name}, {share:.0%} hostile"
        yield ""
        yield from _attacks(attacks)
        yield ""
        yield from _matrix(attacks)
        yield ""
    if found["digits"]:
        yield "## digits"
        yield ""
        yield from _DIGITS.splitlines()
        yield ""
        yield from as_markdown(found["digits"])
        yield ""


def main(arguments: Sequence[str]) -> int:
    """Write page and table from the results named in `arguments`; return the exit code."""
    if len(arguments) != 1:
        sys.stderr.write("usage: python -m ledgerfed.evaluation.attack_study.page RESULTS\n")
        return 2
    try:
        found = json.loads(Path(arguments[0]).read_text("utf-8"))
        Path("docs/attacks.md").write_text("\n".join(page(found)).rstrip() + "\n", "utf-8")
        readme = Path("README.md")
        table = replace_table(readme.read_text("utf-8"), tuple(readme_table(found)), BEGIN, END)
        readme.write_text(table, "utf-8")
    except (LedgerFedError, OSError, ValueError) as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _headlines(attacks: Sequence[Mapping[str, Any]]) -> Iterator[tuple[str, list[Mapping[str, Any]]]]:
    for name, strength in (("sign flip", SIGN_FLIP), ("ALIE", 1.0), ("inner product", 0.5)):
        trials = [t for a in attacks if a["attack"] == name for t in a["trials"] if t["strength"] == strength]
        if trials:
            yield f"{name} {strength:g}", trials
    told = [a for a in attacks if a[FEDAVG] is not None]
    worst = max(told, key=lambda a: a["worst"]["growth"])
    strength = worst["worst"]["strength"]
    yield (
        f"worst found: {worst['attack']} {strength:g}",
        [t for t in worst["trials"] if t["strength"] == strength],
    )


def _row(trials: Sequence[Mapping[str, Any]]) -> str:
    cells = [_times(max(t[key] for t in trials)) for key in (*_TO_OWN, "growth")]
    hostile = sum(t["hostile"] for t in trials)
    admitted = sum(t["hostile_admitted"] for t in trials) / hostile if hostile else 0.0
    return " | ".join([*cells, f"{admitted:.0%}", f"{max(t['worst_to_own'] for t in trials):.2f}"])


def _without(calm: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "## Without attack"
    yield ""
    yield "RMSE over that of the nodes' own models, geometric means, and what the gates say to honest nodes."
    yield ""
    yield "| scenario | nodes | FedAvg | median | this federation | worst node | node-rounds rejected |"
    yield "|---|---|---|---|---|---|---|"
    for c in calm:
        yield (
            f"| {c['scenario']} | {c['nodes']} | {c['FedAvg_to_own']:.3f} | {c['median_to_own']:.3f} | "
            f"{c['to_own']:.3f} | {c['worst_to_own']:.3f} | {c['honest_rejected']} of {c['honest']} |"
        )
    yield ""


def _attacks(attacks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield (
        "| attack | worst strength | MSE / honest | MSE / without them | FedAvg | median | admitted | "
        "honest rejected | worst node |"
    )
    yield "|---|---|---|---|---|---|---|---|---|"
    for a in attacks:
        w = a["worst"]
        others = " | ".join("-" if a[key] is None else _times(a[key]) for key in (FEDAVG, MEDIAN))
        unit = f" {a['unit']}" if a["unit"] else ""
        grown = f"{w['growth']:.3f} | {w['growth_honest_only']:.3f}"
        yield (
            f"| {a['attack']} | {w['strength']:g}{unit} | {grown} | {others} | {a['admitted']:.0%} | "
            f"{a['honest_rejected']:.1%} | {a['worst_to_own']:.3f} |"
        )


def _matrix(attacks: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    yield "| attack | admitted, by strength |"
    yield "|---|---|"
    for a in attacks:
        cells = [f"{strength:g}: {share:.0%}" for strength, share in admitted_by_strength(a).items()]
        yield f"| {a['attack']} | {', '.join(cells) or 'no hostile update'} |"


def _grouped(
    attacks: Sequence[Mapping[str, Any]],
) -> dict[tuple[str, float], list[Mapping[str, Any]]]:
    found: dict[tuple[str, float], list[Mapping[str, Any]]] = {}
    for attack in attacks:
        found.setdefault((attack["scenario"], attack["share"]), []).append(attack)
    return found


def _times(value: float) -> str:
    if value >= INFINITE**0.5:
        return "diverges"
    return f"{value:.3f}" if value < 100 else f"{value:,.0f}"


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
