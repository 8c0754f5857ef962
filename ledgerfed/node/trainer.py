"""The trainer in a node: it fits, commits before anybody shows anything, and opens after the seal."""

from __future__ import annotations

import struct
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass

from ledgerfed.consensus import PastUpdate
from ledgerfed.errors import FitError, InvalidValueError, NotFoundError
from ledgerfed.models import Family
from ledgerfed.node import walk
from ledgerfed.node.desk import Desk
from ledgerfed.node.walk import Commitment, LocalModel, Workbench
from ledgerfed.protocol.evidence import RoundEvidence, SignedLeaf
from ledgerfed.protocol.hashing import to_hex
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.payload import update_hash
from ledgerfed.protocol.typed_data import leaf_digest
from ledgerfed.protocol.update import Update, payload_of

COMMIT, DRAFT = "commit", "draft"
_BOUND = struct.Struct("<32sQ")
"""What stands before the payload in a draft: base model and sample count, which the leaf binds."""


@dataclass(frozen=True, slots=True, eq=False)
class TrainingContext:
    """All that a node may make its update from. `history` is what the nodes showed in earlier rounds.

    `drift` says that the node's detector fired, `forgets` that this or the federation's drift makes the node
    count old rows for less.
    """

    bench: Workbench
    local: LocalModel
    base: GlobalModel
    round: int
    index: int
    history: tuple[PastUpdate, ...]
    drift: bool = False
    forgets: bool = False


UpdateMaker = Callable[[TrainingContext], Update]
"""How a node turns its local model into an update; an honest node uses `honest_update`."""


def honest_update(context: TrainingContext) -> Update:
    """Return the update of an honest node."""
    return walk.make_update(
        context.bench, context.local, context.base, context.drift, forgets=context.forgets
    )


