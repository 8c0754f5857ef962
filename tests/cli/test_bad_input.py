"""Each wrong input gives one clear line and a non-zero exit, and loses nothing."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import sqlite3
import subprocess
from pathlib import Path
from typing import Any

import pytest
from command_line import PROGRAM, Ended, ledgerfed

from chain_devnet import DevnetServer
from ledgerfed.evaluation.federation import FederationRecord, read_record, write_record
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.federation import Federation

Demonstration = tuple[Path, dict[str, Any]]


def refused(ended: Ended, code: int, *words: str) -> None:
    lines = [line for line in ended.err.splitlines() if line.strip()]
    assert ended.code == code, ended.err
    assert len(lines) == 1, ended.err
    assert all(word in lines[0] for word in words), lines[0]


@pytest.fixture
def workspace(demonstration: Demonstration, tmp_path: Path) -> Path:
    copy = tmp_path / "workspace"
    shutil.copytree(demonstration[0], copy)
    return copy


def test_no_server_at_the_url(workspace: Path) -> None:
    ended = ledgerfed("audit", "export", "--dir", str(workspace), "--rpc", "http://127.0.0.1:1")
    refused(ended, 6, "http://127.0.0.1:1")


def test_another_chain_at_the_url(workspace: Path) -> None:
    with DevnetServer(chain_id=1337) as other:
        ended = ledgerfed("audit", "export", "--dir", str(workspace), "--rpc", other.url)
    refused(ended, 6, "1337", "31337")


def test_nothing_at_the_address(workspace: Path) -> None:
    with DevnetServer() as empty:
        ended = ledgerfed("demo", "--seed", "3", "--dir", str(workspace), "--rpc", empty.url)
    refused(ended, 6, "nothing is deployed")


def test_a_record_that_names_an_account_instead_of_a_contract(workspace: Path) -> None:
    record = read_record(workspace)
    assert record is not None
    other = FederationRecord(Federation(31337, b"\x22" * 20), record.deployed_in, record.config_hash)
    write_record(workspace, other)
    refused(ledgerfed("audit", "export", "--dir", str(workspace)), 6, "0x2222")


def test_a_record_that_cannot_be_read(workspace: Path) -> None:
    record = json.loads((workspace / "federation.json").read_bytes())
    for wrong in ({}, record | {"deployed_in": "nine"}, record | {"deployed_in": -9}):
        (workspace / "federation.json").write_bytes(canonical_json(wrong))
        refused(ledgerfed("audit", "export", "--dir", str(workspace)), 2, "federation.json")


def test_a_directory_that_holds_no_federation(tmp_path: Path) -> None:
    refused(ledgerfed("serve", "--dir", str(tmp_path)), 4, "holds no federation", "ledgerfed demo")


def test_a_directory_that_holds_something_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    for fresh in ([], ["--fresh"]):
        refused(ledgerfed("demo", "--dir", str(tmp_path), *fresh), 2, "holds something else")
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


def test_starting_over_takes_nothing_away_that_is_not_the_demonstrations(workspace: Path) -> None:
    (workspace / "thesis.txt").write_text("years of work")
    refused(ledgerfed("demo", "--seed", "3", "--dir", str(workspace), "--fresh"), 2, "thesis.txt")
    assert (workspace / "federation.json").exists()
    assert (workspace / "thesis.txt").read_text() == "years of work"


def test_a_seed_that_cannot_be_read(tmp_path: Path) -> None:
    for torn in (b"", b"\xff\xfe"):
        (tmp_path / "seed").write_bytes(torn)
        refused(ledgerfed("demo", "--dir", str(tmp_path)), 2, "--fresh")


def test_a_seed_that_is_too_large_leaves_no_workspace(tmp_path: Path) -> None:
    assert ledgerfed("demo", "--dir", str(tmp_path / "new"), "--seed", str(1 << 64)).code == 2
    assert not (tmp_path / "new").exists()


def test_a_workspace_of_another_seed(workspace: Path) -> None:
    refused(ledgerfed("demo", "--seed", "4", "--dir", str(workspace)), 2, "seed 3", "--fresh")


def test_a_port_in_use(workspace: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        refused(ledgerfed("serve", "--dir", str(workspace), "--port", port), 2, port, "--port")
        refused(ledgerfed("devnet", "--in-memory", "--port", port), 2, port)


def test_a_database_of_another_version(workspace: Path) -> None:
    with sqlite3.connect(workspace / "ledgerfed.sqlite") as database:
        database.execute("UPDATE alembic_version SET version_num = '9999'")
    refused(ledgerfed("serve", "--dir", str(workspace)), 2, "9999")


def test_an_environment_that_makes_no_sense(workspace: Path) -> None:
    ended = ledgerfed("serve", "--dir", str(workspace), LEDGERFED_FEDERATION="everyone")
    refused(ended, 2, "LEDGERFED_FEDERATION", "everyone")


def test_a_terminal_that_writes_nothing_but_ascii(tmp_path: Path) -> None:
    (tmp_path / "fée.zip").write_bytes(b"torn")
    ended = ledgerfed("audit", "verify", str(tmp_path / "fée.zip"), PYTHONIOENCODING="ascii")
    assert ended.code == 3
    assert "f?e.zip" in ended.out
    assert ended.err == ""


def test_an_interrupted_command_says_that_it_can_go_on(tmp_path: Path) -> None:
    command = [*PROGRAM, "demo", "--dir", str(tmp_path / "w")]
    running = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    assert running.stderr is not None
    running.stderr.readline()  # the first round is under way
    running.send_signal(signal.SIGINT)
    last = running.communicate(timeout=60)[1].splitlines()[-1]
    assert running.returncode == 130
    assert "the same command goes on" in last


def test_a_truncated_bundle(demonstration: Demonstration, tmp_path: Path) -> None:
    whole = Path(demonstration[1]["bundle"]).read_bytes()
    for length in (0, 1, 100, len(whole) // 2, len(whole) - 1):
        torn = tmp_path / "torn.zip"
        torn.write_bytes(whole[:length])
        ended = ledgerfed("audit", "verify", str(torn), "--json")
        assert ended.code == 3
        assert ended.document["passed"] is False
        assert ended.document["steps"][0]["status"] == "FAIL"
        assert "Traceback" not in ended.err


def test_a_bundle_that_is_not_there(tmp_path: Path) -> None:
    ended = ledgerfed("audit", "verify", str(tmp_path / "none.zip"))
    assert ended.code in (3, 4)
    assert "Traceback" not in ended.err + ended.out


def test_trust_inputs_that_are_no_hashes(demonstration: Demonstration) -> None:
    refused(ledgerfed("audit", "verify", demonstration[1]["bundle"], "--genesis", "yes"), 2, "yes")


def test_trust_inputs_of_another_federation(demonstration: Demonstration) -> None:
    ended = ledgerfed("audit", "verify", demonstration[1]["bundle"], "--genesis", "0x" + "11" * 32, "--json")
    assert ended.code == 3
    assert "genesis" in ended.document["verdict"]


def test_no_members_are_not_no_trust_input(demonstration: Demonstration) -> None:
    refused(ledgerfed("audit", "verify", demonstration[1]["bundle"], "--members", ""), 2, "a member")


def test_members_of_another_federation_are_named_in_hex(demonstration: Demonstration) -> None:
    other = "0x" + "22" * 20
    ended = ledgerfed("audit", "verify", demonstration[1]["bundle"], "--members", other, "--json")
    assert ended.code == 3
    assert ended.document["steps"][3]["status"] == "FAIL"
    assert other in ended.document["steps"][3]["found"]


def test_an_unknown_option() -> None:
    assert ledgerfed("demo", "--no-such-option").code == 2
