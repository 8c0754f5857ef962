"""Filters that clients poll: blocks, logs and pending transactions, across reorganisations."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from web3 import Web3
from web3.exceptions import Web3RPCError

from chain_devnet import Chain, ChainConfig, DevnetServer, dev_accounts, open_chain
from chain_devnet.authority import Authority
from chain_devnet.block import encode_block
from chain_devnet.errors import LimitExceededError
from chain_devnet.filters import IDLE_SECONDS, MAX_FILTERS, Filters
from chain_devnet.pyevm import PyEvmBackend
from chain_devnet.watches import MAX_ACCEPTED, MAX_BLOCKS_TOLD
from ledgerfed.errors import NotFoundError


def call(web3: Web3, method: str, *params: Any) -> Any:
    answer = web3.provider.make_request(method, list(params))
    assert "error" not in answer, answer
    return answer["result"]


def changes(web3: Web3, number: str) -> Any:
    return call(web3, "eth_getFilterChanges", number)


@pytest.fixture
def chain() -> Iterator[Chain]:
    opened = open_chain(None, ChainConfig(), PyEvmBackend())
    yield opened
    opened.close()


def test_a_block_filter_tells_each_block_once(web3: Web3) -> None:
    call(web3, "evm_mine")
    number = call(web3, "eth_newBlockFilter")
    assert changes(web3, number) == []
    call(web3, "anvil_mine", "0x3")
    assert changes(web3, number) == [web3.eth.get_block(n)["hash"].to_0x_hex() for n in (2, 3, 4)]
    assert changes(web3, number) == []


def test_a_log_filter_tells_new_logs_that_it_describes(web3: Web3, contract: Any) -> None:
    sender, other = web3.eth.accounts[:2]
    contract.functions.put(1, "before").transact({"from": sender})
    mine = web3.eth.filter({"address": contract.address, "topics": [None, topic(other)]})
    everything = web3.eth.filter({"fromBlock": "earliest"})
    contract.functions.put(2, "a").transact({"from": sender})
    contract.functions.put(3, "b").transact({"from": other})
    assert [int(log["topics"][2].hex(), 16) for log in mine.get_new_entries()] == [3]
    assert [int(log["topics"][2].hex(), 16) for log in everything.get_new_entries()] == [2, 3]
    assert mine.get_new_entries() == []
    assert [int(log["topics"][2].hex(), 16) for log in everything.get_all_entries()] == [1, 2, 3]


def test_a_log_filter_keeps_to_its_blocks(web3: Web3, contract: Any) -> None:
    head = web3.eth.block_number
    number = call(web3, "eth_newFilter", {"fromBlock": hex(head + 2), "toBlock": hex(head + 3)})
    for value in range(5):
        contract.functions.put(value, "x").transact({"from": web3.eth.accounts[0]})
    assert [int(log["blockNumber"], 16) for log in changes(web3, number)] == [head + 2, head + 3]


def test_a_pending_filter_tells_accepted_transactions(web3: Web3) -> None:
    pending = web3.eth.filter("pending")
    sender, recipient = web3.eth.accounts[:2]
    call(web3, "evm_setAutomine", False)
    hashes = [
        web3.eth.send_transaction({"from": sender, "to": recipient, "value": 1, "gas": 21_000})
        for _ in range(3)
    ]
    assert pending.get_new_entries() == hashes
    call(web3, "evm_mine")
    assert pending.get_new_entries() == []


def test_a_revert_takes_told_logs_back_and_tells_the_new_ones(web3: Web3, contract: Any) -> None:
    sender = web3.eth.accounts[0]
    number = call(web3, "eth_newFilter", {"address": contract.address})
    untold = call(web3, "eth_newFilter", {"address": contract.address})
    contract.functions.put(1, "stays").transact({"from": sender})
    snapshot = call(web3, "evm_snapshot")
    contract.functions.put(2, "goes").transact({"from": sender})
    contract.functions.put(3, "goes").transact({"from": sender})
    told = changes(web3, number)
    assert call(web3, "evm_revert", snapshot) is True
    contract.functions.put(4, "new").transact({"from": sender})
    after = changes(web3, number)
    assert [(log["removed"], int(log["topics"][2], 16)) for log in after] == [
        (True, 3),
        (True, 2),
        (False, 4),
    ]
    assert [{**log, "removed": False} for log in after[:2]] == [told[2], told[1]]
    assert [int(log["topics"][2], 16) for log in changes(web3, untold)] == [1, 4]


def test_a_revert_below_the_place_where_a_filter_began_is_followed(web3: Web3, contract: Any) -> None:
    sender = web3.eth.accounts[0]
    snapshot = call(web3, "evm_snapshot")
    contract.functions.put(1, "old").transact({"from": sender})
    logs, blocks = call(web3, "eth_newFilter", {}), call(web3, "eth_newBlockFilter")
    call(web3, "evm_revert", snapshot)
    contract.functions.put(2, "new").transact({"from": sender})
    assert [int(log["topics"][2], 16) for log in changes(web3, logs)] == [2]
    assert changes(web3, blocks) == [web3.eth.get_block("latest")["hash"].to_0x_hex()]


def test_a_heavier_branch_of_another_signer_is_followed() -> None:
    keys = {account.address: account.key for account in dev_accounts()[:3]}
    config = ChainConfig(authority=Authority(tuple(sorted(keys))))
    out_of_turn, in_turn = (
        open_chain(None, config, PyEvmBackend(), key=keys[config.authority.signers[index]])
        for index in (0, 1)
    )
    try:
        blocks = out_of_turn.watches.blocks()
        assert out_of_turn.seal()
        assert in_turn.seal()
        assert [block.hash for block in blocks.take()] == [out_of_turn.head.hash]
        assert out_of_turn.adopt([encode_block(in_turn.head.header, [])])
        assert [block.hash for block in blocks.take()] == [in_turn.head.hash]
    finally:
        out_of_turn.close()
        in_turn.close()


def test_what_was_told_after_such_a_revert_is_taken_back_by_the_next(web3: Web3, contract: Any) -> None:
    sender = web3.eth.accounts[0]
    first = call(web3, "evm_snapshot")
    contract.functions.put(1, "old").transact({"from": sender})
    logs = call(web3, "eth_newFilter", {})
    call(web3, "evm_revert", first)
    second = call(web3, "evm_snapshot")
    contract.functions.put(2, "new").transact({"from": sender})
    assert [log["removed"] for log in changes(web3, logs)] == [False]
    call(web3, "evm_revert", second)
    assert [(log["removed"], int(log["topics"][2], 16)) for log in changes(web3, logs)] == [(True, 2)]


def test_a_filter_that_would_have_to_take_too_much_back_is_lost(
    web3: Web3, contract: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chain_devnet.watches.MAX_REMOVED", 5)
    kept, lost = call(web3, "eth_newFilter", {}), call(web3, "eth_newFilter", {})
    for count, number in ((5, kept), (6, lost)):
        snapshot = call(web3, "evm_snapshot")
        contract.functions.put_many(0, count).transact({"from": web3.eth.accounts[0]})
        assert len(changes(web3, number)) == count
        call(web3, "evm_revert", snapshot)
    assert [log["removed"] for log in changes(web3, kept)] == [True] * 5
    with pytest.raises(Web3RPCError, match="filter not found"):
        web3.eth.get_filter_changes(lost)


def test_an_uninstalled_or_unknown_filter_is_not_found(web3: Web3) -> None:
    number = call(web3, "eth_newBlockFilter")
    assert call(web3, "eth_uninstallFilter", number) is True
    assert call(web3, "eth_uninstallFilter", number) is False
    with pytest.raises(Web3RPCError, match="filter not found"):
        web3.eth.get_filter_changes(number)
    block_filter = call(web3, "eth_newBlockFilter")
    with pytest.raises(Web3RPCError, match="only log filters"):
        web3.eth.get_filter_logs(block_filter)


def test_a_filter_that_nobody_polls_expires_and_makes_room(chain: Chain) -> None:
    now = [0.0]
    filters = Filters(clock=lambda: now[0])
    polled = filters.install(chain.watches.blocks())
    idle = [filters.install(chain.watches.blocks()) for _ in range(MAX_FILTERS - 1)]
    with pytest.raises(LimitExceededError, match="uninstall some"):
        filters.install(chain.watches.blocks())
    now[0] = IDLE_SECONDS
    filters.find(polled)
    now[0] = IDLE_SECONDS + 1
    with pytest.raises(NotFoundError, match="filter not found"):
        filters.find(idle[0])
    filters.install(chain.watches.blocks())
    assert len(filters) == 2
    assert filters.find(polled)


def test_a_filter_that_lost_track_says_so_instead_of_leaving_something_out(chain: Chain) -> None:
    watch = chain.watches.pending()
    number = chain.filters.install(watch)
    chain.watches.accepted(index.to_bytes(32, "big") for index in range(MAX_ACCEPTED))
    assert len(watch.take()) == MAX_ACCEPTED
    assert chain.filters.find(number)
    chain.watches.accepted(index.to_bytes(32, "big") for index in range(MAX_ACCEPTED + 1))
    watch.take()
    with pytest.raises(NotFoundError):
        chain.filters.find(number)


def test_many_blocks_are_told_in_portions(chain: Chain) -> None:
    watch = chain.watches.blocks()
    chain.mine(MAX_BLOCKS_TOLD + 5)
    numbers = [[block.header.number for block in watch.take()] for _ in range(3)]
    assert numbers == [
        list(range(1, MAX_BLOCKS_TOLD + 1)),
        list(range(MAX_BLOCKS_TOLD + 1, MAX_BLOCKS_TOLD + 6)),
        [],
    ]


def test_many_logs_are_told_in_whole_blocks(
    web3: Web3, contract: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chain_devnet.watches.MAX_LOGS_TOLD", 25)
    number = call(web3, "eth_newFilter", {})
    for _ in range(3):
        contract.functions.put_many(0, 10).transact({"from": web3.eth.accounts[0]})
    contract.functions.put_many(0, 30).transact({"from": web3.eth.accounts[0]})
    assert [len(changes(web3, number)) for _ in range(4)] == [20, 10, 30, 0]


def test_watches_that_are_forgotten_cost_nothing(server: DevnetServer) -> None:
    chain = server.chain
    for _ in range(50):
        chain.watches.blocks()
    assert chain.watches.count == 0


def topic(address: str) -> str:
    return "0x" + address[2:].lower().rjust(64, "0")
