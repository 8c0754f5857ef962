"""Several programs with one genesis: they seal in turn, one dies, one comes back, and all agree again."""

from __future__ import annotations

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from eth_account import Account
from web3 import HTTPProvider, Web3
from web3.exceptions import TransactionNotFound
from web3.middleware import ExtraDataToPOAMiddleware

from chain_devnet import ChainConfig, DevnetServer, dev_accounts, open_chain, peers
from chain_devnet.authority import Authority
from chain_devnet.cli import main
from chain_devnet.errors import InvalidBlockError
from chain_devnet.peers import Peer, PeerError, pull
from chain_devnet.producer import Sealing
from chain_devnet.pyevm import PyEvmBackend
from chain_devnet.sealing import SealedChain
from ledgerfed.errors import InvalidValueError

KEYS = {account.address: account.key for account in dev_accounts()[:3]}
SIGNERS = sorted(KEYS)
PATIENCE = 60.0


class Node:
    """One `python -m chain_devnet` that seals."""

    def __init__(self, directory: Path, index: int, ports: list[int]) -> None:
        key = directory / "key"
        directory.mkdir()
        key.write_text(f"0x{KEYS[SIGNERS[index]].hex()}\n")
        self._command = [sys.executable, "-m", "chain_devnet", "--dir", str(directory / "chain")]
        self._command += ["--port", str(ports[index]), "--key-file", str(key)]
        for signer in SIGNERS:
            self._command += ["--signer", f"0x{signer.hex()}"]
        for port in ports[:index] + ports[index + 1 :]:
            self._command += ["--peer", f"http://127.0.0.1:{port}"]
        self.web3 = Web3(HTTPProvider(f"http://127.0.0.1:{ports[index]}"))
        self.web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
        self.start()

    def start(self) -> None:
        self._process = subprocess.Popen(
            self._command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def kill(self) -> None:
        os.kill(self._process.pid, signal.SIGKILL)
        self._process.communicate()


@contextmanager
def running(directory: Path) -> Iterator[list[Node]]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in SIGNERS]
    ports = [taken.getsockname()[1] for taken in sockets]
    for taken in sockets:
        taken.close()
    nodes = [Node(directory / str(index), index, ports) for index in range(len(SIGNERS))]
    try:
        yield nodes
    finally:
        for node in nodes:
            node.kill()


def until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            if holds():
                return
        except (OSError, TransactionNotFound):
            pass
        assert time.monotonic() < deadline, "it never came to pass"
        time.sleep(0.1)


def transfer(nonce: int) -> bytes:
    fields = {
        "chainId": 31337, "nonce": nonce, "gas": 21_000, "to": b"\xaa" * 20, "value": 1,
        "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9,
    }  # fmt: skip
    return bytes(Account.sign_transaction(fields, dev_accounts()[10].key).raw_transaction)


def same_chain(nodes: list[Node], number: int) -> bool:
    return len({bytes(node.web3.eth.get_block(number)["hash"]) for node in nodes}) == 1


def test_a_killed_signer_is_replaced_and_catches_up_when_it_is_back(tmp_path: Path) -> None:
    with running(tmp_path) as nodes:
        first, second, third = nodes
        until(lambda: all(node.web3.eth.block_number >= 3 for node in nodes))
        sealers = {first.web3.eth.get_block(number)["miner"] for number in (1, 2, 3)}
        assert len(sealers) >= 2
        tx_hash = second.web3.eth.send_raw_transaction(transfer(0))
        until(lambda: first.web3.eth.get_transaction_receipt(tx_hash)["status"] == 1)
        third.kill()
        killed_at = first.web3.eth.block_number
        later = first.web3.eth.send_raw_transaction(transfer(1))
        until(lambda: second.web3.eth.get_transaction_receipt(later)["status"] == 1)
        until(lambda: first.web3.eth.block_number >= killed_at + 4)
        silent = Web3.to_checksum_address(SIGNERS[2])
        head = first.web3.eth.block_number
        assert silent not in {
            first.web3.eth.get_block(number)["miner"] for number in range(killed_at + 2, head + 1)
        }
        third.start()
        until(lambda: third.web3.eth.get_transaction_receipt(later)["status"] == 1)
        until(lambda: first.web3.eth.get_block("latest")["miner"] == silent)
        agreed = first.web3.eth.block_number - 2
        until(lambda: same_chain(nodes, agreed))


