"""A real server over real HTTP, while the index is being written."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
import uvicorn
from ledgerfed_api import Settings, create_app


@pytest.fixture
def url(served) -> Iterator[str]:
    """Serve the workspace of `served` on a free port of the loopback."""
    listening = socket.create_server(("127.0.0.1", 0))
    app = create_app(Settings(workspace=served.workspace))
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning"))
    thread = threading.Thread(target=server.run, args=([listening],))
    thread.start()
    while not server.started:
        assert thread.is_alive()
        time.sleep(0.01)
    yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    server.should_exit = True
    thread.join(timeout=10)
    assert not thread.is_alive()


def test_the_walk_from_the_list_of_federations_to_a_verdict(url: str) -> None:
    with httpx.Client(base_url=url) as client:
        federation = client.get("/v1/federations").json()["items"][0]["id"]
        base = f"/v1/federations/{federation}"
        newest = client.get(f"{base}/rounds", params={"phase": "CERTIFIED", "limit": 1}).json()["items"][0]
        updates = client.get(f"{base}/rounds/{newest['number']}/updates").json()["items"]
        assert {u["node"]: u["reason"] for u in updates}[1] == "V8:low-score"
        final = client.get(f"{base}/rounds/{newest['number']}")
        again = client.get(final.url.path, headers={"If-None-Match": final.headers["etag"]})
        assert (again.status_code, again.content) == (304, b"")
        missing = client.get(f"{base}/rounds/99")
        assert missing.headers["content-type"] == "application/problem+json"


def test_readers_and_the_indexer_do_not_disturb_one_another(url: str, served) -> None:
    stop = threading.Event()

    def read(path: str) -> set[int]:
        with httpx.Client(base_url=url) as client:
            found = set()
            while not stop.is_set():
                found.add(client.get(served.path + path).status_code)
            return found

    with ThreadPoolExecutor(4) as pool:
        readers = [pool.submit(read, path) for path in ("/rounds", "/rounds/head", "/rounds/2/updates", "")]
        served.chain.score()
        served.chain.certify()
        served.observer.advance()
        for _ in range(5):
            served.chain.run_round()
            served.observer.advance()
        served.chain.mine(served.chain.config.windows.challenge)
        served.observer.advance()
        stop.set()
        assert [reader.result() for reader in readers] == [{200}] * 4
    last = httpx.get(f"{url}{served.path}/rounds/finalized").json()
    assert last["round"]["number"] == 10


def test_a_path_that_leaves_the_resources_is_refused(url: str) -> None:
    for path in (
        "/v1/federations/../../etc/passwd",
        "/v1/federations/%2e%2e%2fetc",
        "//",
        "/v1/federations/",
    ):
        assert httpx.get(url + path).status_code in (404, 422)
