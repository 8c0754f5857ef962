"""What a stranger can check offline: header hashes, state proofs, receipt and transaction roots."""

from __future__ import annotations

from typing import Any

import rlp
from eth_hash.auto import keccak
from trie import HexaryTrie
from web3 import Web3

from chain_devnet import DevnetServer
from chain_devnet.block import Header
from chain_devnet.trie import ordered_root


def verified(root: bytes, key: bytes, proof: list[Any]) -> bytes:
    """The value under `key` in the trie with `root`, by the trie library alone."""
    return HexaryTrie.get_from_proof(root, keccak(key), [rlp.decode(bytes(node)) for node in proof])


def test_an_account_and_its_slots_are_proven_by_the_state_root(web3: Web3, contract: Any) -> None:
    sender = web3.eth.accounts[4]
    contract.functions.put(4242, "x").transact({"from": sender})
    mapped = keccak((1).to_bytes(32, "big") + bytes(12) + bytes.fromhex(sender[2:]))
    keys = [bytes(32), mapped, (99).to_bytes(32, "big")]
    proof = web3.eth.get_proof(contract.address, keys, "latest")
    root = bytes(web3.eth.get_block("latest")["stateRoot"])
    account = verified(root, bytes.fromhex(contract.address[2:]), proof["accountProof"])
    assert rlp.decode(account) == [
        proof["nonce"].to_bytes(1, "big"),
        b"",
        bytes(proof["storageHash"]),
        bytes(proof["codeHash"]),
    ]
    assert keccak(bytes(web3.eth.get_code(contract.address))) == bytes(proof["codeHash"])
    values = []
    for entry, key in zip(proof["storageProof"], keys, strict=True):
        encoded = verified(bytes(proof["storageHash"]), key, entry["proof"])
        values.append(int.from_bytes(rlp.decode(encoded), "big") if encoded else 0)
    assert values == [int.from_bytes(bytes(entry["value"]), "big") for entry in proof["storageProof"]]
    assert values == [4242, 4242, 0]
    assert int.from_bytes(bytes(web3.eth.get_storage_at(contract.address, 0)), "big") == 4242


def test_an_absent_account_is_proven_absent(web3: Web3) -> None:
    absent = Web3.to_checksum_address("0x" + "9a" * 20)
    proof = web3.eth.get_proof(absent, [], 0)
    root = bytes(web3.eth.get_block(0)["stateRoot"])
    assert verified(root, bytes.fromhex(absent[2:]), proof["accountProof"]) == b""


def test_a_proof_of_an_old_block_still_holds(web3: Web3, contract: Any) -> None:
    for number in (1, 2, 3):
        contract.functions.put(number, "").transact({"from": web3.eth.accounts[0]})
    for number in (1, 2, 3):
        proof = web3.eth.get_proof(contract.address, [bytes(32)], number + 1)
        root = bytes(web3.eth.get_block(number + 1)["stateRoot"])
        account = rlp.decode(verified(root, bytes.fromhex(contract.address[2:]), proof["accountProof"]))
        slot = verified(account[2], bytes(32), proof["storageProof"][0]["proof"])
        assert rlp.decode(slot) == bytes([number])


def test_the_header_hash_and_roots_follow_from_what_the_server_says(
    web3: Web3, server: DevnetServer, contract: Any
) -> None:
    web3.provider.make_request("evm_setAutomine", [False])
    for number in range(20):
        contract.functions.put(number, "x").transact({"from": web3.eth.accounts[0], "gas": 100_000})
    web3.provider.make_request("evm_mine", [])
    block = web3.eth.get_block("latest", full_transactions=True)
    header = Header(
        parent_hash=bytes(block["parentHash"]),
        coinbase=bytes.fromhex(block["miner"][2:]),
        state_root=bytes(block["stateRoot"]),
        transactions_root=bytes(block["transactionsRoot"]),
        receipts_root=bytes(block["receiptsRoot"]),
        bloom=int.from_bytes(bytes(block["logsBloom"]), "big"),
        number=block["number"],
        gas_limit=block["gasLimit"],
        gas_used=block["gasUsed"],
        timestamp=block["timestamp"],
        extra_data=bytes(block["extraData"]),
        mix_hash=bytes(block["mixHash"]),
        base_fee=block["baseFeePerGas"],
    )
    assert keccak(header.encode()) == bytes(block["hash"])
    assert Header.decode(header.encode()) == header
    raws = [bytes(web3.eth.get_raw_transaction(tx["hash"])) for tx in block["transactions"]]
    assert len(raws) == 20
    assert ordered_root(raws) == header.transactions_root
    receipts = [_consensus_bytes(receipt) for receipt in web3.eth.get_block_receipts("latest")]
    assert ordered_root(receipts) == header.receipts_root


def _consensus_bytes(receipt: Any) -> bytes:
    logs = [
        [bytes.fromhex(log["address"][2:]), [bytes(topic) for topic in log["topics"]], bytes(log["data"])]
        for log in receipt["logs"]
    ]
    cumulative = receipt["cumulativeGasUsed"]
    body = rlp.encode([receipt["status"], cumulative, bytes(receipt["logsBloom"]), logs])
    return bytes([receipt["type"]]) + body
