"""The honest scores of all validators in one go: the same integers as `node.walk.give_verdicts`, shared work.

A validator judges an update by the model that it leads to, and that model is the same for all of them. In a
federation of n nodes on one machine this makes n solutions of n², and one pass through the gates of n.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import numpy as np

from ledgerfed.consensus import RoundInput
from ledgerfed.consensus.gates import Candidate
from ledgerfed.consensus.standing import information_caps
from ledgerfed.exchange.distillation import Probe, as_information, coefficients
from ledgerfed.node.walk import Workbench
from ledgerfed.protocol.score import GATED, NOT_HELD, ONE, clip_score
from ledgerfed.protocol.update import Update
from ledgerfed.series.arrays import Floats

_LOWEST: Final = -2.0


def everybodys_scores(
    benches: Sequence[Workbench], given: RoundInput, candidates: Mapping[int, Sequence[Candidate]]
) -> tuple[tuple[int, ...], ...]:
    """Return each validator's scores by registry position, in Q16; `candidates` are those that it sees."""
    joined: dict[tuple[int, int], Floats | None] = {}
    theta = coefficients(given.base, benches[0].probe)[0]
    found = []
    for index, bench in enumerate(benches):
        X, y = bench.holdout.sample()
        before = float(np.mean((y - X @ theta) ** 2))
        scores = [NOT_HELD] * given.config.capacity
        for candidate, cap in _capped(given, candidates[index]):
            if candidate.index != index and (candidate.index, cap) not in joined:
                joined[candidate.index, cap] = _joined(given, bench.probe, candidate.update, cap)
            after = joined.get((candidate.index, cap))
            scores[candidate.index] = 0 if candidate.index == index else _improvement(X, y, before, after)
        for candidate in candidates[index]:
            if candidate.opening is not None and candidate.reason is not None:
                scores[candidate.index] = GATED
        found.append(tuple(scores))
    return tuple(found)


def _capped(given: RoundInput, candidates: Sequence[Candidate]) -> list[tuple[Candidate, int]]:
    survivors = [c for c in candidates if c.reason is None and c.information]
    caps = information_caps(given, survivors)
    return [(c, caps[c.index]) for c in survivors]


def _joined(given: RoundInput, probe: Probe | None, update: Update | None, cap: int) -> Floats | None:
    """Return the model that the base becomes with the update, None where what it claims drowns all else."""
    if update is None:
        return None
    theta, precision = coefficients(given.base, probe)
    own, weight = as_information(update, probe), cap / ONE
    precision = precision / max(1, given.base.contributors)
    try:
        return np.asarray(
            np.linalg.solve(precision + weight * own.precision(), precision @ theta + weight * own.eta())
        )
    except np.linalg.LinAlgError:
        return None


def _improvement(X: Floats, y: Floats, before: float, joined: Floats | None) -> int:
    if joined is None:
        return -ONE
    with np.errstate(over="ignore", invalid="ignore"):
        after = float(np.mean((y - X @ joined) ** 2))
    if not np.isfinite(after) or before <= 0:
        return -ONE
    return clip_score(round(ONE * max(_LOWEST, (before - after) / before)))
