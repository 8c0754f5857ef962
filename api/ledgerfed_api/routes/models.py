"""Global models."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path, Request
from fastapi.responses import Response

from ledgerfed.errors import NotFoundError
from ledgerfed.protocol.hashing import from_hex, to_hex
from ledgerfed.protocol.model import decode_model
from ledgerfed.protocol.transcript import Phase
from ledgerfed.store.reading import read_round_by_model, read_rounds
from ledgerfed.store.records import RoundRecord
from ledgerfed_api import present
from ledgerfed_api.paging import PageAsked, cut
from ledgerfed_api.replies import reply, reply_live
from ledgerfed_api.routes.parameters import DeskOf, FederationId
from ledgerfed_api.schemas import ModelAnswer, ModelList, ModelSummary
from ledgerfed_api.view import View, genesis_round

router = APIRouter(prefix="/v1/federations/{federation}/models", tags=["models"])
ModelHash = Annotated[str, Path(pattern="^0x[0-9a-fA-F]{64}$", description="The model hash")]


@router.get("", response_model=ModelList, summary="Every model, newest first")
def list_models(request: Request, desk: DeskOf, federation: FederationId, asked: PageAsked) -> Response:
    """The last one is that of genesis, which knows nothing."""
    with desk.look(federation) as view:
        page = cut(
            view,
            desk.cursors,
            asked,
            lambda after, limit: _models(view, int(after[0]) if after else None, limit),
            lambda found: (found.number,),
        )
        items = [
            ModelSummary(
                hash=to_hex(found.model or b""),
                round=found.number,
                base_model=to_hex(found.base_model) if found.number else None,
                finalized=view.is_final(found),
            )
            for found in page.items
        ]
        document = ModelList(items=items, next_cursor=page.next_cursor, next=page.next, meta=view.meta())
        return reply_live(request, document)


@router.get("/{model_hash}", response_model=ModelAnswer, summary="One model")
def get_model(request: Request, desk: DeskOf, federation: FederationId, model_hash: ModelHash) -> Response:
    """Coefficients and precision as exact integers."""
    digest = from_hex("the model hash", model_hash.lower())
    with desk.look(federation) as view:
        start = view.begun()
        found = (
            genesis_round(start)
            if digest == start.model
            else read_round_by_model(view.connection, view.id, digest)
        )
        if found is None:
            raise NotFoundError(f"no round of this federation left the model {model_hash}")
        return reply(
            request,
            view,
            found,
            model_hash,
            "model",
            lambda: ModelAnswer(
                model=present.model(decode_model(view.store.blobs.get(digest))), meta=view.meta(found)
            ),
        )


def _models(view: View, after: int | None, limit: int) -> list[RoundRecord]:
    """Return the rounds that left a model, newest first, and genesis behind them."""
    if view.start is None or after == 0:
        return []
    found = read_rounds(view.connection, view.id, after=after, limit=limit, phase=Phase.CERTIFIED)
    return [*found, genesis_round(view.start)][:limit]
