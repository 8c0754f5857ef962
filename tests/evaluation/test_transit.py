from __future__ import annotations

import numpy as np
import pytest

from ledgerfed.errors import InvalidValueError, NotFoundError
from ledgerfed.evaluation.metrics import geometric_mean, rmse, rmse_ratio, seasonal_naive
from ledgerfed.evaluation.transit import DEMO_STATIONS, METHODS, benchmark, main, summary, table


def test_the_naive_forecast_is_the_same_weekday_of_the_week_before() -> None:
    naive = seasonal_naive(np.arange(10.0))
    assert np.isnan(naive[:7]).all()
    assert naive[7:].tolist() == [0.0, 1.0, 2.0]


def test_metrics_refuse_what_has_no_meaning() -> None:
    assert rmse_ratio(np.array([1.0, 1.0]), np.array([0.0, 2.0]), np.array([3.0, 3.0])) == pytest.approx(0.5)
    assert geometric_mean([0.5, 2.0]) == pytest.approx(1.0)
    with pytest.raises(InvalidValueError, match="every one of them finite"):
        rmse(np.array([1.0, np.nan]))
    with pytest.raises(InvalidValueError, match="never wrong"):
        rmse_ratio(np.ones(2), np.ones(2), np.ones(2))
    with pytest.raises(InvalidValueError, match="positive"):
        geometric_mean([0.5, 0.0])


def test_stations_gain_by_joining_and_lose_little_against_pooling_the_data() -> None:
    errors = benchmark(DEMO_STATIONS)
    means = summary(errors)
    assert [e.family for e in errors] == ["ar", "arx", "arma", "local_level"] * 2
    assert means["global"] < 0.98 * means["local"]
    assert means["personal"] < 0.98 * means["local"]
    assert means["global"] < 1.01 * means["centralized"]
    assert max(means.values()) < 1.0


def test_with_one_linear_family_the_fused_model_is_close_to_the_centralised_one() -> None:
    means = summary(benchmark(DEMO_STATIONS, ["arx"]))
    assert means["global"] == pytest.approx(means["centralized"], rel=0.02)
    assert means["local"] == pytest.approx(means["linear"], rel=1e-3)


def test_the_table_shows_every_station_and_method(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--families", "ar"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["station", "family", *METHODS]
    assert [line.split()[0] for line in lines[1:-1]] == list(DEMO_STATIONS)
    assert lines[-1].startswith("geometric mean")
    assert table(benchmark(["Polk"], ["ar"])).count("\n") == 3


def test_an_unknown_station_is_named() -> None:
    with pytest.raises(NotFoundError, match="no station 'Alewife'"):
        benchmark(["Alewife"])
