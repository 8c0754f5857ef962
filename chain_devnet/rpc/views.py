"""From values to the JSON that Ethereum clients expect (ethereum/execution-apis)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from chain_devnet.block import (
    EMPTY_OMMERS_HASH,
    EMPTY_REQUESTS_HASH,
    EMPTY_TRIE_ROOT,
    ZERO_HASH,
    Block,
    Header,
    Log,
)
from chain_devnet.state import AccountProof
from chain_devnet.store import StoredLog, StoredTransaction
from chain_devnet.transaction import ACCESS_LIST, LEGACY, SET_CODE, AccessList, Transaction
from chain_devnet.watches import WatchedLog

Json = dict[str, object]

_BODY = frozenset({"size", "transactions", "uncles", "withdrawals", "totalDifficulty"})


def hex_data(value: bytes) -> str:
    """0x and all bytes."""
    return f"0x{value.hex()}"


def hex_or_none(value: bytes | None) -> str | None:
    """0x and all bytes, or JSON null."""
    return None if value is None else hex_data(value)


def block_json(header: Header, block_hash: bytes | None, size: int, transactions: Sequence[object]) -> Json:
    """A block; without a hash it is the pending one."""
    return {
        "number": hex(header.number),
        "hash": hex_or_none(block_hash),
        "parentHash": hex_data(header.parent_hash),
        "nonce": hex_data(bytes(8)),
        "sha3Uncles": hex_data(EMPTY_OMMERS_HASH),
        "logsBloom": hex_data(header.bloom.to_bytes(256, "big")),
        "transactionsRoot": hex_data(header.transactions_root),
        "stateRoot": hex_data(header.state_root),
        "receiptsRoot": hex_data(header.receipts_root),
        "miner": hex_data(header.coinbase),
        "difficulty": hex(header.difficulty),
        "totalDifficulty": "0x0",
        "extraData": hex_data(header.extra_data),
        "size": hex(size),
        "gasLimit": hex(header.gas_limit),
        "gasUsed": hex(header.gas_used),
        "timestamp": hex(header.timestamp),
        "transactions": list(transactions),
        "uncles": [],
        "baseFeePerGas": hex(header.base_fee),
        "mixHash": hex_data(header.mix_hash),
        "withdrawals": [],
        "withdrawalsRoot": hex_data(EMPTY_TRIE_ROOT),
        "blobGasUsed": "0x0",
        "excessBlobGas": "0x0",
        "parentBeaconBlockRoot": hex_data(ZERO_HASH),
        "requestsHash": hex_data(EMPTY_REQUESTS_HASH),
    }


def header_json(block: Block) -> Json:
    """What subscribers of new heads get: the header alone."""
    whole = block_json(block.header, block.hash, 0, ())
    return {name: value for name, value in whole.items() if name not in _BODY}


def mined_transaction_json(stored: StoredTransaction) -> Json:
    """A transaction with its place; `gasPrice` is what was paid."""
    tx = transaction_json(stored.transaction)
    tx["gasPrice"] = hex(stored.receipt.effective_gas_price)
    tx["blockHash"] = hex_data(stored.block_hash)
    tx["blockNumber"] = hex(stored.block_number)
    tx["blockTimestamp"] = hex(stored.timestamp)
    tx["transactionIndex"] = hex(stored.position)
    return tx


def transaction_json(tx: Transaction) -> Json:
    """A transaction that is in no block yet; `gasPrice` is the most that it would pay."""
    view: Json = {
        "hash": hex_data(tx.hash),
        "type": hex(tx.kind),
        "nonce": hex(tx.nonce),
        "from": hex_data(tx.sender),
        "to": hex_or_none(tx.to),
        "value": hex(tx.value),
        "gas": hex(tx.gas),
        "gasPrice": hex(tx.max_fee),
        "input": hex_data(tx.data),
        "v": hex(tx.v),
        "r": hex(tx.r),
        "s": hex(tx.s),
        "blockHash": None,
        "blockNumber": None,
        "blockTimestamp": None,
        "transactionIndex": None,
    }
    if tx.chain_id is not None:
        view["chainId"] = hex(tx.chain_id)
    if tx.kind != LEGACY:
        view["yParity"] = hex(tx.y_parity)
        view["accessList"] = access_list_json(tx.access_list)
    if tx.kind not in (LEGACY, ACCESS_LIST):
        view["maxFeePerGas"] = hex(tx.max_fee)
        view["maxPriorityFeePerGas"] = hex(tx.max_priority_fee)
    if tx.kind == SET_CODE:
        view["authorizationList"] = [
            {
                "chainId": hex(entry.chain_id),
                "address": hex_data(entry.address),
                "nonce": hex(entry.nonce),
                "yParity": hex(entry.y_parity),
                "r": hex(entry.r),
                "s": hex(entry.s),
            }
            for entry in tx.authorizations
        ]
    return view


def unsigned_transaction_json(fields: Mapping[str, object]) -> Json:
    """A transaction as it is signed, in JSON: numbers and bytes in hex."""
    kind = 2 if "maxFeePerGas" in fields else 1 if "accessList" in fields else 0
    view: Json = {"type": hex(kind), "to": None, "input": fields["data"]}
    view |= {name: value for name, value in fields.items() if name not in ("type", "data")}
    if kind == 2:
        view |= {"gasPrice": fields["maxFeePerGas"], "accessList": fields.get("accessList", [])}
    return {name: _shown(value) for name, value in view.items()}


def _shown(value: object) -> object:
    if isinstance(value, bytes):
        return hex_data(value)
    return hex(value) if isinstance(value, int) else value


def access_list_json(entries: AccessList) -> list[Json]:
    """An EIP-2930 access list."""
    return [
        {"address": hex_data(address), "storageKeys": [hex_data(slot) for slot in slots]}
        for address, slots in entries
    ]


def receipt_json(stored: StoredTransaction) -> Json:
    """The receipt of a mined transaction."""
    tx, receipt = stored.transaction, stored.receipt
    place = (stored.block_number, stored.block_hash, stored.timestamp, tx.hash, stored.position)
    logs = [StoredLog(log, *place, stored.first_log + index) for index, log in enumerate(receipt.logs)]
    return {
        "transactionHash": hex_data(tx.hash),
        "transactionIndex": hex(stored.position),
        "blockHash": hex_data(stored.block_hash),
        "blockNumber": hex(stored.block_number),
        "from": hex_data(tx.sender),
        "to": hex_or_none(tx.to),
        "type": hex(tx.kind),
        "status": hex(receipt.status),
        "gasUsed": hex(receipt.gas_used),
        "cumulativeGasUsed": hex(receipt.cumulative_gas),
        "effectiveGasPrice": hex(receipt.effective_gas_price),
        "contractAddress": hex_or_none(receipt.created),
        "logs": [log_json(log) for log in logs],
        "logsBloom": hex_data(receipt.bloom.to_bytes(256, "big")),
    }


def watched_log_json(watched: WatchedLog) -> Json:
    """A log as a filter or subscription tells it: with `removed` once its block has left the chain."""
    return {**log_json(watched.stored), "removed": watched.removed}


def bare_log_json(log: Log) -> Json:
    """A log without a place in the chain."""
    return {
        "address": hex_data(log.address),
        "topics": [hex_data(topic) for topic in log.topics],
        "data": hex_data(log.data),
    }


def log_json(stored: StoredLog) -> Json:
    """A log with its place."""
    return {
        **bare_log_json(stored.log),
        "blockNumber": hex(stored.block_number),
        "blockHash": hex_data(stored.block_hash),
        "blockTimestamp": hex(stored.timestamp),
        "transactionHash": hex_data(stored.tx_hash),
        "transactionIndex": hex(stored.tx_position),
        "logIndex": hex(stored.position),
        "removed": False,
    }


def proof_json(address: bytes, proof: AccountProof) -> Json:
    """An EIP-1186 proof."""
    account = proof.account
    return {
        "address": hex_data(address),
        "accountProof": [hex_data(node) for node in proof.nodes],
        "balance": hex(account.balance),
        "nonce": hex(account.nonce),
        "codeHash": hex_data(account.code_hash),
        "storageHash": hex_data(account.storage_root),
        "storageProof": [
            {
                "key": hex_data(entry.slot.to_bytes(32, "big")),
                "value": hex(entry.value),
                "proof": [hex_data(node) for node in entry.nodes],
            }
            for entry in proof.storage
        ],
    }
