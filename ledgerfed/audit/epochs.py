"""Who takes part in an epoch, and which change of that the contract accepts (contracts/registry.vy).

Rules of a change, for the registry as it is:
- an index in use gets a new key or is vacated, the next free one is given out; a vacated one never again;
- nobody is registered twice, and the zero address never;
- all members fit the trees, the committee is not empty and every member of it is there;
- no more updates are demanded than there are members.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ledgerfed.errors import VerificationError
from ledgerfed.protocol.change import VACANT, Change
from ledgerfed.protocol.configuration import MAX_COMMITTEE, FederationConfig
from ledgerfed.protocol.hashing import EMPTY

MAX_MEMBERS = 1024


@dataclass(frozen=True, slots=True)
class Epoch:
    """An epoch: its configuration, the addresses by registry index (VACANT where a node has left) and the
    block and change hash that it began with (EMPTY for epoch 0)."""

    number: int
    config: FederationConfig
    members: tuple[bytes, ...]
    block: int
    change: bytes = EMPTY

    @property
    def committee(self) -> tuple[bytes, ...]:
        """The addresses of the committee by seat."""
        return tuple(self.members[index] for index in self.config.committee)

    def index_of(self, member: bytes) -> int | None:
        """Return the registry index of a committee member's address; None for anybody else."""
        committee = self.committee
        return self.config.committee[committee.index(member)] if member in committee else None


def enrolments(change: Change, members: Sequence[bytes]) -> tuple[tuple[str, int, bytes], ...]:
    """Return the events (name, index, address) that a change makes the contract emit, in their order."""
    found = []
    for index, address in zip(change.indices, change.addresses, strict=True):
        if index < len(members):
            found.append(("MemberLeft", index, members[index]))
        if address != VACANT:
            found.append(("MemberRegistered", index, address))
    return tuple(found)


def require_applicable(change: Change, members: Sequence[bytes], depth: int) -> None:
    """Check the rules above.

    Raises:
        VerificationError: the contract refuses the change.
    """
    given_out = len(members)
    for index, address in zip(change.indices, change.addresses, strict=True):
        given_out = _require_entry(members, given_out, index, address)
    if given_out > min(1 << depth, MAX_MEMBERS):
        raise VerificationError(f"{given_out} members do not fit trees of depth {depth}")
    new = [address for address in change.addresses if address != VACANT]
    if len(set(new)) != len(new):
        raise VerificationError("an address is registered twice")
    after = change.apply(members)
    present = [address for address in after if address != VACANT]
    if len(change.committee) not in range(1, MAX_COMMITTEE + 1):
        raise VerificationError(f"a committee of {len(change.committee)}")
    for index in change.committee:
        if index >= len(after) or after[index] == VACANT:
            raise VerificationError(f"committee member {index} is not there")
    if change.min_updates > len(present):
        raise VerificationError(f"{change.min_updates} updates are demanded of {len(present)} members")


def _require_entry(members: Sequence[bytes], given_out: int, index: int, address: bytes) -> int:
    """Return how many indices are given out after an entry of a change."""
    if index > given_out:
        raise VerificationError(f"index {index} is given out before {given_out}")
    if index == given_out and address == VACANT:
        raise VerificationError(f"nobody joins at index {index}")
    if index < len(members) and members[index] == VACANT:
        raise VerificationError(f"the node at index {index} has left")
    # Also a key that this very change takes from another index: the contract looks at the registry as it was.
    if address != VACANT and address in members:
        raise VerificationError(f"0x{address.hex()} is registered twice")
    return max(given_out, index + 1)
