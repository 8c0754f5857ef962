"""A whole evaluation: its parts, each in a process of its own and kept in a file, so that it can go on.

A part is a case with a seed and a horizon, or the guarantees of a case. What an earlier run of the same
version left is not computed again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Final

from ledgerfed.errors import ConfigurationError
from ledgerfed.evaluation.compare import METHODS, compare
from ledgerfed.evaluation.documents import guarantee_document, row_document, times_document
from ledgerfed.evaluation.guarantees import Exactness, Harm, exactness, harm
from ledgerfed.evaluation.scenarios import CASES, Case, find_case

HORIZONS: Final = {"transit-180": (7,), "heart-rate": (3,), "dryer-power": (5,)}
"""Which cases are looked at further ahead too, in grid steps."""
GUARANTEED: Final = ("transit-60", "transit-180", "heart-rate", "dryer-power", "dryer-temperature")
"""The cases whose exchange is measured: all but the widest, where a round of 159 liars takes long."""
SCENARIOS: Final = tuple(dict.fromkeys(case.scenario for case in CASES))


@dataclass(frozen=True, slots=True)
class Part:
    """A piece of work with a name of its own."""

    case: str
    kind: str = "compare"
    seed: int = 0
    horizon: int = 1

    @property
    def name(self) -> str:
        """The name of its file, without suffix."""
        return f"{self.case}-{self.kind}-h{self.horizon}-s{self.seed}"


def parts(cases: Sequence[Case], seeds: int) -> tuple[Part, ...]:
    """Return the parts of these cases, the longest first; seeds matter where families are dealt out."""
    found = []
    for case in cases:
        dealt = range(seeds if len(case.families) > 1 else 1)
        found += [Part(case.name, seed=seed) for seed in dealt]
        found += [Part(case.name, horizon=steps) for steps in HORIZONS.get(case.name, ())]
        if case.name in GUARANTEED:
            found.append(Part(case.name, "guarantees"))
    return tuple(sorted(found, key=lambda part: not part.case.endswith("all-channels")))


def do(part: Part) -> dict[str, Any]:
    """Return what a part found, as a document."""
    case = find_case(part.case)
    if part.kind == "guarantees":
        return {"exact": asdict(exactness(case)), "harm": [asdict(h) for h in harm(case)]}
    rows = list(compare(case, part.seed, part.horizon))
    return {"rows": [row_document(row) | {"times": times_document(row)} for row in rows]}


def evaluate(
    wanted: Sequence[Part], directory: Path, workers: int, on_done: Callable[[Part], None]
) -> dict[Part, dict[str, Any]]:
    """Return what the parts found, computing those that `directory` does not hold.

    Raises:
        ConfigurationError: a file of an earlier run cannot be read.
    """
    directory.mkdir(parents=True, exist_ok=True)
    found = {part: kept for part in wanted if (kept := _read(directory, part)) is not None}
    for part in found:
        on_done(part)
    missing = [part for part in wanted if part not in found]
    for part, document in _compute(missing, workers):
        _write(directory, part, document)
        found[part] = document
        on_done(part)
    return {part: found[part] for part in sorted(wanted, key=_order)}


def gather(found: dict[Part, dict[str, Any]]) -> dict[str, Any]:
    """Return all parts as one document: rows, guarantees, and how the targets are met."""
    from ledgerfed.evaluation.targets import accuracy_targets, exchange_targets

    rows = [row for part, document in found.items() if part.kind == "compare" for row in document["rows"]]
    kept = [document for part, document in found.items() if part.kind == "guarantees"]
    exact = [Exactness(**document["exact"]) for document in kept]
    harms = [Harm(**h) for document in kept for h in document["harm"]]
    targets = (*exchange_targets(exact, harms), *accuracy_targets(rows))
    return {
        "version": version("ledgerfed"),
        "methods": list(METHODS),
        "targets": [target.document() for target in targets],
        "lines": [target.line() for target in targets],
        "exactness": [guarantee_document(e) for e in exact],
        "harm": [guarantee_document(h) for h in harms],
        "rows": [{key: value for key, value in row.items() if key != "times"} for row in rows],
        "times": [
            {
                "case": r["case"],
                "method": r["method"],
                "seed": r["seed"],
                "horizon": r["horizon"],
                **r["times"],
            }
            for r in rows
        ],
    }


def differences(found: dict[str, Any], committed: dict[str, Any], tolerance: float) -> tuple[str, ...]:
    """Return where the figures of two evaluations differ by more than `tolerance`, relative to at least 1."""
    ours, theirs = _figures(found), _figures(committed)
    lines = [f"{key} is missing" for key in sorted(theirs.keys() - ours.keys())]
    for key in sorted(ours.keys() & theirs.keys()):
        apart = abs(ours[key] - theirs[key]) / max(1.0, abs(theirs[key]))
        if not apart <= tolerance:
            lines.append(f"{key} is {ours[key]}, committed is {theirs[key]}")
    return tuple(lines)


def _figures(document: dict[str, Any]) -> dict[str, float]:
    figures = {}
    for row in document["rows"]:
        place = f"{row['case']} h{row['horizon']} s{row['seed']} {row['method']}"
        for key, value in row.items():
            if isinstance(value, int | float) and key not in ("seed", "horizon"):
                figures[f"{place} {key}"] = float(value)
    for harmed in document["harm"]:
        figures[f"{harmed['case']} harm at {harmed['claim']}"] = float(harmed["robust"])
    return figures


def _compute(missing: Sequence[Part], workers: int) -> Iterator[tuple[Part, dict[str, Any]]]:
    if not missing:
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), _one_thread) as pool:
        waiting: dict[Future[dict[str, Any]], Part] = {pool.submit(do, part): part for part in missing}
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _one_thread() -> None:
    """Let the workers be the parallelism: threads of the linear algebra would only fight for the cores."""
    for name in ("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(name, "1")


def _file(directory: Path, part: Part) -> Path:
    key = json.dumps(
        [version("ledgerfed"), sorted(METHODS), find_case(part.case).basis.document()], sort_keys=True
    )
    return directory / f"{part.name}-{hashlib.sha256(key.encode()).hexdigest()[:8]}.json"


def _read(directory: Path, part: Part) -> dict[str, Any] | None:
    path = _file(directory, part)
    try:
        document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read ({error}); delete it, or give --fresh") from error
    return document


def _write(directory: Path, part: Part, document: dict[str, Any]) -> None:
    path = _file(directory, part)
    fresh = path.with_suffix(".tmp")
    fresh.write_text(json.dumps(document), "utf-8")
    fresh.replace(path)


def _order(part: Part) -> tuple[int, str, int, int]:
    return [case.name for case in CASES].index(part.case), part.kind, part.seed, part.horizon
