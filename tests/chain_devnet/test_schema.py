"""Every answer has the shape that execution-apis specifies, for every kind of transaction."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
import rpc_schema as schema
from eth_account import Account
from eth_utils import to_checksum_address
from websockets.asyncio.client import connect

from chain_devnet import DevnetServer
from chain_devnet.rpc.dispatch import METHODS

GWEI = 10**9
HOME = "0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"
SOMEBODY = "0x" + "aa" * 20
ELSEWHERE = bytes.fromhex("aa" * 20)
UNKNOWN = "0x" + "12" * 32
# Emits an event with two topics, writes slot 0, and reverts when it is called with data.
CODE = "0x36601057600160025f5fa260015f5500" + "5b5f5ffd"
DEPLOYMENT = "0x6014600c60003960146000f3" + CODE[2:]
VERBS = ("anvil_", "evm_", "hardhat_", "rpc_modules")


@dataclass(frozen=True)
class Populated:
    """A chain with a transaction of each kind, mined and waiting, and one that failed."""

    server: DevnetServer
    contract: str
    hashes: dict[str, str]
    waiting: str

    def ask(self, method: str, *params: Any) -> Any:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": list(params)}
        return httpx.post(self.server.url, json=request, timeout=60).json()

    def result(self, method: str, *params: Any) -> Any:
        answer = self.ask(method, *params)
        assert schema.faults(schema.RESPONSE, answer) == []
        assert "result" in answer, (method, params, answer)
        return answer["result"]


def sign(server: DevnetServer, nonce: int, **fields: Any) -> str:
    defaults = {"chainId": 31337, "nonce": nonce, "gas": 200_000, "to": ELSEWHERE, "value": 1}
    if "gasPrice" not in fields:
        defaults |= {"maxFeePerGas": 3 * GWEI, "maxPriorityFeePerGas": GWEI}
    return (
        "0x"
        + bytes(Account.sign_transaction(defaults | fields, server.accounts[0].key).raw_transaction).hex()
    )


@pytest.fixture(scope="module")
def populated() -> Iterator[Populated]:
    with DevnetServer() as server:
        chain = Populated(server, "", {}, "")
        created = chain.result("eth_sendTransaction", {"from": HOME, "data": DEPLOYMENT})
        contract = chain.result("eth_getTransactionReceipt", created)["contractAddress"]
        address = to_checksum_address(contract)
        listed = [{"address": address, "storageKeys": ["0x" + "00" * 32]}]
        signer = server.accounts[5].key
        authorization = Account.sign_authorization({"chainId": 31337, "address": address, "nonce": 0}, signer)
        kinds: dict[str, dict[str, Any]] = {
            "legacy": {"to": address, "value": 0, "gasPrice": 3 * GWEI},
            "listed": {"to": address, "value": 0, "gasPrice": 3 * GWEI, "accessList": listed},
            "dynamic": {"to": address, "value": 0},
            "failed": {"to": address, "value": 0, "data": "0x01"},
            "delegating": {"authorizationList": [authorization], "accessList": listed},
            "unprotected": {"gasPrice": 3 * GWEI},
        }
        hashes = {"created": created}
        for nonce, (name, fields) in enumerate(kinds.items(), start=1):
            raw = sign(server, nonce, **fields)
            if name == "unprotected":
                unsigned = {"nonce": nonce, "gas": 21_000, "to": ELSEWHERE, "value": 1, **fields}
                raw = bytes(Account.sign_transaction(unsigned, server.accounts[0].key).raw_transaction).hex()
            hashes[name] = chain.result("eth_sendRawTransaction", "0x" + raw.removeprefix("0x"))
        chain.result("evm_setAutomine", False)
        waiting = [
            chain.result("eth_sendRawTransaction", sign(server, nonce, **fields))
            for nonce, fields in enumerate(list(kinds.values())[:5], start=len(kinds) + 1)
            if "authorizationList" not in fields
        ]
        chain.result("eth_sendRawTransaction", sign(server, 99))
        yield Populated(server, contract, hashes, waiting[0])


def calls(chain: Populated) -> dict[str, list[list[Any]]]:
    """Parameters that each method must answer, with something and, where it can be, with nothing."""
    block = chain.result("eth_getBlockByNumber", "latest", False)["hash"]
    blocks = ["latest", "safe", "finalized", "earliest", "0x2", "pending"]
    called = {"from": HOME, "to": chain.contract}
    transactions = [[tx_hash] for tx_hash in chain.hashes.values()]
    places = [[f"0x{number:x}", "0x0"] for number in range(1, 8)]
    filters = {
        name: chain.result(name, *params)
        for name, params in (
            ("eth_newFilter", [{}]),
            ("eth_newBlockFilter", []),
            ("eth_newPendingTransactionFilter", []),
        )
    }
    typed = {
        "types": {"EIP712Domain": [], "Mail": [{"name": "body", "type": "string"}]},
        "primaryType": "Mail",
        "domain": {},
        "message": {"body": "hello"},
    }
    options = {"enableMemory": True, "enableReturnData": True}
    account_at = [[HOME, name] for name in blocks]
    return {
        "debug_getRawBlock": [["0x2"]],
        "debug_getRawHeader": [["0x2"]],
        "debug_getRawReceipts": [["0x2"]],
        "debug_getRawTransaction": [*transactions, [chain.waiting]],
        "debug_traceBlockByHash": [[block]],
        "debug_traceBlockByNumber": [[f"0x{number:x}", options] for number in range(1, 8)],
        "debug_traceCall": [[called, "latest"], [called, "pending", options]],
        "debug_traceTransaction": [[*one, options] for one in transactions],
        "eth_call": [[called], [called, "latest"], [{"to": SOMEBODY}, {"blockHash": block}]],
        "eth_createAccessList": [[called], [{**called, "data": "0x01"}, "latest"]],
        "eth_estimateGas": [[called], [called, "latest"]],
        "eth_feeHistory": [["0x5", "latest", [0, 25.5, 100]], ["0x5", "0x3"], [5, "pending", []]],
        "eth_fillTransaction": [[called], [{"from": HOME, "data": DEPLOYMENT}]],
        "eth_getBalance": account_at,
        "eth_getBlockByHash": [[block, False], [block, True], [UNKNOWN, True]],
        "eth_getBlockByNumber": [
            [name, whole] for name in ("latest", "safe", "0x2", "0x5", "0xff") for whole in (False, True)
        ],
        "eth_getBlockReceipts": [["latest"], ["0x2"], [block], ["0xff"], [UNKNOWN], ["earliest"]],
        "eth_getBlockTransactionCountByHash": [[block], [UNKNOWN]],
        "eth_getBlockTransactionCountByNumber": [[name] for name in (*blocks, "0xff")],
        "eth_getCode": [[chain.contract, "latest"], [HOME]],
        "eth_getFilterChanges": [[number] for number in filters.values()],
        "eth_getFilterLogs": [[filters["eth_newFilter"]]],
        "eth_getHeaderByHash": [[block], [UNKNOWN]],
        "eth_getHeaderByNumber": [["0x2"], ["0xff"]],
        "eth_getLogs": [[{"fromBlock": "0x0"}], [{"blockHash": block}], [{"address": SOMEBODY}]],
        "eth_getProof": [[chain.contract, ["0x0", UNKNOWN], "latest"], [SOMEBODY, [], "earliest"]],
        "eth_getRawTransactionByHash": [*transactions, [UNKNOWN], [chain.waiting]],
        "eth_getStorageAt": [[chain.contract, "0x0", "latest"], [chain.contract, UNKNOWN, "earliest"]],
        "eth_getTransactionByBlockHashAndIndex": [[block, "0x0"], [block, "0x9"], [UNKNOWN, "0x0"]],
        "eth_getTransactionByBlockNumberAndIndex": [*places, ["0xff", "0x0"]],
        "eth_getTransactionByHash": [*transactions, [UNKNOWN], [chain.waiting]],
        "eth_getTransactionCount": account_at,
        "eth_getTransactionReceipt": [*transactions, [UNKNOWN], [chain.waiting]],
        "eth_getUncleByBlockHashAndIndex": [[block, "0x0"]],
        "eth_getUncleByBlockNumberAndIndex": [["0x1", "0x0"]],
        "eth_getUncleCountByBlockHash": [[block], [UNKNOWN]],
        "eth_getUncleCountByBlockNumber": [["0x1"], ["0xff"]],
        "eth_newFilter": [[{"topics": [None]}]],
        "eth_sendRawTransaction": [[sign(chain.server, 50)]],
        "eth_sendTransaction": [[called]],
        "eth_sign": [[HOME, "0x01"]],
        "eth_signTransaction": [[called]],
        "eth_signTypedData_v4": [[HOME, typed], [HOME, json.dumps(typed)]],
        "eth_uninstallFilter": [["0xffff"]],
        "personal_sign": [["0x01", HOME]],
        "txpool_contentFrom": [[HOME], [SOMEBODY]],
        "web3_sha3": [["0x"]],
    }


def test_every_method_answers_as_specified(populated: Populated) -> None:
    wanted = calls(populated)
    specified = {name for name in METHODS if not name.startswith(VERBS)}
    assert specified == schema.RESULTS.keys()
    assert wanted.keys() <= specified
    for method in sorted(specified):
        for params in wanted.get(method, [[]]):
            result = populated.result(method, *params)
            assert schema.faults(schema.RESULTS[method], result) == [], (method, params, result)


def test_what_is_mined_and_what_waits_is_told_apart(populated: Populated) -> None:
    kinds = {
        name: populated.result("eth_getTransactionByHash", tx_hash)
        for name, tx_hash in populated.hashes.items()
    }
    assert [int(kinds[name]["type"], 16) for name in ("legacy", "listed", "dynamic", "delegating")] == [
        0,
        1,
        2,
        4,
    ]
    assert "chainId" not in kinds["unprotected"]
    assert all(schema.faults(schema.TRANSACTION, tx) == [] for tx in kinds.values())
    waiting = populated.result("eth_getTransactionByHash", populated.waiting)
    assert schema.faults(schema.WAITING_TRANSACTION, waiting) == []
    assert schema.faults(schema.TRANSACTION, waiting)
    receipts = {
        name: populated.result("eth_getTransactionReceipt", tx_hash)
        for name, tx_hash in populated.hashes.items()
    }
    assert {name for name, receipt in receipts.items() if receipt["status"] == "0x0"} == {"failed"}
    assert [len(receipts[name]["logs"]) for name in ("legacy", "dynamic", "failed")] == [1, 1, 0]


def test_the_pending_block_has_no_hash_yet(populated: Populated) -> None:
    for whole in (False, True):
        pending = populated.result("eth_getBlockByNumber", "pending", whole)
        assert schema.faults(schema.PENDING_BLOCK, pending) == []
        assert len(pending["transactions"]) >= 4


def test_the_schema_of_answers_refuses_what_is_not_specified(populated: Populated) -> None:
    block = populated.result("eth_getBlockByNumber", "0x2", True)
    for wrong in (
        {**block, "number": "0x02"},
        {**block, "colour": "0x1"},
        {**block, "hash": None},
        {**block, "transactions": [{**block["transactions"][0], "nonce": 1}]},
    ):
        assert schema.faults(schema.BLOCK, wrong)
    missing = dict(block)
    del missing["stateRoot"]
    assert schema.faults(schema.BLOCK, missing)


def test_errors_have_a_code_one_line_and_the_revert_data(populated: Populated) -> None:
    reverting = {"to": populated.contract, "data": "0x01"}
    for method, params, code in (
        ("eth_call", [reverting], 3),
        ("eth_estimateGas", [reverting], 3),
        ("eth_call", [{"to": "0x12"}], -32602),
        ("eth_getBalance", [HOME, "0xff"], -32000),
        ("eth_sendRawTransaction", [sign(populated.server, 0)], -32000),
        ("eth_getLogs", [{"address": [SOMEBODY] * 1_001}], -32005),
        ("eth_nothing", [], -32601),
    ):
        answer = populated.ask(method, *params)
        assert schema.faults(schema.RESPONSE, answer) == []
        assert answer["error"]["code"] == code, (method, answer)
        assert ("data" in answer["error"]) == (code == 3)


def test_notifications_have_the_shape_of_what_they_tell(populated: Populated) -> None:
    async def run() -> None:
        url = populated.server.url.replace("http://", "ws://")
        async with asyncio.timeout(30), connect(url) as socket:
            for params in (["newHeads"], ["logs", {}], ["newPendingTransactions"]):
                await socket.send(
                    json.dumps({"jsonrpc": "2.0", "id": 1, "method": "eth_subscribe", "params": params})
                )
                answer = json.loads(await socket.recv())
                assert schema.faults(schema.UINT, answer["result"]) == []
            sent = {"from": HOME, "to": populated.contract, "gas": "0x30000"}
            for method, given in (("eth_sendTransaction", [sent]), ("evm_mine", [])):
                await socket.send(json.dumps({"jsonrpc": "2.0", "method": method, "params": given}))
            kinds: set[str] = set()
            while len(kinds) < 3:
                message = json.loads(await socket.recv())
                assert schema.faults(schema.NOTIFICATION, message) == []
                kinds.add(message["params"]["subscription"])

    asyncio.run(run())
