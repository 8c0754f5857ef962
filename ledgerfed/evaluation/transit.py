"""The transit benchmark in floats: what a federation of stations gains over each station alone.

    python -m ledgerfed.evaluation.transit

Every station trains on its own window; the test year is looked at once, by `score`. No verification, no
integers: this is the reference that the federation's figures must meet.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import cycle
from typing import Final

import numpy as np

from ledgerfed.datasets import TRANSIT_BASIS, TRANSIT_EVENTS_BASIS, load_transit
from ledgerfed.errors import NotFoundError
from ledgerfed.evaluation.metrics import geometric_mean, last_values, rmse_ratio, seasonal_naive
from ledgerfed.exchange import Basis, Design, Information, design, information
from ledgerfed.fusion import KAPPA, fuse, personal, predict
from ledgerfed.models import Family, Fitted, load_family
from ledgerfed.series import Panel, Split, Window, align, split, standardisation
from ledgerfed.series.arrays import Floats

FAMILIES: Final = ("ar", "arx", "arma", "local_level")
DEMO_STATIONS: Final = (
    "Addison",
    "Ashland",
    "Belmont",
    "Clark_Lake",
    "Harlem",
    "Jefferson_Park",
    "Monroe",
    "Western",
)
METHODS: Final = ("local", "linear", "global", "personal", "centralized")


@dataclass(frozen=True, slots=True, eq=False)
class Station:
    """A station after local training: its rows, windows, fitted native model and information."""

    name: str
    design: Design
    windows: Split
    family: Family
    fitted: Fitted
    information: Information


@dataclass(frozen=True, slots=True)
class StationErrors:
    """RMSE / naive RMSE on the test window, by method (METHODS), of one station."""

    station: str
    family: str
    ratios: dict[str, float]


def train(panel: Panel, basis: Basis, family: Family, windows: Split) -> Station:
    """Return the station with its native model fitted and its information made.

    Raises:
        FitError: the native model cannot be fitted.
    """
    aligned = align(panel)
    whole = design(aligned, basis, standardisation(aligned, windows.train))
    rows = whole.within(windows.train)
    fitted = family.fit(rows)
    X, y = rows.sample()
    info = information(X, y, fitted.one_step(rows)[rows.rows], family.exchange_weight)
    return Station(panel.name, whole, windows, family, fitted, info)


def score(stations: Sequence[Station], kappa: float = KAPPA) -> tuple[StationErrors, ...]:
    """Return each station's errors on its test window.

    `local` is the station's own native model, `linear` its own least squares on the basis, `global` the
    fused model, `personal` the station's blend of both, `centralized` least squares on all rows pooled.
    """
    infos = [station.information for station in stations]
    theta, precision = fuse(infos, [1.0] * len(infos))
    pooled = centralized(stations)
    return tuple(_errors(s, theta, precision / len(infos), pooled, kappa) for s in stations)


def centralized(stations: Sequence[Station]) -> Floats:
    """Return least squares on the standardised training rows of all stations together, float64 [d]."""
    samples = [station.design.within(station.windows.train).sample() for station in stations]
    X, y = (np.concatenate(parts) for parts in zip(*samples, strict=True))
    return np.asarray(np.linalg.lstsq(X, y)[0], dtype=np.float64)


def errors_on_test(station: Station, coefficients: Mapping[str, Floats], season: int = 7) -> dict[str, float]:
    """Return RMSE / naive RMSE on the test window of `local`, the native model, and of each linear model.

    `coefficients` are float64 [d] by method.
    """
    test = station.design.within(station.windows.test)
    X, y = test.sample()
    forecasts = {"local": _native(station, test)}
    forecasts |= {method: predict(X, theta) for method, theta in coefficients.items()}
    naive = seasonal_naive(last_values(test.y, test.basis.hold), season)[test.rows]
    return {method: rmse_ratio(y, forecast, naive) for method, forecast in forecasts.items()}


def benchmark(
    stations: Sequence[str],
    families: Sequence[str] = FAMILIES,
    basis: Basis = TRANSIT_BASIS,
    train_days: int = 60,
    before: int | None = None,
) -> tuple[StationErrors, ...]:
    """Return the errors of these stations, with the families dealt out in turn.

    Args:
        before: use only the first so many days of the panels, to study earlier years.

    Raises:
        NotFoundError: a station or a family of that name does not exist.
    """
    panels = {panel.name: panel for panel in load_transit()}
    missing = sorted(set(stations) - set(panels))
    if missing:
        raise NotFoundError(f"no station {missing[0]!r}; the stations are {', '.join(panels)}")
    chosen = [panels[name] if before is None else panels[name].head(before) for name in stations]
    return score(
        [
            train(panel, basis, load_family(name), split(panel, train=train_days))
            for panel, name in zip(chosen, cycle(families), strict=False)
        ]
    )


def summary(errors: Sequence[StationErrors]) -> dict[str, float]:
    """Return the geometric mean over stations for each method."""
    return {method: geometric_mean([e.ratios[method] for e in errors]) for method in METHODS}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the benchmark as a table; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ledgerfed.evaluation.transit", description=__doc__)
    parser.add_argument("--all", action="store_true", help="all 20 stations instead of the demo's 8")
    parser.add_argument("--families", nargs="+", default=list(FAMILIES))
    parser.add_argument("--train", type=int, default=60, help="days of training")
    parser.add_argument("--events", action="store_true", help="the basis with home games")
    options = parser.parse_args(arguments)
    stations = [panel.name for panel in load_transit()] if options.all else list(DEMO_STATIONS)
    basis = TRANSIT_EVENTS_BASIS if options.events else TRANSIT_BASIS
    errors = benchmark(stations, options.families, basis, options.train)
    sys.stdout.write(table(errors))
    return 0


def table(errors: Sequence[StationErrors]) -> str:
    """Return the errors as text, a station a line, the geometric means last."""
    lines = [_line("station", "family", METHODS)]
    lines += [_line(e.station, e.family, [f"{e.ratios[m]:.3f}" for m in METHODS]) for e in errors]
    lines.append(_line("geometric mean", "", [f"{value:.4f}" for value in summary(errors).values()]))
    return "".join(lines)


def _line(station: str, family: str, values: Sequence[str]) -> str:
    return f"{station:18}{family:12}" + "".join(f"{value:>13}" for value in values) + "\n"


def _errors(
    station: Station, theta: Floats, precision_mean: Floats, pooled: Floats, kappa: float
) -> StationErrors:
    coefficients = {
        "linear": station.information.theta(),
        "global": theta,
        "personal": personal(station.information, theta, precision_mean, kappa),
        "centralized": pooled,
    }
    return StationErrors(station.name, station.family.name, errors_on_test(station, coefficients))


def _native(station: Station, test: Design) -> Floats:
    """Run the native model from the training window on, so that its filter arrives warm at the test."""
    windows = station.windows
    through = station.design.within(Window(windows.train.start, windows.test.stop))
    return station.fitted.one_step(through)[test.rows]


if __name__ == "__main__":
    raise SystemExit(main())
