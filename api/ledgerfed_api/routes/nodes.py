"""Nodes and their reputation."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import Response

from ledgerfed.protocol.hashing import to_hex
from ledgerfed.store.reading import (
    last_reputation_round,
    read_keys,
    read_members,
    read_reputation_history,
    read_reputations,
)
from ledgerfed.store.records import KeyRecord, MemberRecord, ReputationRecord
from ledgerfed_api import present
from ledgerfed_api.paging import PageAsked, cut
from ledgerfed_api.replies import reply_live
from ledgerfed_api.routes.parameters import DeskOf, FederationId, NodeId, member_of
from ledgerfed_api.schemas import Key, Node, NodeAnswer, NodeList, ReputationList
from ledgerfed_api.view import View

router = APIRouter(prefix="/v1/federations/{federation}/nodes", tags=["nodes"])
_LAST = (1 << 32) - 1


@router.get("", response_model=NodeList, summary="The registry")
def list_nodes(request: Request, desk: DeskOf, federation: FederationId, asked: PageAsked) -> Response:
    """In registry order, with the nodes that left, each with its keys and its newest reputation."""
    with desk.look(federation) as view:
        latest, keys = _latest_reputations(view), read_keys(view.connection, view.id)
        page = cut(
            view,
            desk.cursors,
            asked,
            lambda after, limit: _members_behind(view, int(after[0]) if after else -1, limit),
            lambda member: (member.node,),
        )
        document = NodeList(
            items=[_node(view, member, latest.get(member.node), keys) for member in page.items],
            next_cursor=page.next_cursor,
            next=page.next,
            meta=view.meta(),
        )
        return reply_live(request, document)


@router.get("/{node}", response_model=NodeAnswer, summary="One node")
def get_node(request: Request, desk: DeskOf, federation: FederationId, node: NodeId) -> Response:
    """By registry index or by any key that it had."""
    with desk.look(federation) as view:
        member = member_of(view, node)
        latest = _latest_reputations(view).get(member.node)
        keys = read_keys(view.connection, view.id, member.node)
        return reply_live(request, NodeAnswer(node=_node(view, member, latest, keys), meta=view.meta()))


@router.get(
    "/{node}/reputation", response_model=ReputationList, summary="A node's reputation, round by round"
)
def list_reputations(
    request: Request,
    desk: DeskOf,
    federation: FederationId,
    node: NodeId,
    asked: PageAsked,
    first: Annotated[int, Query(alias="from", ge=0, le=_LAST, description="First round; 0 is genesis")] = 0,
    last: Annotated[int, Query(alias="to", ge=0, le=_LAST, description="Last round")] = _LAST,
) -> Response:
    """Oldest first; a round that was aborted leaves no entry, because it changes no reputation."""
    with desk.look(federation) as view:
        member = member_of(view, node)
        page = cut(
            view,
            desk.cursors,
            asked,
            lambda after, limit: read_reputation_history(
                view.connection,
                view.id,
                member.node,
                first=max(first, int(after[0]) + 1 if after else 0),
                last=last,
                limit=limit,
            ),
            lambda record: (record.round,),
        )
        document = ReputationList(
            node=member.node,
            items=[present.reputation(record) for record in page.items],
            next_cursor=page.next_cursor,
            next=page.next,
            meta=view.meta(),
        )
        return reply_live(request, document)


def _members_behind(view: View, after: int, limit: int) -> list[MemberRecord]:
    return [m for m in read_members(view.connection, view.id) if m.node > after][:limit]


def _latest_reputations(view: View) -> dict[int, ReputationRecord]:
    newest = last_reputation_round(view.connection, view.id, _LAST)
    if newest is None:
        return {}
    return {record.node: record for record in read_reputations(view.connection, view.id, newest)}


def _node(view: View, member: MemberRecord, latest: ReputationRecord | None, keys: list[KeyRecord]) -> Node:
    epoch = view.epoch
    seated = epoch is not None and member.node in epoch.committee
    return Node(
        index=member.node,
        address=to_hex(member.address),
        joined=member.joined,
        left=member.left,
        seat=epoch.committee.index(member.node) if epoch is not None and seated else None,
        removed=epoch is not None and epoch.has_removed(member),
        keys=[Key(epoch=k.epoch, address=to_hex(k.address)) for k in keys if k.node == member.node],
        reputation=None if latest is None else present.reputation(latest),
    )
