"""What the exchange and the personal forecasters are held to, and whether the figures meet it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from ledgerfed.evaluation.compare import PERSONAL
from ledgerfed.evaluation.documents import case_title
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
"""At most this for the worst of the nodes that train on fewer than ROWS rows."""
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
    """Return the lines about the personal forecaster: one step ahead with seed 0 all of them.

    Other horizons and seeds, and cases without a limit of their own, must pay: against the own model, the
    naive forecast and the scalar-weighted mean.
    """
    scalar = {case_title(row): row["ratio"] for row in rows if row["method"] == SCALAR}
    found: list[Target] = []
    for row in rows:
        if row["method"] != PERSONAL:
            continue
        title = case_title(row)
        found += [
            Target(f"{title}: personal / own model", row["to_own"], TO_OWN.get(title, 1.0)),
            Target(f"{title}: personal / naive", row["ratio"], 1.0),
        ]
        if title in scalar:
            found.append(Target(f"{title}: personal / scalar-weighted", row["ratio"] / scalar[title], 1.0))
        if title == row["case"]:
            found.append(
                Target(f"{title}: share of nodes at most 1 % worse", row["no_worse"], NO_WORSE, at_least=True)
            )
            found += _worst(title, row["nodes"])
    return tuple(found)


def _worst(title: str, nodes: Sequence[Mapping[str, Any]]) -> Iterator[Target]:
    for few, limit in ((False, WORST), (True, WORST_OF_FEW)):
        ratios = [node["to_own"] for node in nodes if (node["rows"] < ROWS) == few]
        if ratios:
            side = "<" if few else ">="
            yield Target(f"{title}: worst node of {side} {ROWS} rows / own", max(ratios), limit)


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
