"""The parts of the study: one attack on one scenario at one share of hostile nodes, all strengths and seeds.

The seed draws who is hostile and feeds the attack's noise. Every trial is held against two runs without
attack: the same nodes all honest, and only the honest ones present.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import numpy as np

from ledgerfed.evaluation.attack_study.catalogue import ATTACKS, AttackKind, Play, Setting, find_attack
from ledgerfed.evaluation.attack_study.nodes import MOST_HOSTILE, SCENARIOS, load
from ledgerfed.evaluation.attack_study.others import (
    FEDAVG,
    MEDIAN,
    comparable,
    fedavg_mse,
    growth,
    median_mse,
)
from ledgerfed.evaluation.attack_study.play import Played, own_mse, play
from ledgerfed.evaluation.attack_study.search import search
from ledgerfed.series.arrays import Floats

NOBODY: Final = "no attack"
SHARES: Final = (0.2, MOST_HOSTILE)
SEEDS: Final = {0.0: 1, 0.2: 1, 0.4: 2}
"""How often the hostile nodes are drawn, by their share."""
REFINEMENTS: Final = {0.2: 0, 0.4: 1}
TO_OWN: Final = {FEDAVG: "FedAvg_to_own", MEDIAN: "median_to_own"}
NEEDS: Final = frozenset({"scenario", "attack", "share", "trials"})
"""The keys of every part's document."""
_DIGITS: Final = 6


@dataclass(frozen=True, slots=True)
class AttackPart:
    """One attack on one scenario; `quick` tries every other strength once and refines nothing."""

    scenario: str
    attack: str
    share: float
    quick: bool = False

    @property
    def name(self) -> str:
        """The name of its file, without suffix."""
        spelled = self.attack.replace(" ", "-").replace(",", "").replace("'", "")
        return f"attacks-{self.scenario}-{spelled}-{self.share:g}" + ("-quick" if self.quick else "")


@dataclass(frozen=True, slots=True, eq=False)
class _Before:
    """What the honest nodes have without attack: test MSE, float64 [honest]."""

    setting: Setting
    own: Floats
    everybody: Floats
    honest_only: Floats
    fedavg: Floats
    median: Floats


def attack_parts(scenarios: Sequence[str], quick: bool) -> tuple[AttackPart, ...]:
    """Return the parts of these scenarios, the slowest scenario first."""
    found = [AttackPart(name, NOBODY, 0.0, quick) for name in scenarios]
    for share in SHARES[-1:] if quick else reversed(SHARES):
        found += [AttackPart(name, kind.name, share, quick) for name in scenarios for kind in ATTACKS]
    order = [scenario.name for scenario in SCENARIOS]
    return tuple(sorted(found, key=lambda part: (-part.share, order.index(part.scenario))))


def do_attack(part: AttackPart) -> dict[str, Any]:
    """Return what a part found, as a document."""
    if part.attack == NOBODY:
        return _without(part)
    kind = find_attack(part.attack)
    seeds = 1 if part.quick else SEEDS[part.share]
    strengths = kind.strengths[:: 2 if part.quick and len(kind.strengths) > 3 else 1]
    trials: list[dict[str, Any]] = []

    def harm(strength: float) -> float:
        found = [_trial(part, kind, strength, seed) for seed in range(seeds)]
        trials.extend(found)
        return max(float(trial["growth"]) for trial in found)

    refinements = 0 if part.quick or not kind.refined else REFINEMENTS[part.share]
    search(strengths, harm, refinements)
    return {
        "scenario": part.scenario,
        "attack": part.attack,
        "share": part.share,
        "unit": kind.unit,
        "trials": trials,
    }


def settle(name: str, share: float, seed: int) -> Setting:
    """Return who is hostile: the seed draws round(share * nodes) of them."""
    nodes = len(load(name))
    order = np.random.default_rng([seed, nodes]).permutation(nodes).tolist()
    hostile = round(share * nodes)
    return Setting(seed, tuple(sorted(order[:hostile])), tuple(sorted(order[hostile:])))


