"""Pictures of an evaluation (matplotlib, extra `plots`): who is how good, who gains, what a liar can do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
from matplotlib.figure import Figure

from ledgerfed.evaluation.compare import OWN_MODEL, PERSONAL
from ledgerfed.evaluation.documents import case_title

OURS: Final = "#0b6e4f"
OTHERS: Final = "#9aa5b1"
ALONE: Final = "#c8553d"
_METADATA: Final = {"Date": None}


def draw(found: Mapping[str, Any], directory: Path) -> tuple[Path, ...]:
    """Write the pictures as SVG into `directory` and return their paths.

    `errors.svg` has RMSE / naive of every method by case, `gains.svg` each node's error against its own
    model's, sorted, and `harm.svg` what one hostile node does to the others.
    """
    cases: dict[str, list[Mapping[str, Any]]] = {}
    for row in found["rows"]:
        cases.setdefault(case_title(row), []).append(row)
    with mpl.rc_context():
        mpl.rcParams["svg.hashsalt"] = "ledgerfed"
        mpl.rcParams["svg.fonttype"] = "none"
        mpl.rcParams["font.size"] = 9
        figures = {"errors": _errors(cases), "gains": _gains(cases)}
        if found["harm"]:
            figures["harm"] = _harm(found["harm"])
        paths = tuple(directory / f"{name}.svg" for name in figures)
        for path, figure in zip(paths, figures.values(), strict=True):
            figure.savefig(path, metadata=_METADATA, bbox_inches="tight")
    return paths


def _grid(count: int, height: float) -> tuple[Figure, list[Any]]:
    columns = min(3, count)
    lines = -(-count // columns)
    figure = Figure(figsize=(4.2 * columns, height * lines), layout="constrained")
    axes = figure.subplots(lines, columns, squeeze=False).ravel().tolist()
    for unused in axes[count:]:
        unused.set_visible(False)
    return figure, axes[:count]


def _errors(cases: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    figure, axes = _grid(len(cases), 2.6)
    for ax, (title, rows) in zip(axes, cases.items(), strict=True):
        names = [row["method"] for row in rows]
        ratios = [row["ratio"] for row in rows]
        limit = 1.15 * max(1.2, sorted(ratios)[len(ratios) // 2])
        ax.barh(names, [min(r, limit) for r in ratios], color=[_colour(name) for name in names])
        for place, ratio in enumerate(ratios):
            ax.text(min(ratio, limit), place, f" {ratio:.3f}" + (" →" if ratio > limit else ""), va="center")
        ax.axvline(1, color="black", linewidth=0.8)
        ax.set_xlim(0, 1.25 * limit)
        ax.invert_yaxis()
        ax.set_title(title)
        ax.set_xlabel("RMSE / naive, geometric mean over nodes")
    return figure


def _gains(cases: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    figure, axes = _grid(len(cases), 2.4)
    for ax, (title, rows) in zip(axes, cases.items(), strict=True):
        for row in rows:
            ratios = sorted(node["to_own"] for node in row["nodes"])
            ours = row["method"] == PERSONAL
            ax.plot(
                [(place + 0.5) / len(ratios) for place in range(len(ratios))],
                ratios,
                color=_colour(row["method"]),
                linewidth=2.2 if ours else 0.8,
                label=row["method"] if ours else None,
                zorder=3 if ours else 1,
            )
        ax.axhline(1, color="black", linewidth=0.8)
        ax.set_yscale("log")
        ax.set_title(title)
        ax.set_xlabel("share of nodes")
        ax.set_ylabel("RMSE / own model's")
        ax.legend(frameon=False)
    return figure


def _harm(harms: Sequence[Mapping[str, Any]]) -> Figure:
    figure, (ax,) = _grid(1, 3.0)
    for case in dict.fromkeys(harm["case"] for harm in harms):
        line = [harm for harm in harms if harm["case"] == case]
        claims = [harm["claim"] for harm in line]
        ax.plot(claims, [harm["plain"] for harm in line], "o--", color=ALONE, alpha=0.7)
        ax.plot(claims, [harm["robust"] for harm in line], "o-", color=OURS, alpha=0.7)
    ax.plot([], [], "o--", color=ALONE, label="plain sum of what is claimed")
    ax.plot([], [], "o-", color=OURS, label="this federation")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.set_xlabel("precision that one hostile node claims, times its own")
    ax.set_ylabel("honest nodes' RMSE / without it")
    ax.legend(frameon=False)
    return figure


def _colour(method: str) -> str:
    if method.startswith("federated,"):
        return OURS
    return ALONE if method == OWN_MODEL else OTHERS
