"""What the ethereum/execution-apis specification says of answers, in JSON Schema, for what is served here.

Written from the specification of 2026-08 (CC0). Objects are closed, so that a field nobody specified is seen;
the few that clients expect beyond it are named in `BEYOND`.
"""

from __future__ import annotations

from typing import Any

from jsonschema import Draft202012Validator

Schema = dict[str, Any]


def text(pattern: str) -> Schema:
    return {"type": "string", "pattern": pattern}


def either(*options: Schema) -> Schema:
    return {"anyOf": list(options)}


def array(items: Schema) -> Schema:
    return {"type": "array", "items": items}


def closed(required: dict[str, Schema], optional: dict[str, Schema] | None = None) -> Schema:
    return {
        "type": "object",
        "properties": required | (optional or {}),
        "required": list(required),
        "additionalProperties": False,
    }


def keyed(pattern: str, values: Schema) -> Schema:
    return {"type": "object", "patternProperties": {pattern: values}, "additionalProperties": False}


NULL: Schema = {"type": "null"}
FLAG: Schema = {"type": "boolean"}
NATURAL: Schema = {"type": "integer", "minimum": 0}
RATIO: Schema = {"type": "number", "minimum": 0, "maximum": 1}
UINT = text(r"^0x(0|[1-9a-f][0-9a-f]*)\Z")
UINT64 = text(r"^0x(0|[1-9a-f][0-9a-f]{0,15})\Z")
UINT256 = text(r"^0x(0|[1-9a-f][0-9a-f]{0,63})\Z")
DATA = text(r"^0x([0-9a-f]{2})*\Z")
BYTE = text(r"^0x(0|[1-9a-f][0-9a-f]?)\Z")
ADDRESS = text(r"^0x[0-9a-f]{40}\Z")
ANY_ADDRESS = text(r"^0x[0-9a-fA-F]{40}\Z")
HASH = text(r"^0x[0-9a-f]{64}\Z")
BLOOM = text(r"^0x[0-9a-f]{512}\Z")
EIGHT_BYTES = text(r"^0x[0-9a-f]{16}\Z")
SIGNATURE = text(r"^0x[0-9a-f]{130}\Z")
DECIMAL = text(r"^(0|[1-9][0-9]*)\Z")

ACCESS_LIST = array(closed({"address": ADDRESS, "storageKeys": array(HASH)}))
AUTHORIZATIONS = array(
    closed(
        {
            "chainId": UINT,
            "nonce": UINT,
            "address": ADDRESS,
            "yParity": BYTE,
            "r": UINT256,
            "s": UINT256,
        }
    )
)

_UNSIGNED: Schema = {
    "nonce": UINT,
    "to": either(NULL, ADDRESS),
    "gas": UINT,
    "value": UINT,
    "input": DATA,
    "gasPrice": UINT,
}
_SIGNED: Schema = {"r": UINT256, "s": UINT256}
_TYPED: Schema = {"chainId": UINT, "accessList": ACCESS_LIST}
_FEES: Schema = {"maxFeePerGas": UINT, "maxPriorityFeePerGas": UINT}
_PARITY: Schema = {"yParity": BYTE, "v": BYTE}


def _kinds(signed: bool, context: Schema) -> list[Schema]:
    signature = _SIGNED if signed else {}
    parity = _PARITY if signed else {}
    legacy = {**_UNSIGNED, **signature, **({"v": UINT} if signed else {}), **context}
    typed = {**_UNSIGNED, **_TYPED, **signature, **parity, **context}
    return [
        closed({"type": text(r"^0x0\Z"), **legacy}, {"chainId": UINT}),
        closed({"type": text(r"^0x1\Z"), **typed}),
        closed({"type": text(r"^0x2\Z"), **typed, **_FEES}),
        closed(
            {
                "type": text(r"^0x4\Z"),
                **typed,
                **_FEES,
                "to": ADDRESS,
                "authorizationList": AUTHORIZATIONS,
            }
        ),
    ]


_PLACE: Schema = {
    "blockHash": HASH,
    "blockNumber": UINT,
    "blockTimestamp": UINT,
    "from": ADDRESS,
    "hash": HASH,
    "transactionIndex": UINT,
}
_NO_PLACE: Schema = {
    "from": ADDRESS,
    "hash": HASH,
    **dict.fromkeys(("blockHash", "blockNumber", "blockTimestamp", "transactionIndex"), NULL),
}
TRANSACTION: Schema = {"oneOf": _kinds(True, _PLACE)}
WAITING_TRANSACTION: Schema = {"oneOf": _kinds(True, _NO_PLACE)}
UNSIGNED_TRANSACTION: Schema = {"oneOf": _kinds(False, {})}

