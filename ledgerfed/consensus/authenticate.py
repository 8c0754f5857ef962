"""Whether evidence is what the ledger committed to: signatures, roots, openings and reveals.

Rules, each checked against the members and the transcript (a failure names the statement):
1. every sealed leaf is signed by its node over (round, index, leaf, opened_at, deadline), in time;
2. the seal root over exactly these leaves, then the history up to the last forced leaf, lead to the sealed
   transcript;
3. at least q score commitments, each signed by its committee member over the sealed transcript;
4. the history holds the scores once, with the root over exactly these commitments; all of it leads to the
   scored transcript;
5. every opening is the preimage of the leaf that counts for its node; every reveal opens its commitment;
6. every leaf whose update f + 1 reveals hold is opened: who proposes cannot leave an honest node out;
7. nobody is heard who was removed in this epoch: before the seal (`removed`) or by a dispute of the history.
"""

from __future__ import annotations

from collections.abc import Sequence

from ledgerfed.errors import VerificationError
from ledgerfed.protocol import transcript
from ledgerfed.protocol.change import VACANT
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.merkle import build_tree
from ledgerfed.protocol.score import NOT_HELD
from ledgerfed.protocol.signature import require_signer
from ledgerfed.protocol.transition import Certify, Dispute, Force, Scores, Transition
from ledgerfed.protocol.typed_data import leaf_digest, score_commitment_digest


def seal_root(config: FederationConfig, evidence: RoundEvidence) -> bytes:
    """Return the root of the sealed leaves."""
    return build_tree({item.index: item.leaf for item in evidence.leaves}, config.depth).root


def score_root(config: FederationConfig, evidence: RoundEvidence) -> bytes:
    """Return the root of the score commitments."""
    return build_tree({item.index: item.commitment for item in evidence.commitments}, config.depth).root


def sealed_transcript(config: FederationConfig, evidence: RoundEvidence) -> bytes:
    """Return the transcript after the seal, or after the last forced leaf: what score commitments are for."""
    forced = [place for place, step in enumerate(evidence.history) if isinstance(step, Force)]
    return _replay(config, evidence, evidence.history[: forced[-1] + 1 if forced else 0])


def scored_transcript(config: FederationConfig, evidence: RoundEvidence) -> bytes:
    """Return the transcript that the outcome extends: after the scores and every dispute since."""
    return _replay(config, evidence, evidence.history)


def _replay(config: FederationConfig, evidence: RoundEvidence, history: Sequence[Transition]) -> bytes:
    t = transcript.after_seal(
        evidence.opened_at, evidence.round, seal_root(config, evidence), len(evidence.leaves)
    )
    for step in history:
        t = step.after(t)
    return t


def effective_leaves(evidence: RoundEvidence) -> dict[int, bytes]:
    """Return the leaf that counts for each index: the forced one where there is one, else the sealed one."""
    leaves = {item.index: item.leaf for item in evidence.leaves}
    leaves.update({item.index: item.leaf for item in evidence.forced})
    return leaves


def equivocators(evidence: RoundEvidence) -> frozenset[int]:
    """Return the nodes with two different leaves of their own: one signed and sealed, another one forced."""
    sealed = {item.index: item.leaf for item in evidence.leaves}
    return frozenset(f.index for f in evidence.forced if sealed.get(f.index, f.leaf) != f.leaf)


def authenticate(
    config: FederationConfig,
    members: Sequence[bytes],
    evidence: RoundEvidence,
    sealed_in: int,
    removed: frozenset[int] = frozenset(),
) -> bytes:
    """Check rules 1-7 and return the scored transcript, to be compared with the chain's.

    Args:
        config: the configuration of the epoch.
        members: addresses (20 bytes) in registry order; VACANT where a node has left.
        evidence: what a relayer proposes, or an audit bundle holds.
        sealed_in: number of the block that holds the seal.
        removed: committee members that were removed in this epoch before the seal, by index.

    Raises:
        VerificationError: a statement does not hold; the message names round, index and value.
    """
    if not config.committee[-1] < len(members) <= config.capacity:
        raise VerificationError(
            f"round {evidence.round}: {len(members)} members, but the committee needs index "
            f"{config.committee[-1]} and the trees hold {config.capacity}"
        )
    _check_leaves(members, evidence, sealed_in)
    _check_commitments(config, members, evidence)
    _check_openings(evidence)
    _check_reveals(config, evidence)
    _check_completeness(config, evidence)
    _check_history(config, evidence)
    _check_heard(evidence, removed | culprits(config, evidence))
    return scored_transcript(config, evidence)


