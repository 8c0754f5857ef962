"""Epochs, the owner, and the faults that were proven."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Query, Request
from fastapi.responses import Response

from ledgerfed.errors import NotFoundError
from ledgerfed.store.reading import (
    read_disputes,
    read_epoch,
    read_epochs,
    read_members,
    read_ownership,
    read_proposal,
)
from ledgerfed_api import present_epochs as present
from ledgerfed_api.paging import PageAsked, cut
from ledgerfed_api.replies import reply_live
from ledgerfed_api.routes.parameters import DeskOf, FederationId
from ledgerfed_api.schemas import DisputeList, EpochAnswer, EpochList, OwnerAnswer

router = APIRouter(prefix="/v1/federations/{federation}")
EpochId = Annotated[
    str,
    Path(pattern="^([0-9]{1,5}|head)$", description="A number, or head for the present one", examples=["0"]),
]
RoundFilter = Annotated[
    int | None, Query(alias="round", ge=0, lt=1 << 32, description="Only faults that belong to this round")
]


@router.get("/epochs", response_model=EpochList, summary="Epochs, newest first", tags=["epochs"])
def list_epochs(request: Request, desk: DeskOf, federation: FederationId, asked: PageAsked) -> Response:
    """Each with its committee and what it changed, and what is announced for the next one."""
    with desk.look(federation) as view:
        page = cut(
            view,
            desk.cursors,
            asked,
            lambda after, limit: read_epochs(
                view.connection, view.id, after=int(after[0]) if after else None, limit=limit
            ),
            lambda record: (record.number,),
        )
        members = read_members(view.connection, view.id)
        pending = read_proposal(view.connection, view.id)
        document = EpochList(
            items=[
                present.epoch(view, record, present.joined_in(members, record.number))
                for record in page.items
            ],
            proposal=None if pending is None else present.proposal(pending, members),
            next_cursor=page.next_cursor,
            next=page.next,
            meta=view.meta(),
        )
        return reply_live(request, document)


@router.get("/epochs/{epoch_id}", response_model=EpochAnswer, summary="One epoch", tags=["epochs"])
def get_epoch(request: Request, desk: DeskOf, federation: FederationId, epoch_id: EpochId) -> Response:
    """Its committee by seat, its configuration, what it changed and who was removed in it."""
    with desk.look(federation) as view:
        number = None if epoch_id == "head" else int(epoch_id)
        record = read_epoch(view.connection, view.id, number)
        if record is None:
            raise NotFoundError(f"epoch {epoch_id} is not known here; ask for head to see the present one")
        joined = present.joined_in(read_members(view.connection, view.id), record.number)
        return reply_live(request, EpochAnswer(epoch=present.epoch(view, record, joined), meta=view.meta()))


@router.get("/owner", response_model=OwnerAnswer, summary="Who may propose epochs", tags=["epochs"])
def get_owner(request: Request, desk: DeskOf, federation: FederationId) -> Response:
    """And who may take over. No call of an owner moves a phase."""
    with desk.look(federation) as view:
        found = read_ownership(view.connection, view.id)
        return reply_live(request, OwnerAnswer(owner=present.owner(found), meta=view.meta()))


@router.get("/disputes", response_model=DisputeList, summary="Faults that were proven", tags=["disputes"])
def list_disputes(
    request: Request,
    desk: DeskOf,
    federation: FederationId,
    asked: PageAsked,
    round_number: RoundFilter = None,
) -> Response:
    """Oldest first, each with its culprits and what it led to."""
    with desk.look(federation) as view:
        page = cut(
            view,
            desk.cursors,
            asked,
            lambda after, limit: read_disputes(
                view.connection,
                view.id,
                after=int(after[0]) if after else 0,
                limit=limit,
                round_number=round_number,
            ),
            lambda record: (record.number,),
        )
        document = DisputeList(
            items=[present.dispute(view, record) for record in page.items],
            next_cursor=page.next_cursor,
            next=page.next,
            meta=view.meta(),
        )
        return reply_live(request, document)
