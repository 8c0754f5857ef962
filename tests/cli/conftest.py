"""One run of the demonstration, shared by the tests that look at it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import ledgerfed


@pytest.fixture(scope="session")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The workspace of `ledgerfed demo --seed 3 --json`, and what it printed last."""
    directory = tmp_path_factory.mktemp("demo") / "workspace"
    ended = ledgerfed("demo", "--seed", "3", "--dir", str(directory), "--json")
    assert ended.code == 0, ended.err
    return directory, ended.document
