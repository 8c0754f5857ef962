"""What several modalities are worth, and what to do when half of the nodes lack them, on real panels.

    python -m ledgerfed.evaluation.modality_study [--json]

All figures are geometric means over nodes of RMSE / naive RMSE on the test windows of `evaluation.scenarios`,
of global models and of the personal ones that have them as a prior; nothing is chosen on a test window.

**Fusing modalities**, when every node has all of them: `base` has no channel, `early` has every channel in
one basis, `late` combines one expert a modality (base columns and its channels) by the covariance of their
validation errors, `intersection` by their variances alone. The last third of a node's training rows
validates; experts that forecast the test are fitted to all of them.

**Missing modalities**, when every other node lacks all channels (both ways round, so that each node is once
among those that have them): `base` uses no channel anywhere, `padded` adds up messages with zeros, `having`
only those of nodes that have the channels, `em` is moment-EM, `completed-k` completion after k rounds, and
`nobody lacks` what would be if all had them. Who lacks channels forecasts from the columns that it has.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from ledgerfed.evaluation.bases import TRANSIT_WEEKS
from ledgerfed.evaluation.metrics import geometric_mean
from ledgerfed.evaluation.modality_models import (
    Model,
    Node,
    Rows,
    add_up,
    base_columns,
    complete,
    maximise_likelihood,
    modality_columns,
    node_of,
    pad,
    train,
)
from ledgerfed.evaluation.scenarios import Case, find_case, participants
from ledgerfed.exchange import ANY, Basis, ChannelTerm
from ledgerfed.fusion.experts import Estimate, error_moments, intersect, weigh
from ledgerfed.series.arrays import Booleans, Floats

CASES: Final = ("dryer-power", "dryer-temperature", "heart-rate-all-channels", "transit-60", "transit-180")
FUSING: Final = ("base", "early", "late", "intersection")
MISSING: Final = ("base", "padded", "having", "em", "completed-2", "completed-6", "nobody lacks")
VALIDATION: Final = 1 / 3
KINDS: Final = ("global", "personal")
HAVING: Final = ("have", "lack")
_WEATHER: Final = tuple(ChannelTerm("weather", (name,), 1) for name in ("weather_rain", "temp"))
_GAMES: Final = tuple(
    ChannelTerm("games", teams, 0, ANY)
    for teams in (("Blackhawks_Home", "Bulls_Home", "Bears_Home"), ("Baseball",))
)
TRANSIT_CHANNELS: Final = replace(TRANSIT_WEEKS, channels=_WEATHER + _GAMES)
"""Yesterday's rain and temperature, today's home games and baseball."""


def study_cases() -> tuple[Case, ...]:
    """Return the cases of the study, those of transit with weather and games."""
    found = (find_case(name) for name in CASES)
    return tuple(
        replace(case, basis=TRANSIT_CHANNELS) if case.scenario == "transit" else case for case in found
    )


def study_case(case: Case) -> dict[str, Any]:
    """Return the figures of one case by name, with the numbers of nodes and columns."""
    nodes = tuple(node_of(p) for p in participants(case))
    figures, weights = fusing(nodes, case.basis)
    return {
        "nodes": len(nodes),
        "columns": case.basis.width,
        "fusing": figures,
        "late weights": weights,
        "missing": missing(nodes, case.basis),
    }


def fusing(nodes: Sequence[Node], basis: Basis) -> tuple[dict[str, dict[str, float]], dict[str, float]]:
    """Return the error of each way to fuse modalities (FUSING) by kind, and the weights of the experts."""
    base, experts = base_columns(basis), modality_columns(basis)
    everything = np.ones(basis.width, dtype=bool)
    S = error_moments(np.concatenate(_validation_errors(nodes, list(experts.values()), base)))
    late, crossed = weigh(S), _intersection_weights(np.diag(S))
    figures: dict[str, dict[str, float]] = {}
    for kind in KINDS:
        thetas = np.stack([_alike(nodes, mask, base)[kind] for mask in experts.values()], axis=2)
        figures[kind] = {
            "base": _mean_error(nodes, _alike(nodes, base, base)[kind]),
            "early": _mean_error(nodes, _alike(nodes, everything, base)[kind]),
            "late": _mean_error(nodes, thetas @ late),
            "intersection": _mean_error(nodes, thetas @ crossed),
        }
    return figures, dict(zip(experts, late.tolist(), strict=True))


def missing(nodes: Sequence[Node], basis: Basis) -> dict[str, dict[str, dict[str, float]]]:
    """Return the error of each way to live with missing modalities (MISSING), by kind and by who has them."""
    base, everything = base_columns(basis), np.ones(basis.width, dtype=bool)
    errors: dict[tuple[str, str, str], list[float]] = {}
    for turn in (0, 1):
        masks = [everything if k % 2 == turn else base for k in range(len(nodes))]
        for method, by_kind in _live_with(nodes, masks, base).items():
            for kind, thetas in by_kind.items():
                for node, mask, theta in zip(nodes, masks, thetas, strict=True):
                    key = (kind, "have" if mask.all() else "lack", method)
                    errors.setdefault(key, []).append(node.error(node.test.X @ theta))
    return {
        kind: {group: {m: geometric_mean(errors[kind, group, m]) for m in MISSING} for group in HAVING}
        for kind in KINDS
    }


def _live_with(
    nodes: Sequence[Node], masks: Sequence[Booleans], base: Booleans
) -> dict[str, dict[str, Floats]]:
    """Each node's coefficients by method and kind, float64 [nodes, d], zero on columns that it lacks."""
    rows = [node.train for node in nodes]
    everything = np.ones(len(base), dtype=bool)
    having = [part for part, mask in zip(rows, masks, strict=True) if mask.all()]
    models = {
        "padded": train(rows, masks, base, pad),
        "having": train(having, [everything] * len(having), base, add_up),
        "em": train(rows, masks, base, maximise_likelihood),
        "completed-2": train(rows, masks, base, complete, 2),
        "completed-6": train(rows, masks, base, complete, 6),
    }
    return {name: _by_kind(nodes, model, masks, base) for name, model in models.items()} | {
        "base": _alike(nodes, base, base),
        "nobody lacks": _alike(nodes, everything, base),
    }


