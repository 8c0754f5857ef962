"""The script of the golden vectors as a module: `golden.evidence()`, `golden.FEDERATION` and so on."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import settings

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

VECTORS = Path(__file__).parents[1] / "vectors"


@pytest.fixture(scope="session")
def golden() -> ModuleType:
    spec = importlib.util.spec_from_file_location("write_vectors", VECTORS / "write_vectors.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def pinned() -> Callable[[str], dict[str, Any]]:
    """`pinned("leaf")` is what stands in tests/vectors/leaf.json."""

    def read(name: str) -> dict[str, Any]:
        return json.loads((VECTORS / f"{name}.json").read_text(encoding="utf-8"))

    return read
