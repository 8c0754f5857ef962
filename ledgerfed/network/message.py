"""What travels between nodes: bytes on a topic, with who sent them."""

from __future__ import annotations

from dataclasses import dataclass

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.hashing import require_range

MAX_MESSAGE_BYTES = 1 << 24


@dataclass(frozen=True, slots=True)
class Message:
    """A message as it arrives. `sender` is a registry index; only the signatures inside `data` prove it."""

    topic: str
    sender: int
    data: bytes

    def __post_init__(self) -> None:
        require_range("the sender of a message", self.sender, 0, (1 << 20) - 1)
        if len(self.data) > MAX_MESSAGE_BYTES:
            raise InvalidValueError(
                f"a message has at most {MAX_MESSAGE_BYTES} bytes, got {len(self.data)}; publish its hash"
            )