def _alike(nodes: Sequence[Node], mask: Booleans, base: Booleans) -> dict[str, Floats]:
    masks = [mask] * len(nodes)
    return _by_kind(nodes, train([node.train for node in nodes], masks, base, pad), masks, base)


def _by_kind(
    nodes: Sequence[Node], model: Model, masks: Sequence[Booleans], base: Booleans
) -> dict[str, Floats]:
    pairs = list(zip(nodes, masks, strict=True))
    return {
        "global": np.stack([model.for_all(mask) for _, mask in pairs]),
        "personal": np.stack([model.for_one(node.train, mask, base) for node, mask in pairs]),
    }


def _mean_error(nodes: Sequence[Node], thetas: Floats) -> float:
    return geometric_mean(
        [node.error(node.test.X @ theta) for node, theta in zip(nodes, thetas, strict=True)]
    )


def _validation_errors(nodes: Sequence[Node], masks: Sequence[Booleans], base: Booleans) -> list[Floats]:
    """Each node's validation errors by expert, float64 [rows, experts], in units of the base model's."""
    parts = [_before_and_after(node.train) for node in nodes]
    before = [part for part, _ in parts]
    thetas = [train(before, [mask] * len(nodes), base, pad).theta for mask in (base, *masks)]
    errors = []
    for _, after in parts:
        by_model = np.stack([after.y - after.X @ theta for theta in thetas], axis=1)
        unit = np.sqrt(np.mean(by_model[:, 0] ** 2))
        if unit > 0:
            errors.append(by_model[:, 1:] / unit)
    return errors


def _before_and_after(rows: Rows) -> tuple[Rows, Rows]:
    cut = len(rows.y) - round(VALIDATION * len(rows.y))
    return Rows(rows.X[:cut], rows.y[:cut]), Rows(rows.X[cut:], rows.y[cut:])


def _intersection_weights(variances: Floats) -> Floats:
    """What covariance intersection gives each expert, float64 [m]: its answer is linear in the forecasts."""
    marked = np.eye(len(variances))
    estimates = [
        [Estimate(row[i : i + 1], np.array([[variance]])) for i, variance in enumerate(variances)]
        for row in marked
    ]
    return np.array([float(intersect(given, "traces").mean[0]) for given in estimates])


def table(results: Mapping[str, Mapping[str, Any]]) -> str:
    """Return the figures as text: fusing, then missing modalities, global models before personal ones."""
    parts = []
    for kind in KINDS:
        parts.append(_line(f"{kind}, fusing", "nodes", FUSING))
        for name, result in results.items():
            errors = result["fusing"][kind]
            parts.append(_line(name, str(result["nodes"]), [f"{errors[m]:.4f}" for m in FUSING]))
        parts.append("\n" + _line(f"{kind}, missing", "at", MISSING))
        for name, result in results.items():
            for group, errors in result["missing"][kind].items():
                parts.append(_line(name, group, [f"{errors[m]:.4f}" for m in MISSING]))
        parts.append("\n")
    return "".join(parts)


def _line(name: str, group: str, values: Sequence[str]) -> str:
    return f"{name:26}{group:>6}" + "".join(f"{value:>14}" for value in values) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the study; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ledgerfed.evaluation.modality_study", description=__doc__
    )
    parser.add_argument("--json", action="store_true", help="all figures as JSON")
    parser.add_argument("--cases", nargs="+", default=list(CASES), choices=CASES)
    options = parser.parse_args(arguments)
    results = {case.name: study_case(case) for case in study_cases() if case.name in options.cases}
    sys.stdout.write(json.dumps(results, indent=1) + "\n" if options.json else table(results))
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
