"""Live, ready, caught up: three questions, three answers."""

from __future__ import annotations

import pytest
from sqlalchemy import text

from ledgerfed.errors import ConflictError


def test_a_server_that_has_caught_up_is_ready(served) -> None:
    assert served.client.get("/healthz").json() == {"status": "ok", "checks": []}
    ready = served.client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (200, "ready")
    assert ready.json()["checks"][0]["name"] == "database"
    assert served.client.get("/v1/node/health").status_code == 200


def test_a_server_that_waits_for_documents_is_syncing(serve) -> None:
    served = serve(empty=True)
    served.chain.seal()
    served.chain.score()
    served.chain.certify(publish=False)
    served.observer.advance()
    health = served.client.get("/v1/node/health")
    assert (health.status_code, health.json()["status"]) == (206, "syncing")
    assert served.client.get("/readyz").status_code == 200
    assert served.get("/rounds/head").json()["meta"]["syncing"] is True


def test_an_index_that_stands_still_is_not_ready(served) -> None:
    served.chain.fork(back=2, branch=b"other")
    served.chain.mine(3)
    with pytest.raises(ConflictError):
        served.observer.advance()
    ready = served.client.get("/readyz")
    assert (ready.status_code, ready.json()["status"]) == (503, "failing")
    assert "took back block" in ready.json()["checks"][1]["detail"]
    assert served.client.get("/v1/node/health").status_code == 503
    assert served.client.get("/healthz").status_code == 200


def test_a_database_that_went_away_is_not_ready(served) -> None:
    with served.store.database.write() as connection:
        connection.execute(text("DROP VIEW audit_trail"))
        connection.execute(text("DROP TABLE checkpoints"))
    ready = served.client.get("/readyz")
    assert ready.status_code == 503
    assert [c["ok"] for c in ready.json()["checks"]] == [False]
