"""`ledgerfed serve` answers for the workspace of the demonstration, and follows its chain."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
from command_line import PROGRAM

from chain_devnet import DevnetServer
from ledgerfed.audit import verify_bundle

Demonstration = tuple[Path, dict[str, Any]]


@contextmanager
def serving(*arguments: str, **environment: str) -> Iterator[httpx.Client]:
    """A server of its own process on a free port, stopped by SIGINT."""
    command = [*PROGRAM, "serve", "--port", "0", "--json", *arguments]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, **environment})
    assert process.stdout is not None
    try:
        url = json.loads(process.stdout.readline())["url"]
        with httpx.Client(base_url=f"{url}/v1") as client:
            yield client
    finally:
        process.send_signal(signal.SIGINT)
        assert process.wait(timeout=30) in (0, 130)


def test_every_round_node_and_event_of_the_demonstration_is_served(demonstration: Demonstration) -> None:
    directory, document = demonstration
    with serving("--dir", str(directory)) as client:
        (federation,) = client.get("/federations").json()["items"]
        assert federation["contract"] == document["contract"]
        base = f"/federations/{federation['id']}"
        for entry in document["rounds"]:
            served = client.get(f"{base}/rounds/{entry['number']}").json()["round"]
            assert served["model"] == entry["model_hash"]
            assert served["manifest"] == entry["manifest_hash"]
            updates = client.get(f"{base}/rounds/{entry['number']}/updates").json()["items"]
            reasons = {u["node"]: u["reason"] for u in updates if not u["admitted"]}
            assert reasons == {r["node"]: r["reason"] for r in entry["rejected"]}
        assert len(client.get(f"{base}/nodes").json()["items"]) == 8
        trail = client.get(f"{base}/audit/trail").json()["items"]
        kinds = {"MemberRegistered", "Genesis", "OwnershipTransferred", "Sealed", "Scored", "Certified"}
        assert kinds == {e["kind"] for e in trail}
        assert all(e["transaction"] and e["time"] and e["block_number"] for e in trail)


def test_the_bundle_can_be_downloaded_and_verified(demonstration: Demonstration, tmp_path: Path) -> None:
    directory, document = demonstration
    with serving("--dir", str(directory)) as client:
        answer = client.get(f"/federations/{document['contract']}/bundle")
    (tmp_path / "bundle.zip").write_bytes(answer.content)
    assert verify_bundle(tmp_path / "bundle.zip").passed


def test_an_empty_postgresql_index_fills_itself_from_the_chain(
    demonstration: Demonstration, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    directory, document = demonstration
    workspace = tmp_path / "workspace"
    shutil.copytree(directory, workspace)
    url = request.getfixturevalue("postgres_url")
    with DevnetServer(workspace / "devnet") as chain:
        arguments = ("--dir", str(workspace), "--rpc", chain.url)
        with serving(*arguments, LEDGERFED_DATABASE_URL=url) as client:
            last = document["rounds"][-1]
            for _ in range(200):
                answer = client.get(f"/federations/{document['contract']}/rounds/{last['number']}")
                if answer.status_code == 200 and answer.json()["round"]["model"] == last["model_hash"]:
                    return
    pytest.fail(f"the index did not fill: {answer.text}")
