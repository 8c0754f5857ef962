"""From the bytes of a request to the bytes of its answer (JSON-RPC 2.0; error codes of EIP-1474).

Pure but for the chain: HTTP, websockets or an in-process caller only carry the bytes.
"""

from __future__ import annotations

import json
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import groupby

from chain_devnet.chain import Chain
from chain_devnet.errors import ExecutionFailedError, LimitExceededError
from chain_devnet.rpc import (
    access,
    control,
    editing,
    filters,
    ledger,
    pool,
    sending,
    signing,
    states,
    tracing,
    views,
)
from chain_devnet.rpc.reading import parse
from ledgerfed.errors import InvalidValueError, LedgerFedError

PARSE_ERROR = -32700
INVALID_REQUEST = -32600
METHOD_NOT_FOUND = -32601
INVALID_PARAMS = -32602
INTERNAL_ERROR = -32603
SERVER_ERROR = -32000
LIMIT_EXCEEDED = -32005
REVERTED = 3
MAX_BATCH = 1_000
MAX_REPLY_BYTES = 64 * 1024 * 1024

Method = Callable[[Chain, Sequence[object]], object]
SessionMethod = Callable[[Sequence[object]], object]
Response = dict[str, object]

METHODS: dict[str, Method] = (
    ledger.METHODS
    | states.METHODS
    | sending.METHODS
    | signing.METHODS
    | pool.METHODS
    | filters.METHODS
    | tracing.METHODS
    | access.METHODS
    | control.METHODS
    | editing.METHODS
)
SESSION_METHODS = ("eth_subscribe", "eth_unsubscribe")
RAW_SEND = "eth_sendRawTransaction"
NO_SESSION: Mapping[str, SessionMethod] = {}

_log = logging.getLogger(__name__)


class _UnknownMethodError(LedgerFedError):
    """No such method here."""


def answer(chain: Chain, body: bytes, session: Mapping[str, SessionMethod] = NO_SESSION) -> bytes | None:
    """The answer to one request or batch; None when there is nothing to say (notifications only).

    `session` holds, by name, the methods of a connection that lasts (`SESSION_METHODS`).
    """
    try:
        request = parse(body)
    except ValueError:
        return _encode(error_json(None, PARSE_ERROR, "parse error: the body is not JSON"))
    if not isinstance(request, list):
        response = _answer_one(chain, request, session)
        return None if response is None else _encode(response)
    if not 0 < len(request) <= MAX_BATCH:
        return _encode(error_json(None, INVALID_REQUEST, f"a batch has 1 to {MAX_BATCH} requests"))
    encoded = _bounded(_answer_batch(chain, request, session))
    return b"[%b]" % b",".join(encoded) if encoded else None


def error_json(request_id: object, code: int, message: str, data: object = None) -> Response:
    """An error response."""
    error: Response = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": request_id, "error": error}


def _answer_batch(
    chain: Chain, requests: Sequence[object], session: Mapping[str, SessionMethod]
) -> Iterable[Response | None]:
    for together, run in groupby(requests, lambda request: _method_of(request) == RAW_SEND):
        if together:
            yield from _send_together(chain, list(run))
        else:
            yield from (_answer_one(chain, request, session) for request in run)


def _answer_one(chain: Chain, request: object, session: Mapping[str, SessionMethod]) -> Response | None:
    refusal = _refusal(request)
    if refusal is not None:
        return refusal
    return _response(request, _attempt(lambda: _call(chain, request, session)))


def _send_together(chain: Chain, requests: Sequence[object]) -> Iterable[Response | None]:
    """Raw transactions that follow each other in a batch share blocks; each has its own answer."""
    refusals = [_refusal(request) for request in requests]
    raws = [
        refusal or _attempt(lambda: sending.raw_transaction(_parameters(request)))  # noqa: B023
        for request, refusal in zip(requests, refusals, strict=True)
    ]
    sound = [raw for raw in raws if isinstance(raw, bytes)]
    outcomes = _attempt(lambda: chain.submit_each(sound))
    accepted = iter(outcomes if isinstance(outcomes, list) else [outcomes] * len(sound))
    for request, refusal, raw in zip(requests, refusals, raws, strict=True):
        outcome = next(accepted) if isinstance(raw, bytes) else raw
        result = views.hex_data(outcome) if isinstance(outcome, bytes) else outcome
        yield refusal or _response(request, result)


