"""Whether the places of events on the chain agree with each other; what they say is not proven."""

from __future__ import annotations

from itertools import pairwise

from ledgerfed.audit.history import FederationHistory
from ledgerfed.audit.replay import same
from ledgerfed.errors import VerificationError
from ledgerfed.protocol.hashing import to_hex


def check_places(history: FederationHistory) -> None:
    """Check that places agree: one hash and time a block, one block a transaction, time never backwards."""
    blocks: dict[int, tuple[bytes, int]] = {}
    transactions: dict[bytes, int] = {}
    for event in history.events:
        at = event.at
        header = blocks.setdefault(at.block_number, (at.block_hash, at.timestamp))
        same(f"hash and time of block {at.block_number}", (at.block_hash, at.timestamp), header)
        number = transactions.setdefault(at.tx_hash, at.block_number)
        same(f"the block of transaction {to_hex(at.tx_hash)}", at.block_number, number)
    for (before, (_, earlier)), (after, (_, later)) in pairwise(blocks.items()):
        if later < earlier:
            raise VerificationError(
                f"block {after} is older than block {before}: time {later} after {earlier}"
            )
    if len({block_hash for block_hash, _ in blocks.values()}) != len(blocks):
        raise VerificationError("two blocks have the same hash")
    last = max(blocks)
    if history.head.number < last:
        raise VerificationError(f"the head is block {history.head.number}, the last event is in {last}")
    if history.head.number == last:
        same(f"the hash of the head block {last}", history.head.hash, blocks[last][0])
