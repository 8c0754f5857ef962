"""When a block is final: so many blocks stand on it, or the chain itself says so.

A chain with finality of its own names its newest final block by a tag (execution-apis: `safe`, `finalized`).
Where the tag means nothing, such as under proof of authority, a depth is the answer.
"""

from __future__ import annotations

from dataclasses import dataclass

from ledgerfed.errors import InvalidValueError
from ledgerfed.observer.source import EventSource
from ledgerfed.protocol.hashing import require_range

MAX_REORG = 256
"""The deepest fork that is followed, however little is final; so finality needs no more blocks either."""
TAGS = ("safe", "finalized")


@dataclass(frozen=True, slots=True)
class Finality:
    """A block is final when `depth` blocks stand on it (0: at once), or by the chain's own word: `tag`."""

    depth: int = 1
    tag: str | None = None

    def __post_init__(self) -> None:
        require_range("the depth of finality", self.depth, 0, MAX_REORG)
        if self.tag is not None and self.tag not in TAGS:
            raise InvalidValueError(f"a chain's tag is {' or '.join(TAGS)}, got {self.tag!r}")

    def newest_final(self, source: EventSource, head: int) -> int:
        """Return the number of the newest final block; -1 when there is none.

        Raises:
            ConfigurationError: the chain does not know the tag.
        """
        if self.tag is None:
            return max(head - self.depth, -1)
        return min(source.tagged(self.tag), head)

    def __str__(self) -> str:
        return self.tag or str(self.depth)


def parse_finality(text: str) -> Finality:
    """Return the rule that `text` names: a number of blocks, `safe` or `finalized`.

    Raises:
        InvalidValueError: it is none of these.
    """
    if text in TAGS:
        return Finality(tag=text)
    if not text.isdecimal() or len(text) > 6:
        raise InvalidValueError(f"finality is a number of blocks, {' or '.join(TAGS)}, got {text!r}")
    return Finality(int(text))
