"""All parts of the study as one document: every attack's worst, the admission matrix, what is held to."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable, Iterator, Mapping, Sequence
from importlib.metadata import version
from typing import Any, Final

from ledgerfed.evaluation.attack_study.catalogue import find_attack
from ledgerfed.evaluation.attack_study.others import FEDAVG, MEDIAN
from ledgerfed.evaluation.attack_study.parts import NOBODY, SHARES
from ledgerfed.evaluation.attack_study.play import ROUNDS
from ledgerfed.evaluation.digits.summary import as_markdown, digits_summary
from ledgerfed.evaluation.targets import Target

GROWTH: Final = 1.05
"""Test MSE of honest nodes under attack over that without, at most."""
TO_OWN: Final = 1.01
"""RMSE of any honest node over its own model's, at most."""
ALIE_ADMITTED: Final = 0.20
HONEST_REJECTED: Final = 0.01
SIGN_FLIP: Final = 2.5
COLUMNS: Final = (
    "growth",
    "growth_honest_only",
    "worst_growth",
    "to_own",
    "worst_to_own",
    "worst_to_own_before",
    "hostile",
    "hostile_admitted",
    "honest",
    "honest_rejected",
    "aborted",
    FEDAVG,
    MEDIAN,
    "FedAvg_to_own",
    "median_to_own",
)
"""What a trial measures, in the order of the table."""
Trial = Mapping[str, Any]


