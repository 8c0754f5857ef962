"""The description is the committed one, complete, and its examples are what the server says."""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path

import pytest
from ledgerfed_api import schemas
from ledgerfed_api.application import bare_app
from ledgerfed_api.openapi import rendered

API = Path(__file__).parents[2] / "api" / "ledgerfed_api"


@pytest.fixture(scope="module")
def document() -> dict:
    return json.loads((API / "openapi.json").read_text(encoding="utf-8"))


def _operations(document: dict):
    for path, operations in document["paths"].items():
        for operation in operations.values():
            yield path, operation


def test_the_committed_description_is_the_present_one() -> None:
    committed = (API / "openapi.json").read_text(encoding="utf-8")
    assert rendered(bare_app()) == committed, "run: python -m ledgerfed_api.describe"


def test_the_committed_examples_are_what_a_server_says() -> None:
    path = Path(__file__).with_name("write_examples.py")
    spec = importlib.util.spec_from_file_location("write_examples", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    committed = (API / "examples.json").read_text(encoding="utf-8")
    assert module.examples() == committed, "run: python tests/api/write_examples.py"


def test_every_example_fits_the_schema_of_its_answer(document: dict) -> None:
    checked = 0
    for _, operation in _operations(document):
        content = operation["responses"]["200"]["content"].get("application/json", {})
        if "$ref" in content.get("schema", {}):
            model = getattr(schemas, content["schema"]["$ref"].rsplit("/", 1)[1])
            assert model.model_validate(content["example"]).model_dump(mode="json") == content["example"]
            checked += 1
    assert checked == 27


def test_operations_have_camel_case_names_a_tag_a_summary_and_an_example(document: dict) -> None:
    names = [operation["operationId"] for _, operation in _operations(document)]
    assert len(set(names)) == len(names) == 30
    for path, operation in _operations(document):
        assert re.fullmatch(r"[a-z]+([A-Z][a-z]+)*", operation["operationId"])
        assert operation["tags"]
        assert operation["summary"]
        assert operation["description"]
        content = operation["responses"]["200"]["content"]
        assert path.endswith("/bundle") or "example" in content["application/json"]


def test_errors_are_described_as_problem_documents(document: dict) -> None:
    assert document["openapi"].startswith("3.1")
    assert not {"HTTPValidationError", "ValidationError"} & set(document["components"]["schemas"])
    for path, operation in _operations(document):
        for status, response in operation["responses"].items():
            if status >= "400" and "health" not in path and "readyz" not in path:
                assert list(response["content"]) == ["application/problem+json"]


def test_every_reference_leads_somewhere(document: dict) -> None:
    names = set(re.findall(r'"#/components/schemas/(\w+)"', json.dumps(document)))
    assert names <= set(document["components"]["schemas"])


def test_the_server_serves_its_description_and_no_page_that_loads_from_elsewhere(served) -> None:
    answer = served.client.get("/openapi.json")
    assert answer.json() == json.loads((API / "openapi.json").read_text(encoding="utf-8"))
    for path in ("/docs", "/redoc"):
        assert served.client.get(path).status_code == 404
