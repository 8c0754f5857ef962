"""`make analyse`: vyper-guard (MIT) over contracts/, every finding fixed or accepted with a reason.

vyper-guard lives in an environment of its own; the command that runs it is the argument of this program.
Slither 0.11.6 does not read what Vyper 0.4 compiles ("'dict' object has no attribute 'split'").
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CONTRACTS = HERE.parents[1] / "contracts"
ACCEPTED = HERE / "accepted_findings.toml"
# An analyser that finds nothing anywhere has not looked.
UNSAFE = """# pragma version 0.4.3
owner: address

@external
def pay(to: address):
    raw_call(to, b"", value=self.balance)
    self.owner = to
"""


@dataclass(frozen=True, order=True)
class Finding:
    """What the analyser objects to, and where; line numbers move too easily to be part of it."""

    contract: str
    detector: str
    title: str


def findings(analyser: Sequence[str], contract: Path) -> list[Finding]:
    """All findings of any severity in one contract."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.json"
        options = ["--format", "json", "--severity-threshold", "INFO", "--output", str(report)]
        command = [*analyser, "analyze", str(contract), *options]
        subprocess.run(command, cwd=directory, check=True, stdout=subprocess.DEVNULL)
        found = json.loads(report.read_text("utf-8"))["findings"]
    return sorted(Finding(contract.name, entry["detector"], entry["title"]) for entry in found)


def accepted() -> dict[Finding, str]:
    """The findings that are no fault, and why."""
    entries = tomllib.loads(ACCEPTED.read_text("utf-8")).get("accepted", [])
    return {Finding(e["contract"], e["detector"], e["title"]): e["reason"] for e in entries}


def objections(found: Iterable[Finding], allowed: dict[Finding, str]) -> list[str]:
    """One line for each finding that is not accepted and each accepted one that is found no more."""
    present = set(found)
    new = [f"{f.contract}: {f.title} ({f.detector})" for f in sorted(present - allowed.keys())]
    old = [f"{f.contract}: accepted, and found no more: {f.title}" for f in sorted(allowed.keys() - present)]
    return new + old


def main(analyser: Sequence[str]) -> int:
    """Analyse and report; the exit code is 1 when something is wrong."""
    with tempfile.TemporaryDirectory() as directory:
        unsafe = Path(directory) / "unsafe.vy"
        unsafe.write_text(UNSAFE, "utf-8")
        if not findings(analyser, unsafe):
            sys.stderr.write("vyper-guard finds nothing in a contract that pays before it remembers\n")
            return 1
    contracts = sorted(CONTRACTS.glob("**/*.vy"))
    found = [finding for contract in contracts for finding in findings(analyser, contract)]
    wrong = objections(found, accepted())
    sys.stdout.write("".join(f"{line}\n" for line in wrong))
    sys.stdout.write(
        f"{len(contracts)} contract(s) analysed: {len(found)} finding(s), {len(wrong)} objection(s)\n"
    )
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
