"""What the contract must do (docs/protocol.md), said once more in sets and lists, without bits and bytes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from ledgerfed.protocol.change import VACANT, Change
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import (
    Abort,
    Certify,
    Dispute,
    EpochOpening,
    Fault,
    Force,
    Scores,
    Seal,
    Transition,
)

ANNOUNCED, DUE = 1, 2


@dataclass
class Member:
    """A registered key."""

    index: int
    joined: int = 0
    last_forced: int = 0
    out: bool = False


@dataclass
class Model:
    """A federation. Each method is a call: it returns whether the call is allowed, and if so does it.

    `members` are addresses by index (VACANT where a node has left), `nodes` the registered ones by address;
    `committee` are indices by seat, `signers` and `removed` are seats from 0; `ended` says how each round
    ended, as it stands.
    """

    t: bytes
    end: int
    members: list[bytes]
    committee: tuple[int, ...]
    min_updates: int
    windows: tuple[int, int, int, int, int]
    depth: int
    leaves_on_chain: bool
    owner: bytes
    config_hash: bytes
    round: int = 1
    phase: Phase = Phase.OPEN
    n: int = 0
    forced: int = 0
    epoch: int = 0
    attempt: int = 0
    notice: int = 0
    sealer: int = 0
    signers: set[int] = field(default_factory=set)
    removed: set[int] = field(default_factory=set)
    nodes: dict[bytes, Member] = field(default_factory=dict)
    successor: bytes = VACANT
    proposal: Change | None = None
    steps: list[Transition] = field(default_factory=list)
    transcripts: list[bytes] = field(default_factory=list)
    ended: dict[int, Phase] = field(default_factory=dict)
    fallen: int = 0

    def __post_init__(self) -> None:
        self.nodes = {address: Member(index) for index, address in enumerate(self.members)}
        self.transcripts = [self.t]

    # what follows from the state

    @property
    def quorum(self) -> int:
        """More than two thirds of the committee."""
        return 2 * len(self.committee) // 3 + 1

    def seat(self, address: bytes) -> int | None:
        """The seat of an address, from 0; None if it has none."""
        member = self.nodes.get(address)
        if member is None or member.index not in self.committee:
            return None
        return self.committee.index(member.index)

    def relayer(self) -> bytes:
        """Whose turn it is."""
        return self.members[self.committee[int.from_bytes(self.t, "big") % len(self.committee)]]

    def is_removed(self, address: bytes) -> bool:
        """Whether a challenge has removed a registered node."""
        seat = self.seat(address)
        return self.nodes[address].out if seat is None else seat in self.removed

    def contestable(self, block: int) -> bool:
        """Whether the last round was certified and its certificate may still fall."""
        return self.phase is Phase.OPEN and bool(self.signers) and block <= self.end

    def disputable_round(self, block: int) -> int | None:
        """The round whose seal is answered for."""
        if self.phase is not Phase.OPEN:
            return self.round
        return self.round - 1 if self.contestable(block) else None

    # rounds

    def seal(self, sender: bytes, block: int, number: int, root: bytes, n: int, on_chain: bool) -> bool:
        allowed = (
            number == self.round
            and self.phase is Phase.OPEN
            and self.notice != DUE
            and self._may_relay(sender, block, self.windows[0])
            and on_chain == self.leaves_on_chain
            and self.min_updates <= n <= 1 << self.depth
        )
        if allowed:
            self._happened(Seal(number, root, n))
            self.phase, self.end, self.n, self.forced = Phase.SEALED, block + self.windows[1], n, 0
            self.sealer, self.signers = self.seat(sender), set()
        return allowed

    def force(self, sender: bytes, block: int, number: int, leaf: bytes) -> bool:
        member = self.nodes.get(sender)
        allowed = (
            number == self.round
            and self.phase is Phase.SEALED
            and block <= self.end
            and member is not None
            and member.last_forced != number
            and any(leaf)
        )
        if allowed:
            self._happened(Force(number, member.index, leaf))
            member.last_forced, self.forced = number, self.forced + 1
        return allowed

    def scores(self, sender: bytes, block: int, number: int, root: bytes) -> bool:
        allowed = (
            number == self.round
            and self.phase is Phase.SEALED
            and self._may_relay(sender, block, self.windows[2])
        )
        if allowed:
            self._happened(Scores(number, root))
            self.phase, self.end = Phase.SCORED, block + self.windows[3]
        return allowed

    def certify(self, block: int, number: int, outcome: tuple[bytes, ...], signers: Sequence[bytes]) -> bool:
        seats = [self.seat(address) for address in signers]
        allowed = (
            number == self.round
            and self.phase is Phase.SCORED
            and block <= self.end
            and None not in seats
            and seats == sorted(set(seats))
            and len(seats) >= self.quorum
            and not self.removed & set(seats)
        )
        if allowed:
            self._happened(Certify(number, *outcome))
            self._ended(Phase.CERTIFIED, block + self.windows[4])
            self.signers = set(seats)
        return allowed

    def abort(self, block: int, number: int) -> bool:
        grace = {Phase.OPEN: self.windows[0], Phase.SEALED: self.windows[2], Phase.SCORED: 0}[self.phase]
        allowed = number == self.round and block > self.end + grace
        if allowed:
            self._happened(Abort(number, self.phase))
            self._ended(Phase.ABORTED, block)
        return allowed

    # challenges

    def remove(self, block: int, number: int, fault: Fault, culprit: bytes, proof: bytes) -> bool:
        """A proof against one node, that would hold if the node and the round are what they must be."""
        contested = self.contestable(block) and number == self.round - 1
        allowed = (
            culprit in self.nodes and not self.is_removed(culprit) and (number <= self.round - contested)
        )
        if allowed:
            member, seat = self.nodes[culprit], self.seat(culprit)
            if seat is None:
                member.out = True
            seats = set() if seat is None else {seat}
            self._disputed(block, Dispute(number, fault, member.index, proof), seats, contested)
        return allowed

    def remove_signers(self, block: int, number: int, proof: bytes) -> None:
        """A wrong median in the certificate that stands."""
        mask = sum(1 << seat for seat in self.signers)
        self._disputed(block, Dispute(number, Fault.WRONG_MEDIAN, mask, proof), set(self.signers), True)

    def _disputed(self, block: int, step: Dispute, seats: set[int], contested: bool) -> None:
        self._happened(step)
        self.removed |= seats
        if contested:
            assert self.ended.pop(self.round - 1) is Phase.CERTIFIED
            self.round, self.phase, self.fallen = self.round - 1, Phase.SCORED, self.fallen + 1
        if self.phase is not Phase.OPEN and len(self.committee) - len(self.removed) < self.quorum:
            self._happened(Abort(self.round, Phase.DISPUTED))
            self._ended(Phase.ABORTED, block)
        elif self.phase is Phase.SCORED:
            self.end, self.signers = block + self.windows[3], set()
            self.attempt = min(self.attempt + 1, 255)

    # epochs and the owner

    def propose(self, sender: bytes, change: Change | None) -> bool:
        """`change` is None when it is none: see `changed`."""
        allowed = sender == self.owner and self.notice != DUE and change is not None
        if allowed:
            self.proposal, self.notice = change, ANNOUNCED
        return allowed

    def changed(self, change: Change) -> list[bytes] | None:
        """The members after a change; None if it cannot be applied."""
        members = list(self.members)
        for index, address in zip(change.indices, change.addresses, strict=True):
            if index == len(members) and address != VACANT:
                members.append(address)
            elif index < len(members) and members[index] != VACANT:
                members[index] = address
            else:
                return None
        coming = [a for a in change.addresses if a != VACANT]
        present = [a for a in members if a != VACANT]
        known = len(set(coming)) < len(coming) or any(a in self.nodes for a in coming)
        seated = change.committee and all(i < len(members) and members[i] != VACANT for i in change.committee)
        if known or not seated or len(members) > 1 << self.depth or change.min_updates > len(present):
            return None
        return members

    def open_epoch(self, block: int, change: Change) -> bool:
        allowed = (
            self.notice == DUE and self.phase is Phase.OPEN and block > self.end and change == self.proposal
        )
        if allowed:
            self.epoch += 1
            self._happened(EpochOpening(self.round, self.epoch, change.hash()))
            members = self.changed(change)
            for index, address in zip(change.indices, change.addresses, strict=True):
                if index < len(self.members):
                    del self.nodes[self.members[index]]
                if address != VACANT:
                    self.nodes[address] = Member(index, joined=self.epoch)
            self.members, self.committee, self.min_updates = members, change.committee, change.min_updates
            self.config_hash, self.proposal = change.config_hash, None
            self.end, self.n, self.forced, self.attempt, self.notice, self.sealer = block, 0, 0, 0, 0, 0
            self.signers, self.removed = set(), set()
        return allowed

    def propose_owner(self, sender: bytes, successor: bytes) -> bool:
        allowed = sender == self.owner
        if allowed:
            self.successor = successor
        return allowed

    def accept_ownership(self, sender: bytes) -> bool:
        allowed = sender == self.successor
        if allowed:
            self.owner, self.successor = sender, VACANT
        return allowed

    # what the contract must say

    def state(self) -> dict[str, int]:
        """The fields of state()."""
        return {
            "round": self.round,
            "phase": self.phase,
            "end": self.end,
            "n": self.n,
            "forced": self.forced,
            "epoch": self.epoch,
            "attempt": self.attempt,
            "committee": len(self.committee),
            "min_updates": self.min_updates,
            "notice": self.notice,
            "sealer": self.sealer,
            "signers": sum(1 << seat for seat in self.signers),
            "removed": sum(1 << seat for seat in self.removed),
        }

    def node(self, address: bytes) -> dict[str, int] | None:
        """The fields of node(address); None for nobody."""
        member, seat = self.nodes.get(address), self.seat(address)
        if member is None:
            return None
        return {
            "index": member.index,
            "joined": member.joined,
            "last_forced": member.last_forced,
            "seat": 0 if seat is None else seat + 1,
            "removed": self.is_removed(address),
        }

    def _may_relay(self, sender: bytes, block: int, window: int) -> bool:
        if self.seat(sender) is None or self.is_removed(sender) or not self.end < block <= self.end + window:
            return False
        return block > self.end + window // 2 or sender == self.relayer()

    def _ended(self, how: Phase, end: int) -> None:
        assert self.round not in self.ended, f"round {self.round} ended twice"
        self.ended[self.round] = how
        self.round, self.phase, self.end = self.round + 1, Phase.OPEN, end
        self.attempt, self.signers = 0, set()
        self.notice = DUE if self.notice else 0

    def _happened(self, step: Transition) -> None:
        self.t = step.after(self.t)
        self.steps.append(step)
        self.transcripts.append(self.t)
