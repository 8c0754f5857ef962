"""eth-tester over HTTP: web3's EthereumTesterProvider behind JSON-RPC, so that programs reach it by URL.

It says what eth-tester says, in the words of the wire: hex quantities, error objects, nulls. Where eth-tester
knows no answer that clients rely on (transactions that wait, `pending`, logs of a block hash) it is made from
answers that eth-tester does know; where eth-tester searches the whole chain, it is told where to look. Two
methods are missing as they are in eth-tester: `anvil_mine`, so that a client must do with `evm_mine`, and
`eth_getProof`.
"""

from __future__ import annotations

import ast
import json
from collections.abc import Callable, Iterable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any

from eth.db import get_db_backend
from eth.exceptions import HeaderNotFound
from eth.exceptions import TransactionNotFound as EvmTransactionNotFound
from eth_abi import encode
from eth_account import Account
from eth_bloom import BloomFilter
from eth_tester import EthereumTester, PyEVMBackend
from eth_tester.backends.pyevm.serializers import serialize_transaction, serialize_transaction_receipt
from eth_tester.exceptions import TransactionFailed, TransactionNotFound, ValidationError
from eth_utils import ValidationError as EvmValidationError
from eth_utils import keccak
from web3 import EthereumTesterProvider, Web3

ERROR_SELECTOR = keccak(b"Error(string)")[:4]
REVERTED, SERVER_ERROR, INVALID_PARAMS, METHOD_NOT_FOUND = 3, -32000, -32602, -32601
# Where a method takes a block: named blocks and numbers are told apart there.
BLOCK_ARGUMENT = {
    "eth_getBalance": 1,
    "eth_getCode": 1,
    "eth_call": 1,
    "eth_estimateGas": 1,
    "eth_getTransactionCount": 1,
}


class RpcError(Exception):
    """An error object of JSON-RPC."""

    def __init__(self, code: int, message: str, data: str | None = None) -> None:
        super().__init__(message)
        self.object = {"code": code, "message": message} | ({} if data is None else {"data": data})


class EthTesterServer:
    """A new eth-tester chain on `url`, from the start to `close`."""

    def __init__(self, chain_id: int, fund: Iterable[bytes], wei: int, gas_limit: int) -> None:
        account = {"balance": wei, "nonce": 0, "code": b"", "storage": {}}
        state = PyEVMBackend.generate_genesis_state() | dict.fromkeys(fund, account)
        parameters = PyEVMBackend.generate_genesis_params({"gas_limit": gas_limit})
        self._backend = IndexedBackend(chain_id, parameters, state)
        self._tester = EthereumTester(self._backend)
        provider = EthereumTesterProvider(self._tester)
        bare = Web3(provider, middleware=[])
        self._request = provider.request_func(bare, bare.middleware_onion)
        self._chain_id = chain_id
        self._own: dict[str, Callable[..., Any]] = {
            "eth_chainId": self._chain,
            "eth_call": self._read,
            "eth_estimateGas": self._estimate,
            "eth_getTransactionCount": self._nonce,
            "eth_getTransactionByHash": self._transaction,
            "eth_getLogs": self._logs,
            "eth_sendRawTransaction": self._send,
            "evm_setAutomine": self._switch,
            "evm_mine": self._mine,
            "evm_revert": self._go_back,
        }
        self._waiting: list[bytes] = []
        self._automine = True
        self._lock = Lock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()

    def close(self) -> None:
        """Stop answering."""
        self._server.shutdown()
        self._server.server_close()

    # ---- JSON-RPC ----

    def answer(self, body: bytes) -> bytes:
        """The answer to a request or a batch."""
        request = json.loads(body)
        with self._lock:
            many = isinstance(request, list)
            answers = [self._answer_one(entry) for entry in (request if many else [request])]
        return json.dumps(answers if many else answers[0]).encode()

    def _answer_one(self, request: dict[str, Any]) -> dict[str, Any]:
        head = {"jsonrpc": "2.0", "id": request["id"]}
        try:
            return head | {"result": self._call(request["method"], request.get("params") or [])}
        except RpcError as error:
            return head | {"error": error.object}
        except Exception as error:  # noqa: BLE001  eth-tester raises anything; a server answers nevertheless
            return head | {"error": {"code": SERVER_ERROR, "message": f"{type(error).__name__}: {error}"}}

    def _call(self, method: str, params: list[Any]) -> Any:
        own = self._own.get(method)
        return self._ask(method, *params) if own is None else own(*params)

    def _ask(self, method: str, *params: Any) -> Any:
        """What eth-tester answers, as JSON."""
        arguments = list(params)
        at = BLOCK_ARGUMENT.get(method)
        if at is not None and len(arguments) > at and arguments[at].startswith("0x"):
            arguments[at] = int(arguments[at], 16)
        try:
            response = self._request(method, arguments)
        except TransactionFailed as error:
            raise _reverted(str(error)) from error
        except (ValidationError, EvmValidationError) as error:
            raise _refused(str(error)) from error
        if "error" in response:
            raise RpcError(METHOD_NOT_FOUND, response["error"]["message"])
        return _json(response["result"])

    # ---- what eth-tester does not say, or says otherwise ----

    def _chain(self) -> str:
        return hex(self._chain_id)

    def _read(self, request: dict[str, str], block: str = "latest") -> Any:
        return self._ask("eth_call", _call_object(request), block)

    def _estimate(self, request: dict[str, str], block: str = "latest") -> Any:
        # eth-tester estimates for the block after the one that is named.
        return self._ask("eth_estimateGas", _call_object(request), "latest" if block == "pending" else block)

    def _nonce(self, address: str, block: str) -> str:
        nonce = int(
            self._ask("eth_getTransactionCount", address, "latest" if block == "pending" else block), 16
        )
        waiting = [
            raw for raw in self._waiting if Account.recover_transaction(raw).lower() == address.lower()
        ]
        return hex(nonce + (len(waiting) if block == "pending" else 0))

    def _transaction(self, tx_hash: str) -> Any:
        if any(keccak(raw).hex() == tx_hash[2:] for raw in self._waiting):
            return {"hash": tx_hash, "blockHash": None, "blockNumber": None}
        return self._ask("eth_getTransactionByHash", tx_hash)

    def _logs(self, wanted: dict[str, Any]) -> Any:
        if "blockHash" in wanted:
            block = self._ask("eth_getBlockByHash", wanted["blockHash"], False)
            if block is None:
                raise RpcError(SERVER_ERROR, "unknown block")
            first = last = int(block["number"], 16)
        else:
            head = int(self._ask("eth_blockNumber"), 16)
            first, last = (_number(wanted.get(end, "latest"), head) for end in ("fromBlock", "toBlock"))
        rest = {name: wanted[name] for name in ("address", "topics") if name in wanted}
        address = bytes.fromhex(rest["address"][2:]) if isinstance(rest.get("address"), str) else None
        logs: list[Any] = []
        for number in range(first, last + 1):
            if address is None or self._backend.may_have_logs_of(number, address):
                logs += self._ask("eth_getLogs", rest | {"fromBlock": hex(number), "toBlock": hex(number)})
        return logs

    def _send(self, raw: str) -> Any:
        if self._automine:
            return self._ask("eth_sendRawTransaction", raw)
        if bytes.fromhex(raw[2:]) in self._waiting:
            raise RpcError(SERVER_ERROR, "already known")
        self._waiting.append(bytes.fromhex(raw[2:]))
        return "0x" + keccak(self._waiting[-1]).hex()

    def _switch(self, wanted: bool) -> bool:
        self._automine = wanted
        return True

    def _mine(self) -> str:
        waiting, self._waiting = self._waiting, []
        for raw in waiting:
            self._backend.send_raw_transaction(raw)
        self._tester.mine_block()
        return "0x0"

    def _go_back(self, number: str) -> bool:
        self._ask("evm_revert", number)
        return True

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_POST(self) -> None:
                content = server.answer(self.rfile.read(int(self.headers["Content-Length"])))
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            def log_message(self, *arguments: object) -> None:
                """Say nothing."""

        return Handler