LOG = closed(
    {
        "removed": FLAG,
        "logIndex": UINT,
        "transactionIndex": UINT,
        "transactionHash": HASH,
        "blockHash": HASH,
        "blockNumber": UINT,
        "blockTimestamp": UINT,
        "address": ADDRESS,
        "data": DATA,
        "topics": {**array(HASH), "maxItems": 4},
    }
)
RECEIPT = closed(
    {
        "type": BYTE,
        "transactionHash": HASH,
        "transactionIndex": UINT,
        "blockHash": HASH,
        "blockNumber": UINT,
        "from": ADDRESS,
        "to": either(NULL, ADDRESS),
        "cumulativeGasUsed": UINT,
        "gasUsed": UINT,
        "contractAddress": either(NULL, ADDRESS),
        "logs": array(LOG),
        "logsBloom": BLOOM,
        "status": text(r"^0x[01]\Z"),
        "effectiveGasPrice": UINT,
    }
)

# `totalDifficulty` left the specification; older clients still read it.
BEYOND: Schema = {"totalDifficulty": UINT}
_HEADER: Schema = {
    "hash": HASH,
    "parentHash": HASH,
    "sha3Uncles": HASH,
    "miner": ADDRESS,
    "stateRoot": HASH,
    "transactionsRoot": HASH,
    "receiptsRoot": HASH,
    "logsBloom": BLOOM,
    "difficulty": UINT,
    "number": UINT,
    "gasLimit": UINT,
    "gasUsed": UINT,
    "timestamp": UINT,
    "extraData": DATA,
    "mixHash": HASH,
    "nonce": EIGHT_BYTES,
    "baseFeePerGas": UINT,
    "withdrawalsRoot": HASH,
    "blobGasUsed": UINT,
    "excessBlobGas": UINT,
    "parentBeaconBlockRoot": HASH,
    "requestsHash": HASH,
}
HEADER = closed(_HEADER)
_BODY: Schema = {
    "size": UINT,
    "uncles": {**array(HASH), "maxItems": 0},
    "withdrawals": {"type": "array", "maxItems": 0},
}
BLOCK = closed({**_HEADER, **_BODY, "transactions": either(array(HASH), array(TRANSACTION))}, BEYOND)
PENDING_BLOCK = closed(
    {
        **_HEADER,
        **_BODY,
        "hash": NULL,
        "nonce": NULL,
        "transactions": either(array(HASH), array(WAITING_TRANSACTION)),
    },
    BEYOND,
)

PROOF = closed(
    {
        "address": ADDRESS,
        "accountProof": array(DATA),
        "balance": UINT256,
        "codeHash": HASH,
        "nonce": UINT64,
        "storageHash": HASH,
        "storageProof": array(closed({"key": HASH, "value": UINT256, "proof": array(DATA)})),
    }
)
FEE_HISTORY = closed(
    {
        "oldestBlock": UINT,
        "baseFeePerGas": array(UINT),
        "baseFeePerBlobGas": array(UINT),
        "gasUsedRatio": array(RATIO),
        "blobGasUsedRatio": array(RATIO),
    },
    {"reward": array(array(UINT))},
)
STEP = closed(
    {
        "pc": NATURAL,
        "op": {"type": "string"},
        "gas": NATURAL,
        "gasCost": NATURAL,
        "depth": {"type": "integer", "minimum": 1},
    },
    {
        "refund": NATURAL,
        "error": {"type": "string", "minLength": 1},
        "stack": array(UINT256),
        "memory": array(HASH),
        "returnData": DATA,
        "storage": keyed(r"^0x[0-9a-f]{64}\Z", HASH),
    },
)
TRACE = closed({"gas": NATURAL, "failed": FLAG, "returnValue": DATA, "structLogs": array(STEP)})
TRACES = array(closed({"txHash": HASH, "result": TRACE}))
BY_NONCE = keyed(r"^(0|[1-9][0-9]*)\Z", WAITING_TRANSACTION)
BY_SENDER = keyed(r"^0x[0-9a-f]{40}\Z", BY_NONCE)
LINES = keyed(r"^0x[0-9a-f]{40}\Z", keyed(r"^(0|[1-9][0-9]*)\Z", {"type": "string"}))

CHANGES = either(array(HASH), array(LOG))

