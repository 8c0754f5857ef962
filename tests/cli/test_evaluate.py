"""`ledgerfed evaluate`: a table, files, a check against committed figures; what goes wrong is one line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest
from command_line import PROGRAM, Ended, ledgerfed

from ledgerfed.evaluation.compare import METHODS

CASE = "dryer-power"
RESULTS = Path(__file__).parents[2] / "docs" / "evaluation" / "results.json"
Evaluated = tuple[Path, Ended]


def evaluate(directory: Path, *arguments: str, scenario: str = CASE) -> Ended:
    return ledgerfed(
        "evaluate", "--scenario", scenario, "--dir", str(directory), "--workers", "1", *arguments
    )


@pytest.fixture(scope="module")
def evaluated(tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    directory = tmp_path_factory.mktemp("evaluation")
    ended = evaluate(directory, "--json", "--plots")
    assert ended.code == 0, ended.err
    return directory, ended


def test_the_last_line_is_one_object_and_the_files_hold_the_same(evaluated: Evaluated) -> None:
    directory, ended = evaluated
    document = ended.document
    assert [row["method"] for row in document["rows"] if row["horizon"] == 1] == list(METHODS)
    kept = json.loads((directory / "results.json").read_text("utf-8"))
    assert document["rows"] == kept["rows"]
    assert document["targets"] == kept["targets"]
    assert document["differences"] == []
    assert (directory / "results.csv").read_text("utf-8").startswith("case,seed,horizon,method,ratio")
    assert "Traceback" not in ended.err


def test_pictures_are_drawn(evaluated: Evaluated) -> None:
    directory, ended = evaluated
    assert [Path(path).name for path in ended.document["plots"]] == ["errors.svg", "gains.svg", "harm.svg"]
    assert all((directory / Path(path).name).stat().st_size for path in ended.document["plots"])


def test_people_get_a_table_and_the_verdict_on_every_target(evaluated: Evaluated) -> None:
    ended = evaluate(evaluated[0])
    assert ended.code == 0
    assert f"\n{CASE}\n" in ended.out
    assert all(f"\n{method}  " in ended.out for method in METHODS)
    lines = [line for line in ended.out.splitlines() if line.endswith(" met") or "MISSED by" in line]
    assert len(lines) == len(evaluated[1].document["targets"])


def test_a_check_against_its_own_results_passes_and_a_changed_figure_is_named(
    evaluated: Evaluated, tmp_path: Path
) -> None:
    directory, _ = evaluated
    committed = directory / "results.json"
    copy = tmp_path / "committed.json"
    document = json.loads(committed.read_text("utf-8"))
    copy.write_text(json.dumps(document), "utf-8")
    assert evaluate(directory, "--check", str(copy)).code == 0
    document["rows"][0]["to_own"] += 0.1
    copy.write_text(json.dumps(document), "utf-8")
    ended = evaluate(directory, "--check", str(copy))
    assert ended.code == 3
    assert f"1 figures differ from {copy}; the first: {CASE} h1 s0 naive to_own is" in ended.err


@pytest.mark.parametrize(
    ("content", "code"),
    [(None, 4), ("{", 2), ("[]", 2), ('{"rows": []}', 2)],
    ids=["no", "torn", "list", "part"],
)
def test_results_that_cannot_be_checked_against_are_refused_before_the_work(
    tmp_path: Path, content: str | None, code: int
) -> None:
    path = tmp_path / "committed.json"
    if content is not None:
        path.write_text(content, "utf-8")
    ended = evaluate(tmp_path / "e", "--check", str(path))
    assert ended.code == code
    assert str(path) in ended.err
    assert ended.err.count("\n") == 1
    assert not (tmp_path / "e").exists()


def test_an_unknown_scenario_names_the_known_ones(tmp_path: Path) -> None:
    ended = evaluate(tmp_path / "e", scenario="moon")
    assert ended.code == 4
    assert "no scenario 'moon'; one of all, transit, health, industry, or of ['transit-60'" in ended.err
    assert not (tmp_path / "e").exists()


def test_a_torn_part_is_refused_and_fresh_starts_over(evaluated: Evaluated, tmp_path: Path) -> None:
    shutil.copytree(evaluated[0] / "parts", tmp_path / "parts")
    for part in (tmp_path / "parts").glob(f"{CASE}-compare-h1-*.json"):
        part.write_bytes(part.read_bytes()[:100])
    ended = evaluate(tmp_path)
    assert ended.code == 2
    assert f"{CASE}-compare-h1-s0-" in ended.err
    assert "--fresh" in ended.err
    again = evaluate(tmp_path, "--fresh", "--json")
    assert again.code == 0, again.err
    assert again.document["rows"] == evaluated[1].document["rows"]


def test_without_matplotlib_pictures_are_refused_before_the_work(tmp_path: Path) -> None:
    (tmp_path / "matplotlib.py").write_text("raise ImportError('No module named matplotlib')\n", "utf-8")
    ended = ledgerfed(
        "evaluate", "--scenario", CASE, "--dir", str(tmp_path / "e"), "--plots", PYTHONPATH=str(tmp_path)
    )
    assert ended.code == 2
    assert "install ledgerfed[plots]" in ended.err
    assert not (tmp_path / "e").exists()


def test_an_interrupt_ends_without_a_traceback_and_leaves_nothing_torn(tmp_path: Path) -> None:
    command = [*PROGRAM, "evaluate", "--scenario", "health", "--dir", str(tmp_path), "--workers", "2"]
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    limit = time.monotonic() + 60
    while not (tmp_path / "parts").exists() and time.monotonic() < limit:
        time.sleep(0.05)
    time.sleep(0.5)
    os.killpg(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "Traceback" not in err
    for path in (tmp_path / "parts").glob("*.json"):
        json.loads(path.read_text("utf-8"))


def attack(directory: Path, *arguments: str, scenario: str = "industry") -> Ended:
    return evaluate(directory, "--attacks", "--quick", *arguments, scenario=scenario)


@pytest.fixture(scope="module")
def attacked(tmp_path_factory: pytest.TempPathFactory) -> Evaluated:
    directory = tmp_path_factory.mktemp("attacks")
    ended = attack(directory, "--json", "--plots", "--workers", "2")
    assert ended.code == 0, ended.err
    return directory, ended


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_attacks_are_reported_in_files_pictures_and_one_object(attacked: Evaluated) -> None:
    directory, ended = attacked
    kept = json.loads((directory / "attacks.json").read_text("utf-8"))
    assert ended.document["attacks"] == kept["attacks"]
    assert {attack["scenario"] for attack in kept["attacks"]} == {"industry"}
    lines = (directory / "attacks.csv").read_text("utf-8").splitlines()
    assert len(lines) == 1 + sum(len(attack["trials"]) for attack in kept["attacks"])
    assert all(Path(path).read_text("utf-8").startswith("<?xml") for path in ended.document["plots"])


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_attacks_go_on_from_what_was_kept_and_are_checked(attacked: Evaluated, tmp_path: Path) -> None:
    directory, ended = attacked
    shutil.copytree(directory, tmp_path / "again")
    missing = next((tmp_path / "again" / "parts").glob("attacks-industry-two-leaves*.json"))
    missing.unlink()
    again = attack(tmp_path / "again", "--json", "--check", str(directory / "attacks.json"))
    assert again.code == 0, again.err
    assert again.document["attacks"] == ended.document["attacks"]
    changed = json.loads((directory / "attacks.json").read_text("utf-8"))
    changed["attacks"][0]["trials"][0]["growth"] += 1
    (tmp_path / "changed.json").write_text(json.dumps(changed), "utf-8")
    refused = attack(tmp_path / "again", "--check", str(tmp_path / "changed.json"))
    assert refused.code == 3
    assert "1 figures differ" in refused.err


def test_attacks_on_what_does_not_exist_are_one_line(tmp_path: Path) -> None:
    nowhere = attack(tmp_path, scenario="finance")
    assert nowhere.code == 4
    assert "transit, health, industry, digits" in nowhere.err
    missing = attack(tmp_path, "--check", str(tmp_path / "nothing.json"))
    assert missing.code == 4
    wrong = attack(tmp_path, "--check", str(RESULTS))
    assert wrong.code == 2
    assert "it needs attacks, digits, targets, without" in wrong.err
    assert len(wrong.err.splitlines()) == 1


def test_quick_is_for_attacks_only(tmp_path: Path) -> None:
    ended = evaluate(tmp_path, "--quick")
    assert ended.code == 2
    assert "--attacks" in ended.err


@pytest.mark.slow
@pytest.mark.timeout(1_800)
def test_the_committed_results_are_reproduced(tmp_path: Path) -> None:
    ended = ledgerfed(
        "evaluate", "--scenario", "all", "--dir", str(tmp_path), "--check", str(RESULTS), timeout=1_800
    )
    assert ended.code == 0, ended.err
