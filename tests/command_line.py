"""The command line as a user runs it: in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from typing import Any

PROGRAM = (sys.executable, "-c", "from ledgerfed.cli import main; main()")


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> dict[str, Any]:
        """The JSON object on the last line of stdout."""
        document: dict[str, Any] = json.loads(self.out.splitlines()[-1])
        return document


def ledgerfed(*arguments: str, timeout: float = 240, **environment: str) -> Ended:
    """Run the command line in a process of its own."""
    command = [*PROGRAM, *arguments]
    surroundings = {**os.environ, **environment}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=timeout, check=False, env=surroundings
    )
    return Ended(done.returncode, done.stdout, done.stderr)
