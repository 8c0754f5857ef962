"""The description of the API (OpenAPI 3.1), with problem documents where FastAPI would list its own."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from ledgerfed_api.problems import MEDIA_TYPE, Problem

TAGS = [
    {"name": "federations", "description": "Deployed contracts and their configuration"},
    {"name": "rounds", "description": "Rounds: phase, commitments, verdicts, scores, certificate, documents"},
    {"name": "nodes", "description": "The registry with its keys, and certified reputations"},
    {"name": "epochs", "description": "Who takes part from when on, and who may propose to change it"},
    {"name": "disputes", "description": "Faults that were proven on chain, and what they led to"},
    {"name": "models", "description": "Global models in exact integers"},
    {"name": "proofs", "description": "Merkle proofs against what stands on chain"},
    {"name": "audit", "description": "Every event of the contract, forks included"},
    {"name": "operation", "description": "Health of this server, and its problem codes"},
]
_EVERYWHERE = {"500": "The server failed", "503": "The store cannot be read"}
_PAGED = {"410": "A fork took back what the cursor stood on"}
_PROBLEMS = {"404": "There is no such resource", "422": "The request is malformed"}


def describe(app: FastAPI) -> None:
    """Let the application describe its errors as what they are: problem documents."""

    def openapi() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app)
        return app.openapi_schema

    app.openapi = openapi  # type: ignore[method-assign]  # the way that FastAPI documents


def rendered(app: FastAPI) -> str:
    """Return the description as it is committed."""
    return json.dumps(app.openapi(), indent=1, ensure_ascii=False) + "\n"


def _shipped(name: str) -> str:
    return files("ledgerfed_api").joinpath(name).read_text(encoding="utf-8")


def _document(app: FastAPI) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        description=app.description,
        routes=app.routes,
        tags=app.openapi_tags,
        license_info={"name": "Apache-2.0", "identifier": "Apache-2.0"},
    )
    schemas = document["components"]["schemas"]
    problem = Problem.model_json_schema(ref_template="#/components/schemas/{model}")
    schemas |= problem.pop("$defs") | {"Problem": problem}
    for name in ("HTTPValidationError", "ValidationError"):
        schemas.pop(name, None)
    examples = json.loads(_shipped("examples.json"))
    for path, operations in document["paths"].items():
        for operation in operations.values():
            _describe_problems(operation, listed=path.startswith("/v1/federations"))
            content = operation["responses"]["200"].get("content", {}).get("application/json")
            if content is not None and operation["operationId"] in examples:
                content["example"] = examples[operation["operationId"]]
    document["components"]["schemas"] = dict(sorted(schemas.items()))
    return document


def _describe_problems(operation: dict[str, Any], *, listed: bool) -> None:
    responses = operation["responses"]
    had_parameters = responses.pop("422", None) is not None
    wanted = _PROBLEMS if had_parameters else {}
    if any(parameter["name"] == "cursor" for parameter in operation.get("parameters", ())):
        wanted = wanted | _PAGED
    if listed:
        wanted = wanted | _EVERYWHERE
        responses["304"] = {"description": "The copy that If-None-Match names still stands"}
    reference = {"schema": {"$ref": "#/components/schemas/Problem"}}
    for status, text in wanted.items():
        responses.setdefault(status, {"description": text, "content": {MEDIA_TYPE: reference}})
