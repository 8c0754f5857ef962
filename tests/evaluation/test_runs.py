"""A whole evaluation in parts: kept, resumed, the same by however many processes, checked."""

from __future__ import annotations

import json
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import pytest

from ledgerfed.errors import ConfigurationError
from ledgerfed.evaluation import worker
from ledgerfed.evaluation.compare import METHODS
from ledgerfed.evaluation.runs import HORIZONS, Part, differences, do, evaluate, gather, parts
from ledgerfed.evaluation.scenarios import CASES, find_case

WANTED = (Part("dryer-power"), Part("dryer-temperature"), Part("dryer-power", "guarantees"))
Found = dict[Part, dict[str, Any]]


def quiet(_: Part) -> None:
    """Nobody listens."""


def without_times(found: Found) -> dict[str, Any]:
    document = gather(found)
    return {key: value for key, value in document.items() if key != "times"}


@pytest.fixture(scope="module")
def kept(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Found]:
    directory = tmp_path_factory.mktemp("parts")
    return directory, evaluate(WANTED, directory, 1, quiet)


def test_two_processes_find_what_one_finds(kept: tuple[Path, Found], tmp_path: Path) -> None:
    assert without_times(evaluate(WANTED, tmp_path, 2, quiet)) == without_times(kept[1])


def test_a_run_that_stopped_goes_on_and_ends_alike(kept: tuple[Path, Found], tmp_path: Path) -> None:
    class StoppedError(Exception):
        pass

    def stop(_: Part) -> None:
        raise StoppedError

    with pytest.raises(StoppedError):
        evaluate(WANTED, tmp_path, 1, stop)
    left = {path.name for path in tmp_path.glob("*.json")}
    assert 1 <= len(left) < len(WANTED)
    stamps = {name: (tmp_path / name).stat().st_mtime_ns for name in left}
    told: list[Part] = []
    found = evaluate(WANTED, tmp_path, 1, told.append)
    assert sorted(part.name for part in told) == sorted(part.name for part in WANTED)
    assert {name: (tmp_path / name).stat().st_mtime_ns for name in left} == stamps
    assert without_times(found) == without_times(kept[1])


def test_what_is_kept_is_not_computed_again(kept: tuple[Path, Found]) -> None:
    directory, found = kept
    before = {path: path.read_bytes() for path in directory.glob("*.json")}
    assert evaluate(WANTED, directory, 1, quiet) == found
    assert {path: path.read_bytes() for path in directory.glob("*.json")} == before
    assert len(before) == len(WANTED)


@pytest.mark.parametrize("torn", ['{"rows": [', "[]", '{"exact": {}}', ""])
def test_a_torn_part_is_named_and_not_believed(kept: tuple[Path, Found], tmp_path: Path, torn: str) -> None:
    (original,) = kept[0].glob("dryer-power-compare*.json")
    (tmp_path / original.name).write_text(torn, "utf-8")
    with pytest.raises(ConfigurationError, match=rf"{original.name}.*delete it, or give --fresh"):
        evaluate(WANTED[:1], tmp_path, 1, quiet)


def test_parts_of_another_program_are_not_taken_for_its_own(kept: tuple[Path, Found], tmp_path: Path) -> None:
    (original,) = kept[0].glob("dryer-power-compare*.json")
    stem, _, program = original.stem.rpartition("-")
    assert len(program) == 8
    (tmp_path / f"{stem}-00000000.json").write_text('{"rows": []}', "utf-8")
    assert evaluate(WANTED[:1], tmp_path, 1, quiet)[WANTED[0]]["rows"]


def test_the_document_orders_rows_by_case_and_gathers_targets(kept: tuple[Path, Found]) -> None:
    document = gather(dict(reversed(kept[1].items())))
    places = [(row["case"], row["horizon"], row["method"]) for row in gather(kept[1])["rows"]]
    assert [m for c, _, m in places if c == "dryer-power"] == list(METHODS)
    assert {(c, h) for c, h, _ in places} == {("dryer-power", 1), ("dryer-temperature", 1)}
    assert {t["target"] for t in document["targets"]} >= {
        "dryer-power: personal / own model",
        "dryer-power: global - centralized weighted fit",
        "dryer-temperature: personal / naive",
    }
    assert len(document["lines"]) == len(document["targets"])
    assert json.loads(json.dumps(document)) == document


