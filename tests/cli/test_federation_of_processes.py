"""Deploy, run, kill, serve, export and verify a federation of processes on two chains, by URL alone."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from command_line import PROGRAM, ledgerfed
from node_processes import Running, federation, running_anvil, running_devnet

BLOCK_TIME = 0.3
CHAINS = {"devnet": running_devnet, "anvil": running_anvil}


@pytest.fixture(params=["devnet", pytest.param("anvil", marks=pytest.mark.slow)])
def chain_url(request: pytest.FixtureRequest) -> Iterator[str]:
    with CHAINS[request.param](BLOCK_TIME) as url:
        yield url


def test_a_federation_certifies_while_one_node_is_killed_and_its_history_is_verified(
    chain_url: str, tmp_path: Path
) -> None:
    with federation(chain_url, tmp_path) as members:
        deployed = members.deploy("--fund")
        assert deployed.code == 0, deployed.err
        for index in range(4):
            members.start(index)
        first = [members.certified(index, 1) for index in range(4)]
        assert {line["detail"] for line in first} == {"4 admitted"}

        victim = members.nodes[2]
        victim.expect(lambda line: line.get("round") == 2 and line["event"] == "score", 60)
        victim.kill()
        members.start(2)
        for index in range(4):
            members.certified(index, 2)
        members.certified(2, 3)

        rounds = _served_rounds(members.home(1), chain_url, deployed.document["contract"])
        assert [r["phase"] for r in rounds[:2]] == ["CERTIFIED", "CERTIFIED"]
        codes = [members.nodes[index].end() for index in range(4)]
        assert codes == [130] * 4
    _verify(members.home(3), chain_url, json.loads(members.file.read_text()), rounds)


def _served_rounds(home: Path, url: str, contract: str) -> list[dict[str, object]]:
    """What the API says of the first rounds, oldest first, while the node of the directory runs."""
    arguments = ("--dir", str(home), "--rpc", url, "--port", "0", "--json")
    server = Running(*PROGRAM, "serve", *arguments)
    try:
        base = f"{server.expect(lambda line: 'url' in line)['url']}/v1/federations/{contract}"
        for _ in range(200):
            answer = httpx.get(f"{base}/rounds/2")
            if answer.status_code == 200 and answer.json()["round"].get("model"):
                break
        found = httpx.get(f"{base}/rounds").json()["items"]
        return sorted(found, key=lambda r: r["number"])
    finally:
        assert server.end() in (0, 130)


def _verify(home: Path, url: str, file: dict[str, object], rounds: list[dict[str, object]]) -> None:
    bundle = home / "bundle.zip"
    exported = ledgerfed("audit", "export", "--dir", str(home), "--rpc", url, "-o", str(bundle), "--json")
    assert exported.code == 0, exported.err
    genesis = str(file["genesis_transcript"])
    known = ("--genesis", genesis, "--transcript", exported.document["transcript"])
    verified = ledgerfed("audit", "verify", str(bundle), *known, "--json")
    assert verified.code == 0, verified.out
    assert [r["model_hash"] for r in verified.document["rounds"]][:2] == [r["model"] for r in rounds[:2]]
