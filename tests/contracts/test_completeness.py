"""The tests of the contract together take every branch of it and provoke every refusal."""

import subprocess
import sys
from pathlib import Path

import pytest
from branches import contract_branches, untaken_branches
from local_evm import Record
from vyper.ast import nodes, parse_to_ast

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


def refusals(source):
    """The reasons of all asserts and raises of a source; None for one without words."""
    tree = parse_to_ast(source.read_text("utf-8"))
    words = [n.msg for n in tree.get_descendants(nodes.Assert)]
    words += [n.exc for n in tree.get_descendants(nodes.Raise)]
    return [word and word.value for word in words]


def test_every_branch_of_the_contract_is_taken_both_ways(recorded):
    assert untaken_branches(compiler.SOURCE, recorded) == []


def test_every_refusal_has_a_reason_that_a_test_provokes(recorded):
    reasons = [reason for path in compiler.SOURCE.parent.glob("*.vy") for reason in refusals(path)]
    assert None not in reasons
    assert sorted(set(reasons) - recorded.reasons) == []
    assert [reason for reason in reasons if len(reason) < 10] == []


SMALL = """
# pragma version 0.4.3
# pragma evm-version cancun
import part

@external
def f(a: uint256) -> uint256:
    assert a != 5, "five is not welcome"
    return part.twice_if_large(a)
"""
PART = """
# pragma version 0.4.3

@internal
@pure
def twice_if_large(a: uint256) -> uint256:
    if a > 7:
        return a * 2
    return a
"""


@pytest.fixture(scope="module")
def small(tmp_path_factory):
    """A contract of two files, its branches, and a record of all ways through them."""
    source = tmp_path_factory.mktemp("small") / "small.vy"
    source.write_text(SMALL, "utf-8")
    source.with_name("part.vy").write_text(PART, "utf-8")
    branches = contract_branches(source)
    return source, branches, {(b.creation, b.place, way) for b in branches for way in (False, True)}


def condition_of(branches):
    return next(b for b in branches if b.line and b.line.text == "if a > 7:" and not b.compilers)


def test_a_branch_that_is_not_taken_is_named_with_its_line(small):
    source, branches, everything = small
    assert untaken_branches(source, Record(everything)) == []
    condition = condition_of(branches)
    (line,) = untaken_branches(source, Record(everything - {(False, condition.place, True)}))
    assert line == f"part.vy:7 `if a > 7:` never jumped at {condition.place} of the runtime"


def test_an_overflow_need_not_happen_but_must_have_been_checked(small):
    source, branches, everything = small
    condition = condition_of(branches)
    overflow = min(
        (b for b in branches if b.compilers and not b.creation and b.place > condition.place),
        key=lambda b: b.place,
    )
    assert untaken_branches(source, Record(everything - {(False, overflow.place, True)})) == []
    assert len(untaken_branches(source, Record(everything - {(False, overflow.place, False)}))) == 1


def test_a_refusal_without_words_is_seen(tmp_path):
    source = tmp_path / "silent.vy"
    source.write_text(SMALL.replace(', "five is not welcome"', "") + PART.split("0.4.3")[1], "utf-8")
    assert refusals(source) == [None]
