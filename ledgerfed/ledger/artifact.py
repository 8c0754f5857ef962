"""The compiled contract, shipped with the package so that nobody needs a compiler to deploy or to audit.

Vyper appends the immutables to the runtime code, so a deployed contract is one of ours if its code is the
committed runtime code followed by exactly that many bytes.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib import resources
from typing import Any

ARTIFACT_NAME = "RoundLedger.json"


@dataclass(frozen=True, slots=True)
class Artifact:
    """What `python -m ledgerfed.ledger.compile` wrote: see that module for the fields of the file."""

    abi: tuple[dict[str, Any], ...]
    creation_code: bytes
    runtime_code: bytes
    immutable_bytes: int
    sources: dict[str, bytes]

    def matches(self, code: bytes) -> bool:
        """Whether `code`, read from a chain, is this contract with any immutables."""
        return len(code) == len(self.runtime_code) + self.immutable_bytes and code.startswith(
            self.runtime_code
        )


@cache
def round_ledger() -> Artifact:
    """Return the artifact of contracts/RoundLedger.vy that this package was built with."""
    text = resources.files("ledgerfed.ledger").joinpath("artifacts", ARTIFACT_NAME).read_text("utf-8")
    document = json.loads(text)
    return Artifact(
        abi=tuple(document["abi"]),
        creation_code=bytes.fromhex(document["creation_bytecode"][2:]),
        runtime_code=bytes.fromhex(document["runtime_bytecode"][2:]),
        immutable_bytes=sum(entry["length"] for entry in document["layout"]["code_layout"].values()),
        sources={name: bytes.fromhex(digest[2:]) for name, digest in document["sources"].items()},
    )
