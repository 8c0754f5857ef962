from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from ledgerfed.evaluation.bases import dryer_basis
from ledgerfed.evaluation.modality_models import Rows, base_columns, modality_columns, pad, train
from ledgerfed.evaluation.modality_study import FUSING, KINDS, MISSING, main, study_case, study_cases
from ledgerfed.exchange import information, noise_about


@pytest.fixture(scope="module")
def dryer() -> dict[str, dict[str, Any]]:
    return {c.name: study_case(c) for c in study_cases() if c.scenario == "industry"}


def test_an_expert_has_the_base_columns_and_the_channels_of_one_modality() -> None:
    basis = dryer_basis("AgitatorPower")
    base, experts = base_columns(basis), modality_columns(basis)
    assert [name for name, kept in zip(basis.names, base, strict=True) if kept] == [
        "AgitatorPower@1",
        "AgitatorPower@2",
        "AgitatorPower@3",
        "intercept",
    ]
    assert list(experts) == ["agitator", "pressures", "temperatures", "level"]
    assert all((mask >= base).all() for mask in experts.values())
    np.testing.assert_array_equal(sum(mask.astype(int) for mask in experts.values()), np.where(base, 4, 1))


def test_the_channels_of_the_dryer_pay_and_one_basis_beats_experts(dryer: Mapping[str, Any]) -> None:
    for figures in dryer.values():
        for kind in KINDS:
            errors = figures["fusing"][kind]
            assert errors["early"] < errors["late"] < errors["intersection"] < errors["base"]
        assert sum(figures["late weights"].values()) == pytest.approx(1.0)


def test_em_wins_back_most_of_what_missing_channels_cost_and_those_without_them_lose_nothing(
    dryer: Mapping[str, Any],
) -> None:
    for figures in dryer.values():
        for kind in KINDS:
            have, lack = figures["missing"][kind]["have"], figures["missing"][kind]["lack"]
            assert have["nobody lacks"] < have["em"] < have["base"]
            assert lack["em"] < 1.002 * lack["base"]
            assert lack["em"] < lack["padded"]
        personal = figures["missing"]["personal"]["have"]
        assert personal["em"] == min(personal[m] for m in MISSING if m != "nobody lacks")


def test_the_second_round_is_the_least_squares_fit_with_each_nodes_noise_about_the_first() -> None:
    rng = np.random.default_rng(0)
    theta = rng.normal(size=3)
    parts = []
    for noise in (0.3, 2.0):
        X = rng.normal(size=(80, 3))
        parts.append(Rows(X, X @ theta + noise * rng.normal(size=80)))
    everything = np.ones(3, dtype=bool)
    first = train(parts, [everything] * 2, everything, pad, rounds=1).theta
    infos = [information(p.X, p.y, p.y, 1.0, noise_about(p.X, p.y, first)) for p in parts]
    expected = np.linalg.solve(sum(i.precision() for i in infos), sum(i.eta() for i in infos))
    np.testing.assert_allclose(train(parts, [everything] * 2, everything, pad).theta, expected, rtol=1e-9)


def test_the_program_prints_a_table_or_all_figures_as_json(
    dryer: Mapping[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["--cases", "dryer-power"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(",")[0] for line in lines if "fusing" in line] == list(KINDS)
    shown = next(line for line in lines if line.startswith("dryer-power")).split()
    wanted = dryer["dryer-power"]["fusing"]["global"]
    assert shown[1:] == ["12", *(f"{wanted[method]:.4f}" for method in FUSING)]
    assert main(["--json", "--cases", "dryer-power"]) == 0
    assert json.loads(capsys.readouterr().out)["dryer-power"] == dryer["dryer-power"]


RECORD = Path(__file__).parents[2] / "docs" / "adr" / "0016-missing-modalities.md"
CASES_BY_TITLE = {
    "dryer power": "dryer-power",
    "dryer temperature": "dryer-temperature",
    "heart rate": "heart-rate-all-channels",
    "transit, 60 days": "transit-60",
    "transit, 180 days": "transit-180",
}


def quoted_rows() -> Iterator[tuple[str, str, str, list[float]]]:
    """Case, kind, nodes or who has the channels, and the figures of each row of the record's two tables."""
    title = ""
    for line in RECORD.read_text().splitlines():
        cells = [cell.strip(" *") for cell in line.strip("|").split("|")]
        if not line.startswith("|") or not cells[-1].replace(".", "").isdigit():
            continue
        title = cells[0] or title
        case = next(name for start, name in CASES_BY_TITLE.items() if title.startswith(start))
        yield case, title.rsplit(", ", 1)[1], cells[1], [float(cell) for cell in cells[2:]]


@pytest.mark.slow
def test_the_decision_record_quotes_what_the_study_finds() -> None:
    results = {case.name: study_case(case) for case in study_cases()}
    quoted = list(quoted_rows())
    assert len(quoted) == 22
    for case, kind, group, figures in quoted:
        if group in ("have", "lack"):
            found = [results[case]["missing"][kind][group][method] for method in MISSING]
        else:
            assert int(group) == results[case]["nodes"]
            found = [results[case]["fusing"][kind][method] for method in FUSING]
        np.testing.assert_allclose(figures, found, atol=1e-3, err_msg=f"{case}, {kind}, {group}")
