"""This federation's global model: square-root information in integers, fused robustly.

What runs here is the aggregation of `consensus.decide` on the very integers of a payload, with the demo's
caps and everybody at full reputation. Gates, scores and the ledger are left out: they decide who takes part,
and here everybody is honest.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Final

import numpy as np

from ledgerfed.aggregation.information import ExactInformation, expand, pool, ratio_cap, solve
from ledgerfed.aggregation.whitened import robust_centre
from ledgerfed.evaluation import demo
from ledgerfed.evaluation.methods.pooled import rounds_to_centralized
from ledgerfed.evaluation.methods.result import Prediction, Result, Trained, linear_prediction
from ledgerfed.evaluation.wire import wire_bytes
from ledgerfed.exchange import Information, dequantise, quantise
from ledgerfed.protocol.payload import InformationUpdate, encode_update
from ledgerfed.protocol.score import ONE, lower_median
from ledgerfed.series.arrays import Floats

ROUNDS: Final = 2
"""The second round measures each node's noise about the model of the first."""
PRIOR: Final = demo.PRIOR >> demo.PRECISION_SCALE
"""The precision of the zero model in all, where a case names no other (`python -m …prior_study`)."""
THETA_SCALE: Final = demo.THETA_SCALE
_NOBODY: Final = bytes(32)


@dataclass(frozen=True, slots=True, eq=False)
class Fused:
    """A global model: `theta` float64 [d], `precision` float64 [d, d], `weights` of the messages in Q16."""

    theta: Floats
    precision: Floats
    weights: tuple[int, ...]
    messages: tuple[Information, ...]
    payload_bytes: int
    seconds: float

    @property
    def precision_mean(self) -> Floats:
        """The precision of an average contributor, float64 [d, d]."""
        return self.precision / max(sum(w > 0 for w in self.weights), 1)


def fuse_exactly(informations: Sequence[Information], prior: int = PRIOR) -> Fused:
    """Return the global model of a round: quantised, capped, weighed about the robust centre, summed.

    `prior` is the precision of the model that knows nothing.
    """
    updates = [quantise(i, schema=_NOBODY, base_model=_NOBODY, family=_NOBODY[:4]) for i in informations]
    started = time.perf_counter()
    theta, weights = combine(updates, prior)
    seconds = time.perf_counter() - started
    messages = tuple(dequantise(update) for update in updates)
    nothing = prior * np.eye(len(theta))
    precision = sum((w / ONE * m.precision() for w, m in zip(weights, messages, strict=True)), nothing)
    size = len(encode_update(updates[0]))
    return Fused(theta, precision, weights, messages, size, seconds)


def combine(updates: Sequence[InformationUpdate], prior: int = PRIOR) -> tuple[Floats, tuple[int, ...]]:
    """Return the exact global coefficients, float64 [d], and the Q16 weight of each update."""
    expanded = [expand(update) for update in updates]
    caps = _caps(updates, expanded)
    centre = robust_centre(expanded, caps, prior << 96, THETA_SCALE)
    weights = tuple(cap * damping >> 16 for cap, damping in zip(caps, centre.weights, strict=True))
    pooled = pool(zip(expanded, weights, strict=True), prior << 96, expanded[0].width)
    values = solve(pooled, THETA_SCALE).values
    return np.ldexp(np.array(values, dtype=np.float64), -THETA_SCALE), weights


@lru_cache(maxsize=1)
def rounds(nodes: tuple[Trained, ...], number: int = ROUNDS) -> tuple[Fused, ...]:
    """Return the global model after each of so many rounds; kept, for both methods to share."""
    prior = nodes[0].participant.prior
    found = [fuse_exactly([node.informed(None) for node in nodes], prior)]
    for _ in range(1, number):
        found.append(fuse_exactly([node.informed(found[-1].theta) for node in nodes], prior))
    return tuple(found)


def global_model(nodes: Sequence[Trained], _: int) -> Result:
    """The certified coefficients, the same for everybody. Note: `rounds_to_centralized`."""
    found = rounds(tuple(nodes))
    theta = found[-1].theta
    arrived = rounds_to_centralized(nodes, [fused.theta for fused in found])
    result = sent(found, tuple(linear_prediction(node, theta) for node in nodes))
    return replace(result, notes={"rounds_to_centralized": float(arrived)})


def sent(found: Sequence[Fused], predictions: tuple[Prediction, ...]) -> Result:
    """Return the predictions with what the rounds behind them cost a node."""
    last, number = found[-1], len(found)
    size = len(last.theta)
    model = 8 * (size + size * (size + 1) // 2)
    up, wire = last.payload_bytes, wire_bytes(last.payload_bytes)
    return Result(predictions, number, number * up, number * model, number * wire, fuse_seconds=last.seconds)


def _caps(updates: Sequence[InformationUpdate], expanded: Sequence[ExactInformation]) -> list[int]:
    trace = lower_median([item.trace for item in expanded])
    count = lower_median([update.n_samples for update in updates])
    gates = demo.GATES
    return [
        ratio_cap(item.trace, gates.trace_cap, trace) * ratio_cap(u.n_samples, gates.sample_cap, count) >> 16
        for item, u in zip(expanded, updates, strict=True)
    ]
