"""byzfl's aggregators, in the environment that holds byzfl 0.0.11; the project itself never imports it.

As a program it is the other side of `rules.py`: every line that it reads is a request in JSON, every line
that it prints is the answer.

    {"load": "values.npy"}                               -> {"rows": 200, "columns": 100000}
    {"rule": "TrMean", "hostile": 40, "torch": false}    -> {"seconds": 0.06}
"""

from __future__ import annotations

import importlib
import importlib.util
import json
import os
import sys
import time
import types
from collections.abc import Callable
from typing import Any

import numpy as np

WITHOUT_HOSTILE = ("Average", "Median", "GeometricMedian", "CenteredClipping")


def load_aggregators() -> Any:
    """Return the module `byzfl.aggregators` without the training harness that `import byzfl` brings along.

    The harness asks for torchvision, matplotlib and seaborn; the aggregators need numpy, scipy and torch.
    """
    found = importlib.util.find_spec("byzfl")
    if found is None or found.submodule_search_locations is None:
        raise SystemExit("byzfl is not installed here; `make bench` makes its environment")
    package = types.ModuleType("byzfl")
    package.__path__ = list(found.submodule_search_locations)
    sys.modules["byzfl"] = package
    return importlib.import_module("byzfl.aggregators")


def rule_of(aggregators: Any, name: str, hostile: int) -> Callable[[Any], Any]:
    """Return byzfl's rule as a function; `NNM+` before the name mixes nearest neighbours first.

    `GeometricMedian:64` makes 64 steps where byzfl's default is 3.
    """
    if name.startswith("GeometricMedian:"):
        steps = int(name.partition(":")[2])
        return lambda vectors: aggregators.GeometricMedian(T=steps)(vectors)
    if name.startswith("NNM+"):
        mix, rest = aggregators.NNM(f=hostile), rule_of(aggregators, name.removeprefix("NNM+"), hostile)
        return lambda vectors: rest(mix(vectors))
    make = getattr(aggregators, name)
    rule: Callable[[Any], Any] = make() if name in WITHOUT_HOSTILE else make(f=hostile)
    return rule


def main() -> None:
    """Answer requests until the input ends."""
    torch = importlib.import_module("torch")
    torch.set_num_threads(int(os.environ["OPENBLAS_NUM_THREADS"]))
    aggregators = load_aggregators()
    arrays: dict[bool, Any] = {}
    for line in sys.stdin:
        request = json.loads(line)
        if "load" in request:
            values = np.load(request["load"]).astype(np.float64)
            arrays = {False: values, True: torch.from_numpy(values).float()}
            answer: dict[str, float | str] = {"rows": values.shape[0], "columns": values.shape[1]}
        else:
            rule = rule_of(aggregators, request["rule"], request["hostile"])
            start = time.perf_counter()
            try:
                rule(arrays[request["torch"]])
                answer = {"seconds": time.perf_counter() - start}
            except TypeError as error:  # some of its rules mix numpy and torch
                answer = {"error": str(error)}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
