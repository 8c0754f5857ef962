"""What an update costs in bytes, and what its integers cost in error, on the transit benchmark.

    python -m ledgerfed.evaluation.quantisation_study [--days 60]

The same fused model is made from the information as it is and from what comes back from the payloads, at
several origins that end before the default holdout begins, so that no test row chooses a number of bits.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from itertools import cycle
from typing import Final

from ledgerfed.datasets import TRANSIT_BASIS, load_transit
from ledgerfed.evaluation.metrics import geometric_mean
from ledgerfed.evaluation.transit import DEMO_STATIONS, FAMILIES, Station, errors_on_test, train
from ledgerfed.exchange import Basis, Information, dequantise, quantise
from ledgerfed.fusion import KAPPA, fuse, personal
from ledgerfed.models import load_family
from ledgerfed.protocol.payload import BITS_MAX, BITS_MIN, encode_update, family_tag, payload_size
from ledgerfed.series import split
from ledgerfed.series.arrays import Floats

WIDTHS: Final = (10, 17, 40)
BITS: Final = (BITS_MIN, 14, BITS_MAX)
ORIGINS: Final = 6
STRIDE: Final = 400
"""Days between two origins."""
BASES: Final[tuple[Basis, ...]] = (TRANSIT_BASIS, replace(TRANSIT_BASIS, lags=tuple(range(1, 14))))
"""The basis of the demonstration, and one of 17 columns."""


def cost(stations: Sequence[Station], bits: int) -> dict[str, float]:
    """Return RMSE with `bits` per mantissa over RMSE without rounding, less 1, by method: geometric means."""
    exact = [station.information for station in stations]
    sent = [_through_payload(info, bits) for info in exact]
    kinds = {"exact": exact, "sent": sent}
    fused = {name: fuse(infos, [1.0] * len(infos)) for name, infos in kinds.items()}
    ratios: dict[str, list[float]] = {"global": [], "personal": []}
    for k, station in enumerate(stations):
        found = errors_on_test(station, _coefficients(kinds, fused, k))
        for method, values in ratios.items():
            values.append(found[f"{method} sent"] / found[f"{method} exact"])
    return {method: geometric_mean(values) - 1 for method, values in ratios.items()}


def _coefficients(
    kinds: Mapping[str, Sequence[Information]], fused: Mapping[str, tuple[Floats, Floats]], k: int
) -> dict[str, Floats]:
    found = {}
    for name, infos in kinds.items():
        theta, precision = fused[name]
        found[f"global {name}"] = theta
        found[f"personal {name}"] = personal(infos[k], theta, precision / len(infos), KAPPA)
    return found


def _through_payload(info: Information, bits: int) -> Information:
    nothing, family = bytes(32), family_tag("study")
    update = quantise(info, schema=nothing, base_model=nothing, family=family, bits=bits)
    assert len(encode_update(update)) == payload_size(info.width, bits)
    return dequantise(update)


def _stations(basis: Basis, days: int, origin: int) -> list[Station]:
    panels = {panel.name: panel for panel in load_transit()}
    end = split(panels[DEMO_STATIONS[0]]).holdout.start - STRIDE * origin
    families = [load_family(name) for name, _ in zip(cycle(FAMILIES), DEMO_STATIONS, strict=False)]
    chosen = [panels[name].head(end) for name in DEMO_STATIONS]
    return [train(p, basis, f, split(p, train=days)) for p, f in zip(chosen, families, strict=True)]


def main(arguments: Sequence[str] | None = None) -> int:
    """Print sizes and costs as tables; return the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m ledgerfed.evaluation.quantisation_study", description=__doc__
    )
    parser.add_argument("--days", type=int, default=60, help="days of training")
    options = parser.parse_args(arguments)
    out = sys.stdout.write
    out("bytes of a payload" + " " * 12 + "".join(f"{bits:>4} bits" for bits in BITS) + "\n")
    for d in WIDTHS:
        out(f"d = {d:<26}" + "".join(f"{payload_size(d, bits):9}" for bits in BITS) + "\n")
    out(f"\ncost in RMSE, %, mean and worst of {ORIGINS} origins\n")
    for basis in BASES:
        origins = [_stations(basis, options.days, origin) for origin in range(ORIGINS)]
        found = [[cost(stations, bits) for stations in origins] for bits in BITS]
        for method in found[0][0]:
            out(f"{f'd = {basis.width}, {method}':20}")
            for costs in found:
                values = [100 * cost[method] for cost in costs]
                out(f"{sum(values) / len(values):10.4f}{max(values):9.4f}")
            out("\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
