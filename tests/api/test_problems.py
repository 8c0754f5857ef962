"""Every error is a problem document (RFC 9457), and none shows a traceback."""

from __future__ import annotations

import pytest
from fastapi.testclient import TestClient
from ledgerfed_api import Settings, create_app
from ledgerfed_api.problems import CATALOGUE
from sqlalchemy import text

from ledgerfed.errors import StoreError

FEDERATION = "/v1/federations/0x" + "77" * 20


def _is_problem(answer, status: int, code: str) -> dict:
    assert answer.status_code == status
    assert answer.headers["content-type"] == "application/problem+json"
    document = answer.json()
    assert (document["status"], document["code"], document["type"]) == (status, code, f"/problems/{code}")
    assert document["instance"] == answer.request.url.path
    assert set(document) == {
        "type",
        "title",
        "status",
        "detail",
        "instance",
        "code",
        "errors",
        "trace_id",
    }
    return document


@pytest.mark.parametrize(
    "path",
    ["/nowhere", FEDERATION, FEDERATION + "/rounds", "/problems/none", "/docs", "/redoc"],
)
def test_what_does_not_exist_is_a_404_problem(served, path: str) -> None:
    _is_problem(served.client.get(path), 404, "not-found")


@pytest.mark.parametrize("path", ["/rounds/9", "/rounds/0x" + "ab" * 32, "/rounds/2/updates/9", "/bundle"])
def test_what_the_federation_does_not_have_is_a_404_problem(served, path: str) -> None:
    _is_problem(served.get(path), 404, "not-found")


@pytest.mark.parametrize(
    ("path", "pointer"),
    [
        ("/rounds/latest", "path/round_id"),
        ("/rounds/-1", "path/round_id"),
        ("/rounds?phase=GONE", "query/phase"),
        ("/rounds?limit=1000000", "query/limit"),
        ("/nodes/abc", "path/node"),
        ("/models/0x12", "path/model_hash"),
        ("/proofs/inclusion?node=1", "query/round"),
        ("/proofs/inclusion?round=1&node=x", "query/node"),
        ("/proofs/inclusion?round=1&node=99999999999", "query/node"),
        ("/audit/trail?kind=Everything", "query/kind"),
        ("/nodes/1/reputation?from=-1", "query/from"),
    ],
)
def test_a_malformed_request_names_its_field(served, path: str, pointer: str) -> None:
    document = _is_problem(served.get(path), 422, "invalid-request")
    assert [e["pointer"] for e in document["errors"]] == [pointer]


@pytest.mark.parametrize("method", ["post", "put", "delete", "patch"])
def test_nothing_can_be_written(served, method: str) -> None:
    answer = getattr(served.client, method)(served.path + "/rounds")
    _is_problem(answer, 405, "method-not-allowed")
    assert answer.headers["allow"] == "GET"


def test_a_database_that_went_away_is_a_503_problem(served) -> None:
    with served.store.database.write() as connection:
        connection.execute(text("DROP VIEW audit_trail"))
    document = _is_problem(served.get("/audit/trail"), 503, "store")
    assert "Traceback" not in document["detail"]
    assert "\n" not in document["detail"]


def test_a_damaged_blob_is_a_503_problem_not_a_wrong_answer(served) -> None:
    digest = served.get("/rounds/1").json()["round"]["manifest"].removeprefix("0x")
    (served.workspace / "blobs" / digest[:2] / digest[2:4] / digest).write_bytes(b"{}")
    _is_problem(served.get("/rounds/1/manifest"), 503, "store")


def test_an_edited_reputation_becomes_no_proof(served) -> None:
    with served.store.database.write() as connection:
        connection.execute(text("UPDATE reputations SET a = a + 1 WHERE node = 1"))
    document = _is_problem(served.get("/proofs/reputation?round=2&node=1"), 500, "verification-failed")
    assert len(document["trace_id"]) == 16


def test_every_code_has_a_page_that_says_what_to_do(served) -> None:
    for code, kind in CATALOGUE.items():
        page = served.client.get(f"/problems/{code}").json()
        assert page == {"code": code, "status": kind.status, "title": kind.title, "remedy": kind.remedy}


def test_a_workspace_that_cannot_be_used_stops_the_server_with_one_line(tmp_path) -> None:
    (tmp_path / "ledgerfed.sqlite").write_bytes(b"not a database at all" * 100)
    with pytest.raises(StoreError, match="file is not a database"):
        create_app(Settings(workspace=tmp_path))


@pytest.mark.parametrize("value", ["", "0x12", "31337", "31337:0xzz", "x:0x" + "77" * 20])
def test_a_federation_setting_that_names_none_is_refused(tmp_path, value: str) -> None:
    with pytest.raises(ValueError, match="chain id, a colon"):
        Settings(workspace=tmp_path, federation=value)


def test_settings_come_from_the_environment(tmp_path, monkeypatch) -> None:
    monkeypatch.setenv("LEDGERFED_WORKSPACE", str(tmp_path))
    monkeypatch.setenv("LEDGERFED_DATABASE_URL", f"sqlite:///{tmp_path}/other.sqlite")
    with TestClient(create_app(Settings())) as client:
        assert client.get("/v1/federations").json() == {"items": []}
    assert (tmp_path / "other.sqlite").exists()
