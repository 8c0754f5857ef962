"""The history of a federation: all that an auditor needs, and nothing that the ledger did not commit to.

What the chain says (events in order, certificates, head, transcript) stands in one canonical document,
`chain.json`; what the chain only hashes (configuration, manifests, evidences, payloads, models) stands beside
it, by hash. Who fills this value from a live chain and a store is not this module's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from types import MappingProxyType
from typing import Any

from ledgerfed.audit.events import MAX_NUMBER, LedgerEvent, event_document, read_event
from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.canonical import canonical_json, fields, parse_canonical, rows
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import from_hex, keccak, require_hash, require_range, to_hex
from ledgerfed.protocol.signature import SIGNATURE_BYTES


@dataclass(frozen=True, slots=True)
class Certificate:
    """The signatures that a certify transaction carried, 65 bytes each; the event does not repeat them."""

    round: int
    signatures: bytes

    def __post_init__(self) -> None:
        require_range("the round of a certificate", self.round, 1, (1 << 32) - 1)
        if not isinstance(self.signatures, bytes) or not self.signatures:
            raise InvalidValueError(f"the certificate of round {self.round} has no signatures")
        if len(self.signatures) % SIGNATURE_BYTES:
            raise InvalidValueError(
                f"the certificate of round {self.round} has {len(self.signatures)} bytes, "
                f"which is not a multiple of {SIGNATURE_BYTES}"
            )

    def split(self) -> tuple[bytes, ...]:
        """Return the single signatures."""
        step = SIGNATURE_BYTES
        return tuple(self.signatures[k : k + step] for k in range(0, len(self.signatures), step))


@dataclass(frozen=True, slots=True)
class ChainHead:
    """The block at which the history was read, and the transcript that the contract held there."""

    number: int
    hash: bytes
    transcript: bytes

    def __post_init__(self) -> None:
        require_range("the number of the head block", self.number, 0, MAX_NUMBER)
        require_hash("the hash of the head block", self.hash)
        require_hash("the transcript at the head", self.transcript)


@dataclass(frozen=True, slots=True)
class FederationHistory:
    """See the module docstring.

    `config` is the configuration document of genesis, `code_hash` the keccak-256 of the contract's code on
    the chain (immutables included), `events` stand in chain order, `certificates` too, one for every
    Certified event (a round has another one after the first fell), and `blobs` maps keccak-256 to bytes:
    manifests, evidences, payloads and models of the certificates that stand, the genesis model, and the
    configurations of later epochs.
    """

    federation: Federation
    config: bytes
    code_hash: bytes
    events: tuple[LedgerEvent, ...]
    certificates: tuple[Certificate, ...]
    head: ChainHead
    blobs: Mapping[bytes, bytes]

    def __post_init__(self) -> None:
        require_hash("the code hash", self.code_hash)
        order = [(e.at.block_number, e.at.log_index) for e in self.events]
        if any(a >= b for a, b in pairwise(order)):
            raise InvalidValueError(f"events must stand in chain order, once each, got {order}")
        rounds = [c.round for c in self.certificates]
        if any(a > b for a, b in pairwise(rounds)):
            raise InvalidValueError(f"certificates must stand in ascending round, got {rounds}")
        for name, blob in self.blobs.items():
            if keccak(blob) != name:
                raise InvalidValueError(f"the blob {to_hex(name)} hashes to {to_hex(keccak(blob))}")
        object.__setattr__(self, "blobs", MappingProxyType(dict(self.blobs)))

    def chain_bytes(self) -> bytes:
        """Return the canonical bytes of `chain.json`."""
        return canonical_json(
            {
                "chain_id": self.federation.chain_id,
                "contract": to_hex(self.federation.contract),
                "code_hash": to_hex(self.code_hash),
                "events": [event_document(event) for event in self.events],
                "certificates": [
                    {"round": c.round, "signatures": [to_hex(s) for s in c.split()]}
                    for c in self.certificates
                ],
                "head": {
                    "number": self.head.number,
                    "hash": to_hex(self.head.hash),
                    "transcript": to_hex(self.head.transcript),
                },
            }
        )


def read_history(config: bytes, chain: bytes, blobs: Mapping[bytes, bytes]) -> FederationHistory:
    """Read a history back from the configuration document, `chain.json` and the blobs.

    Raises:
        InvalidValueError: not canonical, unknown or missing keys, a value out of range, a blob under another
            hash than its own.
    """
    record = fields("chain.json", parse_canonical(chain), _KEYS)
    head = fields("the head", record["head"], ("number", "hash", "transcript"))
    return FederationHistory(
        federation=Federation(record["chain_id"], from_hex("contract", record["contract"], 20)),
        config=config,
        code_hash=from_hex("code_hash", record["code_hash"]),
        events=tuple(read_event(e) for e in rows("events", record["events"])),
        certificates=tuple(_read_certificate(c) for c in rows("certificates", record["certificates"])),
        head=ChainHead(
            head["number"],
            from_hex("the hash of the head block", head["hash"]),
            from_hex("the transcript at the head", head["transcript"]),
        ),
        blobs=blobs,
    )


_KEYS = ("chain_id", "contract", "code_hash", "events", "certificates", "head")


def _read_certificate(document: object) -> Certificate:
    record: dict[str, Any] = fields("a certificate", document, ("round", "signatures"))
    signatures = rows("signatures", record["signatures"])
    return Certificate(
        record["round"], b"".join(from_hex("a signature", s, SIGNATURE_BYTES) for s in signatures)
    )
