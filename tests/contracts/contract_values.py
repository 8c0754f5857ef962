"""What a call to a contract gives back, on whichever chain it ran."""

from __future__ import annotations

from dataclasses import dataclass

from eth_abi import decode

from ledgerfed.ledger.artifact import round_ledger
from ledgerfed.protocol.hashing import keccak


class RevertedError(Exception):
    """The contract refused; the message is its reason."""


@dataclass(frozen=True)
class Log:
    """A decoded event."""

    name: str
    values: dict[str, object]


@dataclass(frozen=True)
class Receipt:
    """What a transaction did; `output` is the address of the contract that it made, if it made one."""

    gas_used: int
    logs: tuple[Log, ...]
    output: bytes
    block: int


def revert_reason(output: bytes) -> str:
    """The text of Error(string), or the bytes themselves."""
    if output[:4] == keccak(b"Error(string)")[:4]:
        return str(decode(["string"], output[4:])[0])
    return f"no reason: {output.hex()}"


def decode_log(topics: list[bytes], data: bytes) -> Log:
    """The event of RoundLedger that a log is; indexed numbers and addresses are integers."""
    for entry in round_ledger().abi:
        if entry["type"] != "event":
            continue
        signature = f"{entry['name']}({','.join(i['type'] for i in entry['inputs'])})"
        if keccak(signature.encode()) == topics[0]:
            names = [i["name"] for i in entry["inputs"] if i["indexed"]]
            words = (int.from_bytes(topic, "big") for topic in topics[1:])
            plain = [i for i in entry["inputs"] if not i["indexed"]]
            values = decode([i["type"] for i in plain], data)
            named = zip([i["name"] for i in plain], values, strict=True)
            return Log(entry["name"], dict(zip(names, words, strict=True)) | dict(named))
    raise AssertionError(f"unknown event 0x{topics[0].hex()}")
