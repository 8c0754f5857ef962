"""Lists are walked by key, and a cursor works only where it was made."""

from __future__ import annotations

import pytest

LISTS = ["/rounds", "/rounds/1/updates", "/nodes", "/nodes/0/reputation", "/models", "/audit/trail"]


@pytest.mark.threat("P4")
@pytest.mark.parametrize("path", LISTS)
@pytest.mark.parametrize("limit", [1, 2, 3])
def test_pages_put_together_are_the_whole_list(served, path: str, limit: int) -> None:
    whole = served.get(path).json()
    assert whole["next"] is None
    items, following = [], f"{served.path}{path}?limit={limit}"
    while following:
        page = served.client.get(following).json()
        assert 0 < len(page["items"]) <= limit
        items += page["items"]
        following = page["next"]
    assert items == whole["items"]


def test_the_next_page_keeps_the_filter(served) -> None:
    first = served.get("/audit/trail?kind=Sealed&limit=3").json()
    rest = served.client.get(first["next"]).json()
    assert [e["round"] for e in first["items"] + rest["items"]] == [1, 2, 4, 5]
    assert {e["kind"] for e in rest["items"]} == {"Sealed"}


@pytest.mark.parametrize("limit", [0, 201, -1, "many"])
def test_a_page_size_outside_the_bounds_is_refused(served, limit: object) -> None:
    answer = served.get(f"/rounds?limit={limit}")
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"] == "query/limit"


def _cursor(served, path: str) -> str:
    return served.get(path).json()["next_cursor"]


def test_a_cursor_of_another_list_or_filter_is_refused(served) -> None:
    cursor = _cursor(served, "/audit/trail?limit=2")
    for path in ("/rounds?", "/audit/trail?kind=Sealed&", "/nodes?"):
        answer = served.get(f"{path}cursor={cursor}")
        assert (answer.status_code, answer.json()["code"]) == (404, "invalid-cursor")


@pytest.mark.threat("P4")
@pytest.mark.parametrize(
    "spoil", [lambda c: c[:-4] + "AAAA", lambda c: "A" * 60, lambda c: "!", lambda c: ""]
)
def test_a_forged_cursor_is_refused(served, spoil) -> None:
    answer = served.get("/rounds", params={"cursor": spoil(_cursor(served, "/rounds?limit=2"))})
    assert (answer.status_code, answer.json()["code"]) == (404, "invalid-cursor")


def test_a_cursor_outlives_a_restart_of_the_server(served) -> None:
    from fastapi.testclient import TestClient
    from ledgerfed_api import Settings, create_app

    cursor = _cursor(served, "/rounds?limit=2")
    with TestClient(create_app(Settings(workspace=served.workspace))) as other:
        page = other.get(f"{served.path}/rounds?limit=2&cursor={cursor}").json()
    assert [r["number"] for r in page["items"]] == [3, 2]
    assert (served.workspace / "cursor.key").stat().st_mode & 0o077 == 0


def test_a_cursor_is_stale_after_a_fork_under_it(serve) -> None:
    served = serve(confirmations=8)
    cursor = _cursor(served, "/audit/trail?limit=2")
    assert served.get(f"/audit/trail?limit=2&cursor={cursor}").status_code == 200
    served.chain.fork(back=1, branch=b"other")
    served.chain.mine(1)
    served.observer.advance()
    answer = served.get(f"/audit/trail?limit=2&cursor={cursor}")
    assert (answer.status_code, answer.json()["code"]) == (410, "cursor-stale")