def sealed(
    directory: Path | None = None, index: int | None = 0, peers: tuple[str, ...] = (), count: int = 1
) -> DevnetServer:
    authority = Authority(tuple(SIGNERS[:count]))
    return DevnetServer(
        directory, sealing=Sealing(authority, None if index is None else KEYS[SIGNERS[index]], peers)
    )


def test_a_follower_takes_a_long_chain_and_hands_over_what_waits() -> None:
    with sealed() as source, sealed(index=None) as follower:
        chain, behind = source.chain, follower.chain
        assert isinstance(chain, SealedChain)
        assert isinstance(behind, SealedChain)
        while chain.head.header.number < 200:
            chain.seal()
        source._running._producer.stop()
        assert pull(behind, Peer(source.url))
        assert behind.head.hash == chain.head.hash
        assert not pull(behind, Peer(source.url))
        Peer(source.url).send([transfer(0), transfer(0)])
        assert len(chain.waiting) == 1


def test_a_peer_s_heavier_branch_is_weighed_as_a_whole() -> None:
    config = ChainConfig(authority=Authority(tuple(SIGNERS[:1])))
    with sealed() as source:
        source._running._producer.stop()
        chain, victim = source.chain, open_chain(None, config, PyEvmBackend(), key=KEYS[SIGNERS[0]])
        assert isinstance(chain, SealedChain)
        assert isinstance(victim, SealedChain)
        victim.submit(transfer(0))
        for _ in range(3):
            victim.seal()
        while chain.head.header.number < 5:
            chain.seal()
        assert pull(victim, Peer(source.url))
        assert victim.head.hash == chain.head.hash
        assert len(victim.waiting) == 1
        victim.close()


def test_what_waits_at_a_follower_is_sealed_by_others() -> None:
    with sealed() as source, sealed(index=None, peers=(source.url,)) as follower:
        tx_hash = follower.chain.submit(transfer(0))
        until(lambda: follower.chain.store.has_transaction(tx_hash))
        assert source.chain.store.has_transaction(tx_hash)
        assert follower.chain.waiting == ()


def test_nothing_is_sealed_before_the_peers_were_asked() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        node = sealed(peers=(f"http://127.0.0.1:{silent.getsockname()[1]}",))
        node.start()
        time.sleep(0.5)
        assert node.chain.head.header.number == 0
    until(lambda: node.chain.head.header.number > 0)
    node.stop()


def test_an_endless_answer_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    with DevnetServer() as server:
        peer = Peer(server.url)
        assert len(peer.raw("debug_getRawHeader", [0])[0]) > 500
        monkeypatch.setattr(peers, "MAX_REPLY_BYTES", 100)
        with pytest.raises(PeerError, match="gave no answer"):
            peer.raw("debug_getRawHeader", [0])


def test_a_peer_with_another_genesis_or_none_is_refused() -> None:
    with sealed(index=None) as follower, sealed(count=2, index=1) as other, DevnetServer() as alone:
        chain = follower.chain
        assert isinstance(chain, SealedChain)
        for url in (other.url, alone.url):
            with pytest.raises(InvalidBlockError, match="another chain"):
                pull(chain, Peer(url))
        with socket.create_server(("127.0.0.1", 0)) as silent:
            port = silent.getsockname()[1]
        with pytest.raises(PeerError, match="does not answer"):
            pull(chain, Peer(f"http://127.0.0.1:{port}"))
        assert chain.head.header.number == 0


def test_wrong_options_are_one_clear_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    good = f"0x{SIGNERS[0].hex()}"
    (tmp_path / "key").write_text("nonsense")
    for options, reason in (
        (["--peer", "http://127.0.0.1:1"], "name --signer"),
        (["--signer", "0x12"], "no signer's address"),
        (["--signer", good, "--peer", "ftp://x"], "no peer's URL"),
        (["--signer", good, "--key-file", str(tmp_path / "none")], "cannot read the key"),
        (["--signer", good, "--key-file", str(tmp_path / "key")], "holds no key"),
        (["--signer", good, "--block-time", "1"], "period of its own"),
    ):
        assert main(["--in-memory", "--port", "0", *options]) != 0
        printed = capsys.readouterr()
        assert printed.out == ""
        assert re.fullmatch(rf"error: .*{reason}.*\n", printed.err)
    with pytest.raises(InvalidValueError, match="32 bytes"):
        Sealing(Authority(tuple(SIGNERS)), key=b"short")