def culprits(config: FederationConfig, evidence: RoundEvidence) -> frozenset[int]:
    """Return the registry indices that the disputes of the history convict."""
    return frozenset().union(*(dispute.indices(config.committee) for dispute in evidence.disputes))


def _check_history(config: FederationConfig, evidence: RoundEvidence) -> None:
    what = f"round {evidence.round}: the history"
    for step in evidence.history:
        foreign = not isinstance(step, Force | Scores | Dispute | Certify)
        if foreign or (step.round != evidence.round and not isinstance(step, Dispute)):
            name = type(step).__name__
            raise VerificationError(f"{what} holds {name} of round {step.round}, which has no place in it")
    scores = [place for place, step in enumerate(evidence.history) if isinstance(step, Scores)]
    if len(scores) != 1:
        raise VerificationError(f"{what} holds the scores {len(scores)} times, once is the rule")
    root = score_root(config, evidence)
    if evidence.history[scores[0]] != Scores(evidence.round, root):
        raise VerificationError(f"{what} anchors other scores than the commitments, 0x{root.hex()}")
    if any(isinstance(step, Force) for step in evidence.history[scores[0] :]):
        raise VerificationError(f"{what} forces a leaf after the scores")


def _check_heard(evidence: RoundEvidence, removed: frozenset[int]) -> None:
    for reveal in evidence.reveals:
        if reveal.index in removed:
            raise VerificationError(
                f"round {evidence.round}: validator {reveal.index} was removed and is not to be heard"
            )


def _check_leaves(members: Sequence[bytes], evidence: RoundEvidence, sealed_in: int) -> None:
    for index in effective_leaves(evidence):
        if index >= len(members) or members[index] == VACANT:
            raise VerificationError(f"round {evidence.round}: leaf {index} belongs to no member")
    for leaf in evidence.leaves:
        what = f"round {evidence.round}: leaf {leaf.index}"
        if leaf.deadline < sealed_in:
            raise VerificationError(f"{what} was void after block {leaf.deadline}, sealed in {sealed_in}")
        digest = leaf_digest(
            evidence.federation, evidence.round, leaf.index, leaf.leaf, evidence.opened_at, leaf.deadline
        )
        require_signer(digest, leaf.signature, members[leaf.index], what)


def _check_commitments(config: FederationConfig, members: Sequence[bytes], evidence: RoundEvidence) -> None:
    if len(evidence.commitments) < config.quorum:
        raise VerificationError(
            f"round {evidence.round}: {len(evidence.commitments)} score commitments, "
            f"{config.quorum} are needed"
        )
    sealed = sealed_transcript(config, evidence)
    for item in evidence.commitments:
        what = f"round {evidence.round}: score commitment {item.index}"
        if item.index not in config.committee:
            raise VerificationError(f"{what} is not by a committee member")
        digest = score_commitment_digest(
            evidence.federation, evidence.round, item.index, item.commitment, sealed
        )
        require_signer(digest, item.signature, members[item.index], what)


def _check_openings(evidence: RoundEvidence) -> None:
    leaves = effective_leaves(evidence)
    for opening in evidence.openings:
        what = f"round {evidence.round}: opening {opening.index}"
        if opening.round != evidence.round:
            raise VerificationError(f"{what} is for round {opening.round}")
        found = opening.leaf(evidence.federation)
        if leaves.get(opening.index) != found:
            raise VerificationError(f"{what} hashes to 0x{found.hex()}, which is not the leaf of that node")


def _check_reveals(config: FederationConfig, evidence: RoundEvidence) -> None:
    commitments = {item.index: item.commitment for item in evidence.commitments}
    for reveal in evidence.reveals:
        what = f"round {evidence.round}: scores of validator {reveal.index}"
        if len(reveal.scores) != config.capacity:
            raise VerificationError(f"{what}: {len(reveal.scores)} scores, the tree has {config.capacity}")
        if reveal.round != evidence.round or commitments.get(reveal.index) != reveal.commitment(
            evidence.federation
        ):
            raise VerificationError(f"{what} do not open the commitment that was anchored")


def _check_completeness(config: FederationConfig, evidence: RoundEvidence) -> None:
    opened = {opening.index for opening in evidence.openings}
    for index in effective_leaves(evidence).keys() - opened:
        holders = sum(reveal.scores[index] != NOT_HELD for reveal in evidence.reveals)
        if holders > config.faults:
            raise VerificationError(
                f"round {evidence.round}: opening {index} is left out, though {holders} validators hold it"
            )