class Trainer:
    """Commits, forces its leaf in when the relayer left it out, and opens.

    Payload and opening stand in the journal alone until the force window is over: nobody can be shown what
    somebody might still copy (threat N2).
    """

    def __init__(self, desk: Desk, bench: Workbench, family: Family, make_update: UpdateMaker) -> None:
        self._desk = desk
        self._bench = bench
        self._family = family
        self._make_update = make_update
        self._local: LocalModel | None = None
        self._sat_out = b""

    def local_model(self) -> LocalModel:
        """Return the node's own model, fitted the first time; raises FitError when it cannot be fitted."""
        if self._local is None:
            self._local = walk.fit_local(self._bench, self._family)
            self._desk.report("fit", self._family.name)
        return self._local

    def while_open(self) -> None:
        """Fit, commit and hand the signed leaf over; a node that cannot fit sits the round out."""
        desk, opened_at = self._desk, self._desk.view.opened_at
        if self._sat_out == opened_at:
            return
        try:
            fragment = RoundEvidence.from_bytes(desk.remembered(COMMIT, opened_at, self._commit))
        except (FitError, InvalidValueError) as error:  # no fit, or one that no payload can hold
            self._sat_out = opened_at
            desk.report("sit out", str(error))
            return
        leaf = self._good_for_this_window(fragment.leaves[0])
        if desk.say_evidence("leaf", desk.notebook.fragment(leaves=(leaf,))):
            desk.report("commit", to_hex(leaf.leaf))

    def _good_for_this_window(self, leaf: SignedLeaf) -> SignedLeaf:
        """Return the leaf with a signature that lasts to the end of the window.

        On the branch on which it was signed the round may have opened earlier. The same leaf signed twice is
        no equivocation.
        """
        desk, view = self._desk, self._desk.view
        if leaf.deadline >= view.deadline:
            return leaf
        digest = leaf_digest(
            view.federation, view.round, leaf.index, leaf.leaf, view.opened_at, view.deadline
        )
        return SignedLeaf(leaf.index, leaf.leaf, view.deadline, desk.ports.signer.sign_digest(digest))

    def while_sealed(self) -> None:
        """Force the leaf in if it is missing under the root; open it once the force window is over."""
        desk, view = self._desk, self._desk.view
        mine = self._committed()
        if mine is None or view.seal is None:
            return
        leaf, on_ledger = mine.leaves[0].leaf, desk.notebook.effective_leaves().get(desk.index)
        if desk.head >= view.end:
            self.while_scored()
        elif on_ledger != leaf and not self._has_signed_another():
            # half the window is for the sealed set to come, the other half for everybody's transaction
            known = desk.notebook.sealed is not None
            if known or desk.head >= view.seal.block + desk.config.windows.force // 2:
                self._force(leaf)

    def while_scored(self) -> None:
        """Open the leaf that the ledger holds; who has missed it may still have to decide about it."""
        desk, view = self._desk, self._desk.view
        mine = self._committed()
        if mine is None or desk.notebook.effective_leaves().get(desk.index) != mine.leaves[0].leaf:
            return
        opening = walk.open_update(mine.openings[0], view.federation, mine.leaves[0].leaf)
        draft = desk.recalled(DRAFT, view.opened_at)
        if draft is not None and desk.is_due("opening"):
            desk.ports.blobs.put(draft[_BOUND.size :])
        if desk.say_evidence("opening", desk.notebook.fragment(openings=(opening,))):
            desk.report("open", to_hex(opening.update_hash))

    def _has_signed_another(self) -> bool:
        """Whether the sealed leaf is this node's own too: it lost its journal, and makes that no worse."""
        desk = self._desk
        sealed = (item for item in desk.notebook.sealed or () if item.index == desk.index)
        return any(desk.notebook.is_signed(item) for item in sealed)

    def _force(self, leaf: bytes) -> None:
        desk = self._desk
        if any(item.index == desk.index for item in desk.view.forced):
            return
        desk.sent("force", desk.ports.ledger.force(desk.ports.signer, desk.view.round, leaf))

    def _commit(self) -> bytes:
        """Return leaf and opening as one fragment; the payload is journalled before."""
        desk, view = self._desk, self._desk.view
        draft = desk.remembered(DRAFT, view.opened_at, self._draft)
        base, n_samples = _BOUND.unpack_from(draft)
        payload, salt = draft[_BOUND.size :], desk.secret_salt("leaf")
        digest = update_hash(payload)
        opening = Opening(view.round, desk.index, base, digest, n_samples, desk.config.schema, salt)
        commitment = Commitment(opening, payload, opening.leaf(view.federation))
        deadline = view.deadline
        digest = walk.leaf_statement(view.federation, commitment, view.opened_at, deadline)
        leaf = SignedLeaf(desk.index, commitment.leaf, deadline, desk.ports.signer.sign_digest(digest))
        return desk.notebook.fragment(leaves=(leaf,), openings=(commitment.opening,)).to_bytes()

    def _draft(self) -> bytes:
        """Return the payload behind what the leaf binds and the payload does not repeat."""
        desk, view = self._desk, self._desk.view
        base, history = self._base()
        drift = walk.notices_drift(self._bench, base)
        context = TrainingContext(
            self._bench,
            self.local_model(),
            base,
            view.round,
            desk.index,
            history,
            drift,
            drift or self._drift_declared(),
        )
        if drift:
            desk.report("drift", "the global model's errors grew on this node's rows")
        update = self._make_update(context)
        return _BOUND.pack(update.base_model, update.n_samples) + payload_of(update)

    def _base(self) -> tuple[GlobalModel, tuple[PastUpdate, ...]]:
        """Return the model in force and what nodes showed. When patience is over, the newest model that there
        is will do, which gate V4 still takes, and nothing of what nodes showed."""
        desk, view = self._desk, self._desk.view
        try:
            return desk.archive.base_model(view), desk.archive.history(desk.config, view)
        except NotFoundError:
            if desk.patient(eighths=1):
                raise
            for digest in (view.model, *desk.archive.earlier_models(desk.config, view)):
                with suppress(NotFoundError):
                    return desk.archive.model(digest), ()
            raise

    def _drift_declared(self) -> bool:
        """Return whether the federation drifts; no, if nobody has said so until patience was over."""
        desk = self._desk
        try:
            return desk.archive.drift_declared(desk.view)
        except NotFoundError:
            if desk.patient(eighths=1):
                raise
            return False

    def _committed(self) -> RoundEvidence | None:
        """Return what this node committed to in this round, if it did."""
        desk = self._desk
        data = desk.recalled(COMMIT, desk.view.opened_at)
        return RoundEvidence.from_bytes(data) if data is not None else None
