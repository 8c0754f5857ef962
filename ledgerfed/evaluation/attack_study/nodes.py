"""The federations that are attacked: who the nodes are, their windows, and the rules of their rounds.

Rules:
- the cases are those of `evaluation.scenarios`; besides, every node keeps a private hold-out right before its
  training window, on which it scores others and proves its own forecaster;
- everybody validates, starts with the reputation of the demonstration, and f is what the committee allows;
- with `back`, the test windows end so much earlier: that is where thresholds may be looked at.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final

from ledgerfed.datasets.episodes import episodes
from ledgerfed.errors import InvalidValueError, NotFoundError
from ledgerfed.evaluation.demo import PRECISION_SCALE, demo_config
from ledgerfed.evaluation.demo_scenarios import HEALTH, INDUSTRY, TRANSIT, DemoScenario
from ledgerfed.evaluation.methods.result import Trained, train_or_replace
from ledgerfed.evaluation.scenarios import find_case, participants
from ledgerfed.models import load_family
from ledgerfed.node.walk import LocalModel, Workbench, prepare
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.score import ONE
from ledgerfed.series import Panel, Split, Window

YEAR: Final = 365
MOST_HOSTILE: Final = 0.4
"""The largest share of hostile nodes that is tried."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """A case under attack; `rules` are the demonstration's whose gates it takes, `limits` what it sets anew.

    `moves` says that its windows can be moved back in time.
    """

    name: str
    case: str
    windows: Callable[[Panel, int], Split]
    rules: DemoScenario
    limits: Mapping[str, int] = field(default_factory=dict)
    moves: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Federation:
    """The nodes of a scenario, trained: the same fit as a participant of the evaluation and as a member."""

    scenario: Scenario
    nodes: tuple[Trained, ...]
    benches: tuple[Workbench, ...]
    locals_: tuple[LocalModel, ...]

    def __len__(self) -> int:
        return len(self.nodes)

    def of(self, indices: Sequence[int]) -> Federation:
        """Return the federation of these nodes alone."""
        return Federation(
            self.scenario,
            tuple(self.nodes[i] for i in indices),
            tuple(self.benches[i] for i in indices),
            tuple(self.locals_[i] for i in indices),
        )

    def config(self) -> FederationConfig:
        """Return the configuration: the demonstration's, on the basis of the case.

        The rule stands a fifth of all nodes, and asks for as many updates as that takes. A larger f would let
        two fifths of hostile nodes stop every round by being refused.
        """
        rules = replace(self.scenario.rules, basis=self.nodes[0].participant.train.basis)
        base = demo_config(len(self), rules)
        hostile = len(self) // 5
        return replace(
            base,
            gates=replace(base.gates, **self.scenario.limits),
            prior=self.nodes[0].participant.prior << PRECISION_SCALE,
            min_updates=2 * hostile + 1,
            aggregation=replace(base.aggregation, hostile=hostile),
        )


def find_scenario(name: str) -> Scenario:
    """Return the scenario of that name; raises NotFoundError for another."""
    for scenario in SCENARIOS:
        if scenario.name == name:
            return scenario
    raise NotFoundError(f"no scenario {name!r}; one of {', '.join(s.name for s in SCENARIOS)}")


@lru_cache(maxsize=4)
def load(name: str, back: int = 0) -> Federation:
    """Return the trained federation of a scenario; kept, because every attack needs it.

    Args:
        back: how many years earlier the test windows end (transit only).
    """
    scenario = find_scenario(name)

    def windows(panel: Panel) -> tuple[Window, Window]:
        found = scenario.windows(panel, back)
        return found.train, found.test

    case = replace(find_case(scenario.case), windows=windows)
    panels = {panel.name: panel for panel in case.panels()}
    nodes = tuple(train_or_replace(participant) for participant in participants(case))
    found = [panels[node.participant.name] for node in nodes]
    benches = tuple(prepare(panel, scenario.windows(panel, back), case.basis) for panel in found)
    locals_ = tuple(
        LocalModel(load_family(node.participant.family), node.fitted, node.predictions) for node in nodes
    )
    return Federation(scenario, nodes, benches, locals_)


def days(holdout: int, train: int, test: int) -> Callable[[Panel, int], Split]:
    """Return consecutive windows of a daily panel, ending `back` years before it."""

    def windows(panel: Panel, back: int) -> Split:
        stop = len(panel) - back * YEAR
        a, b, c = stop - test - train - holdout, stop - test - train, stop - test
        return Split(Window(a, b), Window(b, c), Window(c, stop))

    return windows


def stays(holdout: int, train: int, test: int) -> Callable[[Panel, int], Split]:
    """Return windows of whole episodes: the first so many, those after them, and the last `test`.

    There are too few of them to move back.
    """

    def windows(panel: Panel, back: int) -> Split:
        if back:
            raise InvalidValueError(f"{panel.name!r} has too few episodes to end {back} earlier; take 0")
        runs = episodes(panel)
        return Split(
            Window(runs[0].start, runs[holdout - 1].stop),
            Window(runs[holdout].start, runs[holdout + train - 1].stop),
            Window(runs[-test].start, runs[-1].stop),
        )

    return windows


SCENARIOS: Final = (
    Scenario(
        "transit",
        "transit-60",
        days(60, 60, YEAR),
        TRANSIT,
        {
            "outlier_factor": 3 * ONE,
            "lag_spread": 3 * ONE // 4,
            "copy_alignment_bits": 12,
            "twin_distance": ONE // 16,
            "ring_distance": ONE // 16,
            "regret_limit": ONE,
        },
        moves=True,
    ),
    Scenario(
        "health",
        "ward-heart-rate",
        stays(1, 3, 2),
        HEALTH,
        {
            "copy_alignment_bits": 9,
            "twin_alignment_bits": 1,
            "twin_distance": ONE // 1024,
            "ring_distance": ONE // 1024,
            "regret_limit": ONE,
        },
    ),
    Scenario(
        "industry",
        "dryer-power",
        stays(1, 2, 2),
        INDUSTRY,
        {
            "noise_band": 16 * ONE,
            "twin_alignment_bits": 1,
            "twin_distance": ONE // 4,
            "ring_distance": ONE // 4,
            "outlier_factor": 32 * ONE,
            "regret_limit": 16 * ONE,
        },
    ),
)
"""The limits are those of the demonstration but where the bases differ: there they stand outside what 99 of
100 honest nodes come to before the test (`python -m ledgerfed.evaluation.attack_study.calibration`)."""
