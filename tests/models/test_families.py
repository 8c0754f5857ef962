from __future__ import annotations

import subprocess
import sys
import warnings

import numpy as np
import pytest

from ledgerfed.errors import FitError, NotFoundError
from ledgerfed.exchange import Design, information
from ledgerfed.models import Family, family_names, load_family
from ledgerfed.models.ar import AR
from ledgerfed.models.arma import ARMA
from ledgerfed.models.local_level import LocalLevel
from ledgerfed.series import Split, Window

NAMES = ("ar", "arima", "arma", "arx", "local_level", "ma", "varx")


def test_the_registered_families_are_found_by_name() -> None:
    assert set(NAMES) <= set(family_names())
    for name in NAMES:
        family = load_family(name)
        assert isinstance(family, Family)
        assert family.name == name
    with pytest.raises(NotFoundError, match="no model family 'lstm'; registered are"):
        load_family("lstm")


def test_importing_the_families_does_not_import_statsmodels() -> None:
    script = (
        "import sys; from ledgerfed.models import load_family;"
        f"[load_family(name) for name in {NAMES}];"
        "print('statsmodels' in sys.modules, 'pandas' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    assert out.split() == ["False", "False"]


def test_linear_families_exchange_statistics_and_the_others_predictions() -> None:
    exact = {name for name in NAMES if load_family(name).exchange_weight == 1.0}
    assert exact == {"ar", "arx", "varx"}
    assert {load_family(name).exchange_weight for name in set(NAMES) - exact} == {0.0}


def test_least_squares_recovers_an_autoregression(autoregression: Design) -> None:
    fitted = AR().fit(autoregression)
    np.testing.assert_allclose(fitted.parameters, [0.6, -0.2, 0.0], atol=0.04)


def test_ar_looks_at_no_modality_and_arx_at_all(transit: Design, windows: Split) -> None:
    train = transit.within(windows.train)
    rain = transit.basis.names.index("weather/weather_rain@1")
    flooded = transit.X.copy()
    flooded[:, rain] += 9.0
    wet = Design(transit.basis, transit.times, flooded, transit.y, transit.rows)
    for name, looks in (("ar", False), ("arx", True)):
        fitted = load_family(name).fit(train)
        moved = not np.array_equal(
            fitted.one_step(wet)[windows.test.rows], fitted.one_step(transit)[windows.test.rows]
        )
        assert moved == looks


def test_least_squares_agrees_with_statsmodels(transit: Design, windows: Split) -> None:
    from statsmodels.regression.linear_model import OLS

    train = transit.within(windows.train)
    X, y = train.sample()
    np.testing.assert_allclose(load_family("arx").fit(train).parameters, OLS(y, X).fit().params, atol=5e-3)


@pytest.mark.parametrize("name", NAMES)
def test_every_family_predicts_all_training_rows_and_fits_them_better_than_the_week_before(
    name: str, transit: Design, windows: Split
) -> None:
    train = transit.within(windows.train)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        fitted = load_family(name).fit(train)
        predictions = fitted.one_step(train)[train.rows]
    y = transit.y[windows.train.rows]
    naive = transit.y[windows.train.start - 7 : windows.train.stop - 7]
    assert np.sqrt(np.mean((predictions - y) ** 2)) < 0.95 * np.sqrt(np.mean((naive - y) ** 2))
    assert fitted.family == name
    assert np.isfinite(fitted.parameters).all()
    X, _ = train.sample()
    info = information(X, y, predictions, load_family(name).exchange_weight)
    assert info.n == 60


@pytest.mark.parametrize("name", NAMES)
def test_a_prediction_does_not_know_the_value_nor_anything_later(
    name: str, transit: Design, windows: Split
) -> None:
    fitted = load_family(name).fit(transit.within(windows.train))
    span = Window(windows.train.start, windows.test.stop)
    before = fitted.one_step(transit.within(span))
    t = windows.test.start + 100
    y = transit.y.copy()
    y[t:] += 4.0
    X = transit.X.copy()
    X[t + 1 :] += 4.0
    after = fitted.one_step(Design(transit.basis, transit.times, X, y, transit.rows).within(span))
    np.testing.assert_array_equal(after[windows.test.start : t + 1], before[windows.test.start : t + 1])
    assert not np.allclose(after[t + 1 : t + 15], before[t + 1 : t + 15])


@pytest.mark.parametrize("name", NAMES)
def test_a_fit_depends_on_nothing_after_its_window(name: str, transit: Design, windows: Split) -> None:
    y, X = transit.y.copy(), transit.X.copy()
    y[windows.test.start :] = 77.0
    X[windows.test.start :] = 77.0
    other = Design(transit.basis, transit.times, X, y, transit.rows)
    family = load_family(name)
    assert (
        family.fit(other.within(windows.train)).parameters
        == family.fit(transit.within(windows.train)).parameters
    )


@pytest.mark.parametrize("name", NAMES)
def test_the_same_rows_give_the_same_parameters(name: str, transit: Design, windows: Split) -> None:
    train = transit.within(windows.train)
    assert load_family(name).fit(train).parameters == load_family(name).fit(train).parameters


@pytest.mark.parametrize("name", ["ar", "arx", "varx"])
def test_a_series_without_noise_is_a_fit_error(name: str, constant: Design) -> None:
    with pytest.raises(FitError, match="cannot be fitted"):
        load_family(name).fit(constant)


@pytest.mark.parametrize("family", [LocalLevel()])
def test_too_short_a_history_is_a_fit_error(family: Family, transit: Design, windows: Split) -> None:
    with pytest.raises(FitError, match="needs 28 values"):
        family.fit(transit.within(Window(14, 20)))


@pytest.mark.parametrize("family", [ARMA(), LocalLevel()])
def test_a_missing_day_is_filtered_over_not_guessed(family: Family, transit: Design, windows: Split) -> None:
    y = transit.y.copy()
    gap = windows.train.start + 30
    y[gap] = np.nan
    rows = transit.rows.copy()
    rows[gap] = False
    train = Design(transit.basis, transit.times, transit.X, y, rows).within(windows.train)
    predictions = family.fit(train).one_step(train)
    assert np.isfinite(predictions[windows.train.start : gap + 7]).all()
