"""The demonstration: eight nodes of a scenario, two of them hostile.

One sends a sign-flipped, scaled update; one does not train, but resends the base model with a little noise
and later other nodes' updates. Which nodes they are, and every key, follow from the seed.

The thresholds were set on years that end before the demonstration's first row: `python -m
ledgerfed.evaluation.calibration` prints what honest nodes measured there beside each limit.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import cycle
from typing import Final

import numpy as np

from ledgerfed.evaluation.attacks import FreeRider, SignFlip
from ledgerfed.evaluation.demo_scenarios import NODES, TRANSIT, DemoScenario
from ledgerfed.evaluation.federation import Member, SimulatedFederation
from ledgerfed.evaluation.metrics import geometric_mean
from ledgerfed.evaluation.transit import centralized, errors_on_test, train
from ledgerfed.exchange import model_to_theta
from ledgerfed.ledger import demo_key
from ledgerfed.models import load_family
from ledgerfed.node import UpdateMaker
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.configuration import FederationConfig, Gates, Windows
from ledgerfed.protocol.reputation import Evidence, Reputation
from ledgerfed.protocol.rule import Aggregation, Rule
from ledgerfed.protocol.score import ONE

ROUNDS: Final = 3
METHODS: Final = ("local", "global", "personal", "centralized")
WINDOWS: Final = Windows(commit=40, force=3, score=40, certify=40, challenge=3)
GATES: Final = Gates(
    max_payload_bytes=1 << 16,
    stale_rounds=2,
    stale_discount=ONE // 2,
    root_bound=3 * ONE // 2,
    noise_band=8 * ONE,
    norm_bound=16 * ONE,
    base_distance=3 * ONE // 128,
    copy_alignment_bits=14,
    copy_memory=8,
    moment_band=4 * ONE,
    lag_spread=ONE // 2,
    twin_alignment_bits=1,
    twin_distance=ONE // 256,
    ring_distance=0,
    outlier_factor=8 * ONE,
    score_floor=-ONE // 2,
    regret_limit=2 * ONE,
    regret_scale=ONE // 8,
    trace_cap=2 * ONE,
    sample_cap=2 * ONE,
    model_root_bound=ONE,
    drift_share=ONE // 3,
)
PRIOR: Final = 1 << 16
"""Precision of the zero model, at PRECISION_SCALE: 1, what a single row of one unit weighs."""
THETA_SCALE: Final = 30
PRECISION_SCALE: Final = 16
EARNED: Final = Evidence(6 * ONE, ONE)
"""What a member of the genesis registry starts with: six good rounds and one bad, R = 0.64."""


def hostile_bound(nodes: int) -> int:
    """Return how many hostile nodes a federation of so many is set up to stand: as many as its committee may
    hold faulty ones, floor((n - 1) / 3)."""
    return (nodes - 1) // 3


@dataclass(frozen=True, slots=True)
class NodeErrors:
    """RMSE / naive RMSE of one node on its test window, by method; `node` is its name."""

    index: int
    node: str
    family: str
    attack: str | None
    ratios: dict[str, float]


def demo_config(nodes: int = NODES, scenario: DemoScenario = TRANSIT) -> FederationConfig:
    """Return the configuration: all nodes validate; the verified updates of a majority of what may be
    left make a round."""
    return FederationConfig(
        name=scenario.name,
        basis=canonical_json(scenario.basis.document()),
        width=scenario.basis.width,
        depth=max(1, (nodes - 1).bit_length()),
        committee=tuple(range(nodes)),
        min_updates=max(3, 2 * hostile_bound(nodes) + 1),
        windows=WINDOWS,
        gates=replace(GATES, **scenario.limits),
        genesis_reputation=Reputation(EARNED, EARNED),
        prior=PRIOR,
        theta_scale=THETA_SCALE,
        precision_scale=PRECISION_SCALE,
        aggregation=Aggregation(Rule.REDESCENDING, hostile_bound(nodes)),
    )


def demo_members(seed: int, scenario: DemoScenario = TRANSIT) -> tuple[Member, ...]:
    """Return the eight members; two of them, drawn by the seed, are hostile."""
    first, second = (int(i) for i in np.random.default_rng(seed).permutation(NODES)[:2])
    attacks: dict[int, tuple[str, UpdateMaker]] = {
        first: ("sign flip", SignFlip()),
        second: ("free rider", FreeRider(seed)),
    }
    members = []
    for index, (panel, family) in enumerate(zip(scenario.panels(), cycle(scenario.families), strict=False)):
        member = Member(panel, family, demo_key(seed, index))
        if index in attacks:
            name, make_update = attacks[index]
            member = Member(panel, family, member.signer, make_update, name)
        members.append(member)
    return tuple(members)


def errors_of_nodes(
    federation: SimulatedFederation, scenario: DemoScenario = TRANSIT
) -> tuple[NodeErrors, ...]:
    """Return every node's errors on the test window, which nothing before this has looked at.

    `centralized` is what a trusted server with the rows of all honest nodes would fit.
    """
    members, agents = federation.members, federation.agents
    nodes = [
        train(m.panel, scenario.basis, load_family(m.family), federation.windows(m.panel)) for m in members
    ]
    pooled = centralized([s for s, m in zip(nodes, members, strict=True) if m.attack is None])
    theta = model_to_theta(agents[0].base_model())
    errors = []
    for index, (node, member, agent) in enumerate(zip(nodes, members, agents, strict=True)):
        coefficients = {"global": theta, "personal": agent.personal_model(), "centralized": pooled}
        ratios = errors_on_test(node, coefficients, scenario.naive)
        errors.append(NodeErrors(index, node.name, member.family, member.attack, ratios))
    return tuple(errors)


def mean_errors(errors: tuple[NodeErrors, ...]) -> dict[str, float]:
    """Return the geometric mean over honest nodes by method; naive is 1 by definition."""
    honest = [e.ratios for e in errors if e.attack is None]
    means = {method: geometric_mean([ratios[method] for ratios in honest]) for method in METHODS}
    return {"naive": 1.0, **means}
