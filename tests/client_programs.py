"""The programs that `npm ci` puts under tests/clients: `make test` runs it; a missing one is a failure."""

from __future__ import annotations

import shutil
from pathlib import Path

CLIENTS = Path(__file__).with_name("clients")


def foundry_program(name: str) -> str:
    """The path of `anvil` or `cast`: the one of tests/clients, else the one on the PATH.

    Raises:
        FileNotFoundError: there is none.
    """
    installed = sorted(CLIENTS.glob(f"node_modules/@foundry-rs/{name}-*/bin/{name}*"))
    found = str(installed[0]) if installed else shutil.which(name)
    if found is None:
        raise FileNotFoundError(
            f"{name} is missing: run `make test`, which installs it, or put Foundry's {name} on the PATH"
        )
    return found