def _call(chain: Chain, request: object, session: Mapping[str, SessionMethod]) -> object:
    name, params = str(_method_of(request)), _parameters(request)
    if name in session:
        return session[name](params)
    if name in SESSION_METHODS:
        raise _UnknownMethodError(f"{name} needs a connection that lasts; use ws:// on the same port")
    if name not in METHODS:
        raise _UnknownMethodError(f"method {name[:80]} does not exist on this chain")
    with chain.lock:
        return METHODS[name](chain, params)


def _attempt(work: Callable[[], object]) -> object:
    """What `work` returns, or the error that it raised: a client must get an answer to everything."""
    try:
        return work()
    except Exception as error:  # noqa: BLE001  # `_failure` logs what nobody foresaw
        return error


def _response(request: object, result: object) -> Response | None:
    if not isinstance(request, dict) or "id" not in request:
        return None
    if isinstance(result, Exception):
        return _failure(request["id"], str(request["method"]), result)
    return {"jsonrpc": "2.0", "id": request["id"], "result": result}


def _failure(request_id: object, name: str, error: Exception) -> Response:
    if isinstance(error, ExecutionFailedError) and error.reverted:
        return error_json(request_id, REVERTED, str(error), views.hex_data(error.output))
    for kind, code in _CODES:
        if isinstance(error, kind):
            return error_json(request_id, code, str(error))
    _log.error("%s failed", name, exc_info=error)
    return error_json(request_id, INTERNAL_ERROR, f"internal error in {name[:80]}; see the server's log")


_CODES: tuple[tuple[type[Exception], int], ...] = (
    (_UnknownMethodError, METHOD_NOT_FOUND),
    (LimitExceededError, LIMIT_EXCEEDED),
    (InvalidValueError, INVALID_PARAMS),
    (LedgerFedError, SERVER_ERROR),
)


def _refusal(request: object) -> Response | None:
    """The error response to what is no request; None if it is one."""
    if not isinstance(request, dict) or request.get("jsonrpc") != "2.0":
        return error_json(None, INVALID_REQUEST, 'invalid request: expected an object with "jsonrpc": "2.0"')
    if not _valid_id(request.get("id")):
        return error_json(None, INVALID_REQUEST, "invalid request: id must be a string, a number or null")
    if not isinstance(request.get("method"), str):
        return error_json(request.get("id"), INVALID_REQUEST, "invalid request: method must be a string")
    return None


def _method_of(request: object) -> object:
    return request.get("method") if isinstance(request, dict) else None


def _parameters(request: object) -> list[object]:
    params = request.get("params") if isinstance(request, dict) else None
    if params is None:
        return []
    if not isinstance(params, list):
        raise InvalidValueError(f"{str(_method_of(request))[:80]} takes its parameters as a list")
    return params


def _valid_id(value: object) -> bool:
    if isinstance(value, bool):
        return False
    return (
        value is None or isinstance(value, (str, int)) or (isinstance(value, float) and math.isfinite(value))
    )


def _bounded(responses: Iterable[Response | None]) -> list[bytes]:
    encoded: list[bytes] = []
    size = 0
    for response in responses:
        if response is None:
            continue
        too_long = f"the batch's answer is longer than {MAX_REPLY_BYTES} bytes; send fewer requests at once"
        fits = size <= MAX_REPLY_BYTES
        encoded.append(_encode(response if fits else error_json(response["id"], LIMIT_EXCEEDED, too_long)))
        size += len(encoded[-1])
    return encoded


def _encode(response: object) -> bytes:
    return json.dumps(response, separators=(",", ":")).encode()
