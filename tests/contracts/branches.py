"""Which branches of the compiled contract a record of calls has not taken.

A branch is a JUMPI, and a complete record has gone both ways at each of them. Two kinds are the compiler's
own and are told by their code, not by a list:

- a guard, whose jump leads to a revert without words: a check of calldata, value, bounds or overflow. It must
  have been passed; it need not have failed. All that the source itself refuses, it refuses with a reason.
- the entry of a loop, which jumps past it when there is nothing to do. It must have been entered; the end of
  the loop is a JUMPI of its own.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from local_evm import JUMPI, Record
from vyper.compiler import compile_from_file_input
from vyper.compiler.input_bundle import FilesystemInputBundle

PUSH1, PUSH32, ISZERO, DUP1, SWAP1 = 0x60, 0x7F, 0x15, 0x80, 0x90
REVERT_WITHOUT_WORDS = (bytes.fromhex("5b5f5ffd"), bytes.fromhex("5b5f80fd"))
FORMATS = ["bytecode", "bytecode_runtime", "source_map", "source_map_runtime"]


@dataclass(frozen=True)
class Instruction:
    """An opcode and its immediate operand."""

    place: int
    opcode: int
    operand: bytes


@dataclass(frozen=True)
class Line:
    """A line of a source file."""

    file: str
    number: int
    text: str


DISPATCHER = Line("the dispatcher of functions", 0, "")


@dataclass(frozen=True)
class Branch:
    """A JUMPI: in the creation code or not, its place, whether it is the compiler's own, its source line.

    What stands for no line, such as a loop over calldata, has the line before it.
    """

    creation: bool
    place: int
    compilers: bool
    line: Line | None

    def untaken(self, record: Record) -> tuple[bool, ...]:
        """The ways (True: jump) that the record should have gone here and has not."""
        ways = (False,) if self.compilers else (False, True)
        return tuple(way for way in ways if (self.creation, self.place, way) not in record.branches)


def contract_branches(source: Path) -> list[Branch]:
    """All branches of a Vyper source and the modules beside it, of constructor and runtime code."""
    bundle = FilesystemInputBundle([source.parent])
    file = bundle.load_file(source.name)
    output = compile_from_file_input(file, input_bundle=bundle, output_formats=FORMATS)
    creation, runtime = (bytes.fromhex(output[name][2:]) for name in ("bytecode", "bytecode_runtime"))
    before = creation.index(runtime)
    files = {bundle.load_file(path.name).source_id: path for path in sorted(source.parent.glob("*.vy"))}
    lines = {number: path.read_text("utf-8").splitlines() for number, path in files.items()}

    def line_at(source_map: dict[str, Any]) -> Callable[[int], Line | None]:
        known = sorted(source_map["pc_pos_map"])

        def line(place: int) -> Line | None:
            before = bisect_right(known, place)
            if before == 0:
                return None
            here = known[before - 1]
            number, (file_number, _) = source_map["pc_pos_map"][here][0], source_map["pc_ast_map"][here]
            return Line(files[file_number].name, number, lines[file_number][number - 1].strip())

        return line

    return [
        *_branches(creation[:before], True, line_at(output["source_map"])),
        *_branches(runtime, False, line_at(output["source_map_runtime"])),
    ]


def untaken_branches(source: Path, record: Record) -> list[str]:
    """One entry for each source line with a branch that the record has not gone both ways."""
    found: dict[Line, list[str]] = {}
    for branch in contract_branches(source):
        for way in branch.untaken(record):
            code = "constructor" if branch.creation else "runtime"
            went = f"never {'jumped' if way else 'went on'} at {branch.place} of the {code}"
            found.setdefault(branch.line or DISPATCHER, []).append(went)
    return [f"{line.file}:{line.number} `{line.text}` {', '.join(ways)}" for line, ways in found.items()]


def _branches(code: bytes, creation: bool, line: Callable[[int], Line | None]) -> Iterator[Branch]:
    instructions = list(_instructions(code))
    for index, here in enumerate(instructions):
        if here.opcode != JUMPI:
            continue
        before, after = instructions[max(0, index - 3) : index], instructions[index + 1 : index + 2]
        target = int.from_bytes(before[-1].operand, "big")
        guard = code[target : target + 4] in REVERT_WITHOUT_WORDS
        entry = [i.opcode for i in (*before[:2], *after)] == [DUP1, ISZERO, SWAP1]
        yield Branch(creation, here.place, guard or entry, line(here.place))


def _instructions(code: bytes) -> Iterator[Instruction]:
    place = 0
    while place < len(code):
        opcode = code[place]
        size = opcode - PUSH1 + 1 if PUSH1 <= opcode <= PUSH32 else 0
        yield Instruction(place, opcode, code[place + 1 : place + 1 + size])
        place += 1 + size
