"""The bytes that were served for what is final, kept so that a question gets the same bytes for ever."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select

from ledgerfed.store.database import insert_new
from ledgerfed.store.tables import responses


@dataclass(frozen=True, slots=True)
class StoredResponse:
    """A response body and its media type."""

    media_type: str
    body: bytes


def find_response(
    connection: Connection, federation: int, transcript: bytes, resource: str
) -> StoredResponse | None:
    """Return what was served for a resource of the round that ended with this transcript, or None."""
    c = responses.c
    key = (c.federation == federation, c.transcript == transcript, c.resource == resource)
    row = connection.execute(select(c.media_type, c.body).where(*key)).one_or_none()
    return None if row is None else StoredResponse(row.media_type, row.body)


def keep_response(
    connection: Connection, federation: int, transcript: bytes, resource: str, response: StoredResponse
) -> StoredResponse:
    """Keep a response unless there is one; return the one that stands."""
    values = {
        "federation": federation,
        "transcript": transcript,
        "resource": resource,
        "media_type": response.media_type,
        "body": response.body,
    }
    if insert_new(connection, responses, values):
        return response
    return find_response(connection, federation, transcript, resource) or response
