"""Rounds played on a deployed ledger, with all that happened in them: what challenges are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from chains import stranger
from contract_values import Receipt
from deployed_ledger import OWNER, Ledger
from faults import Proof

from ledgerfed.protocol.change import Change
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.merkle import PositionalTree, build_tree
from ledgerfed.protocol.signature import address_of, sign_digest
from ledgerfed.protocol.transition import (
    Abort,
    Certify,
    EpochOpening,
    Force,
    Scores,
    Seal,
    Transition,
    tail_of,
)
from ledgerfed.protocol.typed_data import certificate_digest

ANYBODY = address_of(stranger(b"anybody"))
CHALLENGER = address_of(stranger(b"challenger"))
OUTCOME = (keccak(b"manifest"), keccak(b"new model"), keccak(b"new reputations"))
SCORE_ROOT = keccak(b"scores")


def leaf_of(index: int, word: bytes = b"leaf") -> bytes:
    """A leaf for a node."""
    return keccak(word + bytes([index]))


class Play:
    """A federation and its history; each method sends one transaction in the first block that allows it."""

    def __init__(self, ledger: Ledger) -> None:
        self.ledger = ledger
        self.steps: list[Transition] = []
        self.transcripts = [ledger.view("transcript")]
        self.keys = dict(enumerate(ledger.keys))
        self.sealer = -1
        self.tree: PositionalTree | None = None

    @property
    def t(self) -> bytes:
        """The transcript, as the history says."""
        return self.transcripts[-1]

    @property
    def round(self) -> int:
        """The current round."""
        return self.ledger.state()["round"]

    @property
    def committee(self) -> Sequence[int]:
        """Registry indices by seat."""
        return self.ledger.view("committee")

    def happened(self, *steps: Transition) -> None:
        """Add to the history; the contract must have come to the same transcript."""
        for step in steps:
            self.steps.append(step)
            self.transcripts.append(step.after(self.t))
        assert self.ledger.view("transcript") == self.t

    def wait(self, blocks: int = 1) -> None:
        """Go to the block `blocks` after the end of the window, unless it has passed."""
        self.ledger.evm.block = max(self.ledger.evm.block, self.ledger.state()["end"] + blocks)

    def seal(self, leaves: Mapping[int, bytes] | None = None, depth: int | None = None) -> Play:
        """Seal the leaves by index, those of nodes 0, 1 and 2 if nothing is said."""
        held = {i: leaf_of(i) for i in range(3)} if leaves is None else leaves
        self.tree = build_tree(held, self.ledger.depth if depth is None else depth)
        sender = self._relayer(self.ledger.windows[0])
        self.sealer = self.ledger.node(sender)["index"]
        number = self.round
        self.ledger.transact("seal", number, self.tree.root, len(held), sender=sender)
        self.happened(Seal(number, self.tree.root, len(held)))
        return self

    def force(self, index: int, leaf: bytes) -> Play:
        """Node `index` forces a leaf."""
        number = self.round
        self.ledger.transact("force", number, leaf, sender=address_of(self.keys[index]))
        self.happened(Force(number, index, leaf))
        return self

    def scores(self) -> Play:
        """Anchor score commitments."""
        sender, number = self._relayer(self.ledger.windows[2]), self.round
        self.ledger.transact("scores", number, SCORE_ROOT, sender=sender)
        self.happened(Scores(number, SCORE_ROOT))
        return self

    def certificate(
        self, outcome: tuple[bytes, ...] = OUTCOME, signers: Iterable[int] | None = None
    ) -> bytes:
        """The signatures of committee members (by registry index, the first q if nothing is said)."""
        signing = self.committee[: self.ledger.view("quorum")] if signers is None else signers
        t = Certify(self.round, *outcome).after(self.t)
        digest = certificate_digest(self.ledger.federation, self.round, t)
        return b"".join(sign_digest(self.keys[index], digest) for index in signing)

    def certify(self, outcome: tuple[bytes, ...] = OUTCOME, signers: Iterable[int] | None = None) -> Play:
        """Certify an outcome."""
        number, signatures = self.round, self.certificate(outcome, signers)
        self.ledger.transact("certify", number, *outcome, signatures, sender=ANYBODY)
        self.happened(Certify(number, *outcome))
        return self

    def certified(self, outcome: tuple[bytes, ...] = OUTCOME) -> Play:
        """Play a whole round."""
        return self.seal().scores().certify(outcome)

    def abort(self) -> Play:
        """Give up the round in the first block that allows it."""
        state, windows = self.ledger.state(), self.ledger.windows
        self.wait(1 + (windows[0], windows[2], 0)[state["phase"]])
        self.ledger.transact("abort", state["round"], sender=ANYBODY)
        self.happened(Abort(state["round"], state["phase"]))
        return self

    def challenge(self, proof: Proof, *after: Transition) -> Receipt:
        """Bring a proof that holds; `after` is what follows the dispute in the same transaction."""
        receipt = self.ledger.transact(proof.call, *proof.arguments.values(), sender=CHALLENGER)
        self.happened(proof.dispute, *after)
        return receipt

    def refusal(self, proof: Proof) -> str | None:
        """Bring a proof; the reason why it is refused."""
        return self.ledger.refusal(proof.call, *proof.arguments.values(), sender=CHALLENGER)

    def propose(self, change: Change) -> Receipt:
        """The owner announces a change."""
        return self.ledger.transact("propose", as_tuple(change), sender=OWNER)

    def open_epoch(self, change: Change) -> Receipt:
        """Anybody opens the epoch of a change; the nodes of new keys are named by `self.keys`."""
        self.wait()
        number, epoch = self.round, self.ledger.state()["epoch"] + 1
        receipt = self.ledger.transact("open_epoch", as_tuple(change), sender=ANYBODY)
        self.happened(EpochOpening(number, epoch, change.hash()))
        return receipt

    def before(self, kind: type[Transition]) -> bytes:
        """The transcript that the last transition of a kind extends."""
        return self.transcripts[self._last(kind)]

    def tail(self, kind: type[Transition]) -> bytes:
        """All that happened since the last transition of a kind."""
        return tail_of(self.steps[self._last(kind) + 1 :])

    def _relayer(self, window: int) -> bytes:
        """Who relays as soon as somebody may: not before the second half if the turn is a culprit's."""
        self.wait()
        relayer = self.ledger.relayer()
        if not self.ledger.node(relayer)["removed"]:
            return relayer
        self.wait(1 + window // 2)
        members = (address_of(self.keys[index]) for index in self.committee)
        return next(member for member in members if not self.ledger.node(member)["removed"])

    def _last(self, kind: type[Transition]) -> int:
        return max(place for place, step in enumerate(self.steps) if isinstance(step, kind))


def as_tuple(change: Change) -> tuple[object, ...]:
    """The argument of propose and open_epoch."""
    return (change.config_hash, change.min_updates, change.committee, change.indices, change.addresses)
