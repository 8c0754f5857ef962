"""The programs that `npm ci` puts under tests/clients: `make test` runs it; a missing one is a failure."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

CLIENTS = Path(__file__).with_name("clients")
SECONDS = 120
REMEDY = "run `make test`, which installs it"


def foundry_program(name: str) -> str:
    """The path of `anvil` or `cast`: the one of tests/clients, else the one on the PATH.

    Raises:
        FileNotFoundError: there is none.
    """
    installed = sorted(CLIENTS.glob(f"node_modules/@foundry-rs/{name}-*/bin/{name}*"))
    found = str(installed[0]) if installed else shutil.which(name)
    if found is None:
        raise FileNotFoundError(f"{name} is missing: {REMEDY}, or put Foundry's {name} on the PATH")
    return found


def run_script(name: str, document: Path) -> dict[str, Any]:
    """The JSON that a script of tests/clients printed about the federation in `document`.

    Raises:
        FileNotFoundError: its library is not installed.
    """
    if name.endswith(".mjs") and not (CLIENTS / "node_modules" / Path(name).stem).is_dir():
        raise FileNotFoundError(f"{Path(name).stem} is missing: {REMEDY}")
    program = "bash" if name.endswith(".sh") else str(Path(sys.executable).with_name("node"))
    command = [program, str(CLIENTS / name), str(document)]
    if name.endswith(".sh"):
        command += [foundry_program("cast"), sys.executable]
    done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    assert done.returncode == 0, f"{name}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return dict(json.loads(done.stdout))
