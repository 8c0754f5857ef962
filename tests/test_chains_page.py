"""docs/chains.md: every command of the page runs, in order, in one shell."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

from client_programs import foundry_program
from node_processes import free_port

PAGE = Path(__file__).parents[1] / "docs" / "chains.md"
BLOCK_TIME = "0.3"
PROGRAM = "from ledgerfed.cli import main; main()"


def _script() -> str:
    """The page's commands, with ports that are free here and faster blocks."""
    blocks = re.findall(r"^```sh\n(.*?)^```$", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    assert len(blocks) >= 6
    script = "".join(blocks)
    base = free_port() // 10 * 10
    replaced = {
        "anvil --block-time 1": f"anvil --port 8545 --block-time {BLOCK_TIME}",
        "127.0.0.1:910$n": f"127.0.0.1:{str(base)[:-1]}$n",
        "8545": str(free_port()),
        "8080": str(free_port()),
    }
    for before, after in replaced.items():
        assert before in script, before
        script = script.replace(before, after)
    return script


def test_every_command_of_the_page_runs(tmp_path: Path) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    (programs / "anvil").symlink_to(foundry_program("anvil"))
    ledgerfed = programs / "ledgerfed"
    ledgerfed.write_text(f"#!/bin/sh\nexec {sys.executable} -c '{PROGRAM}' \"$@\"\n")
    ledgerfed.chmod(0o755)
    done = subprocess.run(
        ["bash", "-euc", f"trap 'kill $(jobs -p) 2> /dev/null || true' EXIT\n{_script()}"],
        cwd=tmp_path,
        env={**os.environ, "PATH": f"{programs}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )
    logs = "".join(path.read_text()[-1500:] for path in sorted(tmp_path.glob("*.log")))
    assert done.returncode == 0, done.stdout + done.stderr + logs
    listed, _ = json.JSONDecoder().raw_decode(done.stdout, done.stdout.index('{"items"'))
    (federation,) = listed["items"]
    assert federation["contract"] == json.loads((tmp_path / "federation.json").read_text())["contract"]
    assert "PASS" in done.stdout
    assert "FAIL" not in done.stdout
    certified = re.search(r"bundle\.zip: (\d+) certified rounds", done.stdout)
    assert certified is not None
    assert int(certified[1]) >= 1
