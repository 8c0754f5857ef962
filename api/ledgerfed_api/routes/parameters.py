"""Parameters that several resources take."""

from __future__ import annotations

from typing import Annotated, cast

from fastapi import Depends, Path, Query, Request

from ledgerfed.errors import NotFoundError
from ledgerfed.protocol.hashing import from_hex
from ledgerfed.store.reading import read_keys, read_members
from ledgerfed.store.records import MemberRecord
from ledgerfed_api.view import Desk, View


def _desk(request: Request) -> Desk:
    return cast(Desk, request.app.state.desk)


DeskOf = Annotated[Desk, Depends(_desk)]
FederationId = Annotated[
    str,
    Path(
        pattern="^0x[0-9a-fA-F]{40}$",
        description="Address of the contract",
        examples=["0x5fbdb2315678afecb367f032d93f642f64180aa3"],
    ),
]
RoundId = Annotated[
    str,
    Path(
        pattern="^([0-9]{1,10}|head|finalized|genesis|0x[0-9a-fA-F]{64})$",
        description="A number, head, finalized, genesis, or the transcript that the round ended with",
        examples=["finalized"],
    ),
]
NodeId = Annotated[
    str,
    Path(
        pattern="^([0-9]{1,7}|0x[0-9a-fA-F]{40})$",
        description="Registry index of a node, or a key that it had",
        examples=["3"],
    ),
]
RoundQuery = Annotated[
    str,
    Query(
        alias="round",
        pattern="^([0-9]{1,10}|head|finalized|genesis|0x[0-9a-fA-F]{64})$",
        description="The round, as in a path",
        examples=["3"],
    ),
]
NodeQuery = Annotated[int, Query(alias="node", ge=0, lt=1 << 20, description="Registry index", examples=[3])]


def member_of(view: View, name: str) -> MemberRecord:
    """Return the node with a registry index, or that had a key last; NotFoundError when there is none."""
    members = read_members(view.connection, view.id)
    if name.startswith("0x"):
        address = from_hex("the address", name.lower(), 20)
        held = [key for key in read_keys(view.connection, view.id) if key.address == address]
        found = members[max(held, key=lambda key: key.epoch).node] if held else None
    else:
        found = members[int(name)] if int(name) < len(members) else None
    if found is None:
        raise NotFoundError(f"node {name} is not registered; the federation has {len(members)} nodes")
    return found
