"""The audit trail: every event that the contract emitted, forks included."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from ledgerfed.store.reading import read_trail
from ledgerfed_api import present
from ledgerfed_api.paging import Key, PageAsked, cut
from ledgerfed_api.replies import reply_live
from ledgerfed_api.routes.parameters import DeskOf, FederationId
from ledgerfed_api.schemas import Trail

router = APIRouter(prefix="/v1/federations/{federation}/audit", tags=["audit"])
Kind = Literal[
    "Genesis",
    "MemberRegistered",
    "MemberLeft",
    "Sealed",
    "Forced",
    "Scored",
    "Certified",
    "Aborted",
    "Disputed",
    "EpochProposed",
    "EpochOpened",
    "OwnershipProposed",
    "OwnershipTransferred",
]


@router.get("/trail", response_model=Trail, summary="Every event, with block, transaction and time")
def list_trail(
    request: Request,
    desk: DeskOf,
    federation: FederationId,
    asked: PageAsked,
    kind: Annotated[Kind | None, Query(description="Only events of this kind")] = None,
    round_number: Annotated[
        int | None,
        Query(alias="round", ge=0, lt=1 << 32, description="Only events of this round; 0: of none"),
    ] = None,
) -> Response:
    """Oldest first. What a fork took back is kept and marked; each event carries the transcript after it."""
    with desk.look(federation) as view:
        page = cut(
            view,
            desk.cursors,
            asked,
            lambda after, limit: read_trail(
                view.connection,
                view.id,
                after=_after(after),
                limit=limit,
                kind=kind,
                round_number=round_number,
            ),
            lambda event: (event.block_number, event.block_hash.hex(), event.log_index),
        )
        items = [present.trail_entry(view, event) for event in page.items]
        document = Trail(items=items, next_cursor=page.next_cursor, next=page.next, meta=view.meta())
        return reply_live(request, document)


def _after(key: Key | None) -> tuple[int, bytes, int] | None:
    if key is None:
        return None
    number, block_hash, log_index = key
    return int(number), bytes.fromhex(str(block_hash)), int(log_index)
