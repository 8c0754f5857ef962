"""Every error as one kind of answer: an RFC 9457 problem document, never a traceback.

`type` is a page of this server, `/problems/{code}`, which says what the code means and what to do.
"""

from __future__ import annotations

import logging
import secrets
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.exceptions import HTTPException

from ledgerfed.errors import InvalidValueError, LedgerFedError

MEDIA_TYPE = "application/problem+json"
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kind:
    """What a problem code means."""

    status: int
    title: str
    remedy: str


CATALOGUE: Mapping[str, Kind] = {
    "invalid-request": Kind(422, "The request is malformed", "See errors for each field and correct it."),
    "invalid-value": Kind(422, "A value is not allowed", "See detail and correct the value."),
    "invalid-cursor": Kind(404, "The list has no such page", "Start again without a cursor."),
    "cursor-stale": Kind(410, "A fork took back what the cursor stood on", "Start again without a cursor."),
    "not-found": Kind(404, "There is no such resource", "Follow the links of the collection above it."),
    "conflict": Kind(409, "Two statements that cannot both stand", "See detail."),
    "method-not-allowed": Kind(405, "This resource is only read", "Use GET."),
    "verification-failed": Kind(
        500, "What is stored contradicts the chain", "The operator reindexes; nothing wrong was served."
    ),
    "store": Kind(503, "The store cannot be read", "Try again later; the operator finds it in the log."),
    "internal": Kind(500, "The server failed", "Report trace_id to the operator."),
}


class CursorError(InvalidValueError):
    """The cursor was not made by this server for this list."""

    code = "invalid-cursor"


class CursorStaleError(LedgerFedError):
    """A fork took back the block that the cursor was made at."""

    code = "cursor-stale"


class FieldProblem(BaseModel):
    """What is wrong with one field of a request."""

    pointer: str = Field(description="Where: the part of the request and the name", examples=["query/limit"])
    detail: str = Field(examples=["Input should be less than or equal to 200"])


class Problem(BaseModel):
    """A problem document (RFC 9457)."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "/problems/not-found",
                    "title": "There is no such resource",
                    "status": 404,
                    "detail": "round 9 is not known; the newest is 4",
                    "instance": "/v1/federations/0x5fbdb2315678afecb367f032d93f642f64180aa3/rounds/9",
                    "code": "not-found",
                    "errors": [],
                    "trace_id": "4f1c9a7be0d25563",
                }
            ]
        }
    )

    type: str = Field(description="Page that explains the code")
    title: str
    status: int
    detail: str = Field(description="What happened, with which value")
    instance: str = Field(description="Path of the request")
    code: str = Field(description="The kind of problem, for machines")
    errors: list[FieldProblem] = Field(description="Fields of the request that are wrong")
    trace_id: str = Field(description="Stands beside the error in the server's log")


def install(app: FastAPI) -> None:
    """Let one handler answer for every error."""
    for kind in (HTTPException, RequestValidationError, LedgerFedError, Exception):
        app.add_exception_handler(kind, _answer)


def problem(request: Request, code: str, detail: str, errors: list[FieldProblem] | None = None) -> Response:
    """Return the problem document of a code."""
    kind = CATALOGUE[code]
    document = Problem(
        type=f"/problems/{code}",
        title=kind.title,
        status=kind.status,
        detail=detail,
        instance=request.url.path,
        code=code,
        errors=errors or [],
        trace_id=secrets.token_hex(8),
    )
    if kind.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.error("%s %s: %s", document.trace_id, request.url.path, detail)
    body = document.model_dump_json().encode()
    return Response(body, kind.status, {"Cache-Control": "no-store"}, MEDIA_TYPE)


def _answer(request: Request, error: Exception) -> Response:
    match error:
        case RequestValidationError():
            return problem(request, "invalid-request", "the request is malformed", _fields(error.errors()))
        case HTTPException(status_code=HTTPStatus.METHOD_NOT_ALLOWED):
            refusal = problem(request, "method-not-allowed", f"{request.method} is not allowed here")
            refusal.headers["Allow"] = "GET"
            return refusal
        case HTTPException():
            return problem(request, "not-found", f"there is nothing at {request.url.path}")
        case LedgerFedError() if error.code in CATALOGUE:
            return problem(request, error.code, str(error))
        case _:
            _log.exception("unexpected", exc_info=error)
            return problem(request, "internal", "an unexpected error; nothing was changed")


def _fields(errors: Any) -> list[FieldProblem]:
    return [
        FieldProblem(pointer="/".join(str(part) for part in item["loc"]), detail=item["msg"])
        for item in errors
    ]
