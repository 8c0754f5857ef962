"""Proofs that anyone can check against the chain, without trusting this server."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import Response

from ledgerfed.errors import NotFoundError
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.hashing import EMPTY, to_hex
from ledgerfed.protocol.merkle import PositionalTree, build_tree, verify_inclusion
from ledgerfed.protocol.reputation import Evidence, Reputation, reputation_tree, result_hash
from ledgerfed.store.reading import (
    last_reputation_round,
    read_reputations,
    read_updates,
    unfinished_rounds,
)
from ledgerfed.store.records import ReputationRecord, RoundRecord, UpdateRecord
from ledgerfed_api import present
from ledgerfed_api.replies import reply, reply_live
from ledgerfed_api.routes.parameters import DeskOf, FederationId, NodeQuery, RoundQuery
from ledgerfed_api.schemas import LeafProof, ReputationProof
from ledgerfed_api.view import View

router = APIRouter(prefix="/v1/federations/{federation}/proofs", tags=["proofs"])
_WALK = (
    "node = leaf; for level k and sibling s: node = keccak256(0x01 || s || node) if bit k of the index is 1, "
    "else keccak256(0x01 || node || s); the last node is the root. "
)
_LEAF = _WALK + "The root stands in the Sealed event of the round."
_REPUTATION = _WALK + (
    "leaf = keccak256(0x00 || 'LF1R' || index || a || b || va || vb || quarantined_until || result), each "
    "number as 32 bytes big-endian; result = keccak256(0x02 || 'LF1M' || score || heard), the score as "
    "int256 and each score heard as int32, big-endian, or 32 zero bytes without a score. The root stands in "
    "the Certified event of the round (Genesis for round 0)."
)


@router.get("/inclusion", response_model=LeafProof, summary="That a node's leaf was sealed")
def get_inclusion_proof(
    request: Request, desk: DeskOf, federation: FederationId, round_id: RoundQuery, node: NodeQuery
) -> Response:
    """A leaf that the node forced in stands in no tree, but in a Forced event: see the audit trail."""
    with desk.look(federation) as view:
        found = view.round(round_id)

        def build() -> LeafProof:
            proof = _leaf_proof(view, found, node)
            if proof.kind == "exclusion":
                raise NotFoundError(
                    f"no leaf of node {node} was sealed in round {found.number}; ask for exclusion"
                )
            return proof

        return reply(request, view, found, round_id, f"inclusion/{node}", build)


@router.get("/exclusion", response_model=LeafProof, summary="That no leaf of a node was sealed")
def get_exclusion_proof(
    request: Request, desk: DeskOf, federation: FederationId, round_id: RoundQuery, node: NodeQuery
) -> Response:
    """EMPTY stands at the node's index; nobody knows a preimage of it."""
    with desk.look(federation) as view:
        found = view.round(round_id)

        def build() -> LeafProof:
            proof = _leaf_proof(view, found, node)
            if proof.kind == "inclusion":
                raise NotFoundError(
                    f"a leaf of node {node} was sealed in round {found.number}; ask for inclusion"
                )
            return proof

        return reply(request, view, found, round_id, f"exclusion/{node}", build)


@router.get("/reputation", response_model=ReputationProof, summary="What reputation a node had after a round")
def get_reputation_proof(
    request: Request, desk: DeskOf, federation: FederationId, round_id: RoundQuery, node: NodeQuery
) -> Response:
    """An aborted round changes no reputation, one under way not yet: the proof is of the round before."""
    with desk.look(federation) as view:
        asked = view.round(round_id)
        number = last_reputation_round(view.connection, view.id, asked.number)
        folded = [r.number for r in unfinished_rounds(view.connection, view.id)]
        if number is None or any(number < n <= asked.number for n in folded):
            raise NotFoundError(f"no reputation is known after round {asked.number}; see its documents")
        found = view.round(str(number))
        if not view.is_final(asked):
            return reply_live(request, _reputation_proof(view, found, node))
        return reply(
            request,
            view,
            found,
            round_id,
            f"reputation/{node}",
            lambda: _reputation_proof(view, found, node),
        )


def _leaf_proof(view: View, found: RoundRecord, node: int) -> LeafProof:
    if found.evidence is None or found.root is None:
        raise NotFoundError(f"the evidence of round {found.number} is not here; see its phase")
    depth = view.begun().depth
    _require_position(node, depth)
    evidence = RoundEvidence.from_bytes(view.store.blobs.get(found.evidence))
    leaves = {item.index: item.leaf for item in evidence.leaves}
    leaf, siblings = leaves.get(node, EMPTY), _siblings(build_tree(leaves, depth), found.root, leaves, node)
    return LeafProof(
        kind="exclusion" if leaf == EMPTY else "inclusion",
        round=found.number,
        node=node,
        leaf=to_hex(leaf),
        depth=depth,
        siblings=siblings,
        root=to_hex(found.root),
        transcript=to_hex(found.transcript),
        verify_with=_LEAF,
        meta=view.meta(found),
    )


def _reputation_proof(view: View, found: RoundRecord, node: int) -> ReputationProof:
    records = read_reputations(view.connection, view.id, found.number)
    if node >= len(records) or found.reputation_root is None:
        raise NotFoundError(f"node {node} is not registered; the federation has {len(records)} nodes")
    depth = view.begun().depth
    values = [_value(record) for record in records]
    verdicts = {record.node: record for record in read_updates(view.connection, view.id, found.number)}
    results = [_result(verdicts.get(index)) for index in range(len(values))]
    leaves = {index: value.leaf(index, results[index]) for index, value in enumerate(values)}
    verdict = verdicts.get(node)
    return ReputationProof(
        kind="reputation",
        round=found.number,
        node=node,
        reputation=present.reputation(records[node]),
        score=None if verdict is None else verdict.score,
        heard=[] if verdict is None else list(verdict.heard),
        result=to_hex(results[node]),
        leaf=to_hex(leaves[node]),
        depth=depth,
        siblings=_siblings(reputation_tree(values, depth, results), found.reputation_root, leaves, node),
        root=to_hex(found.reputation_root),
        transcript=to_hex(found.transcript),
        verify_with=_REPUTATION,
        meta=view.meta(found),
    )


def _siblings(tree: PositionalTree, root: bytes, leaves: dict[int, bytes], node: int) -> list[str]:
    """Return the path, checked against the root on chain: a damaged row must not become a wrong proof."""
    proof = tree.proof(node)
    verify_inclusion(root, leaves.get(node, EMPTY), node, proof, tree.depth)
    return [to_hex(sibling) for sibling in proof]


def _require_position(node: int, depth: int) -> None:
    if node >= 1 << depth:
        raise NotFoundError(f"the tree has {1 << depth} positions, there is no position {node}")


def _result(verdict: UpdateRecord | None) -> bytes:
    return EMPTY if verdict is None else result_hash(verdict.score, verdict.heard)


def _value(record: ReputationRecord) -> Reputation:
    return Reputation(Evidence(record.a, record.b), Evidence(record.va, record.vb), record.quarantined_until)