RESULTS: dict[str, Schema] = {
    "debug_getRawBlock": DATA,
    "debug_getRawHeader": DATA,
    "debug_getRawReceipts": array(DATA),
    "debug_getRawTransaction": DATA,
    "debug_traceBlockByHash": TRACES,
    "debug_traceBlockByNumber": TRACES,
    "debug_traceCall": TRACE,
    "debug_traceTransaction": TRACE,
    "eth_accounts": array(ANY_ADDRESS),
    "eth_baseFee": UINT,
    "eth_blobBaseFee": UINT,
    "eth_blockNumber": UINT,
    "eth_call": DATA,
    "eth_chainId": UINT,
    "eth_coinbase": ADDRESS,
    "eth_createAccessList": closed(
        {"accessList": ACCESS_LIST, "gasUsed": UINT}, {"error": {"type": "string"}}
    ),
    "eth_estimateGas": UINT,
    "eth_feeHistory": FEE_HISTORY,
    "eth_fillTransaction": closed({"tx": UNSIGNED_TRANSACTION}),
    "eth_gasPrice": UINT,
    "eth_getBalance": UINT,
    "eth_getBlockByHash": either(NULL, BLOCK),
    "eth_getBlockByNumber": either(NULL, BLOCK),
    "eth_getBlockReceipts": either(NULL, array(RECEIPT)),
    "eth_getBlockTransactionCountByHash": either(NULL, UINT),
    "eth_getBlockTransactionCountByNumber": either(NULL, UINT),
    "eth_getCode": DATA,
    "eth_getFilterChanges": CHANGES,
    "eth_getFilterLogs": array(LOG),
    "eth_getHeaderByHash": either(NULL, HEADER),
    "eth_getHeaderByNumber": either(NULL, HEADER),
    "eth_getLogs": array(LOG),
    "eth_getProof": PROOF,
    "eth_getRawTransactionByHash": either(NULL, DATA),
    "eth_getStorageAt": HASH,
    "eth_getTransactionByBlockHashAndIndex": either(NULL, TRANSACTION),
    "eth_getTransactionByBlockNumberAndIndex": either(NULL, TRANSACTION),
    "eth_getTransactionByHash": either(NULL, TRANSACTION, WAITING_TRANSACTION),
    "eth_getTransactionCount": UINT,
    "eth_getTransactionReceipt": either(NULL, RECEIPT),
    "eth_getUncleByBlockHashAndIndex": NULL,
    "eth_getUncleByBlockNumberAndIndex": NULL,
    "eth_getUncleCountByBlockHash": either(NULL, UINT),
    "eth_getUncleCountByBlockNumber": either(NULL, UINT),
    "eth_maxPriorityFeePerGas": UINT,
    "eth_newBlockFilter": UINT,
    "eth_newFilter": UINT,
    "eth_newPendingTransactionFilter": UINT,
    "eth_sendRawTransaction": HASH,
    "eth_sendTransaction": HASH,
    "eth_sign": SIGNATURE,
    "eth_signTransaction": closed({"raw": DATA, "tx": WAITING_TRANSACTION}),
    "eth_signTypedData_v4": SIGNATURE,
    "eth_syncing": {"const": False},
    "eth_uninstallFilter": FLAG,
    "net_listening": FLAG,
    "net_peerCount": UINT,
    "net_version": DECIMAL,
    "personal_sign": SIGNATURE,
    "txpool_content": closed({"pending": BY_SENDER, "queued": BY_SENDER}),
    "txpool_contentFrom": closed({"pending": BY_NONCE, "queued": BY_NONCE}),
    "txpool_inspect": closed({"pending": LINES, "queued": LINES}),
    "txpool_status": closed({"pending": UINT, "queued": UINT}),
    "web3_clientVersion": {"type": "string"},
    "web3_sha3": HASH,
}
ERROR = closed(
    {
        "code": {"type": "integer"},
        "message": {"type": "string", "minLength": 1, "pattern": r"^[^\n]*\Z"},
    },
    {"data": DATA},
)
_ID: Schema = {"type": ["string", "number", "null"]}
RESPONSE: Schema = {
    "oneOf": [
        closed({"jsonrpc": {"const": "2.0"}, "id": _ID, "result": {}}),
        closed({"jsonrpc": {"const": "2.0"}, "id": _ID, "error": ERROR}),
    ]
}
NOTIFICATION = closed(
    {
        "jsonrpc": {"const": "2.0"},
        "method": {"const": "eth_subscription"},
        "params": closed(
            {"subscription": UINT, "result": either(HEADER, LOG, HASH, WAITING_TRANSACTION, TRANSACTION)}
        ),
    }
)


def faults(schema: Schema, value: object) -> list[str]:
    """What is wrong with `value`, one line each; empty when it obeys `schema`."""
    return [
        f"{error.json_path}: {error.message[:300]}"
        for error in Draft202012Validator(schema).iter_errors(value)
    ]
