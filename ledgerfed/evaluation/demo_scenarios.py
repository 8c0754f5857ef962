"""What the demonstration can show: stations of a railway, wards of hospitals, or runs of a dryer.

In each some nodes lack a modality that others have, and the nodes fit different families. Their windows are
consecutive: the holdout, on which a node scores others, then training, then the test that nobody fits on.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

from ledgerfed.datasets import load_health_wards, load_industry, load_transit
from ledgerfed.datasets.episodes import episodes
from ledgerfed.datasets.transit import TRANSIT_BASIS
from ledgerfed.errors import NotFoundError
from ledgerfed.evaluation.bases import WARD, dryer_basis
from ledgerfed.evaluation.transit import DEMO_STATIONS, FAMILIES
from ledgerfed.exchange import Basis
from ledgerfed.exchange.basis import HELD
from ledgerfed.protocol.score import ONE
from ledgerfed.series import Panel, Split, Window, split

NODES: Final = 8


@dataclass(frozen=True, slots=True)
class DemoScenario:
    """One scenario: `lacking` are the modalities that a node does without, by its index.

    `naive` is the lag of the naive forecast, and `caption` says over the errors what they are.
    `limits` are the thresholds of its gates, where they differ from the demonstration's.
    """

    name: str
    basis: Basis
    load: Callable[[], tuple[Panel, ...]]
    windows: Callable[[Panel], Split]
    families: tuple[str, ...]
    naive: int
    caption: str
    lacking: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    limits: Mapping[str, int] = field(default_factory=dict)

    def panels(self) -> tuple[Panel, ...]:
        """Return the panels of the nodes, without what they lack."""
        return tuple(without(panel, self.lacking.get(index, ())) for index, panel in enumerate(self.load()))


def without(panel: Panel, modalities: tuple[str, ...]) -> Panel:
    """Return the panel without these modalities."""
    return replace(panel, modalities=tuple(m for m in panel.modalities if m.name not in modalities))


def find_scenario(name: str) -> DemoScenario:
    """Return the scenario of that name; raises NotFoundError for another."""
    for scenario in SCENARIOS:
        if scenario.name == name:
            return scenario
    raise NotFoundError(f"no scenario {name!r}; one of {', '.join(s.name for s in SCENARIOS)}")


def by_episodes(holdout: int, test: int, panel: Panel) -> Split:
    """Return windows of whole episodes: the first `holdout`, the last `test`, and training between them."""
    runs = episodes(panel)
    return Split(
        Window(runs[0].start, runs[holdout - 1].stop),
        Window(runs[holdout].start, runs[-test - 1].stop),
        Window(runs[-test].start, runs[-1].stop),
    )


def _stations() -> tuple[Panel, ...]:
    panels = {panel.name: panel for panel in load_transit()}
    return tuple(panels[name] for name in DEMO_STATIONS)


def _wards() -> tuple[Panel, ...]:
    return load_health_wards(20)[:NODES]


def _dryers() -> tuple[Panel, ...]:
    return load_industry("AgitatorPower")[:NODES]


TRANSIT: Final = DemoScenario(
    "transit",
    replace(TRANSIT_BASIS, channels=tuple(replace(t, transform=HELD) for t in TRANSIT_BASIS.channels)),
    _stations,
    split,
    FAMILIES,
    7,
    "RMSE / naive RMSE on the test year (naive: the same weekday of the week before)",
    {1: ("weather",), 6: ("weather",)},
)
HEALTH: Final = DemoScenario(
    "health",
    WARD,
    _wards,
    partial(by_episodes, 4, 6),
    FAMILIES,
    1,
    "RMSE / naive RMSE on the ward's last six patients (naive: the last heart rate)",
    {1: ("labs",), 3: ("ventilation", "neuro"), 6: ("labs", "neuro")},
    {"moment_band": 64 * ONE, "copy_alignment_bits": 6, "twin_alignment_bits": 3},
)
INDUSTRY: Final = DemoScenario(
    "industry",
    dryer_basis("AgitatorPower", padded=True),
    _dryers,
    partial(by_episodes, 1, 2),
    FAMILIES,
    1,
    "RMSE / naive RMSE on the last two batches (naive: the last reading)",
    {2: ("pressures",), 5: ("level", "pressures")},
    {
        "moment_band": 16 * ONE,
        "copy_alignment_bits": 6,
        "twin_alignment_bits": 5,
        "outlier_factor": 12 * ONE,
        "base_distance": ONE // 64,
        "regret_limit": 32 * ONE,
    },
)
"""Batches differ more than days, and dryers more than stations. The limits were set on the very batches that
the nodes train on: `python -m ledgerfed.evaluation.calibration`."""
SCENARIOS: Final = (TRANSIT, HEALTH, INDUSTRY)
