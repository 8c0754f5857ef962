"""JSON-RPC over HTTP POST and over websockets, with CORS so that a wallet in a browser may talk to it."""

from __future__ import annotations

import json

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route, WebSocketRoute

from chain_devnet.chain import Chain
from chain_devnet.rpc.dispatch import INVALID_REQUEST, answer, error_json
from chain_devnet.websocket import SEND_SECONDS, Conversations

MAX_BODY_BYTES = 16 * 1024 * 1024


def build_app(chain: Chain, send_seconds: float = SEND_SECONDS) -> Starlette:
    """The ASGI application that answers for `chain`; `send_seconds` bound how slowly a client may read."""

    async def post(request: Request) -> Response:
        body = await _read_body(request)
        if body is None:
            return _too_large()
        reply = await run_in_threadpool(answer, chain, body)
        if reply is None:
            return Response(status_code=204)
        return Response(reply, media_type="application/json")

    cors = Middleware(CORSMiddleware, allow_origins=["*"], allow_methods=["POST"], allow_headers=["*"])
    routes = [
        Route("/", post, methods=["POST"]),
        WebSocketRoute("/", Conversations(chain, send_seconds).serve),
    ]
    return Starlette(routes=routes, middleware=[cors])


async def _read_body(request: Request) -> bytes | None:
    """The whole body, or None when it is larger than allowed."""
    declared = request.headers.get("content-length", "0")
    if declared.isdecimal() and int(declared) > MAX_BODY_BYTES:
        return None
    chunks: list[bytes] = []
    size = 0
    try:
        async for chunk in request.stream():
            size += len(chunk)
            if size > MAX_BODY_BYTES:
                return None
            chunks.append(chunk)
    except ClientDisconnect:
        return b""
    return b"".join(chunks)


def _too_large() -> Response:
    message = f"the request is larger than {MAX_BODY_BYTES} bytes; split the batch"
    return Response(
        json.dumps(error_json(None, INVALID_REQUEST, message)), status_code=413, media_type="application/json"
    )
