from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.exchange_methods import LAGS, METHODS, Federation, judged, most_likely_kappa
from ledgerfed.evaluation.exchange_study import main, study, table
from ledgerfed.evaluation.synthetic_nodes import Linear, Node, draw_nodes
from ledgerfed.exchange.differencing import Difference
from ledgerfed.exchange.linear_prediction import cepstrum, step_down, step_up
from ledgerfed.fusion import KAPPAS, fuse, personal


@pytest.fixture(scope="module")
def different() -> Federation:
    """Twenty nodes of about 150 values that differ a lot."""
    return Federation(draw_nodes(20, 150, 0.4, np.random.default_rng(0)))


def weights_of(federation: Federation, method: str) -> np.ndarray:
    return METHODS[method](federation)[0].ar


def test_exact_statistics_give_the_pooled_weighted_fit(different: Federation) -> None:
    noise = []
    for X, y in different.samples:
        error = y - X @ np.linalg.lstsq(X, y)[0]
        noise.append(np.sqrt(error @ error / (len(y) - LAGS)))
    X = np.vstack([X / s for (X, _), s in zip(different.samples, noise, strict=True)])
    y = np.concatenate([y / s for (_, y), s in zip(different.samples, noise, strict=True)])
    fused = weights_of(different, "precision, statistics (lambda 1)")
    np.testing.assert_allclose(fused, np.linalg.lstsq(X, y)[0], atol=1e-9)


def test_own_models_enter_by_what_they_predict(different: Federation) -> None:
    infos = different.projected
    thetas = [
        np.linalg.lstsq(X, node.native.one_step(node.y)[LAGS:])[0]
        for node, (X, _) in zip(different.nodes, different.samples, strict=True)
    ]
    precisions = [info.precision() for info in infos]
    moment = sum(P @ theta for P, theta in zip(precisions, thetas, strict=True))
    expected = np.linalg.solve(sum(precisions), moment)
    np.testing.assert_allclose(weights_of(different, "precision, own models (lambda 0)"), expected, atol=1e-9)


def test_averages_weigh_nodes_as_their_names_say(different: Federation) -> None:
    natives = [node.native for node in different.nodes]
    n = np.array([len(node.y) for node in different.nodes], dtype=float)
    errors = [node.y - node.native.one_step(node.y) for node in different.nodes]
    scalar = n / np.array([error @ error / len(error) for error in errors])
    long = np.array([native.weights(128) for native in natives])
    stable = [step_down(native.best(LAGS), 0.999) for native in natives]
    cepstra = np.array([cepstrum(step_up(k), LAGS) for k in stable])
    np.testing.assert_allclose(weights_of(different, "AR(inf), mean"), long.mean(axis=0))
    np.testing.assert_allclose(weights_of(different, "AR(inf), median"), np.median(long, axis=0))
    np.testing.assert_allclose(weights_of(different, "AR(inf), weights n/s2"), scalar @ long / scalar.sum())
    pacf = step_down(weights_of(different, "partial autocorrelations, mean"))
    np.testing.assert_allclose(pacf, scalar @ np.array(stable) / scalar.sum(), atol=1e-9)
    spoken = cepstrum(weights_of(different, "cepstrum, mean"), LAGS)
    np.testing.assert_allclose(spoken, n @ cepstra / n.sum(), atol=1e-9)
    P = np.array([np.diag(info.precision()) for info in different.projected])
    thetas = np.array([info.theta() for info in different.projected])
    diagonal = weights_of(different, "precision, diagonal only")
    np.testing.assert_allclose(diagonal, (P * thetas).sum(axis=0) / P.sum(axis=0))


def test_precision_beats_every_average_where_nodes_differ(different: Federation) -> None:
    ratios = judged(different)
    precision = max(
        ratios[name]
        for name in (
            "precision, own models (lambda 0)",
            "precision, statistics (lambda 1)",
            "autocovariances (26 bytes)",
        )
    )
    averages = [
        name
        for name in METHODS
        if name.startswith(("native", "AR(inf), mean", "AR(inf), weights", "partial")) or "diagonal" in name
    ]
    assert len(averages) == 6
    for name in averages:
        assert ratios[name] > precision, name


def test_a_personal_forecaster_beats_every_global_one_where_nodes_differ(different: Federation) -> None:
    ratios = judged(different)
    personal = ratios.pop("personal, kappa by likelihood")
    assert personal < min(ratio for name, ratio in ratios.items() if not name.startswith("local"))


def test_the_small_profile_comes_close_to_exact_statistics(different: Federation) -> None:
    ratios = judged(different)
    small, exact = ratios["autocovariances (26 bytes)"], ratios["precision, statistics (lambda 1)"]
    assert abs(small / exact - 1) < 0.02


def test_all_ways_agree_on_nodes_that_are_copies_of_one_autoregression() -> None:
    rng = np.random.default_rng(1)
    truth = Linear(np.array([0.5, 0.2]), np.empty(0))
    y = rng.normal(size=300)
    for t in range(2, 300):
        y[t] += truth.ar @ [y[t - 1], y[t - 2]]
    federation = Federation([Node(y, truth, truth)] * 5)
    of_own_model = set(METHODS) - {
        "local, AR(12) by least squares",
        "precision, statistics (lambda 1)",
        "autocovariances (26 bytes)",
        "centralized, raw least squares",
        "personal, kappa by likelihood",
    }
    ratios = judged(federation)
    for name in of_own_model:
        assert ratios[name] == pytest.approx(1.0, abs=1e-9), name
    rest = {ratios[name] for name in set(METHODS) - of_own_model}
    assert max(rest) - min(rest) < 0.01


