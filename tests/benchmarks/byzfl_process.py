"""byzfl in a process of its own environment, asked through a pipe (`byzfl_rules.py` is the other end)."""

from __future__ import annotations

import json
import math
import select
import subprocess
import tempfile
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

WORKER = Path(__file__).with_name("byzfl_rules.py")
INFEASIBLE = "infeasible"
FAILS = "fails"
SUBSET_PAIRS = 1e9
"""MDA looks at every pair of every subset, at about 50 ns each: beyond this it takes more than a minute."""
MIXED_BYTES = 4e9
"""NNM gathers n (n - f) vectors of d float64 before it takes their means."""


class Byzfl:
    """One worker and the array that it holds; a call that takes more than `limit` seconds ends the worker."""

    def __init__(self, python: Path, limit: float) -> None:
        self._command = [str(python), str(WORKER)]
        self._limit = limit
        self._directory = tempfile.TemporaryDirectory()
        self._path = Path(self._directory.name) / "values.npy"
        self._shape = (0, 0)
        self._process = self._started()

    def load(self, values: npt.NDArray[Any]) -> None:
        """Let the worker hold the array, as float64 and as float32."""
        np.save(self._path, values)
        self._shape = values.shape[0], values.shape[1]
        self._load()

    def seconds(self, rule: str, hostile: int, torch: bool) -> float | str:
        """Return how long one call takes, "infeasible" if too long to wait for, "fails" if byzfl raises."""
        if self._hopeless(rule, hostile):
            return INFEASIBLE
        answer = self._ask({"rule": rule, "hostile": hostile, "torch": torch})
        if answer is None:
            self._end()
            self._process = self._started()
            self._load()
            return INFEASIBLE
        seconds: float | str = answer.get("seconds", FAILS)
        return seconds

    def close(self) -> None:
        """End the worker."""
        self._end()
        self._directory.cleanup()

    def _hopeless(self, rule: str, hostile: int) -> bool:
        n, d = self._shape
        kept = n - hostile
        pairs = math.comb(n, hostile) * kept**2 / 2 if rule.endswith("MDA") else 0
        return pairs > SUBSET_PAIRS or (rule.startswith("NNM") and n * kept * d * 8 > MIXED_BYTES)

    def _started(self) -> subprocess.Popen[str]:
        return subprocess.Popen(self._command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def _end(self) -> None:
        self._process.kill()
        self._process.communicate()

    def _load(self) -> None:
        if self._ask({"load": str(self._path)}) is None:
            raise SystemExit(f"byzfl did not load {self._path} in {self._limit} s; raise --limit")

    def _ask(self, request: dict[str, Any]) -> dict[str, Any] | None:
        """Return the answer, or None if there is none within the limit."""
        asked, answered = _pipes(self._process)
        asked.write(json.dumps(request) + "\n")
        asked.flush()
        ready, _, _ = select.select([answered], [], [], self._limit)
        if not ready:
            return None
        line = answered.readline()
        if not line:
            raise SystemExit(f"byzfl ended with exit code {self._process.wait()} when asked {request}")
        answer: dict[str, Any] = json.loads(line)
        return answer


def _pipes(process: subprocess.Popen[str]) -> tuple[IO[str], IO[str]]:
    assert process.stdin is not None
    assert process.stdout is not None
    return process.stdin, process.stdout
