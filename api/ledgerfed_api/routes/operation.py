"""Whether the server lives, is ready, and has caught up; and what its problem codes mean."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from fastapi.responses import Response

from ledgerfed.errors import NotFoundError, StoreError
from ledgerfed_api.problems import CATALOGUE
from ledgerfed_api.replies import JSON
from ledgerfed_api.routes.parameters import DeskOf
from ledgerfed_api.schemas import Check, Health, ProblemKind
from ledgerfed_api.view import Desk, View

router = APIRouter(tags=["operation"])
_NOT_READY = {"model": Health, "description": "It is not: see checks"}


@router.get("/healthz", response_model=Health, summary="Whether the process lives")
def get_liveness() -> Response:
    """200 as long as it answers at all."""
    return _health(200, "ok", [])


@router.get(
    "/readyz", response_model=Health, responses={503: _NOT_READY}, summary="Whether requests can be answered"
)
def get_readiness(desk: DeskOf) -> Response:
    """503 while the database is away or an index stands still."""
    checks, _ = _checks(desk)
    ready = all(check.ok for check in checks)
    return _health(200 if ready else 503, "ready" if ready else "failing", checks)


@router.get(
    "/v1/node/health",
    response_model=Health,
    responses={206: {"model": Health, "description": "Ready, but behind the chain"}, 503: _NOT_READY},
    summary="Whether the index has caught up",
)
def get_node_health(desk: DeskOf) -> Response:
    """200 caught up, 206 syncing, 503 failing."""
    checks, syncing = _checks(desk)
    if not all(check.ok for check in checks):
        return _health(503, "failing", checks)
    return _health(206 if syncing else 200, "syncing" if syncing else "ready", checks)


@router.get("/problems/{code}", response_model=ProblemKind, summary="What a problem code means")
def get_problem_kind(
    code: Annotated[
        str, Path(max_length=64, description="Code of a problem document", examples=["not-found"])
    ],
) -> Response:
    """And what to do about it."""
    kind = CATALOGUE.get(code)
    if kind is None:
        raise NotFoundError(f"there is no problem {code!r}; there are {', '.join(CATALOGUE)}")
    page = ProblemKind(code=code, status=kind.status, title=kind.title, remedy=kind.remedy)
    return Response(page.model_dump_json(), media_type=JSON)


def _checks(desk: Desk) -> tuple[list[Check], bool]:
    """Return the checks, and whether any federation is behind its chain."""
    try:
        with desk.store.database.read() as connection:
            views = [desk.view(connection, record) for record in desk.served(connection)]
            indexes = [_index_check(view) for view in views]
            syncing = any(view.syncing() for view in views)
    except StoreError as error:
        return [Check(name="database", ok=False, detail=str(error))], False
    return [Check(name="database", ok=True, detail="reachable"), *indexes], syncing


def _index_check(view: View) -> Check:
    name = f"index of 0x{view.record.federation.contract.hex()}"
    reached = view.reached
    if reached is None:
        return Check(name=name, ok=True, detail="not begun")
    if reached.trouble is not None:
        return Check(name=name, ok=False, detail=reached.trouble)
    return Check(name=name, ok=True, detail=f"block {reached.number} of {reached.head}")


def _health(status: int, word: str, checks: list[Check]) -> Response:
    health = Health.model_validate({"status": word, "checks": checks})
    return Response(health.model_dump_json(), status, {"Cache-Control": "no-store"}, JSON)