def test_kappa_is_where_the_fits_are_most_likely(different: Federation) -> None:
    centre, precision = fuse(different.exact, [1.0] * 20)
    mean = precision / 20
    evidence = [
        sum(
            multivariate_normal(centre, np.linalg.inv(info.precision()) + np.linalg.inv(mean) / kappa).logpdf(
                info.theta()
            )
            for info in different.exact
        )
        for kappa in KAPPAS
    ]
    kappa = KAPPAS[int(np.argmax(evidence))]
    assert most_likely_kappa(different.exact, centre, mean) == kappa
    blended = personal(different.exact[3], centre, mean, kappa)
    np.testing.assert_allclose(METHODS["personal, kappa by likelihood"](different)[3].ar, blended, atol=1e-9)


def test_nodes_that_are_alike_get_a_strong_prior_and_different_ones_a_weak_one(
    different: Federation,
) -> None:
    alike = Federation(draw_nodes(20, 150, 0.0, np.random.default_rng(0)))
    kappas = []
    for federation in (different, alike):
        centre, precision = fuse(federation.exact, [1.0] * 20)
        kappas.append(most_likely_kappa(federation.exact, centre, precision / 20))
    assert kappas[1] > 30 * kappas[0]


def test_by_position_the_second_place_is_a_lag_for_one_and_a_shock_for_another() -> None:
    y = np.random.default_rng(4).normal(size=60)
    natives = [
        Linear(np.array([0.5, 0.2]), np.empty(0)),
        Linear(np.array([0.8]), np.array([-0.6])),
        Linear(np.empty(0), np.array([-0.8]), Difference(1)),
    ]
    back = METHODS["native parameters, by position"](Federation([Node(y, n, n) for n in natives]))
    first, second = (0.5 + 0.8 + 0.2) / 3, (0.2 - 0.6) / 2
    np.testing.assert_allclose(back[0].ar, [first, second])
    np.testing.assert_allclose([*back[1].ar, *back[1].ma], [first, second])
    np.testing.assert_allclose(back[2].ma, [first - 1])
    assert back[2].difference == Difference(1)


def test_averaging_by_position_mixes_up_what_averaging_by_name_keeps_apart() -> None:
    alike = Federation(draw_nodes(20, 500, 0.0, np.random.default_rng(2)))
    ratios = judged(alike)
    assert ratios["native parameters, by position"] - 1 > 4 * (ratios["native parameters, by name"] - 1)


def test_the_study_has_a_cell_for_every_method_and_setting() -> None:
    steps: list[None] = []
    result = study(2, 0, (60,), (0.0, 0.4), lambda: steps.append(None))
    assert len(steps) == 4
    assert result.fits == 80
    assert [(c.method, c.length, c.heterogeneity) for c in result.cells] == [
        (method, 60, h) for h in (0.0, 0.4) for method in METHODS
    ]
    assert all(cell.excess > 0 and cell.standard_error > 0 for cell in result.cells)
    first = judged(Federation(draw_nodes(20, 60, 0.0, np.random.default_rng([0, 0]))))
    second = judged(Federation(draw_nodes(20, 60, 0.0, np.random.default_rng([0, 1]))))
    cell = result.cells[0]
    pair = np.log([first[cell.method], second[cell.method]])
    assert cell.excess == pytest.approx(100 * (np.exp(pair.mean()) - 1))
    error = abs(pair[0] - pair[1]) / 2
    assert cell.standard_error == pytest.approx(100 * np.exp(pair.mean()) * error)
    lines = table(result).splitlines()
    assert len(lines) == len(METHODS) + 2
    assert lines[1].startswith("local, own model")
    assert f"{cell.excess:.2f}" in lines[1]
    assert lines[-1].startswith(f"{result.fallbacks} of 80 native fits")


def test_the_program_prints_json_or_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--repeats", "1", "--seed", "3", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert len(document["cells"]) == 9 * len(METHODS)
    assert main(["--repeats", "1", "--seed", "3"]) == 0
    text = capsys.readouterr().out
    assert f"{document['cells'][0]['excess']:.2f}" in text


def test_a_study_without_repeats_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="at least one repeat"):
        study(0, 0)


@pytest.mark.slow
def test_the_decision_record_shows_what_the_study_prints() -> None:
    record = Path(__file__).parents[2] / "docs/adr/0012-exchange-is-square-root-information.md"
    shown = record.read_text().split("```text\n")[1].split("```")[0].splitlines()
    printed = table(study(12, 0)).splitlines()
    assert len(shown) == len(printed)
    assert [line[:33] for line in shown[:-1]] == [line[:33] for line in printed[:-1]]
    for before, now in zip(shown[1:-1], printed[1:-1], strict=True):
        old, new = (np.array(line[33:].split(), dtype=float) for line in (before, now))
        np.testing.assert_allclose(new, old, rtol=0.02, atol=0.02, err_msg=now)
