"""Pictures of the study (matplotlib, extra `plots`): what each attack costs, and who is admitted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from ledgerfed.evaluation.attack_study.others import FEDAVG, MEDIAN
from ledgerfed.evaluation.attack_study.parts import SHARES
from ledgerfed.evaluation.attack_study.summary import admitted_by_strength
from ledgerfed.evaluation.plots import ALONE, OTHERS, OURS

_METADATA: Final = {"Date": None}
_TOP: Final = 100.0
"""Growth beyond this is drawn as this."""


def draw_attacks(found: Mapping[str, Any], directory: Path) -> tuple[Path, ...]:
    """Write the pictures as SVG into `directory` and return their paths.

    `attacks-growth.svg` has the honest nodes' test MSE under each attack at its worst over that without,
    `attacks-admission.svg` the share of hostile node-rounds that were admitted, by attack and strength.
    """
    scenarios: dict[str, list[Mapping[str, Any]]] = {}
    for attack in found["attacks"]:
        if attack["share"] == SHARES[-1]:
            scenarios.setdefault(attack["scenario"], []).append(attack)
    with mpl.rc_context():
        mpl.rcParams["svg.hashsalt"] = "ledgerfed"
        mpl.rcParams["svg.fonttype"] = "none"
        mpl.rcParams["font.size"] = 8
        figures = {"attacks-growth": _growth(scenarios), "attacks-admission": _admission(scenarios)}
        paths = tuple(directory / f"{name}.svg" for name in figures)
        for path, figure in zip(paths, figures.values(), strict=True):
            figure.savefig(path, metadata=_METADATA, bbox_inches="tight")
    return paths


def _growth(scenarios: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    figure, axes = _panels(scenarios)
    for ax, (name, attacks) in zip(axes, scenarios.items(), strict=True):
        places = np.arange(len(attacks))
        for key, marker, colour in ((FEDAVG, "s", ALONE), (MEDIAN, "^", OTHERS)):
            shown = [(i, min(a[key], _TOP)) for i, a in enumerate(attacks) if a[key] is not None]
            if shown:
                ax.plot(
                    [x for _, x in shown],
                    [i for i, _ in shown],
                    marker,
                    color=colour,
                    label=key,
                    linestyle="none",
                )
        ours = [min(a["worst"]["growth"], _TOP) for a in attacks]
        ax.plot(ours, places, "o", color=OURS, label="this federation")
        ax.axvline(1, color="black", linewidth=0.8)
        ax.axvline(1.05, color="black", linewidth=0.6, linestyle=":")
        ax.set_xscale("log")
        ax.set_yticks(places, [a["attack"] for a in attacks])
        ax.invert_yaxis()
        ax.set_title(f"{name}, {SHARES[-1]:.0%} hostile")
        ax.set_xlabel("honest test MSE / without attack, worst strength")
        ax.legend(frameon=False)
    return figure


def _admission(scenarios: Mapping[str, Sequence[Mapping[str, Any]]]) -> Figure:
    figure, axes = _panels(scenarios)
    for ax, (name, attacks) in zip(axes, scenarios.items(), strict=True):
        for place, attack in enumerate(attacks):
            for column, (strength, share) in enumerate(admitted_by_strength(attack).items()):
                ax.add_patch(Rectangle((column - 0.5, place - 0.5), 1, 1, color=OURS, alpha=1 - share))
                ax.text(column, place, f"{strength:g}: {share:.0%}", ha="center", va="center", fontsize=6)
        widest = max(len(admitted_by_strength(attack)) for attack in attacks)
        ax.set_xlim(-0.5, widest - 0.5)
        ax.set_ylim(len(attacks) - 0.5, -0.5)
        ax.set_xticks([])
        ax.set_yticks(range(len(attacks)), [a["attack"] for a in attacks])
        ax.set_title(f"{name}: strength, and share admitted (dark: none)")
    return figure


def _panels(scenarios: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[Figure, list[Any]]:
    figure = Figure(figsize=(6.0 * len(scenarios), 6.5), layout="constrained")
    return figure, figure.subplots(1, len(scenarios), squeeze=False).ravel().tolist()
