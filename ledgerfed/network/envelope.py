"""The envelope of a message between processes: who sends it, to whom, once.

Rules:
- the sender signs the envelope with its node key (EIP-712, the domain of the federation), so who a message is
  from does not rest on the connection that it came over;
- it names federation, receiver, kind and topic, so that it is good in one place only;
- it names the receiver's session, which is drawn when the receiving process starts, and a counter within it,
  so that it is good once: no clock, nothing on disk;
- the data is in it by hash alone, so a stranger is turned away before his data is read.
"""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from enum import IntEnum
from struct import Struct

from ledgerfed.errors import InvalidValueError, VerificationError
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak, require_hash, require_range, word
from ledgerfed.protocol.signature import SIGNATURE_BYTES, require_signer
from ledgerfed.protocol.typed_data import domain_separator

ENVELOPE_TYPE = (
    b"Envelope(uint8 kind,string topic,uint32 sender,uint32 receiver,"
    b"bytes32 session,uint64 counter,bytes32 data)"
)
MAX_TOPIC_BYTES = 64
SCHEME = "LedgerFed"
_HEAD = Struct("<BBII32sQ32s65s")
_VERSION = 1
_LONGEST = 4 * (_HEAD.size + MAX_TOPIC_BYTES + 2) // 3 + 4


class Kind(IntEnum):
    """What the receiver does with a message: keep it for whoever listens to the topic, or answer it."""

    GOSSIP = 0
    REQUEST = 1


@dataclass(frozen=True, slots=True)
class Envelope:
    """What a sender says about one message to one receiver; `data` is the keccak-256 of the message."""

    kind: Kind
    topic: str
    sender: int
    receiver: int
    session: bytes
    counter: int
    data: bytes

    def __post_init__(self) -> None:
        name = self.topic.encode()
        if not 0 < len(name) <= MAX_TOPIC_BYTES or not self.topic.isprintable():
            raise InvalidValueError(f"a topic has 1 to {MAX_TOPIC_BYTES} printable bytes, got {self.topic!r}")
        require_range("the sender of a message", self.sender, 0, (1 << 20) - 1)
        require_range("the receiver of a message", self.receiver, 0, (1 << 20) - 1)
        require_range("the counter of a message", self.counter, 0, (1 << 64) - 1)
        require_hash("the session of a message", self.session)
        require_hash("the hash of a message", self.data)

    def digest(self, federation: Federation) -> bytes:
        """Return the 32 bytes that the sender signs (EIP-712)."""
        parties = word(self.sender) + word(self.receiver)
        fields = word(self.kind) + keccak(self.topic.encode()) + parties
        fields += self.session + word(self.counter) + self.data
        return keccak(b"\x19\x01" + domain_separator(federation) + keccak(keccak(ENVELOPE_TYPE) + fields))


def write_credentials(envelope: Envelope, signature: bytes) -> str:
    """Return envelope and signature as the value of an Authorization header (RFC 9110, section 11.6.2)."""
    head = _HEAD.pack(
        _VERSION,
        envelope.kind,
        envelope.sender,
        envelope.receiver,
        envelope.session,
        envelope.counter,
        envelope.data,
        signature,
    )
    return f"{SCHEME} {base64.urlsafe_b64encode(head + envelope.topic.encode()).decode('ascii')}"


def read_credentials(value: str) -> tuple[Envelope, bytes]:
    """Return the envelope and the signature of an Authorization header; the signature is not checked here.

    Raises:
        InvalidValueError: it is no envelope.
    """
    scheme, _, encoded = value.partition(" ")
    if scheme != SCHEME or len(encoded) > _LONGEST:
        raise InvalidValueError(f"a message needs an Authorization of the scheme {SCHEME}")
    try:
        raw = base64.b64decode(encoded, altchars=b"-_", validate=True)
        topic = raw[_HEAD.size :].decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidValueError(f"the envelope cannot be read: {error}") from error
    if len(raw) <= _HEAD.size or raw[0] != _VERSION or raw[1] not in tuple(Kind):
        raise InvalidValueError("the envelope is of another version, or cut off")
    _, kind, sender, receiver, session, counter, data, signature = _HEAD.unpack(raw[: _HEAD.size])
    return Envelope(Kind(kind), topic, sender, receiver, session, counter, data), signature


def require_authentic(
    envelope: Envelope, signature: bytes, federation: Federation, members: tuple[bytes, ...], receiver: int
) -> None:
    """Check that a member of the federation sent the envelope, and to `receiver`.

    Raises:
        VerificationError: it is for another member, or not signed by its sender for this federation.
    """
    if envelope.receiver != receiver:
        raise VerificationError(f"the envelope is for member {envelope.receiver}, this is member {receiver}")
    if envelope.sender >= len(members) or envelope.sender == receiver:
        raise VerificationError(f"the federation has no other member {envelope.sender}")
    if len(signature) != SIGNATURE_BYTES:
        raise VerificationError(f"a signature has {SIGNATURE_BYTES} bytes, got {len(signature)}")
    require_signer(envelope.digest(federation), signature, members[envelope.sender], "an envelope")
