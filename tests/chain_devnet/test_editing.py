"""Verbs that change a devnet: durable, undone by a revert, and seen by what is mined next."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import rlp
from eth_account import Account
from eth_account.messages import encode_defunct, encode_typed_data
from eth_hash.auto import keccak
from trie import HexaryTrie
from web3 import HTTPProvider, Web3
from web3.exceptions import Web3RPCError

from chain_devnet import ChainConfig, DevnetServer, dev_accounts, open_chain
from chain_devnet.authority import Authority
from chain_devnet.pyevm import PyEvmBackend
from chain_devnet.rpc.dispatch import answer

SOMEBODY = Web3.to_checksum_address("0x" + "ab" * 20)
RETURNS_SLOT_ZERO = "0x5f545f5260205ff3"
GWEI = 10**9


def call(web3: Web3, method: str, *params: Any) -> Any:
    answer = web3.provider.make_request(method, list(params))
    assert "error" not in answer, answer
    return answer["result"]


def refused(web3: Web3, method: str, *params: Any) -> int:
    return int(web3.provider.make_request(method, list(params))["error"]["code"])


def edit_everything(web3: Web3, prefix: str = "anvil") -> None:
    call(web3, f"{prefix}_setBalance", SOMEBODY, hex(10**18))
    call(web3, f"{prefix}_setNonce", SOMEBODY, "0x7")
    call(web3, f"{prefix}_setCode", SOMEBODY, RETURNS_SLOT_ZERO)
    call(web3, f"{prefix}_setStorageAt", SOMEBODY, "0x0", f"{99:#066x}")


def seen(web3: Web3, block: Any = "latest") -> tuple[Any, ...]:
    return (
        web3.eth.get_balance(SOMEBODY, block),
        web3.eth.get_transaction_count(SOMEBODY, block),
        web3.eth.get_code(SOMEBODY, block).to_0x_hex(),
        int(web3.eth.get_storage_at(SOMEBODY, 0, block).hex(), 16),
    )


NOTHING = (0, 0, "0x", 0)
EDITED = (10**18, 7, RETURNS_SLOT_ZERO, 99)


@pytest.mark.parametrize("prefix", ["anvil", "hardhat"])
def test_an_account_can_be_changed_without_a_block(web3: Web3, prefix: str) -> None:
    head = web3.eth.get_block("latest")
    edit_everything(web3, prefix)
    assert seen(web3) == EDITED
    assert web3.eth.get_block("latest") == head
    assert int(web3.eth.call({"to": SOMEBODY}).hex(), 16) == 99
    call(web3, "anvil_mine", "0x2")
    assert seen(web3) == seen(web3, 1) == seen(web3, 0) == EDITED


def test_changes_survive_a_restart_and_are_undone_by_a_revert(tmp_path: Path) -> None:
    with DevnetServer(tmp_path) as server:
        web3 = Web3(HTTPProvider(server.url))
        call(web3, "evm_mine")
        edit_everything(web3)
        call(web3, "anvil_impersonateAccount", SOMEBODY)
    with DevnetServer(tmp_path) as server:
        web3 = Web3(HTTPProvider(server.url))
        assert seen(web3) == EDITED
        snapshot = call(web3, "evm_snapshot")
        call(web3, "anvil_setStorageAt", SOMEBODY, "0x0", f"{100:#066x}")
        call(web3, "anvil_stopImpersonatingAccount", SOMEBODY)
        call(web3, "anvil_setBalance", web3.eth.accounts[0], "0x0")
        call(web3, "evm_mine")
        assert seen(web3)[3] == 100
        call(web3, "evm_revert", snapshot)
        assert seen(web3) == EDITED
        assert web3.eth.get_balance(web3.eth.accounts[0]) == 10_000 * 10**18
        assert call(web3, "eth_sendTransaction", {"from": SOMEBODY, "to": web3.eth.accounts[1]})


def test_a_revert_to_a_time_before_a_change_on_the_same_block_undoes_it(web3: Web3) -> None:
    snapshot = call(web3, "evm_snapshot")
    edit_everything(web3)
    call(web3, "evm_revert", snapshot)
    assert seen(web3) == NOTHING
    edit_everything(web3)
    snapshot = call(web3, "evm_snapshot")
    call(web3, "evm_mine")
    call(web3, "anvil_setNonce", SOMEBODY, "0x9")
    call(web3, "evm_revert", snapshot)
    assert seen(web3) == EDITED


def test_a_changed_state_is_proven_by_its_own_root_and_by_the_next_header(web3: Web3) -> None:
    edit_everything(web3)
    call(web3, "evm_mine")
    root = bytes(web3.eth.get_block("latest")["stateRoot"])
    proof = web3.eth.get_proof(SOMEBODY, [bytes(32)], "latest")
    nodes = [rlp.decode(bytes(node)) for node in proof["accountProof"]]
    account = rlp.decode(HexaryTrie.get_from_proof(root, keccak(bytes.fromhex(SOMEBODY[2:])), nodes))
    assert [int.from_bytes(account[0], "big"), int.from_bytes(account[1], "big")] == [7, 10**18]
    assert account[3] == keccak(bytes.fromhex(RETURNS_SLOT_ZERO[2:]))


def test_an_emptied_account_is_as_if_it_had_never_been(web3: Web3) -> None:
    before = web3.eth.get_proof(SOMEBODY, [], "latest")["accountProof"]
    call(web3, "anvil_setBalance", SOMEBODY, "0x1")
    call(web3, "anvil_setBalance", SOMEBODY, "0x0")
    assert web3.eth.get_proof(SOMEBODY, [], "latest")["accountProof"] == before


@pytest.mark.parametrize(
    "fields",
    [
        {},
        {"gasPrice": hex(3 * GWEI)},
        {"gasPrice": hex(3 * GWEI), "accessList": [{"address": SOMEBODY, "storageKeys": []}]},
    ],
)
def test_an_impersonated_account_sends_without_a_key_even_a_contract(
    web3: Web3, server: DevnetServer, contract: Any, fields: dict[str, Any]
) -> None:
    call(web3, "anvil_setBalance", contract.address, hex(10**18))
    sent = {"from": contract.address, "to": web3.eth.accounts[1], "value": "0x5", **fields}
    assert refused(web3, "eth_sendTransaction", sent) == -32000
    call(web3, "anvil_impersonateAccount", contract.address)
    tx_hash = call(web3, "eth_sendTransaction", sent)
    found = web3.eth.get_transaction(tx_hash)
    assert (found["from"], found["value"]) == (contract.address, 5)
    assert web3.eth.get_transaction_receipt(tx_hash)["status"] == 1
    assert call(web3, "anvil_stopImpersonatingAccount", contract.address) is True
    assert refused(web3, "eth_sendTransaction", sent) == -32000
    assert server.chain.store.transaction(bytes.fromhex(tx_hash[2:])) is not None


def test_two_impersonated_accounts_may_send_the_same_thing(web3: Web3) -> None:
    call(web3, "anvil_autoImpersonateAccount", True)
    senders = [Web3.to_checksum_address("0x" + byte * 20) for byte in ("c1", "c2")]
    for sender in senders:
        call(web3, "anvil_setBalance", sender, hex(10**18))
    same = {"to": SOMEBODY, "value": "0x1", "gas": "0x5208", "gasPrice": hex(3 * GWEI)}
    hashes = {call(web3, "eth_sendTransaction", {"from": sender, **same}) for sender in senders}
    assert len(hashes) == 2
    assert web3.eth.get_balance(SOMEBODY) == 2
    call(web3, "anvil_autoImpersonateAccount", False)
    assert refused(web3, "eth_sendTransaction", {"from": senders[0], "to": SOMEBODY}) == -32000


def test_what_an_impersonated_account_sent_waits_across_a_restart(tmp_path: Path) -> None:
    with DevnetServer(tmp_path) as server:
        web3 = Web3(HTTPProvider(server.url))
        call(web3, "evm_setAutomine", False)
        call(web3, "anvil_setBalance", SOMEBODY, hex(10**18))
        call(web3, "anvil_impersonateAccount", SOMEBODY)
        tx_hash = call(web3, "eth_sendTransaction", {"from": SOMEBODY, "to": SOMEBODY, "gas": "0x5208"})
    with DevnetServer(tmp_path) as server:
        web3 = Web3(HTTPProvider(server.url))
        call(web3, "evm_mine")
        assert web3.eth.get_transaction_receipt(tx_hash)["from"] == SOMEBODY


def test_the_tips_go_where_they_are_told_to(web3: Web3) -> None:
    call(web3, "anvil_setCoinbase", SOMEBODY)
    assert call(web3, "eth_coinbase") == SOMEBODY.lower()
    web3.eth.send_transaction({"from": web3.eth.accounts[0], "to": web3.eth.accounts[1], "value": 1})
    assert web3.eth.get_block("latest")["miner"] == SOMEBODY
    assert web3.eth.get_balance(SOMEBODY) == 21_000 * GWEI


def test_waiting_transactions_are_shown_by_sender_and_can_be_dropped(web3: Web3) -> None:
    call(web3, "evm_setAutomine", False)
    assert call(web3, "anvil_getAutomine") is False
    sender, recipient = web3.eth.accounts[:2]
    first, second, gapped = (
        call(
            web3,
            "eth_sendTransaction",
            {"from": sender, "to": recipient, "value": "0x1", "gas": "0x5208", "nonce": hex(nonce)},
        )
        for nonce in (0, 1, 5)
    )
    assert call(web3, "txpool_status") == {"pending": "0x2", "queued": "0x1"}
    content = call(web3, "txpool_content")
    pending = content["pending"][sender.lower()]
    assert [pending["0"]["hash"], pending["1"]["hash"]] == [first, second]
    assert content["queued"][sender.lower()]["5"]["hash"] == gapped
    assert call(web3, "txpool_contentFrom", sender) == {
        name: entries[sender.lower()] for name, entries in content.items()
    }
    assert call(web3, "txpool_contentFrom", SOMEBODY) == {"pending": {}, "queued": {}}
    line = call(web3, "txpool_inspect")["pending"][sender.lower()]["0"]
    assert line.startswith(f"{recipient.lower()}: 1 wei + 21000 gas × ")
    assert call(web3, "anvil_dropTransaction", gapped) == gapped
    assert call(web3, "anvil_dropTransaction", gapped) is None
    assert call(web3, "anvil_dropAllTransactions") is True
    assert call(web3, "txpool_status") == {"pending": "0x0", "queued": "0x0"}


def test_a_call_sees_overridden_state_and_nothing_else_does(web3: Web3, contract: Any) -> None:
    get = contract.functions.number()
    slot = "0x" + "00" * 32
    assert get.call(state_override={contract.address: {"stateDiff": {slot: f"{42:#066x}"}}}) == 42
    assert get.call(state_override={contract.address: {"state": {}}}) == 0
    assert get.call() == 5
    rich = {SOMEBODY: {"balance": hex(10**30)}}
    sent = {"from": SOMEBODY, "to": web3.eth.accounts[1], "value": 10**29}
    with pytest.raises(Web3RPCError, match="insufficient funds"):
        web3.eth.estimate_gas(sent)
    assert web3.eth.estimate_gas(sent, "latest", rich) == 21_000
    coded = {SOMEBODY: {"code": RETURNS_SLOT_ZERO, "stateDiff": {slot: f"{7:#066x}"}}}
    assert int(web3.eth.call({"to": SOMEBODY}, "latest", coded).hex(), 16) == 7
    created = call(
        web3,
        "eth_call",
        {"from": SOMEBODY, "data": "0x305f5260205ff3"},
        "latest",
        {SOMEBODY: {"nonce": "0x5"}},
    )
    assert created[-40:] == keccak(rlp.encode([bytes.fromhex(SOMEBODY[2:]), 5]))[-20:].hex()
    assert seen(web3) == NOTHING


def test_a_call_sees_overridden_block_fields(web3: Web3) -> None:
    # NUMBER, TIMESTAMP, COINBASE, PREVRANDAO, GASLIMIT, BASEFEE as six words
    code = "0x" + "".join(
        f"{op}60{32 * at:02x}52" for at, op in enumerate(("43", "42", "41", "44", "45", "48"))
    )
    overrides = {
        "number": "0x64",
        "time": "0x65",
        "feeRecipient": SOMEBODY,
        "prevRandao": f"{102:#066x}",
        "gasLimit": "0x67",
        "baseFeePerGas": "0x68",
    }
    fields = {"data": code + "60c05ff3", "gasPrice": "0x68", "from": web3.eth.accounts[0], "gas": "0x30000"}
    words = call(web3, "eth_call", fields, "latest", None, overrides)[2:]
    values = [int(words[at : at + 64], 16) for at in range(0, 384, 64)]
    assert values == [100, 101, int(SOMEBODY, 16), 102, 103, 104]


@pytest.mark.parametrize(
    ("overrides", "code"),
    [
        ({SOMEBODY: {"balance": "0x1", "colour": 1}}, -32602),
        ({SOMEBODY: {"state": {}, "stateDiff": {}}}, -32602),
        ({SOMEBODY: {"nonce": hex(2**64)}}, -32602),
        ({SOMEBODY: {"stateDiff": {"0x0": "red"}}}, -32602),
        ({SOMEBODY: []}, -32602),
        ({"0x12": {}}, -32602),
        ([], -32602),
        ({SOMEBODY: {"stateDiff": {hex(slot): "0x1" for slot in range(10_001)}}}, -32005),
    ],
)
def test_wrong_overrides_are_refused(web3: Web3, overrides: Any, code: int) -> None:
    assert refused(web3, "eth_call", {}, "latest", overrides) == code


def test_wrong_changes_are_refused(web3: Web3) -> None:
    for method, params in (
        ("anvil_setBalance", [SOMEBODY]),
        ("anvil_setBalance", [SOMEBODY, hex(2**256)]),
        ("anvil_setNonce", [SOMEBODY, hex(2**64)]),
        ("anvil_setCode", [SOMEBODY, "0xz"]),
        ("anvil_setStorageAt", [SOMEBODY, "0x0", "0x" + "1" * 70]),
        ("anvil_impersonateAccount", ["0x1"]),
        ("anvil_autoImpersonateAccount", [1]),
        ("anvil_dropTransaction", ["0x1"]),
    ):
        assert refused(web3, method, *params) == -32602, method
    assert seen(web3) == NOTHING


def test_a_chain_with_several_signers_refuses_what_the_others_would_not_agree_to() -> None:
    signers = tuple(account.address for account in dev_accounts()[:3])
    chain = open_chain(None, ChainConfig(authority=Authority(tuple(sorted(signers)))), PyEvmBackend())
    try:
        for method, params in (
            ("anvil_setBalance", [SOMEBODY, "0x1"]),
            ("anvil_setCode", [SOMEBODY, "0x00"]),
            ("anvil_impersonateAccount", [SOMEBODY]),
            ("anvil_autoImpersonateAccount", [True]),
            ("anvil_setCoinbase", [SOMEBODY]),
        ):
            request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
            reply = json.loads(answer(chain, json.dumps(request).encode()) or b"")
            assert "other signers" in reply["error"]["message"], method
    finally:
        chain.close()


def test_an_unlocked_account_signs_what_a_wallet_asks_it_to(web3: Web3) -> None:
    address = web3.eth.accounts[0]
    signature = call(web3, "eth_sign", address, "0xc0de")
    assert Account.recover_message(encode_defunct(b"\xc0\xde"), signature=signature) == address
    assert call(web3, "personal_sign", "0xc0de", address, "password") == signature
    document = {
        "types": {
            "EIP712Domain": [{"name": "name", "type": "string"}],
            "Mail": [{"name": "body", "type": "string"}],
        },
        "primaryType": "Mail",
        "domain": {"name": "post"},
        "message": {"body": "hello"},
    }
    signature = call(web3, "eth_signTypedData_v4", address, document)
    assert Account.recover_message(encode_typed_data(full_message=document), signature=signature) == address
    signed = call(web3, "eth_signTransaction", {"from": address, "to": SOMEBODY, "value": "0x1"})
    assert Account.recover_transaction(signed["raw"]) == address
    assert web3.eth.get_transaction(web3.eth.send_raw_transaction(signed["raw"]))["to"] == SOMEBODY
    filled = call(web3, "eth_fillTransaction", {"from": address, "to": SOMEBODY, "value": "0x1"})["tx"]
    assert (filled["nonce"], filled["gas"], filled["chainId"]) == ("0x1", "0x5208", "0x7a69")
    for method, params in (
        ("eth_sign", [SOMEBODY, "0x"]),
        ("eth_signTransaction", [{"from": SOMEBODY}]),
    ):
        assert refused(web3, method, *params) == -32000
    assert refused(web3, "eth_signTypedData_v4", address, {"types": 5}) == -32602
    assert refused(web3, "eth_signTypedData_v4", address, "{") == -32602


def test_transactions_that_cannot_be_made_here_are_refused_with_a_reason(web3: Web3) -> None:
    for field in ("authorizationList", "blobVersionedHashes", "blobs"):
        for method in ("eth_call", "eth_estimateGas", "eth_sendTransaction"):
            sent = {"from": web3.eth.accounts[0], "to": SOMEBODY, field: ["0x01"]}
            error = web3.provider.make_request(method, [sent])["error"]
            assert (error["code"], field in error["message"]) == (-32602, True)
    tipped = {
        "from": web3.eth.accounts[0],
        "maxFeePerGas": hex(2 * GWEI),
        "maxPriorityFeePerGas": hex(3 * GWEI),
    }
    error = web3.provider.make_request("eth_sendTransaction", [{**tipped, "gas": "0xffff"}])["error"]
    assert "max priority fee per gas higher" in error["message"]
