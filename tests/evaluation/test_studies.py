"""The studies behind ADR 13 and 14 keep their promises on a small sample."""

from __future__ import annotations

from dataclasses import replace

from ledgerfed.evaluation import quantisation_study, stability_study
from ledgerfed.evaluation.quantisation_study import cost


def test_integers_cost_a_thousandth_of_the_error_at_most_and_more_bits_cost_less() -> None:
    for basis in quantisation_study.BASES:
        stations = quantisation_study._stations(basis, 60, 0)
        costs = {bits: cost(stations, bits) for bits in quantisation_study.BITS}
        assert all(abs(value) <= 0.001 for found in costs.values() for value in found.values())
        assert abs(costs[16]["global"]) < 0.0001


def test_contraction_keeps_long_forecasts_from_exploding() -> None:
    setting = replace(stability_study.SETTINGS[0], nodes=1)
    exploded, found = stability_study.study(setting, 60)
    assert exploded
    assert found["contracted"][1] < found["as solved"][1]
    assert found["contracted"][0][-1] < found["as solved"][0][-1]