class IndexedBackend(PyEVMBackend):
    """eth-tester's chain with a chain id, which looks transactions up where eth-tester reads every block."""

    def __init__(self, chain_id: int, parameters: dict[str, Any], state: dict[bytes, Any]) -> None:
        super().__init__(parameters, {})
        ours = type("Chain", (type(self.chain),), {"chain_id": chain_id})
        self.chain = ours.from_genesis(get_db_backend(), parameters, state)

    def get_transaction_by_hash(self, transaction_hash: bytes) -> dict[str, Any]:
        return dict(serialize_transaction(*self._find(transaction_hash), False))

    def get_transaction_receipt(self, transaction_hash: bytes) -> dict[str, Any]:
        block, transaction, index = self._find(transaction_hash)
        receipts = block.get_receipts(self.chain.chaindb)
        vm = self.chain.get_vm()
        return dict(serialize_transaction_receipt(block, receipts, transaction, index, False, vm))

    def may_have_logs_of(self, number: int, address: bytes) -> bool:
        """Whether the bloom filter of a block has an address."""
        return address in BloomFilter(self.chain.get_canonical_block_header_by_number(number).bloom)

    def _find(self, transaction_hash: bytes) -> tuple[Any, Any, int]:
        try:
            number, index = self.chain.get_canonical_transaction_index(transaction_hash)
            block = self.chain.get_canonical_block_by_number(number)
        except (EvmTransactionNotFound, HeaderNotFound) as error:
            raise TransactionNotFound(transaction_hash.hex()) from error
        # After a snapshot came back, the index still has what is gone.
        if index >= len(block.transactions) or block.transactions[index].hash != transaction_hash:
            raise TransactionNotFound(transaction_hash.hex())
        return block, block.transactions[index], index


def _number(block: str, head: int) -> int:
    named = {"earliest": 0}
    return min(int(block, 16), head) if block.startswith("0x") else named.get(block, head)


def _call_object(request: dict[str, str]) -> dict[str, str]:
    return {("data" if name == "input" else name): value for name, value in request.items()}


def _reverted(message: str) -> RpcError:
    """Revert data as a node gives it; eth-tester has decoded the reason already."""
    reason = message.removeprefix("execution reverted: ")
    raw = (
        ast.literal_eval(reason) if reason.startswith("b'") else ERROR_SELECTOR + encode(["string"], [reason])
    )
    return RpcError(REVERTED, message, "0x" + raw.hex())


def _refused(message: str) -> RpcError:
    """What other nodes say; programs tell a nonce from a balance by these words."""
    if "nonce" in message:
        expected, got = (int(word.strip(" .")) for word in message.split("Expected")[1].split(", but got"))
        return RpcError(SERVER_ERROR, "nonce too low" if got < expected else "nonce too high")
    if "enough balance" in message or "cannot afford" in message:
        return RpcError(SERVER_ERROR, f"insufficient funds for gas * price + value: {message}")
    return RpcError(SERVER_ERROR, message)


def _json(value: Any) -> Any:
    if isinstance(value, bool | str | float | None):
        return value
    if isinstance(value, int):
        return hex(value)
    if isinstance(value, bytes):
        return "0x" + value.hex()
    if isinstance(value, dict) or hasattr(value, "items"):
        return {name: _json(entry) for name, entry in value.items()}
    return [_json(entry) for entry in value]
