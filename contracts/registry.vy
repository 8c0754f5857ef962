# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
# SPDX-License-Identifier: Apache-2.0
"""
@title Who takes part: nodes by index, their seats on the committee, and what an epoch changes
@license Apache-2.0
@notice An index is given out once and never again. Only an epoch changes the registry.
"""

MAX_MEMBERS: constant(uint256) = 1024
MAX_COMMITTEE: constant(uint256) = 31
MAX_ENTRIES: constant(uint256) = 64
MAX_CHANGE: constant(uint256) = 32 * (9 + MAX_COMMITTEE + 2 * MAX_ENTRIES)

# Registry word: position32 (index + 1; 0 = unknown) | epoch16 (joined in) | last_forced32 | seat8 (seat + 1; 0 = none) |
# removed8.
JOINED_AT: constant(uint256) = 32
LAST_FORCED_AT: constant(uint256) = 48
SEAT_AT: constant(uint256) = 80
OUT_AT: constant(uint256) = 88


# What the next epoch changes. `committee` are registry indices, ascending. `indices` and `addresses` are the changes of
# the registry, ascending: an address at the index after the last one joins; at an index in use it is the new key of that
# node, or, if it is zero, the node leaves and its index stays empty.
struct Change:
    config_hash: bytes32
    min_updates: uint256
    committee: DynArray[uint256, MAX_COMMITTEE]
    indices: DynArray[uint256, MAX_ENTRIES]
    addresses: DynArray[address, MAX_ENTRIES]


event MemberRegistered:
    index: indexed(uint256)
    member: indexed(address)
    epoch: uint256


event MemberLeft:
    index: indexed(uint256)
    member: indexed(address)
    epoch: uint256


words: HashMap[address, uint256]
members: DynArray[address, MAX_MEMBERS]
committee: DynArray[uint256, MAX_COMMITTEE]
vacant: uint256


@deploy
def __init__(members: DynArray[address, MAX_MEMBERS]):
    position: uint256 = 0
    for member: address in members:
        assert member != empty(address), "a member is the zero address"
        assert self.words[member] == 0, "a member is registered twice"
        log MemberRegistered(index=position, member=member, epoch=0)
        position += 1
        self.words[member] = position
    self.members = members


@internal
@view
def require_word(member: address) -> uint256:
    """The word of a registered node."""
    word: uint256 = self.words[member]
    assert word != 0, "the address is not a registered node"
    return word


@internal
@pure
def position_of(word: uint256) -> uint256:
    return word & (2**32 - 1)


@internal
@pure
def last_forced(word: uint256) -> uint256:
    return (word >> LAST_FORCED_AT) & (2**32 - 1)


@internal
@pure
def seat_of(word: uint256) -> uint256:
    return (word >> SEAT_AT) & (2**8 - 1)


@internal
@pure
def encode(change: Change) -> Bytes[MAX_CHANGE]:
    """The bytes that stand for a change: their keccak-256 enters the transcript."""
    return abi_encode(change)


@internal
@view
def require_change(change: Change, depth: uint256):
    """That the change can be applied to the registry as it is: only epochs change it, and one at a time."""
    count: uint256 = len(self.members)
    left: uint256 = self.vacant
    entries: uint256 = len(change.indices)
    assert len(change.addresses) == entries, "an index for each address"
    last: uint256 = 0
    for k: uint256 in range(MAX_ENTRIES):
        if k == entries:
            break
        index: uint256 = change.indices[k]
        member: address = change.addresses[k]
        assert k == 0 or index > last, "the indices are not ascending"
        last = index
        assert index <= count, "an index is beyond the next one that is free"
        if index == count:
            count += 1
            assert member != empty(address), "a member is the zero address"
        else:
            assert self.members[index] != empty(address), "the node at this index has left"
        if member == empty(address):
            left += 1
            continue
        assert self.words[member] == 0, "a member is registered twice"
        for other: uint256 in range(k, bound=MAX_ENTRIES):
            assert change.addresses[other] != member, "a member is registered twice"
    assert count <= 1 << depth and count <= MAX_MEMBERS, "the members do not fit a tree of this depth"
    self.require_committee(change.committee, count, change.min_updates, count - left)
    for index: uint256 in change.committee:
        holder: address = empty(address)
        if index < len(self.members):
            holder = self.members[index]
        for k: uint256 in range(MAX_ENTRIES):
            if k == entries:
                break
            if change.indices[k] == index:
                holder = change.addresses[k]
        assert holder != empty(address), "a committee member has left"


@internal
@pure
def require_committee(
    committee: DynArray[uint256, MAX_COMMITTEE], count: uint256, min_updates: uint256, active: uint256
):
    assert len(committee) >= 1, "the committee is empty"
    assert min_updates >= 1 and min_updates <= active, "min_updates must be from 1 to the number of members"
    next: uint256 = 0
    for index: uint256 in committee:
        assert index >= next, "the indices are not ascending"
        assert index < count, "a committee member is not registered"
        next = index + 1


@internal
def enrol(change: Change, epoch: uint256):
    for k: uint256 in range(MAX_ENTRIES):
        if k == len(change.indices):
            break
        index: uint256 = change.indices[k]
        member: address = change.addresses[k]
        if index == len(self.members):
            self.members.append(member)
        else:
            previous: address = self.members[index]
            self.words[previous] = 0
            self.members[index] = member
            log MemberLeft(index=index, member=previous, epoch=epoch)
        if member == empty(address):
            self.vacant += 1
        else:
            self.words[member] = (index + 1) | (epoch << JOINED_AT)
            log MemberRegistered(index=index, member=member, epoch=epoch)


@internal
def seat(committee: DynArray[uint256, MAX_COMMITTEE]):
    seat: uint256 = 0
    for index: uint256 in committee:
        seat += 1
        member: address = self.members[index]
        self.words[member] |= seat << SEAT_AT
    self.committee = committee


@internal
def unseat():
    for index: uint256 in self.committee:
        member: address = self.members[index]
        self.words[member] &= ~((2**8 - 1) << SEAT_AT)
