"""Take defences away, one at a time, in copies of the checkout, and see the tests named for the threat fail.

`PYTHONPATH=tests python tests/threats/remove_defences.py [N1 V3 ...]` does it for these threats, or for all;
it ends with 1 if a test passes without the defence that it is there for.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from threats.catalogue import ROOT, Removal, threats

PARTS = ("api", "chain_devnet", "contracts", "docs", "ledgerfed", "migrations", "tests")
LEFT_OUT = shutil.ignore_patterns("node_modules", "__pycache__")


def survivors(removal: Removal) -> list[str]:
    """Return those tests of a removal that do not fail without the defence, and what pytest said of them."""
    with tempfile.TemporaryDirectory(prefix="threat-") as directory:
        copy = Path(directory)
        for part in PARTS:
            shutil.copytree(ROOT / part, copy / part, ignore=LEFT_OUT)
        shutil.copy(ROOT / "pyproject.toml", copy)
        path = copy / removal.file
        source = path.read_text(encoding="utf-8")
        assert source.count(removal.text) == 1, f"{removal.file} does not hold {removal.text!r} once"
        path.write_text(source.replace(removal.text, removal.instead), encoding="utf-8")
        if path.suffix == ".vy":
            done = _run(copy, "ledgerfed.ledger.compile")
            assert done.returncode == 0, done.stderr
        ended = _run(copy, "pytest", "-q", "-p", "no:cacheprovider", "-rf", "-m", "", *removal.tests)
    failed = [line for line in ended.stdout.splitlines() if line.startswith("FAILED ")]
    return [test for test in removal.tests if not any(test in line for line in failed)]


def _run(copy: Path, module: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    paths = os.pathsep.join([str(copy), str(copy / "api")])
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": paths, "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )


def main(names: list[str]) -> int:
    """Say of every removal what failed."""
    left = 0
    for threat in threats():
        for removal in threat.removals if not names or threat.name in names else ():
            survived = survivors(removal)
            left += len(survived)
            said = f"{len(removal.tests)} fail" if not survived else f"PASS ALL THE SAME: {survived}"
            print(f"{threat.name:4}{removal.file}: {said}", flush=True)  # noqa: T201
    return 1 if left else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
