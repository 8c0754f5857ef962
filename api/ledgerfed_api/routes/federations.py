"""Federations and their bundle."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response

from ledgerfed.errors import NotFoundError
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import to_hex
from ledgerfed_api import present
from ledgerfed_api.replies import reply_live
from ledgerfed_api.routes.parameters import DeskOf, FederationId
from ledgerfed_api.schemas import FederationAnswer, FederationList

router = APIRouter(prefix="/v1/federations", tags=["federations"])
_ZIP = "application/zip"


@router.get("", response_model=FederationList, summary="Every federation that this server indexes")
def list_federations(request: Request, desk: DeskOf) -> Response:
    """In the order in which they were entered."""
    with desk.store.database.read() as connection:
        records = desk.served(connection)
        items = [present.federation(desk.view(connection, record)) for record in records]
    return reply_live(request, FederationList(items=items))


@router.get("/{federation}", response_model=FederationAnswer, summary="One federation")
def get_federation(request: Request, desk: DeskOf, federation: FederationId) -> Response:
    """What it was deployed with, and where it stands."""
    with desk.look(federation) as view:
        return reply_live(request, FederationAnswer(federation=present.federation(view), meta=view.meta()))


@router.get(
    "/{federation}/bundle",
    response_class=FileResponse,
    responses={200: {"content": {_ZIP: {"schema": {"type": "string", "format": "binary"}}}}},
    summary="The newest audit bundle",
)
def get_bundle(desk: DeskOf, federation: FederationId) -> Response:
    """All that a third party needs to replay the federation offline: `ledgerfed audit verify BUNDLE`."""
    with desk.look(federation) as view:
        about = view.record.federation
    bundles = sorted(desk.settings.workspace.glob("bundles/*.zip"), key=_age)
    newest = next((path for path in reversed(bundles) if _is_about(path, about)), None)
    if newest is None:
        raise NotFoundError(f"no audit bundle of {federation} was exported yet; run ledgerfed audit export")
    name = f"ledgerfed-{about.chain_id}-{to_hex(about.contract)}.zip"
    return FileResponse(newest, media_type=_ZIP, filename=name, headers={"Cache-Control": "no-cache"})


def _age(path: Path) -> tuple[int, str]:
    return path.stat().st_mtime_ns, path.name


def _is_about(path: Path, federation: Federation) -> bool:
    """Whether the archive says that it is about a federation; `audit verify` finds out whether it is."""
    try:
        with zipfile.ZipFile(path) as archive:
            manifest = json.loads(archive.read("manifest.json"))
        return (manifest["chain_id"], manifest["contract"]) == (
            federation.chain_id,
            to_hex(federation.contract),
        )
    except (OSError, zipfile.BadZipFile, KeyError, ValueError, TypeError):
        return False