def _without(part: AttackPart) -> dict[str, Any]:
    federation = load(part.scenario)
    everybody = tuple(range(len(federation)))
    found = play(federation, everybody)
    own = np.array([own_mse(node) for node in federation.nodes])
    return {
        "scenario": part.scenario,
        "attack": part.attack,
        "share": 0.0,
        "unit": "",
        "nodes": len(federation),
        "to_own": _to_own(found.mse, own),
        "worst_to_own": _worst_ratio(found.mse, own),
        TO_OWN[FEDAVG]: _to_own(fedavg_mse(federation, everybody), own),
        TO_OWN[MEDIAN]: _to_own(median_mse(federation, everybody), own),
        **_verdicts(found),
        "trials": [],
    }


@lru_cache(maxsize=8)
def _before(name: str, share: float, seed: int) -> _Before:
    federation, setting = load(name), settle(name, share, seed)
    alone = federation.of(setting.honest)
    return _Before(
        setting,
        np.array([own_mse(federation.nodes[i]) for i in setting.honest]),
        play(federation, setting.honest).mse,
        play(alone, tuple(range(len(alone)))).mse,
        fedavg_mse(federation, setting.honest),
        median_mse(federation, setting.honest),
    )


def _trial(part: AttackPart, kind: AttackKind, strength: float, seed: int) -> dict[str, Any]:
    federation, before = load(part.scenario), _before(part.scenario, part.share, seed)
    at = before.setting
    attack = kind.play(strength, at)
    found = play(federation, at.honest, at.ring, attack)
    return {
        "strength": strength,
        "seed": seed,
        "loud": kind.loud(strength),
        "growth": _rounded(growth(found.mse, before.everybody)),
        "growth_honest_only": _rounded(growth(found.mse, before.honest_only)),
        "worst_growth": _rounded(float((found.mse / before.everybody).max())),
        "to_own": _to_own(found.mse, before.own),
        "worst_to_own": _worst_ratio(found.mse, before.own),
        "worst_to_own_before": _worst_ratio(before.everybody, before.own),
        **_verdicts(found),
        **_others(part, at, attack, before),
    }


def _others(part: AttackPart, at: Setting, attack: Play, before: _Before) -> dict[str, float | None]:
    if not comparable(attack):
        return {FEDAVG: None, MEDIAN: None, TO_OWN[FEDAVG]: None, TO_OWN[MEDIAN]: None}
    federation = load(part.scenario)
    fedavg = fedavg_mse(federation, at.honest, at.ring, attack)
    median = median_mse(federation, at.honest, at.ring, attack)
    return {
        FEDAVG: _rounded(growth(fedavg, before.fedavg)),
        MEDIAN: _rounded(growth(median, before.median)),
        TO_OWN[FEDAVG]: _to_own(fedavg, before.own),
        TO_OWN[MEDIAN]: _to_own(median, before.own),
    }


def _verdicts(found: Played) -> dict[str, Any]:
    return {
        "hostile": found.hostile.total,
        "hostile_admitted": found.hostile.weighed,
        "hostile_reasons": dict(found.hostile.reasons),
        "honest": found.honest.total,
        "honest_rejected": found.honest.total - found.honest.admitted,
        "honest_reasons": dict(found.honest.reasons),
        "aborted": found.aborted,
    }


def _to_own(mse: Floats, own: Floats) -> float:
    """Return the geometric mean of RMSE over that of the nodes' own models."""
    return _rounded(growth(mse, own) ** 0.5)


def _worst_ratio(mse: Floats, own: Floats) -> float:
    """Return the worst node's RMSE over that of its own model."""
    return _rounded(float(np.sqrt((mse / own).max())))


def _rounded(value: float) -> float:
    return round(value, _DIGITS)
