"""Rounds and what each decided."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from ledgerfed.errors import NotFoundError
from ledgerfed.protocol.hashing import from_hex, to_hex
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.model import decode_model
from ledgerfed.protocol.transcript import Phase
from ledgerfed.store.reading import (
    count_rounds,
    read_fallen,
    read_head,
    read_rounds,
    read_scores,
    read_updates,
)
from ledgerfed.store.records import RoundRecord, UpdateRecord
from ledgerfed_api import present
from ledgerfed_api.paging import PageAsked, cut
from ledgerfed_api.present_certificates import standing_certificate, void_certificate
from ledgerfed_api.replies import reply, reply_document, reply_live
from ledgerfed_api.routes.parameters import DeskOf, FederationId, RoundId
from ledgerfed_api.schemas import (
    CertificateAnswer,
    CertificateList,
    ModelAnswer,
    RoundAnswer,
    RoundList,
    ScoreList,
    UpdateAnswer,
    UpdateList,
)
from ledgerfed_api.view import View

router = APIRouter(prefix="/v1/federations/{federation}/rounds", tags=["rounds"])
PhaseFilter = Annotated[
    Literal["OPEN", "SEALED", "SCORED", "CERTIFIED", "ABORTED"] | None, Query(description="Only this phase")
]
UpdateId = Annotated[
    str,
    Path(
        pattern="^([0-9]{1,7}|0x[0-9a-fA-F]{64})$",
        description="Registry index of the node, or update hash",
        examples=["3"],
    ),
]


@router.get("", response_model=RoundList, summary="Rounds, newest first")
def list_rounds(
    request: Request, desk: DeskOf, federation: FederationId, asked: PageAsked, phase: PhaseFilter = None
) -> Response:
    """Aborted rounds stand in the list too; first_round, last_round and count show that none is missing."""
    only = None if phase is None else Phase[phase]
    with desk.look(federation) as view:
        page = cut(
            view,
            desk.cursors,
            asked,
            lambda after, limit: read_rounds(
                view.connection, view.id, after=int(after[0]) if after else None, limit=limit, phase=only
            ),
            lambda found: (found.number,),
        )
        first, last, count = count_rounds(view.connection, view.id)
        head = read_head(view.connection, view.id)
        document = RoundList(
            items=[present.round_summary(view, found) for found in page.items],
            next_cursor=page.next_cursor,
            next=page.next,
            meta=view.meta(),
            first_round=first,
            last_round=last,
            count=count,
            transcript=None if head is None else to_hex(head.transcript),
        )
        return reply_live(request, document)


@router.get("/{round_id}", response_model=RoundAnswer, summary="One round")
def get_round(request: Request, desk: DeskOf, federation: FederationId, round_id: RoundId) -> Response:
    """Phase, deadlines, commitments, and what it decided."""
    with desk.look(federation) as view:
        found = view.round(round_id)

        def build() -> RoundAnswer:
            verdicts = read_updates(view.connection, view.id, found.number)
            return RoundAnswer(round=present.round_detail(view, found, verdicts), meta=view.meta(found))

        return reply(request, view, found, round_id, "round", build)


@router.get("/{round_id}/updates", response_model=UpdateList, summary="Every node's update, with the verdict")
def list_updates(
    request: Request,
    desk: DeskOf,
    federation: FederationId,
    round_id: RoundId,
    asked: PageAsked,
    reason: Annotated[Reason | None, Query(description="Only this verdict")] = None,
) -> Response:
    """In registry order: admitted, rejected, withheld and absent ones; empty until the documents are here."""
    with desk.look(federation) as view:
        found = view.round(round_id)

        def build() -> UpdateList:
            page = cut(
                view,
                desk.cursors,
                asked,
                lambda after, limit: read_updates(
                    view.connection,
                    view.id,
                    found.number,
                    after=int(after[0]) if after else -1,
                    limit=limit,
                    reason=reason,
                ),
                lambda record: (record.node,),
            )
            return UpdateList(
                round=found.number,
                items=[present.update(record) for record in page.items],
                next_cursor=page.next_cursor,
                next=page.next,
                meta=view.meta(found),
            )

        if not asked.plain:
            return reply_live(request, build())
        return reply(request, view, found, round_id, "updates", build)


@router.get("/{round_id}/updates/{update_id}", response_model=UpdateAnswer, summary="One node's update")
def get_update(
    request: Request, desk: DeskOf, federation: FederationId, round_id: RoundId, update_id: UpdateId
) -> Response:
    """The leaf, its opening, the verdict and the integers that the gates looked at."""
    with desk.look(federation) as view:
        found = view.round(round_id)
        record = _update(view, found, update_id)
        return reply(
            request,
            view,
            found,
            round_id,
            f"updates/{record.node}",
            lambda: UpdateAnswer(round=found.number, update=present.update(record), meta=view.meta(found)),
        )


@router.get("/{round_id}/scores", response_model=ScoreList, summary="The validators' scores")
def list_scores(request: Request, desk: DeskOf, federation: FederationId, round_id: RoundId) -> Response:
    """Commitments in committee order, with what was revealed."""
    with desk.look(federation) as view:
        found = view.round(round_id)

        def build() -> ScoreList:
            items = [present.score_vector(r) for r in read_scores(view.connection, view.id, found.number)]
            root = None if found.score_root is None else to_hex(found.score_root)
            return ScoreList(round=found.number, score_root=root, items=items, meta=view.meta(found))

        return reply(request, view, found, round_id, "scores", build)


@router.get("/{round_id}/certificate", response_model=CertificateAnswer, summary="Who signed the outcome")
def get_certificate(request: Request, desk: DeskOf, federation: FederationId, round_id: RoundId) -> Response:
    """The quorum's signatures, which the contract checked, and whether a dispute can still void them."""
    with desk.look(federation) as view:
        found = view.round(round_id)
        if found.manifest is None:
            raise NotFoundError(f"round {found.number} has no certificate that stands; see certificates")
        return reply(
            request,
            view,
            found,
            round_id,
            "certificate",
            lambda: CertificateAnswer(certificate=standing_certificate(view, found), meta=view.meta(found)),
        )


