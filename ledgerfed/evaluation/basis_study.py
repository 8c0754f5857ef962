"""Which basis serves stations best, judged on years that end before the default holdout begins.

    python -m ledgerfed.evaluation.basis_study

The test year of `evaluation.transit` must choose nothing, so this moves the whole benchmark back in time.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from ledgerfed.datasets import TRANSIT_BASIS, TRANSIT_EVENTS_BASIS, load_transit
from ledgerfed.evaluation.metrics import geometric_mean
from ledgerfed.evaluation.transit import DEMO_STATIONS, METHODS, benchmark, summary
from ledgerfed.exchange import Basis, ChannelTerm
from ledgerfed.series import split

ORIGINS: Final = 14
STRIDE: Final = 180
"""Days between two origins: half a year, less a little, so that the seasons drift through."""

_TEMPERATURE = ChannelTerm("weather", ("temp",), 1)
CANDIDATES: Final[Mapping[str, Basis]] = {
    "lags and weekend": replace(TRANSIT_BASIS, channels=()),
    "with rain (chosen)": TRANSIT_BASIS,
    "with rain, home games": TRANSIT_EVENTS_BASIS,
    "with rain, temperature": replace(TRANSIT_BASIS, channels=(*TRANSIT_BASIS.channels, _TEMPERATURE)),
    "with all three": replace(TRANSIT_EVENTS_BASIS, channels=(*TRANSIT_EVENTS_BASIS.channels, _TEMPERATURE)),
}


def study(basis: Basis, origins: int = ORIGINS) -> dict[str, float]:
    """Return the geometric mean over `origins` of each method's RMSE / naive, demo stations and families."""
    end = split(load_transit()[0]).holdout.start
    results = [
        summary(benchmark(DEMO_STATIONS, basis=basis, before=end - STRIDE * k)) for k in range(origins)
    ]
    return {method: geometric_mean([result[method] for result in results]) for method in METHODS}


def main() -> int:
    """Print the study, a basis a line; return the exit code."""
    sys.stdout.write(f"{'basis':26}" + "".join(f"{method:>13}" for method in METHODS) + "\n")
    for name, basis in CANDIDATES.items():
        values = "".join(f"{value:13.4f}" for value in study(basis).values())
        sys.stdout.write(f"{name:26}{values}\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
