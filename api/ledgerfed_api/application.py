"""The application: read-only resources over one store."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import version

from fastapi import FastAPI
from fastapi.routing import APIRoute
from starlette.types import Lifespan

from ledgerfed.store import open_store
from ledgerfed_api import problems
from ledgerfed_api.cursors import open_cursor_key
from ledgerfed_api.openapi import TAGS, describe
from ledgerfed_api.routes import epochs, federations, models, nodes, operation, proofs, rounds, trail
from ledgerfed_api.settings import Settings
from ledgerfed_api.view import Desk

DESCRIPTION = (
    "What a federation did and decided, read from an index of its ledger. Nothing here has to be believed: "
    "hashes, signatures, roots and transcripts lead to the contract, and proofs can be checked without this "
    "server."
)


def create_app(settings: Settings) -> FastAPI:
    """Return the application that serves a workspace; its store closes when the application shuts down.

    Raises:
        StoreError: the workspace or the database cannot be used.
    """
    store = open_store(settings.workspace, settings.database_url)

    @asynccontextmanager
    async def lifespan(_app: FastAPI) -> AsyncIterator[None]:
        yield
        store.close()

    app = bare_app(lifespan)
    app.state.desk = Desk(settings, store, open_cursor_key(settings.workspace / "cursor.key"))
    return app


def bare_app(lifespan: Lifespan[FastAPI] | None = None) -> FastAPI:
    """Return the application without a store, enough to describe itself."""
    app = FastAPI(
        title="ledgerfed",
        version=version("ledgerfed"),
        description=DESCRIPTION,
        openapi_tags=TAGS,
        docs_url=None,  # the stock pages load scripts from a CDN
        redoc_url=None,
        lifespan=lifespan,
        generate_unique_id_function=_operation_id,
        redirect_slashes=False,
    )
    problems.install(app)
    for routes in (federations, rounds, nodes, epochs, models, proofs, trail, operation):
        app.include_router(routes.router)
    describe(app)
    return app


def _operation_id(route: APIRoute) -> str:
    head, *tail = route.name.split("_")
    return head + "".join(part.capitalize() for part in tail)
