"""Each message once: the counters of the senders within one run of a receiver.

The window is that of IPsec (RFC 4303, section 3.4.3): messages may overtake each other by a little, and what
has been seen or is too old is refused. Its memory is one number of WINDOW bits per member.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from ledgerfed.errors import ConflictError
from ledgerfed.network.envelope import Envelope
from ledgerfed.protocol.hashing import require_hash

WINDOW = 1024
MAX_JUMP = 1 << 32
"""A counter further ahead than this is no counter of an honest sender, who was told where it stands."""


@dataclass(slots=True)
class _Seen:
    """The highest counter of a sender, and which of the WINDOW before it were seen (bit 0 is the highest)."""

    highest: int = -1
    bits: int = 0


@dataclass(slots=True)
class Session:
    """The senders' counters in one run of a receiver, told apart by the 32 random bytes of `identity`."""

    identity: bytes
    _senders: dict[int, _Seen] = field(default_factory=dict)

    def __post_init__(self) -> None:
        require_hash("the identity of a session", self.identity)

    def next_counter(self, sender: int) -> int:
        """Return the lowest counter above all that `sender` has used."""
        return self._senders.get(sender, _Seen()).highest + 1

    def admit(self, envelope: Envelope) -> None:
        """Take note of an authentic envelope.

        Raises:
            ConflictError: it was sent to another run of this process, was seen before, or is out of order by
                more than the window.
        """
        if envelope.session != self.identity:
            raise ConflictError(
                "the envelope is for another session of this process; ask for the present one"
            )
        seen = self._senders.setdefault(envelope.sender, _Seen())
        ahead = envelope.counter - seen.highest
        if ahead > MAX_JUMP or ahead <= -WINDOW or (ahead <= 0 and seen.bits >> -ahead & 1):
            raise ConflictError(
                f"the counter {envelope.counter} of member {envelope.sender} was used, or is far from "
                f"{seen.highest}; ask for the present session"
            )
        if ahead > 0:
            kept = seen.bits << ahead if ahead < WINDOW else 0
            seen.highest, seen.bits = envelope.counter, (kept | 1) & ((1 << WINDOW) - 1)
        else:
            seen.bits |= 1 << -ahead
