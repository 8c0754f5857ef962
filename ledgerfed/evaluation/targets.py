"""What the exchange and the personal forecasters are held to, and whether the figures meet it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledgerfed.evaluation.compare import PERSONAL
from ledgerfed.evaluation.guarantees import Exactness, Harm

TO_OWN: Final = {
    "transit-60": 0.82,
    "transit-180": 0.975,
    "heart-rate": 0.92,
    "heart-rate-all-channels": 0.45,
    "dryer-power": 0.56,
}
"""Error of the personal forecaster against the node's own model, geometric mean over nodes, at most."""
NO_WORSE: Final = 0.90
WORST: Final = 1.05
WORST_OF_FEW: Final = 1.10
"""At most this for the worst node where nodes train on fewer than ROWS rows."""
ROWS: Final = 100
SCALAR: Final = "scalar-weighted AR"
DIFFERENCE: Final = 1e-9
RMSE_COST: Final = 1e-3
WIDTH, PAYLOAD_BYTES = 17, 300
CLAIM, HARM = 1_000, 1.02


@dataclass(frozen=True, slots=True)
class Target:
    """One line: what was measured, the limit, and which side of it is good."""

    name: str
    measured: float
    limit: float
    at_least: bool = False

    @property
    def met(self) -> bool:
        """Whether the figure is on the good side of the limit."""
        return self.measured >= self.limit if self.at_least else self.measured <= self.limit

    def document(self) -> dict[str, Any]:
        """Return the line as plain values."""
        return {
            "target": self.name,
            "measured": round(self.measured, 12),
            "limit": self.limit,
            "at_least": self.at_least,
            "met": self.met,
        }

    def line(self) -> str:
        """Return the line for a person; a miss says by how much."""
        side = ">=" if self.at_least else "<="
        verdict = "met" if self.met else f"MISSED by {abs(self.measured - self.limit):.3g}"
        return f"{self.name:58} {self.measured:10.4g}  {side} {self.limit:<8.4g} {verdict}"


def accuracy_targets(rows: Sequence[Mapping[str, Any]]) -> tuple[Target, ...]:
    """Return the lines about the cases of TO_OWN among the rows of one step and seed 0."""
    first = {(r["case"], r["method"]): r for r in rows if r["horizon"] == 1 and r["seed"] == 0}
    found: list[Target] = []
    for case, limit in TO_OWN.items():
        row, scalar = first.get((case, PERSONAL)), first.get((case, SCALAR))
        if row is None or scalar is None:
            continue
        few = min(node["rows"] for node in row["nodes"]) < ROWS
        found += [
            Target(f"{case}: personal / own model", row["to_own"], limit),
            Target(f"{case}: share of nodes at most 1 % worse", row["no_worse"], NO_WORSE, at_least=True),
            Target(f"{case}: worst node / own model", row["worst"], WORST_OF_FEW if few else WORST),
            Target(f"{case}: personal / scalar-weighted", row["ratio"] / scalar["ratio"], 1.0),
        ]
    return tuple(found)


def exchange_targets(exact: Sequence[Exactness], harms: Sequence[Harm]) -> tuple[Target, ...]:
    """Return the lines about exactness, integers and one liar."""
    found: list[Target] = []
    for e in exact:
        found.append(Target(f"{e.case}: global - centralized weighted fit", e.difference, DIFFERENCE))
        found.append(Target(f"{e.case}: RMSE that the integers cost", e.rmse_cost, RMSE_COST))
        if e.width == WIDTH:
            found.append(Target(f"{e.case}: payload bytes, {WIDTH} columns", e.payload_bytes, PAYLOAD_BYTES))
    found += [
        Target(f"{h.case}: one of {h.nodes} claims {h.claim} x, honest RMSE", h.robust, HARM)
        for h in harms
        if h.claim == CLAIM
    ]
    return tuple(found)
