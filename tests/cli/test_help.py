"""The command line answers at once and explains itself."""

from __future__ import annotations

import subprocess
import sys

import pytest
from command_line import ledgerfed

HEAVY = ("web3", "eth", "statsmodels", "scipy", "sqlalchemy", "fastapi", "numpy", "pandas", "eth_account")
NOT_FOR_AUDITORS = ("web3", "eth_account", "statsmodels", "scipy", "sqlalchemy", "fastapi")
COMMANDS = (
    ("demo",),
    ("evaluate",),
    ("devnet",),
    ("deploy",),
    ("node",),
    ("key", "new"),
    ("key", "show"),
    ("serve",),
    ("audit", "export"),
    ("audit", "verify"),
    ("version",),
)


def test_help_imports_nothing_heavy() -> None:
    program = (
        "import sys\nfrom ledgerfed.cli.app import run\nrun(['--help'])\n"
        f"sys.exit(','.join(m for m in {HEAVY!r} if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_auditing_imports_neither_web3_nor_statsmodels_nor_a_database() -> None:
    program = (
        "import sys\nimport ledgerfed.audit\n"
        f"sys.exit(','.join(m for m in {NOT_FOR_AUDITORS!r} if m in sys.modules) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_every_command_has_help_and_speaks_json(command: tuple[str, ...]) -> None:
    ended = ledgerfed(*command, "--help")
    assert ended.code == 0
    assert "--json" in ended.out
    assert command == ("version",) or "Example" in ended.out


def test_version_names_the_protocol() -> None:
    assert ledgerfed("version", "--json").document["protocol"] == "LFR-2"
