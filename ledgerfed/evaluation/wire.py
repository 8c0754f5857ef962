"""What one update weighs on the wire to one peer: leaf, opening and payload, each in a signed envelope."""

from __future__ import annotations

from typing import Final

from ledgerfed.network.envelope import Envelope, Kind, write_credentials
from ledgerfed.node.messages import EVIDENCE
from ledgerfed.protocol.evidence import RoundEvidence, SignedLeaf
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.signature import SIGNATURE_BYTES

_SOMEWHERE: Final = Federation(1, b"\x01" * 20)
_HASH: Final = b"\xab" * 32
_SIGNATURE: Final = bytes(SIGNATURE_BYTES)


def wire_bytes(payload: int) -> int:
    """Return the bytes of the messages that bring an update of `payload` bytes to one peer."""
    leaf = SignedLeaf(0, _HASH, 1, _SIGNATURE)
    opening = Opening(1, 0, _HASH, _HASH, 1_000, _HASH, _HASH)
    said = [_fragment((leaf,), ()), _fragment((), (opening,))]
    return sum(len(data) for data in said) + payload + 3 * _envelope()


def _fragment(leaves: tuple[SignedLeaf, ...], openings: tuple[Opening, ...]) -> bytes:
    return RoundEvidence(_SOMEWHERE, 1, _HASH, leaves, (), openings, (), ()).to_bytes()


def _envelope() -> int:
    return len(write_credentials(Envelope(Kind.GOSSIP, EVIDENCE, 0, 1, _HASH, 1, _HASH), _SIGNATURE))
