"""The tests of the contract together take every branch of it and provoke every refusal."""

import subprocess
import sys
from pathlib import Path

import pytest
import vyper.ast
from branches import contract_branches, untaken_branches
from local_evm import Record

from ledgerfed.ledger import compile as compiler

HERE = Path(__file__).parent
# What these say is not of single calls, or is not about calls at all.
OTHER_MODULES = ("test_completeness", "test_state_machine", "test_gas", "test_artifact")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """What ran in a run of its own, so that it does not matter which tests ran here, or in which order."""
    path = tmp_path_factory.mktemp("record") / "calls.json"
    ignored = [f"--ignore={HERE}/{name}.py" for name in OTHER_MODULES]
    options = ["-q", "-p", "no:cacheprovider", f"--record-calls={path}", *ignored]
    command = [sys.executable, "-m", "pytest", str(HERE), *options]
    done = subprocess.run(command, cwd=HERE.parents[1], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]
    return Record.read(path)


def refusals(text):
    """The reasons of all asserts and raises of a source text; None for one without words."""

    def nodes(value):
        if isinstance(value, dict):
            yield value
            value = list(value.values())
        if isinstance(value, list):
            for entry in value:
                yield from nodes(entry)

    tree = vyper.ast.parse_to_ast(text).to_dict()
    fields = {"Assert": "msg", "Raise": "exc"}
    found = [node[fields[node["ast_type"]]] for node in nodes(tree) if node.get("ast_type") in fields]
    return [reason and reason["value"] for reason in found]


def test_every_branch_of_the_contract_is_taken_both_ways(recorded):
    assert untaken_branches(compiler.SOURCE, recorded) == []


def test_every_refusal_has_a_reason_that_a_test_provokes(recorded):
    files = compiler.sources_of(compiler.SOURCE)
    reasons = [reason for file in files for reason in refusals(file.read_text("utf-8"))]
    assert len(files) > 1
    assert None not in reasons
    assert sorted(set(reasons) - recorded.reasons) == []
    assert [reason for reason in reasons if len(reason) < 10] == []


SMALL = """
# pragma version 0.4.3
# pragma evm-version cancun
@external
def f(a: uint256) -> uint256:
    assert a != 5, "five is not welcome"
    if a > 7:
        return a * 2
    return a
"""


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.vy"
    path.write_text(SMALL, "utf-8")
    return path


def test_a_branch_that_is_not_taken_is_named_with_its_line(small):
    branches = contract_branches(small)
    everything = {(b.creation, b.place, way) for b in branches for way in (False, True)}
    assert untaken_branches(small, Record(everything)) == []
    (condition,) = (b for b in branches if b.line == 7 and not b.compilers)
    without = everything - {(False, condition.place, True)}
    (line,) = untaken_branches(small, Record(without))
    assert line == f"small.vy:7 never jumped (runtime {condition.place}): if a > 7:"


def test_an_overflow_need_not_happen_but_must_have_been_checked(small):
    branches = contract_branches(small)
    (condition,) = (b for b in branches if b.line == 7 and not b.compilers)
    (overflow,) = (b for b in branches if b.compilers and not b.creation and b.place > condition.place)
    everything = {(b.creation, b.place, way) for b in branches for way in (False, True)}
    assert untaken_branches(small, Record(everything - {(False, overflow.place, True)})) == []
    assert len(untaken_branches(small, Record(everything - {(False, overflow.place, False)}))) == 1
