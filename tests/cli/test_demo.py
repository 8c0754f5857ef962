"""The demonstration keeps its promises."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

import pytest
from command_line import PROGRAM, ledgerfed

from ledgerfed.audit import verify_bundle
from ledgerfed.evaluation.demo import demo_members

Demonstration = tuple[Path, dict[str, Any]]


def started(command: list[str]) -> subprocess.Popen[str]:
    whole = [*PROGRAM, *command]
    return subprocess.Popen(whole, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def attackers(seed: int) -> dict[int, str]:
    return {index: m.attack for index, m in enumerate(demo_members(seed)) if m.attack is not None}


def test_both_hostile_nodes_are_rejected_in_every_round_with_the_right_reason_and_no_honest_one(
    demonstration: Demonstration,
) -> None:
    _, document = demonstration
    hostile = attackers(3)
    contradicts = "V5:inconsistent-information"  # the lags of whoever says it
    reasons = {"sign flip": [contradicts] * 3, "free rider": [contradicts, "V6:copy", "V6:copy"]}
    for round_number, entry in enumerate(document["rounds"]):
        assert entry["phase"] == "certified"
        assert entry["admitted"] == [node for node in range(8) if node not in hostile]
        assert {r["node"]: r["reason"] for r in entry["rejected"]} == {
            node: reasons[attack][round_number] for node, attack in hostile.items()
        }


def test_hostile_nodes_lose_reputation_and_honest_ones_do_not(demonstration: Demonstration) -> None:
    _, document = demonstration
    hostile = attackers(3)
    start = 7 / 11
    for node, reputation in enumerate(document["reputations"]):
        assert (reputation < start - 0.2) if node in hostile else (reputation >= start)


def test_the_last_line_is_one_object_with_every_promised_field(demonstration: Demonstration) -> None:
    directory, document = demonstration
    assert {"contract", "chain_id", "rounds", "reputations", "errors", "bundle", "verified"} <= set(document)
    assert [entry["number"] for entry in document["rounds"]] == [1, 2, 3]
    for entry in document["rounds"]:
        hashes = ("model_hash", "manifest_hash", "transcript")
        assert all(entry[name].startswith("0x") and len(entry[name]) == 66 for name in hashes)
        assert set(entry["gas"]) == {"seal", "scores", "certify"}
    assert set(document["errors"]) == {"naive", "local", "global", "personal", "centralized"}
    assert document["errors"]["naive"] == 1
    assert all(0 < value < 1 for value in document["reputations"])
    assert document["verified"] is True
    assert Path(document["bundle"]).parent.parent == directory


def test_joining_pays_on_average(demonstration: Demonstration) -> None:
    errors = demonstration[1]["errors"]
    assert errors["global"] < errors["local"]
    assert errors["personal"] < errors["local"]


def test_the_bundle_verifies_in_another_process(demonstration: Demonstration) -> None:
    ended = ledgerfed("audit", "verify", demonstration[1]["bundle"], "--json")
    assert ended.code == 0
    assert ended.document["passed"] is True
    assert ended.document["trusted"] is False
    assert verify_bundle(Path(demonstration[1]["bundle"])).passed


def test_the_report_is_a_page_too(demonstration: Demonstration, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    ended = ledgerfed("audit", "verify", demonstration[1]["bundle"], "--html", str(page))
    assert ended.code == 0
    assert "replay of decisions" in page.read_text("utf-8")


def test_an_export_from_the_chain_equals_the_bundle_of_the_run(demonstration: Demonstration) -> None:
    directory, document = demonstration
    copy = directory.parent / "copy.zip"
    ended = ledgerfed("audit", "export", "--dir", str(directory), "-o", str(copy), "--json")
    assert ended.code == 0, ended.err
    assert copy.read_bytes() == Path(document["bundle"]).read_bytes()


def test_a_workspace_of_one_scenario_refuses_another(demonstration: Demonstration) -> None:
    directory, _ = demonstration
    before = (directory / "seed").read_bytes()
    ended = ledgerfed("demo", "--scenario", "health", "--seed", "3", "--dir", str(directory))
    assert ended.code == 2
    assert "seed 3 transit, not 3 health" in ended.err
    assert (directory / "seed").read_bytes() == before


def test_an_unknown_scenario_is_refused_before_anything_is_made(tmp_path: Path) -> None:
    ended = ledgerfed("demo", "--scenario", "moon", "--dir", str(tmp_path / "w"))
    assert ended.code == 4
    assert "no scenario 'moon'; one of transit, health, industry" in ended.err
    assert not (tmp_path / "w").exists()


@pytest.mark.slow
@pytest.mark.parametrize("scenario", ["health", "industry"])
def test_wards_and_dryers_walk_the_whole_ledgered_round(scenario: str, tmp_path: Path) -> None:
    command = ["demo", "--scenario", scenario, "--seed", "3", "--rounds", "2", "--dir", str(tmp_path / "w")]
    ended = ledgerfed(*command, "--json")
    assert ended.code == 0, ended.err
    document, hostile = ended.document, attackers(3)
    assert document["scenario"] == scenario
    assert document["verified"] is True
    for entry in document["rounds"]:
        assert entry["admitted"] == [node for node in range(8) if node not in hostile]
        for refused in entry["rejected"]:
            gates = ("V6:", "V5:") if hostile[refused["node"]] == "free rider" else ("V7:", "V5:")
            assert refused["reason"].startswith(gates)
    assert document["errors"]["personal"] < 1
    assert document["errors"]["personal"] < document["errors"]["local"]
    assert ledgerfed("audit", "verify", document["bundle"]).code == 0


def test_an_interrupted_run_goes_on_and_ends_in_the_same_models_in_another_directory(
    demonstration: Demonstration, tmp_path: Path
) -> None:
    command = ["demo", "--seed", "3", "--dir", str(tmp_path / "w"), "--json"]
    process = subprocess.Popen(
        [*PROGRAM, *command], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("round 1: scores by"):
            break
    os.kill(process.pid, signal.SIGINT)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 130
    assert "Traceback" not in err
    resumed = ledgerfed(*command)
    assert resumed.code == 0, resumed.err
    models = [entry["model_hash"] for entry in resumed.document["rounds"]]
    assert models == [entry["model_hash"] for entry in demonstration[1]["rounds"]]


def test_a_killed_run_goes_on(tmp_path: Path, demonstration: Demonstration) -> None:
    command = ["demo", "--seed", "3", "--rounds", "1", "--dir", str(tmp_path / "w"), "--json"]
    process = subprocess.Popen(
        [*PROGRAM, *command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if line.startswith("round 1: seal by"):
            break
    time.sleep(0.05)
    process.kill()
    process.communicate()
    resumed = ledgerfed(*command)
    assert resumed.code == 0, resumed.err
    assert resumed.document["rounds"][0]["model_hash"] == demonstration[1]["rounds"][0]["model_hash"]
