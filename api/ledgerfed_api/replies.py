"""How an answer leaves: what is final as stored bytes that never change, everything else to be asked again.

- final: strong ETag of the round's transcript, `immutable`; the bytes of the first answer are kept;
- not final: weak ETag of the bytes, `no-cache`: a client may keep it, but must ask whether it still stands;
- a name that moves (head, finalized) is never immutable, whatever it points to.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable

from fastapi import Request
from fastapi.responses import Response
from pydantic import BaseModel

from ledgerfed.protocol.hashing import to_hex
from ledgerfed.store.records import RoundRecord
from ledgerfed.store.responses import StoredResponse, find_response, keep_response
from ledgerfed_api.view import View

JSON = "application/json"
REVISION = "2"
"""Goes up when a round is spelled differently, so that neither clients nor the store repeat old bytes."""
IMMUTABLE = "public, max-age=31536000, immutable"
_MOVING = ("head", "finalized")


def reply(
    request: Request, view: View, found: RoundRecord, name: str, resource: str, build: Callable[[], BaseModel]
) -> Response:
    """Answer about one round; `name` is what the client called it, `resource` what it asked of it.

    `build` makes the document; it is not called when stored bytes or the client's own copy will do.
    """
    if not view.is_final(found):
        return reply_live(request, build())
    return _reply_final(request, view, found, name, resource, lambda: StoredResponse(JSON, _bytes(build())))


def reply_document(request: Request, view: View, found: RoundRecord, name: str, digest: bytes) -> Response:
    """Answer with a document exactly as it was hashed; raises NotFoundError when it is not here."""
    etag = f'"{to_hex(digest)}"'
    final = view.is_final(found) and name not in _MOVING
    headers = {"ETag": etag, "Cache-Control": IMMUTABLE if final else "no-cache"}
    if _matches(request, etag):
        return Response(None, 304, headers)
    return Response(view.store.blobs.get(digest), 200, headers, JSON)


def reply_live(request: Request, document: BaseModel) -> Response:
    """Answer with what may change."""
    body = _bytes(document)
    etag = f'W/"{hashlib.sha256(body).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache"}
    if _matches(request, etag):
        return Response(None, 304, headers)
    return Response(body, 200, headers, JSON)


def _reply_final(
    request: Request,
    view: View,
    found: RoundRecord,
    name: str,
    resource: str,
    build: Callable[[], StoredResponse],
) -> Response:
    etag = f'"{found.transcript.hex()}.{REVISION}"'
    headers = {"ETag": etag, "Cache-Control": "no-cache" if name in _MOVING else IMMUTABLE}
    if _matches(request, etag):
        return Response(None, 304, headers)
    key = f"{resource}.{REVISION}"
    stored = find_response(view.connection, view.id, found.transcript, key)
    if stored is None:
        made = build()
        with view.store.database.write() as connection:
            stored = keep_response(connection, view.id, found.transcript, key, made)
    return Response(stored.body, 200, headers, stored.media_type)


def _bytes(document: BaseModel) -> bytes:
    return document.model_dump_json().encode()


def _matches(request: Request, etag: str) -> bool:
    """RFC 9110, section 13.1.2: If-None-Match compares weakly."""
    asked = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return "*" in asked or etag.removeprefix("W/") in asked