def gather_attacks(documents: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the documents of all parts as one: what happens without attack, every attack, the targets.

    Documents that name a defence are of the digits, and become the rows of their table.
    """
    series = [document for document in documents if "defence" not in document]
    attacks = [_summed(document) for document in series if document["attack"] != NOBODY]
    before = [dict(document) for document in series if document["attack"] == NOBODY]
    digits = digits_summary([document for document in documents if "defence" in document])
    targets = (*attack_targets(before, attacks), *digits["targets"])
    return {
        "version": version("ledgerfed"),
        "rounds": ROUNDS,
        "targets": [target.document() for target in targets],
        "lines": [target.line() for target in targets],
        "without": before,
        "attacks": attacks,
        "digits": digits["rows"],
    }


def attack_targets(
    before: Sequence[Mapping[str, Any]], attacks: Sequence[Mapping[str, Any]]
) -> Iterator[Target]:
    """Yield the lines that every scenario is held to, each naming its worst attack."""
    for calm in before:
        name = calm["scenario"]
        of = [a for a in attacks if a["scenario"] == name]
        yield Target(f"{name}: honest rejected without attack", _share(calm, "honest"), HONEST_REJECTED)
        if of:
            yield from _under_attack(name, of)


def _under_attack(name: str, attacks: Sequence[Mapping[str, Any]]) -> Iterator[Target]:
    most = [a for a in attacks if a["share"] == SHARES[-1] and not find_attack(a["attack"]).beyond]
    flips = _trials(most, lambda a, t: a == "sign flip" and t["strength"] == SIGN_FLIP)
    for key, against in (("growth", "everybody honest"), ("growth_honest_only", "only the honest present")):
        if flips:
            grown = max(t[key] for _, t in flips)
            yield Target(f"{name}: sign flip x {SIGN_FLIP:g}, MSE / {against}", grown, GROWTH)
        found, trial = max(_trials(most), key=lambda each: each[1][key])
        yield Target(f"{name}: worst ({_spelled(found, trial)}), MSE / {against}", trial[key], GROWTH)
    found, trial = max(_trials(attacks), key=lambda each: each[1]["worst_to_own"])
    yield Target(f"{name}: worst node / own ({_spelled(found, trial)})", trial["worst_to_own"], TO_OWN)
    loud = [t for _, t in _trials(attacks, lambda _, t: t["loud"])]
    if loud:
        yield Target(f"{name}: loud attacks admitted", _pooled(loud, "hostile"), 0.0)
    alie = [t for _, t in _trials(attacks, lambda a, t: a == "ALIE" and abs(t["strength"]) == 1)]
    if alie:
        yield Target(f"{name}: ALIE (z = 1) admitted", _pooled(alie, "hostile"), ALIE_ADMITTED)
    everything = [t for _, t in _trials(attacks)]
    yield Target(f"{name}: honest rejected under attack", _pooled(everything, "honest"), HONEST_REJECTED)


def differences(found: Mapping[str, Any], committed: Mapping[str, Any], tolerance: float) -> tuple[str, ...]:
    """Return where the figures of two studies differ by more than `tolerance`, relative to at least 1.

    Committed figures of scenarios and attacks that were not looked at do not count.
    """
    ours, theirs = _figures(found), _figures(committed)
    lines = []
    for key in sorted(ours):
        if key not in theirs:
            lines.append(f"{' '.join(key)} is not committed")
        elif not abs(ours[key] - theirs[key]) <= tolerance * max(1.0, abs(theirs[key])):
            lines.append(f"{' '.join(key)} is {ours[key]}, committed is {theirs[key]}")
    return tuple(lines)


def as_csv(found: Mapping[str, Any]) -> str:
    """Return every trial as a line of comma-separated values (RFC 4180), a header first."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("scenario", "share", "attack", "strength", "seed", *COLUMNS))
    for attack in found["attacks"]:
        for t in attack["trials"]:
            row = (attack["scenario"], attack["share"], attack["attack"], t["strength"], t["seed"])
            writer.writerow((*row, *(t[key] for key in COLUMNS)))
    return out.getvalue()


def as_text(found: Mapping[str, Any]) -> Iterator[str]:
    """Yield the tables for a person: a line for each attack at its worst, and the digits."""
    title = ""
    for attack in found["attacks"]:
        if (heading := f"{attack['scenario']}, {attack['share']:.0%} hostile") != title:
            title = heading
            yield f"\n{title}"
            heads = f"{'worst':>9}{'MSE':>8}{'FedAvg':>11}{'median':>11}{'admitted':>10}{'worst/own':>11}"
            yield f"{'':26}{heads}"
        w = attack["worst"]
        others = "".join(f"{_cell(attack[key]):>11}" for key in (FEDAVG, MEDIAN))
        yield (
            f"{attack['attack']:26}{w['strength']:9g}{w['growth']:8.3f}{others}{attack['admitted']:10.0%}"
            f"{attack['worst_to_own']:11.3f}"
        )
    if found["digits"]:
        yield "\ndigits, worst accuracy by Dirichlet concentration and number of hostile nodes"
        yield from as_markdown(found["digits"])


def admitted_by_strength(attack: Mapping[str, Any]) -> dict[float, float]:
    """Return the share of hostile node-rounds that were admitted with weight, by ascending strength."""
    trials = [trial for trial in attack["trials"] if trial["hostile"]]
    strengths = sorted({trial["strength"] for trial in trials})
    found = {}
    for strength in strengths:
        these = [trial for trial in trials if trial["strength"] == strength]
        found[strength] = sum(t["hostile_admitted"] for t in these) / sum(t["hostile"] for t in these)
    return found


def _summed(document: Mapping[str, Any]) -> dict[str, Any]:
    """Return a part with its worst trial, and the worst that other methods and single nodes had."""
    trials = document["trials"]
    worst = max(trials, key=lambda trial: trial["growth"])
    return {
        **{key: document[key] for key in ("scenario", "attack", "share", "unit")},
        "worst": {key: worst[key] for key in ("strength", "seed", "growth", "growth_honest_only")},
        "admitted": _rounded(_pooled(trials, "hostile")),
        "honest_rejected": _rounded(_pooled(trials, "honest")),
        "worst_to_own": max(trial["worst_to_own"] for trial in trials),
        FEDAVG: _largest(trials, FEDAVG),
        MEDIAN: _largest(trials, MEDIAN),
        "trials": trials,
    }


def _trials(
    attacks: Sequence[Mapping[str, Any]], asked: Callable[[str, Trial], bool] = lambda _a, _t: True
) -> list[tuple[Mapping[str, Any], Trial]]:
    return [(a, t) for a in attacks for t in a["trials"] if asked(a["attack"], t)]


def _pooled(trials: Sequence[Trial], who: str) -> float:
    """Return the share of hostile node-rounds that were admitted, or of honest ones that were rejected."""
    key = "hostile_admitted" if who == "hostile" else "honest_rejected"
    total = sum(trial[who] for trial in trials)
    return sum(trial[key] for trial in trials) / total if total else 0.0


def _share(document: Mapping[str, Any], who: str) -> float:
    return _pooled([document], who)


def _largest(trials: Sequence[Trial], key: str) -> float | None:
    return max((trial[key] for trial in trials if trial[key] is not None), default=None)


def _spelled(attack: Mapping[str, Any], trial: Trial) -> str:
    share = "" if attack["share"] == SHARES[-1] else f" at {attack['share']:.0%}"
    return f"{attack['attack']} {trial['strength']:g}{share}"


def _figures(document: Mapping[str, Any]) -> dict[tuple[str, ...], float]:
    figures: dict[tuple[str, ...], float] = {}
    for calm in document["without"]:
        for key in ("to_own", "worst_to_own", "honest_rejected"):
            figures[calm["scenario"], NOBODY, key] = float(calm[key])
    for attack in document["attacks"]:
        place = attack["scenario"], f"{attack['share']:g}", attack["attack"]
        for trial in attack["trials"]:
            for key in COLUMNS:
                if trial[key] is not None:
                    at = f"{trial['strength']:g}", f"s{trial['seed']}"
                    figures[(*place, *at, key)] = float(trial[key])
    for row in document["digits"]:
        figures["digits", f"{row['concentration']:g}", str(row["hostile"]), row["defence"]] = row["accuracy"]
    return figures


def _cell(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}" if value < 1000 else f"{value:.0e}"


def _rounded(value: float) -> float:
    return round(value, 6)