def test_parts_cover_horizons_guarantees_and_seeds_where_families_differ() -> None:
    alike = find_case("transit-180")
    mixed = replace(alike, families=("ar", "arma"))
    assert {(p.kind, p.horizon, p.seed) for p in parts([alike], 3)} == {
        ("compare", 1, 0),
        *(("compare", steps, 0) for steps in HORIZONS["transit-180"]),
        ("guarantees", 1, 0),
    }
    assert {p.seed for p in parts([mixed], 3)} == {0, 1, 2}
    whole = parts(CASES, 1)
    assert len({part.name for part in whole}) == len(whole)
    assert whole[0].case == "heart-rate-all-channels"


def test_a_part_is_the_same_whoever_does_it(kept: tuple[Path, Found]) -> None:
    found = {WANTED[1]: do(WANTED[1])}
    assert without_times(found)["rows"] == without_times({WANTED[1]: kept[1][WANTED[1]]})["rows"]


def changed(document: dict[str, Any], key: str, by: float) -> dict[str, Any]:
    copy: dict[str, Any] = json.loads(json.dumps(document))
    copy["rows"][3][key] += by
    return copy


def test_a_changed_figure_is_named_and_one_within_the_tolerance_forgiven(kept: tuple[Path, Found]) -> None:
    document = gather(kept[1])
    assert differences(document, document, 0) == ()
    assert differences(document, changed(document, "ratio", 1e-4), 2e-3) == ()
    (line,) = differences(document, changed(document, "ratio", 0.01), 2e-3)
    row = document["rows"][3]
    assert line.startswith(f"dryer-power h1 s0 {row['method']} ratio is {row['ratio']}, committed is ")
    (line,) = differences(changed(document, "ratio", float("nan")), document, 2e-3)
    assert "is nan, committed" in line


def test_rows_that_are_missing_or_new_are_named_and_other_cases_are_not(kept: tuple[Path, Found]) -> None:
    document = gather(kept[1])
    fewer = document | {"rows": document["rows"][1:]}
    missing = differences(fewer, document, 2e-3)
    assert missing
    assert all(
        line.startswith("dryer-power h1 s0 naive ") and line.endswith("is missing") for line in missing
    )
    new = differences(document, fewer, 2e-3)
    assert len(new) == len(missing)
    assert all(line.endswith("is not committed") for line in new)
    other = document | {"rows": [row for row in document["rows"] if row["case"] != "dryer-temperature"]}
    assert differences(other, document, 2e-3) == ()
    harmed = json.loads(json.dumps(document))
    harmed["harm"][0]["robust"] += 1
    harmed["exactness"][0]["payload_bytes"] += 10
    assert [line.split(" is ")[0] for line in differences(harmed, document, 2e-3)] == [
        "dryer-power harm at 1",
        "dryer-power payload_bytes",
    ]


def test_a_worker_computes_on_one_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    threads = "(__import__('numpy'), len(__import__('os').listdir('/proc/self/task')))[1]"
    with ProcessPoolExecutor(1, get_context("spawn"), initializer=worker.begin) as pool:
        assert pool.submit(eval, threads).result() == 1


def test_a_killed_worker_is_reported_and_what_is_done_stays(tmp_path: Path) -> None:
    import os
    import signal
    from multiprocessing import active_children

    def kill(_: Part) -> None:
        for child in active_children():
            os.kill(child.pid or 0, signal.SIGKILL)

    with pytest.raises(ConfigurationError, match=r"a worker process was killed.*fewer --workers"):
        evaluate(WANTED, tmp_path, 1, kill)
    assert len(list(tmp_path.glob("*.json"))) >= 1
    assert not list(tmp_path.glob("*.tmp"))
