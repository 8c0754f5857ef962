"""What the exchange promises, measured: exact fusion, cheap integers, and bounded harm of one liar."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np

from ledgerfed.aggregation.information import expand, pool, solve
from ledgerfed.evaluation.methods.federated import PRIOR, THETA_SCALE, combine, fuse_exactly
from ledgerfed.evaluation.methods.pooled import pooled_least_squares
from ledgerfed.evaluation.methods.result import errors_of, train_or_replace
from ledgerfed.evaluation.metrics import geometric_mean
from ledgerfed.evaluation.scenarios import Case, participants
from ledgerfed.exchange import RIDGE, Information, dequantise, information, quantise
from ledgerfed.fusion import fuse
from ledgerfed.protocol.payload import InformationUpdate, encode_update
from ledgerfed.protocol.score import ONE
from ledgerfed.series.arrays import Floats

CLAIMS: Final = (1, 10, 1_000)
"""How many times its honest precision a hostile node claims."""
HOSTILE_FACTOR: Final = -2.0
_NOBODY: Final = bytes(32)


@dataclass(frozen=True, slots=True)
class Exactness:
    """How far fusion is from the centralized weighted fit, and what its integers cost.

    `difference` is the largest difference of a coefficient before quantisation, `rmse_cost` the largest
    relative growth of a node's test RMSE after it, `payload_bytes` the size for `width` coefficients.
    """

    case: str
    width: int
    difference: float
    rmse_cost: float
    payload_bytes: int


@dataclass(frozen=True, slots=True)
class Harm:
    """One hostile node's effect: honest nodes' test RMSE over that without it, geometric means.

    `plain` adds what is claimed, `robust` is the rule of the protocol.
    """

    case: str
    nodes: int
    claim: int
    plain: float
    robust: float


def exactness(case: Case) -> Exactness:
    """Return how exactly one round meets the centralized fit, all nodes honest.

    That is least squares on everybody's rows with the weights 1 / s² and the same prior.
    """
    nodes = [train_or_replace(participant) for participant in participants(case)]
    exact = [information(*node.rows, node.rows[1], 1.0) for node in nodes]
    fused, _ = fuse(exact, [1.0] * len(exact))
    pooled = pooled_least_squares(nodes, [1.0 / info.s2 for info in exact], RIDGE * len(exact))
    updates = _quantised([node.information for node in nodes])
    before, _ = fuse([node.information for node in nodes], [1.0] * len(nodes))
    after, _ = fuse([dequantise(update) for update in updates], [1.0] * len(nodes))
    cost = errors_of(nodes, after) / errors_of(nodes, before) - 1
    size = len(encode_update(updates[0]))
    return Exactness(case.name, len(fused), float(np.abs(fused - pooled).max()), float(cost.max()), size)


def harm(case: Case, hostile: int = 0) -> tuple[Harm, ...]:
    """Return what one node does that sends HOSTILE_FACTOR times the model and claims CLAIMS its precision."""
    nodes = [train_or_replace(participant) for participant in participants(case)]
    honest = [node for index, node in enumerate(nodes) if index != hostile]
    clean = fuse_exactly([node.information for node in nodes])
    found = []
    for claim in CLAIMS:
        messages = [node.information for node in nodes]
        messages[hostile] = _lie(messages[hostile], clean.theta, claim)
        updates = _quantised(messages)
        robust, _ = combine(updates)
        reference = errors_of(honest, clean.theta)
        found.append(
            Harm(
                case.name,
                len(nodes),
                claim,
                geometric_mean((errors_of(honest, _plain_sum(updates)) / reference).tolist()),
                geometric_mean((errors_of(honest, robust) / reference).tolist()),
            )
        )
    return tuple(found)


def _lie(own: Information, theta: Floats, claim: int) -> Information:
    R = own.R * np.sqrt(claim)
    return replace(own, R=R, z=R @ (HOSTILE_FACTOR * theta), s2=own.s2 / claim)


def _plain_sum(updates: Sequence[InformationUpdate]) -> Floats:
    pooled = pool([(expand(update), ONE) for update in updates], PRIOR << 96, updates[0].width)
    return np.ldexp(np.array(solve(pooled, THETA_SCALE).values, dtype=np.float64), -THETA_SCALE)


def _quantised(informations: Sequence[Information]) -> list[InformationUpdate]:
    return [quantise(i, schema=_NOBODY, base_model=_NOBODY, family=_NOBODY[:4]) for i in informations]
