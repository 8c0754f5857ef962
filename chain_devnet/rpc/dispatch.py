"""From the bytes of a request to the bytes of its answer (JSON-RPC 2.0; error codes of EIP-1474).

Pure but for the chain: HTTP, and later websockets or an in-process provider, only carry the bytes.
"""

from __future__ import annotations

import json
import logging
import math
import re
from collections.abc import Callable, Sequence

from chain_devnet.chain import Chain
from chain_devnet.errors import ExecutionFailedError
from chain_devnet.rpc import control, ledger, sending, states
from ledgerfed.errors import InvalidValueError, LedgerFedError

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
SERVER_ERROR = -32000
REVERTED = 3
MAX_BATCH = 1_000
MAX_NESTING = 64

METHODS: dict[str, Callable[[Chain, Sequence[object]], object]] = (
    ledger.METHODS | states.METHODS | sending.METHODS | control.METHODS
)

_BRACKETS = re.compile(rb'"(?:[^"\\]|\\.)*"|[\[\]{}]', re.DOTALL)
_log = logging.getLogger(__name__)


def answer(chain: Chain, body: bytes) -> bytes | None:
    """The answer to one request or batch; None when there is nothing to say (notifications only)."""
    try:
        _refuse_deep_nesting(body)
        request = json.loads(body, parse_constant=_refuse_constant)
    except ValueError:
        return _encode(error_json(None, PARSE_ERROR, "parse error: the body is not JSON"))
    if not isinstance(request, list):
        response = answer_one(chain, request)
        return None if response is None else _encode(response)
    if not 0 < len(request) <= MAX_BATCH:
        return _encode(error_json(None, INVALID_REQUEST, f"a batch has 1 to {MAX_BATCH} requests"))
    responses = [response for entry in request if (response := answer_one(chain, entry)) is not None]
    return _encode(responses) if responses else None


def answer_one(chain: Chain, request: object) -> dict[str, object] | None:
    """The response object to one request object; None to a notification."""
    if not isinstance(request, dict) or request.get("jsonrpc") != "2.0":
        return error_json(None, INVALID_REQUEST, 'invalid request: expected an object with "jsonrpc": "2.0"')
    request_id = request.get("id")
    if not _valid_id(request_id):
        return error_json(None, INVALID_REQUEST, "invalid request: id must be a string, a number or null")
    response = _respond(chain, request_id, request.get("method"), request.get("params", []))
    return response if "id" in request else None


def error_json(request_id: object, code: int, message: str, data: object = None) -> dict[str, object]:
    """An error response."""
    error: dict[str, object] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": request_id, "error": error}


def _respond(chain: Chain, request_id: object, name: object, params: object) -> dict[str, object]:
    if not isinstance(name, str):
        return error_json(request_id, INVALID_REQUEST, "invalid request: method must be a string")
    method = METHODS.get(name)
    if method is None:
        return error_json(request_id, METHOD_NOT_FOUND, f"method {name[:80]} does not exist on this chain")
    if params is None:
        params = []
    if not isinstance(params, list):
        return error_json(request_id, INVALID_PARAMS, f"{name} takes its parameters as a list")
    try:
        with chain.lock:
            result = method(chain, params)
    except ExecutionFailedError as error:
        if error.reverted:
            return error_json(request_id, REVERTED, str(error), f"0x{error.output.hex()}")
        return error_json(request_id, SERVER_ERROR, str(error))
    except InvalidValueError as error:
        return error_json(request_id, INVALID_PARAMS, str(error))
    except LedgerFedError as error:
        return error_json(request_id, SERVER_ERROR, str(error))
    except Exception:  # noqa: BLE001  # a client must get an answer, never a traceback; it is logged here
        _log.exception("%s failed", name)
        return error_json(request_id, INTERNAL_ERROR, f"internal error in {name}; see the server's log")
    return {"jsonrpc": "2.0", "id": request_id, "result": result}


def _valid_id(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return (
        value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))
    )


def _refuse_deep_nesting(body: bytes) -> None:
    # py-evm raises the interpreter's recursion limit so far that deep JSON would overflow the C stack.
    if body.count(b"[") + body.count(b"{") <= MAX_NESTING:
        return
    depth = 0
    for token in _BRACKETS.finditer(body):
        depth += {b"[": 1, b"{": 1, b"]": -1, b"}": -1}.get(token.group(), 0)
        if depth > MAX_NESTING:
            raise ValueError("too deep")


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON")


def _encode(response: object) -> bytes:
    return json.dumps(response, separators=(",", ":")).encode()