@router.get(
    "/{round_id}/certificates",
    response_model=CertificateList,
    summary="Every certificate, void ones too",
)
def list_certificates(
    request: Request, desk: DeskOf, federation: FederationId, round_id: RoundId
) -> Response:
    """Oldest first. A void one is kept with its signatures: it is what a dispute was about."""
    with desk.look(federation) as view:
        found = view.round(round_id)

        def build() -> CertificateList:
            voided = read_fallen(view.connection, view.id, found.number)
            items = [void_certificate(view, found, record) for record in voided]
            if found.manifest is not None:
                items.append(standing_certificate(view, found))
            return CertificateList(items=items, meta=view.meta(found))

        return reply(request, view, found, round_id, "certificates", build)


@router.get("/{round_id}/model", response_model=ModelAnswer, summary="The model that the round left")
def get_round_model(request: Request, desk: DeskOf, federation: FederationId, round_id: RoundId) -> Response:
    """Coefficients and precision as exact integers."""
    with desk.look(federation) as view:
        found = view.round(round_id)
        digest = found.model
        if digest is None:
            raise NotFoundError(f"round {found.number} left no model; its base is {to_hex(found.base_model)}")
        return reply(
            request,
            view,
            found,
            round_id,
            "model",
            lambda: ModelAnswer(
                model=present.model(decode_model(view.store.blobs.get(digest))), meta=view.meta(found)
            ),
        )


@router.get("/{round_id}/manifest", response_model=dict, summary="The manifest, as it was hashed")
def get_manifest(request: Request, desk: DeskOf, federation: FederationId, round_id: RoundId) -> Response:
    """Canonical JSON (RFC 8785): keccak-256 of the body is the manifest hash of the certificate."""
    with desk.look(federation) as view:
        found = view.round(round_id)
        if found.manifest is None:
            raise NotFoundError(f"round {found.number} has no manifest; see its phase")
        return reply_document(request, view, found, round_id, found.manifest)


@router.get("/{round_id}/evidence", response_model=dict, summary="The evidence, as it was hashed")
def get_evidence(request: Request, desk: DeskOf, federation: FederationId, round_id: RoundId) -> Response:
    """Canonical JSON (RFC 8785): keccak-256 of the body is the evidence hash of the manifest."""
    with desk.look(federation) as view:
        found = view.round(round_id)
        if found.evidence is None:
            raise NotFoundError(f"the evidence of round {found.number} is not here; see its phase")
        return reply_document(request, view, found, round_id, found.evidence)


def _update(view: View, found: RoundRecord, name: str) -> UpdateRecord:
    records = read_updates(view.connection, view.id, found.number)
    if name.startswith("0x"):
        digest = from_hex("the update hash", name.lower())
        record = next((r for r in records if r.update_hash == digest), None)
    else:
        record = next((r for r in records if r.node == int(name)), None)
    if record is None:
        raise NotFoundError(f"round {found.number} has no update {name}, or its documents are not here yet")
    return record
