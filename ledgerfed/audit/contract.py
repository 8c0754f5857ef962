"""Whether the code on the chain is this package's contract with this configuration.

Vyper appends the immutables to the runtime code, and every immutable of RoundLedger (depth, windows, leaves
on chain) follows from the configuration and holds for all epochs, so the whole code can be said in advance
and compared by hash. The artifact is read as package data: an auditor needs neither a compiler nor a chain.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import astuple
from functools import cache
from importlib import resources
from typing import Any

from ledgerfed.errors import ConfigurationError
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.hashing import keccak, word


def contract_code(config: FederationConfig) -> bytes:
    """Return the code that a RoundLedger deployed with `config` has on the chain.

    Raises:
        ConfigurationError: the package's artifact has immutables that this version does not know.
    """
    artifact = _artifact()
    values = _immutables(config)
    layout: Mapping[str, Any] = artifact["layout"]["code_layout"]
    if {name: entry["length"] for name, entry in layout.items()} != {k: len(v) for k, v in values.items()}:
        raise ConfigurationError(
            f"the packaged contract has the immutables {sorted(layout)}; reinstall ledgerfed"
        )
    ordered = sorted(layout, key=lambda name: int(layout[name]["offset"]))
    return bytes.fromhex(artifact["runtime_bytecode"][2:]) + b"".join(values[name] for name in ordered)


def contract_code_hash(config: FederationConfig) -> bytes:
    """Return the keccak-256 of `contract_code`."""
    return keccak(contract_code(config))


def contract_source() -> str:
    """Return which compiler made the packaged contract of which sources, for a report."""
    artifact = _artifact()
    compiler = artifact["compiler"]
    sources = ", ".join(f"{name} {digest}" for name, digest in sorted(artifact["sources"].items()))
    return f"{compiler['name']} {compiler['version']} of {sources}"


def _immutables(config: FederationConfig) -> dict[str, bytes]:
    return {
        "DEPTH": word(config.depth),
        "WINDOWS": b"".join(word(window) for window in astuple(config.windows)),
        "LEAVES_ON_CHAIN": word(config.leaves_on_chain),
    }


@cache
def _artifact() -> dict[str, Any]:
    path = resources.files("ledgerfed").joinpath("ledger", "artifacts", "RoundLedger.json")
    document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    return document
