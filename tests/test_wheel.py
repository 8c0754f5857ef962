"""What a user installs is whole: the wheel, in an environment of its own, runs the demonstration."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]


def run(*command: str | Path, cwd: Path) -> str:
    """Run a command without this environment's Python settings; return its stdout."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
    words = [str(word) for word in command]
    done = subprocess.run(words, cwd=cwd, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{' '.join(words)}\n{done.stdout[-2000:]}\n{done.stderr[-4000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from this checkout."""
    target = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", target, ROOT, cwd=target)
    (built,) = target.glob("*.whl")
    return built


def test_the_wheel_carries_contract_artifact_migrations_and_data(wheel: Path) -> None:
    names = set(zipfile.ZipFile(wheel).namelist())
    assert {
        "ledgerfed/py.typed",
        "ledgerfed/ledger/contracts/RoundLedger.vy",
        "ledgerfed/ledger/artifacts/RoundLedger.json",
        "ledgerfed/store/migrations/env.py",
        "ledgerfed/datasets/data/chicago.npz",
        "ledgerfed/datasets/data/chicago.md",
        "ledgerfed/datasets/data/digits.npz",
        "ledgerfed/datasets/data/digits.md",
        "ledgerfed_api/openapi.json",
        "chain_devnet/py.typed",
    } <= names


def test_nothing_with_a_common_name_lands_in_site_packages(wheel: Path) -> None:
    top = {name.split("/")[0] for name in zipfile.ZipFile(wheel).namelist()}
    assert {name for name in top if not name.endswith(".dist-info")} == {
        "ledgerfed",
        "ledgerfed_api",
        "chain_devnet",
    }


@pytest.mark.timeout(900)
def test_the_installed_wheel_runs_the_demonstration(wheel: Path, tmp_path: Path) -> None:
    venv.create(tmp_path / "env", with_pip=True)
    binaries = tmp_path / "env" / "bin"
    run(binaries / "python", "-m", "pip", "install", "--quiet", wheel, cwd=tmp_path)
    found = run(
        binaries / "python", "-c", "import ledgerfed; print(ledgerfed.__file__)", cwd=tmp_path
    ).strip()
    assert Path(found).is_relative_to(tmp_path)
    out = run(binaries / "ledgerfed", "demo", "--rounds", "1", "--json", cwd=tmp_path)
    assert json.loads(out.splitlines()[-1])["verified"] is True
