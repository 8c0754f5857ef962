"""Which branches of the compiled contract a record of calls has not taken.

A branch is a JUMPI, and a complete record has gone both ways at each of them. Two kinds are the compiler's
own and are told by their code, not by a list:

- a guard, whose jump leads to a revert without words: a check of calldata, value, bounds or overflow. It must
  have been passed; it need not have failed. All that the source itself refuses, it refuses with a reason.
- the entry of a loop, which jumps past it when there is nothing to do. It must have been entered; the end of
  the loop is a JUMPI of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import vyper.compiler
from local_evm import JUMPI, Record
from vyper.compiler.input_bundle import FilesystemInputBundle

from ledgerfed.ledger.compile import sources_of

PUSH1, PUSH32, ISZERO, DUP1, SWAP1 = 0x60, 0x7F, 0x15, 0x80, 0x90
REVERT_WITHOUT_WORDS = (bytes.fromhex("5b5f5ffd"), bytes.fromhex("5b5f80fd"))


@dataclass(frozen=True)
class Instruction:
    """An opcode and its immediate operand."""

    place: int
    opcode: int
    operand: bytes


@dataclass(frozen=True)
class Branch:
    """A JUMPI: in the creation code or not, its place, if it is the compiler's own, and where it is from."""

    creation: bool
    place: int
    compilers: bool
    file: Path | None
    line: int

    def untaken(self, record: Record) -> tuple[bool, ...]:
        """The ways (True: jump) that the record should have gone here and has not."""
        ways = (False,) if self.compilers else (False, True)
        return tuple(way for way in ways if (self.creation, self.place, way) not in record.branches)


def contract_branches(source: Path) -> list[Branch]:
    """All branches of a Vyper source and the modules beside it, in the constructor and the runtime code."""
    bundle = FilesystemInputBundle([source.parent])
    output = vyper.compiler.compile_from_file_input(
        bundle.load_file(source.name),
        input_bundle=bundle,
        output_formats=["bytecode", "bytecode_runtime", "source_map", "source_map_runtime"],
    )
    files = {bundle.load_file(path.name).source_id: path for path in sources_of(source)}
    creation, runtime = (bytes.fromhex(output[name][2:]) for name in ("bytecode", "bytecode_runtime"))
    before = creation.index(runtime)
    return [
        *_branches(creation[:before], True, output["source_map"], files),
        *_branches(runtime, False, output["source_map_runtime"], files),
    ]


def untaken_branches(source: Path, record: Record) -> list[str]:
    """One line for each way that the record has not gone, with the line of the source."""
    found = []
    for branch in contract_branches(source):
        for way in branch.untaken(record):
            where, text = "the dispatcher", ""
            if branch.file is not None:
                line = branch.file.read_text("utf-8").splitlines()[branch.line - 1]
                where, text = f"{branch.file.name}:{branch.line}", f": {line.strip()}"
            code = "constructor" if branch.creation else "runtime"
            found.append(f"{where} never {'jumped' if way else 'went on'} ({code} {branch.place}){text}")
    return found


def _branches(
    code: bytes, creation: bool, source_map: dict[str, Any], files: dict[int, Path]
) -> Iterator[Branch]:
    instructions = list(_instructions(code))
    for index, here in enumerate(instructions):
        if here.opcode != JUMPI:
            continue
        before, after = instructions[max(0, index - 3) : index], instructions[index + 1 : index + 2]
        target = int.from_bytes(before[-1].operand, "big")
        guard = code[target : target + 4] in REVERT_WITHOUT_WORDS
        entry = [i.opcode for i in (*before[:2], *after)] == [DUP1, ISZERO, SWAP1]
        position = source_map["pc_pos_map"].get(here.place)
        file = files[source_map["pc_ast_map"][here.place][0]] if position else None
        yield Branch(creation, here.place, guard or entry, file, position[0] if position else 0)


def _instructions(code: bytes) -> Iterator[Instruction]:
    place = 0
    while place < len(code):
        opcode = code[place]
        size = opcode - PUSH1 + 1 if PUSH1 <= opcode <= PUSH32 else 0
        yield Instruction(place, opcode, code[place + 1 : place + 1 + size])
        place += 1 + size
