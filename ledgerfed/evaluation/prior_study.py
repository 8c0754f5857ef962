"""How much the model that knows nothing should weigh in the sum, on data that no test uses.

    python -m ledgerfed.evaluation.prior_study

prints RMSE / naive of the global and the personal model, geometric means over nodes, by the precision of the
zero model in all. `scenarios.RIDERS_PRIOR` was chosen by it.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Final

import numpy as np

from ledgerfed.evaluation.methods.federated import fuse_exactly
from ledgerfed.evaluation.metrics import geometric_mean, rmse
from ledgerfed.evaluation.personal_study import Node, study_cases, study_nodes
from ledgerfed.exchange import information, noise_about
from ledgerfed.fusion import personalise
from ledgerfed.series.arrays import Floats

PRECISIONS: Final = (1, 3, 10, 30, 100, 300, 1000)
ROUNDS: Final = 2


def errors(nodes: Sequence[Node], precision: int) -> tuple[list[float], list[float]]:
    """Return RMSE / naive of each node by the global and by its personal model."""
    theta: Floats = np.zeros(nodes[0].X.shape[1], dtype=np.float64)
    for _ in range(ROUNDS):
        told = [information(n.X, n.y, n.y, 1.0, noise_about(n.X, n.y, theta)) for n in nodes]
        fused = fuse_exactly(told, precision)
        theta = fused.theta
    messages = [information(n.X, n.y, n.y, 1.0, noise_about(n.X, n.y, theta)) for n in nodes]
    own = [personalise(m, theta, fused.precision_mean).theta for m in messages]
    return (
        [rmse(n.truth - n.ahead @ theta) / n.naive for n in nodes],
        [rmse(n.truth - n.ahead @ mine) / n.naive for n, mine in zip(nodes, own, strict=True)],
    )


def main() -> int:
    """Print the study, a case a block; return the exit code."""
    sys.stdout.write(f"{'':24}" + "".join(f"{p:>9g}" for p in PRECISIONS) + "\n")
    for name, (cases, horizon) in study_cases().items():
        nodes = [study_nodes(case, horizon) for case in cases]
        for kind in (0, 1):
            means = [
                geometric_mean([e for group in nodes for e in errors(group, p)[kind]]) for p in PRECISIONS
            ]
            label = f"{name[:15]} {('global', 'personal')[kind]}"
            sys.stdout.write(f"{label:24}" + "".join(f"{mean:9.4f}" for mean in means) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
