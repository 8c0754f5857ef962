"""`make gas` says no when it must, and has nothing to say today."""

import json

import gas
import pytest
from deployed_ledger import deploy
from gas_scenarios import COMMITTEES, Figure, in_second_round, measure, round_gas

FIGURES = [
    Figure("seal", 1_000),
    Figure("round", 2_000, at_most=2_000),
    Figure("gap", 50, 100, tracked=False),
]
SNAPSHOT = {"seal": 1_000, "round": 2_000}


@pytest.fixture(scope="module")
def figures():
    return measure()


def test_no_call_is_above_its_goal_or_two_percent_above_the_snapshot(figures):
    assert gas.objections(figures, gas.read_snapshot()) == {}


def test_the_table_names_every_goal_and_every_quorum(figures):
    goals = {figure.name: figure.at_most for figure in figures if figure.at_most is not None}
    for n in (10, 1_000):
        assert goals[f"round q=3 n={n}"] == 135_000
        assert goals[f"round q=9 n={n}"] == 180_000
    assert goals["force"] == 42_000
    assert all(goals[f"round q={quorum} n=1000-10"] == 100 for quorum in COMMITTEES)


def test_every_chain_charges_the_gas_of_the_table(evm, figures):
    table = {figure.name: figure.gas for figure in figures}
    ledger = in_second_round(deploy(evm, nodes=10, depth=10, min_updates=1))
    gas = round_gas(ledger, 10)
    assert gas["seal"] == table["seal q=3"]
    assert gas["scores"] == table["scores q=3"]
    # Signatures differ with the address of the contract, and a zero byte of calldata costs 12 gas less.
    assert abs(gas["certify"] - table["certify q=3"]) <= 10 * 12


def test_what_is_as_before_or_a_little_more_is_fine():
    assert gas.objections(FIGURES, SNAPSHOT) == {}
    assert gas.objections([Figure("seal", 1_020), *FIGURES[1:]], SNAPSHOT) == {}


@pytest.mark.parametrize(
    ("figure", "reason"),
    [
        (Figure("seal", 1_021), "more than 2 % above the snapshot's 1,000"),
        (Figure("round", 2_001, at_most=2_000), "above the goal of 2,000"),
        (Figure("gap", 101, 100, tracked=False), "above the goal of 100"),
        (Figure("new", 1), "not in the snapshot"),
    ],
)
def test_growth_a_missed_goal_and_a_new_figure_are_named(figure, reason):
    others = [other for other in FIGURES if other.name != figure.name]
    (found,) = gas.objections([*others, figure], SNAPSHOT).items()
    assert found[0] == figure.name
    assert reason in found[1]


def test_a_figure_that_is_measured_no_more_is_named():
    assert "no scenario measures it" in gas.objections(FIGURES, SNAPSHOT | {"old": 5})["old"]


def test_the_exit_code_and_the_document_say_whether_all_is_well(figures, monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(gas, "measure", lambda: figures)
    monkeypatch.setattr(gas, "SNAPSHOT", tmp_path / "gas.json")
    assert gas.main(["--json"]) == 1
    assert json.loads(capsys.readouterr().out)["objections"].keys() == {f.name for f in figures if f.tracked}
    assert gas.main(["--update", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert [row["name"] for row in document["figures"]] == [figure.name for figure in figures]
    assert document["objections"] == {}
    assert gas.main([]) == 0
    assert "per update q=3 n=1000" in capsys.readouterr().out
