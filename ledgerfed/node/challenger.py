"""The challenger in a node: it watches for broken words, and sends the proof to the ledger.

Rules:
- what proves a fault is a statement that somebody signed, against another one, against the ledger, or against
  arithmetic; suspicion alone is never sent;
- whoever holds a proof sends it, the committee first, one after the other in an order that the transcript
  draws, so that one transaction is usually enough;
- nobody is accused twice, and a proof that the contract refuses is not sent again while the transcript
  stands: whatever comes of accusing somebody, the node goes on with the round.
"""

from __future__ import annotations

from collections.abc import Iterator

from ledgerfed.errors import (
    ConfigurationError,
    ConflictError,
    InvalidValueError,
    NotFoundError,
    TransactionRevertedError,
    VerificationError,
    WaitTimeoutError,
)
from ledgerfed.ledger.challenges import (
    BrokenReceipt,
    Challenge,
    DoubledIndex,
    TwoCertificates,
    WrongMedian,
)
from ledgerfed.node import walk
from ledgerfed.node.chain_view import CertifiedRound
from ledgerfed.node.desk import Desk
from ledgerfed.node.validator import Validator
from ledgerfed.protocol.hashing import EMPTY
from ledgerfed.protocol.manifest import Manifest, Outcome, Verdict
from ledgerfed.protocol.reputation import reputation_tree
from ledgerfed.protocol.score import lower_median
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Certify, Fault, tail_of

_REFUSALS = (
    ConfigurationError,  # it cannot pay
    ConflictError,
    InvalidValueError,
    NotFoundError,
    TransactionRevertedError,
    VerificationError,
    WaitTimeoutError,
)
MEDIANS = -1
"""The place of the signers of a wrong median among the culprits: they are accused together."""


class Challenger:
    """Finds proofs of faults and sends them."""

    def __init__(self, desk: Desk, validator: Validator) -> None:
        self._desk = desk
        self._validator = validator
        self._refused: set[tuple[Fault, int, bytes]] = set()
        self._found: dict[tuple[int, bytes], int] = {}
        self._checked = b""

    def look(self) -> None:
        """Send the first proof whose turn it is."""
        for culprit, proof in self._proofs():
            tried = (proof.fault, culprit, self._desk.view.transcript) in self._refused
            if culprit not in self._desk.view.convicted and not tried and self._is_my_turn(culprit):
                self._send(culprit, proof)
                return

    def _send(self, culprit: int, proof: Challenge) -> None:
        desk = self._desk
        name = f"challenge {proof.fault.name.lower().replace('_', ' ')}"
        try:
            desk.sent(name, desk.ports.ledger.challenge(desk.ports.signer, proof))
        except _REFUSALS as error:
            self._refused.add((proof.fault, culprit, desk.view.transcript))
            desk.note("reverted", f"{name}: {error}")

    def _is_my_turn(self, culprit: int) -> bool:
        """Whether those before this node have had a block each since the proof was found."""
        desk = self._desk
        found = self._found.setdefault((culprit, desk.view.opened_at), desk.head)
        before = desk.rank() if desk.sits else len(desk.config.committee) + desk.index
        return desk.head >= found + before

    def _proofs(self) -> Iterator[tuple[int, Challenge]]:
        """Yield what this node can prove now, with whom it convicts (MEDIANS: all signers)."""
        for notebook in (self._desk.notebook, self._desk.last_notebook):
            for (_, signer), conflict in notebook.conflicts.items() if notebook else ():
                yield signer, conflict
        yield from self._two_certificates()
        yield from self._broken_receipts()
        yield from self._doubled_indices()
        yield from self._wrong_median()

    def _two_certificates(self) -> Iterator[tuple[int, Challenge]]:
        view = self._desk.view
        outcomes = self._validator.decided() if view.phase is Phase.SCORED else {}
        for signer, signed in self._desk.notebook.certificates.items():
            known = [subject for subject in sorted(signed) if subject in outcomes]
            if len(known) > 1:
                first, second = known[:2]
                pair = (_hashes(outcomes[first]), _hashes(outcomes[second]))
                signatures = (signed[first], signed[second])
                yield signer, TwoCertificates(view.round, view.transcript, pair, signatures)

    def _broken_receipts(self) -> Iterator[tuple[int, Challenge]]:
        desk, view, notebook = self._desk, self._desk.view, self._desk.notebook
        if view.phase is Phase.OPEN or view.seal is None or notebook.rooted is None:
            return
        sealed = {item.index: item.leaf for item in notebook.rooted}
        for (relayer, index), receipt in notebook.receipts.items():
            if view.members[relayer] != view.seal.relayer or sealed.get(index) == receipt.subject:
                continue
            tree = walk.make_seal(notebook.rooted, desk.config.depth)
            yield (
                relayer,
                BrokenReceipt(
                    view.round,
                    view.opened_at,
                    view.seal.root,
                    view.seal.n,
                    index,
                    receipt.subject,
                    receipt.signature,
                    sealed.get(index, EMPTY),
                    tree.proof(index),
                    tail_of(view.history),
                ),
            )

    def _doubled_indices(self) -> Iterator[tuple[int, Challenge]]:
        view = self._desk.view
        for forced in view.forced:
            known = self._desk.notebook.leaves.get(forced.index)
            if known is not None and known.leaf != forced.leaf and view.seal is not None:
                yield (
                    forced.index,
                    DoubledIndex(
                        view.round,
                        view.opened_at,
                        view.seal.root,
                        view.seal.n,
                        forced.index,
                        known.leaf,
                        known.deadline,
                        known.signature,
                        tail_of(view.history),
                    ),
                )

    def _wrong_median(self) -> Iterator[tuple[int, Challenge]]:
        desk, view = self._desk, self._desk.view
        if not view.contestable(desk.head + 1) or view.before_certificate is None:
            return
        done = view.certified[-1]
        if self._checked == done.manifest:
            return
        try:
            manifest = desk.archive.manifest(done.manifest)
        except (NotFoundError, InvalidValueError):
            return
        wrong = next((verdict for verdict in manifest.verdicts if not _is_median(verdict)), None)
        if wrong is None:
            self._checked = done.manifest
        else:
            yield MEDIANS, self._median_proof(done, manifest, wrong, view.before_certificate.transcript)

    def _median_proof(
        self, done: CertifiedRound, manifest: Manifest, wrong: Verdict, scored_at: bytes
    ) -> Challenge:
        results = [verdict.result for verdict in manifest.verdicts]
        tree = reputation_tree(manifest.reputations, self._desk.config.depth, results)
        history = self._desk.view.history
        last = max(place for place, step in enumerate(history) if isinstance(step, Certify))
        return WrongMedian(
            done.round,
            scored_at,
            (done.manifest, done.model, done.reputations),
            wrong.index,
            manifest.reputations[wrong.index],
            wrong.score or 0,
            wrong.heard,
            tree.proof(wrong.index),
            tail_of(history[last + 1 :]),
        )


def _is_median(verdict: Verdict) -> bool:
    if verdict.score is None:
        return True
    return bool(verdict.heard) and lower_median(verdict.heard) == verdict.score


def _hashes(outcome: Outcome) -> tuple[bytes, bytes, bytes]:
    return outcome.manifest().hash(), outcome.model.hash(), outcome.reputation_root
