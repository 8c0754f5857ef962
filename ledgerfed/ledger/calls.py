"""Calldata of the contract's functions and the values of its views (Solidity ABI), no contract objects."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from ledgerfed.errors import InvalidValueError
from ledgerfed.ledger.artifact import round_ledger
from ledgerfed.protocol.hashing import keccak


class TransactionKind(StrEnum):
    """What a transaction does; the values of all but DEPLOY are the names of the contract's functions."""

    DEPLOY = "deploy"
    SEAL = "seal"
    FORCE = "force"
    SCORES = "scores"
    CERTIFY = "certify"
    ABORT = "abort"
    SEAL_LEAVES = "seal_leaves"
    CHALLENGE_STATEMENTS = "challenge_statements"
    CHALLENGE_CERTIFICATES = "challenge_certificates"
    CHALLENGE_RECEIPT = "challenge_receipt"
    CHALLENGE_DOUBLED = "challenge_doubled"
    CHALLENGE_MEDIAN = "challenge_median"
    PROPOSE = "propose"
    OPEN_EPOCH = "open_epoch"
    PROPOSE_OWNER = "propose_owner"
    ACCEPT_OWNERSHIP = "accept_ownership"


@dataclass(frozen=True, slots=True)
class Function:
    """A function of the contract: its selector and the ABI types of arguments and results."""

    name: str
    selector: bytes
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]

    def encode(self, *arguments: object) -> bytes:
        """Return the calldata.

        Raises:
            InvalidValueError: an argument does not fit its type.
        """
        return self.selector + encode_arguments(self.name, self.inputs, arguments)

    def decode(self, output: bytes) -> Any:
        """Return the one value that the function returns; a struct is a tuple, an address is bytes."""
        from eth_abi.abi import decode

        (value,) = decode(self.outputs, output)
        return _plain(value) if self.outputs == ("address",) else value


@cache
def functions() -> dict[str, Function]:
    """Return the contract's functions by name."""
    entries = (entry for entry in round_ledger().abi if entry["type"] == "function")
    return {entry["name"]: _function(entry) for entry in entries}


@cache
def constructor_types() -> tuple[str, ...]:
    """Return the ABI types of the constructor's arguments."""
    (entry,) = (entry for entry in round_ledger().abi if entry["type"] == "constructor")
    return tuple(abi_type(i) for i in entry["inputs"])


def encode_arguments(what: str, types: tuple[str, ...], arguments: tuple[object, ...]) -> bytes:
    """Return the ABI encoding of `arguments`; raises InvalidValueError when one does not fit its type."""
    from eth_abi.abi import encode
    from eth_abi.exceptions import EncodingError

    try:
        return encode(types, arguments)
    except EncodingError as error:
        raise InvalidValueError(f"{what} cannot be called with these arguments: {error}") from error


def abi_type(component: dict[str, Any]) -> str:
    """Return the canonical type of an ABI component, structs written out."""
    kind = str(component["type"])
    if not kind.startswith("tuple"):
        return kind
    return f"({','.join(abi_type(c) for c in component['components'])}){kind[len('tuple') :]}"


def _function(entry: dict[str, Any]) -> Function:
    inputs, outputs = (tuple(abi_type(c) for c in entry[side]) for side in ("inputs", "outputs"))
    selector = keccak(f"{entry['name']}({','.join(inputs)})".encode())[:4]
    return Function(entry["name"], selector, inputs, outputs)


def _plain(address: str) -> bytes:
    return bytes.fromhex(address[2:])
