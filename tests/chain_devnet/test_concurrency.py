"""Several clients at once: every transaction lands once, reads agree with each other."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from random import Random

from eth_account import Account
from web3 import HTTPProvider, Web3

from chain_devnet import DevnetServer

CLIENTS, SENDS = 6, 15


def signed(server: DevnetServer, index: int) -> list[bytes]:
    """Transfers of one wei by one dev account, in order of nonces."""
    fields = {
        "chainId": 31337,
        "gas": 21_000,
        "to": server.accounts[19].checksum_address,
        "value": 1,
        "gasPrice": 10**10,
    }
    key = server.accounts[index].key
    return [
        bytes(Account.sign_transaction({**fields, "nonce": nonce}, key).raw_transaction)
        for nonce in range(SENDS)
    ]


def test_clients_that_send_at_the_same_time_all_get_their_receipts(server: DevnetServer) -> None:
    def client(index: int) -> list[int]:
        web3 = Web3(HTTPProvider(server.url))
        sender, recipient = web3.eth.accounts[index], web3.eth.accounts[19]
        places = []
        for _ in range(SENDS):
            tx_hash = web3.eth.send_transaction({"from": sender, "to": recipient, "value": 1, "gas": 21_000})
            places.append(web3.eth.get_transaction_receipt(tx_hash)["blockNumber"])
            assert web3.eth.get_block("latest")["number"] >= places[-1]
        return places

    with ThreadPoolExecutor(CLIENTS) as pool:
        places = [place for result in pool.map(client, range(CLIENTS)) for place in result]
    web3 = Web3(HTTPProvider(server.url))
    assert sorted(places) == list(range(1, CLIENTS * SENDS + 1))
    assert web3.eth.get_balance(web3.eth.accounts[19]) == 10_000 * 10**18 + CLIENTS * SENDS
    hashes = [web3.eth.get_block(number) for number in range(CLIENTS * SENDS + 1)]
    assert all(child["parentHash"] == parent["hash"] for parent, child in pairwise(hashes))


def test_one_unlocked_account_used_by_many_clients_never_repeats_a_nonce(server: DevnetServer) -> None:
    def client(_: int) -> None:
        web3 = Web3(HTTPProvider(server.url))
        sender, recipient = web3.eth.accounts[0], web3.eth.accounts[1]
        for _ in range(SENDS):
            web3.eth.send_transaction({"from": sender, "to": recipient, "value": 1, "gas": 21_000})

    with ThreadPoolExecutor(CLIENTS) as pool:
        list(pool.map(client, range(CLIENTS)))
    web3 = Web3(HTTPProvider(server.url))
    assert web3.eth.get_transaction_count(web3.eth.accounts[0]) == CLIENTS * SENDS


def test_threads_without_http_may_share_a_chain(server: DevnetServer) -> None:
    web3 = Web3(HTTPProvider(server.url))

    def client(batch: list[bytes]) -> int:
        return len([server.chain.submit(raw) for raw in batch])

    batches = [signed(server, index) for index in range(CLIENTS)]
    with ThreadPoolExecutor(CLIENTS) as pool:
        assert sum(pool.map(client, batches)) == CLIENTS * SENDS
    assert web3.eth.block_number == CLIENTS * SENDS
    assert web3.eth.get_balance(web3.eth.accounts[19]) == 10_000 * 10**18 + CLIENTS * SENDS


def test_shuffled_nonces_of_many_clients_all_find_a_block_at_intervals() -> None:
    with DevnetServer(block_time=0.05) as server:

        def client(index: int) -> list[bytes]:
            raws = signed(server, index)
            Random(index).shuffle(raws)
            return [server.chain.submit(raw) for raw in raws]

        with ThreadPoolExecutor(CLIENTS) as pool:
            hashes = [found for batch in pool.map(client, range(CLIENTS)) for found in batch]
        deadline = time.monotonic() + 30
        while server.chain.waiting and time.monotonic() < deadline:
            time.sleep(0.02)
        with server.chain.lock:
            places = [server.chain.store.transaction(tx_hash) for tx_hash in hashes]
        assert all(stored is not None and stored.receipt.status == 1 for stored in places)
        assert len({(stored.transaction.sender, stored.transaction.nonce) for stored in places}) == len(
            hashes
        )
