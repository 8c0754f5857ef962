"""JSON-RPC over HTTP, through web3's provider: the one place that asks again and names what went wrong."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any, cast

from ledgerfed.errors import (
    ChainUnreachableError,
    ConfigurationError,
    LedgerFedError,
    TransactionRevertedError,
)

ATTEMPTS = 5
FIRST_PAUSE = 0.1
TIMEOUT = 30.0
BATCH = 100
METHOD_NOT_FOUND = -32601
_ERROR_SELECTOR = bytes.fromhex("08c379a0")  # keccak-256 of Error(string)
_BUSY = (429, 502, 503, 504)


class RpcError(LedgerFedError):
    """The chain answered with a JSON-RPC error object."""

    code = "rpc"

    def __init__(self, method: str, number: int, message: str, data: object) -> None:
        super().__init__(f"{method}: {message} (code {number})")
        self.number = number
        self.message = message
        self.data = data


class JsonRpc:
    """A connection to one URL.

    Calls are repeated with growing pauses while nobody answers; everything asked through here is safe to ask
    twice (a transaction is sent as the same bytes).

    Raises:
        ConfigurationError: the URL is not one of HTTP.
    """

    def __init__(
        self,
        url: str,
        *,
        attempts: int = ATTEMPTS,
        timeout: float = TIMEOUT,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        from web3 import HTTPProvider  # takes a second to import

        if not url.startswith(("http://", "https://")):
            raise ConfigurationError(
                f"{url!r} is no URL of a JSON-RPC server; it starts with http:// or https://"
            )
        self.url = url
        self._attempts = attempts
        self._sleep = sleep
        self._provider = HTTPProvider(
            url, request_kwargs={"timeout": timeout}, exception_retry_configuration=None
        )

    def call(self, method: str, *params: object) -> Any:
        """Return the result of one call.

        Raises:
            ChainUnreachableError: nobody answered after all attempts, or not in JSON-RPC.
            RpcError: the chain answered with an error.
        """
        response = self._exchange(partial(self._provider.make_request, cast(Any, method), list(params)))
        return _result(method, response, self.url)

    def batch(self, calls: Sequence[tuple[str, Sequence[object]]]) -> list[Any]:
        """Return the results of many calls, in order, a hundred to a request; raises as `call`."""
        results = []
        for start in range(0, len(calls), BATCH):
            part = calls[start : start + BATCH]
            requests = [(cast(Any, method), list(params)) for method, params in part]
            responses = self._exchange(partial(self._provider.make_batch_request, requests))
            if not isinstance(responses, list):
                _result("batch", responses, self.url)
                raise ChainUnreachableError(f"{self.url} does not answer batches of JSON-RPC calls")
            results += [_result(m, r, self.url) for (m, _), r in zip(part, responses, strict=True)]
        return results

    def _exchange(self, request: Callable[[], Any]) -> Any:
        import requests

        attempt = 0
        while True:
            try:
                return request()
            except requests.exceptions.RequestException as error:
                attempt += 1
                if attempt >= self._attempts or not _passing(error):
                    raise ChainUnreachableError(_unreachable(self.url, attempt, error)) from error
            except ValueError as error:
                raise ChainUnreachableError(
                    f"{self.url} answers, but not in JSON-RPC; is it the URL of an Ethereum node?"
                ) from error
            self._sleep(FIRST_PAUSE * 2 ** (attempt - 1))


def reverted(error: RpcError, what: str) -> LedgerFedError:
    """Return the error to raise when an estimate or a call was refused, with the contract's reason."""
    reason = revert_reason(error.data)
    if reason is not None:
        return TransactionRevertedError(f"{what} was refused: {reason}")
    if "revert" in error.message.lower():
        return TransactionRevertedError(f"{what} was refused without a reason: {error.message}")
    return error


def revert_reason(data: object) -> str | None:
    """Return the text of Error(string) in the data of an RPC error, or None; nodes nest it differently."""
    if isinstance(data, dict):
        nested = (revert_reason(value) for value in data.values())
        return next((reason for reason in nested if reason is not None), None)
    if not isinstance(data, str) or "0x" not in data:
        return None
    try:
        raw = bytes.fromhex(data[data.index("0x") + 2 :])
    except ValueError:
        return None
    if raw[:4] != _ERROR_SELECTOR or len(raw) < 68:
        return None
    size = int.from_bytes(raw[36:68], "big")
    return raw[68 : 68 + size].decode("utf-8", "replace")


def quantity(value: str) -> int:
    """Read a JSON-RPC quantity."""
    return int(value, 16)


def data(value: str) -> bytes:
    """Read JSON-RPC data."""
    return bytes.fromhex(value[2:])


def _result(method: str, response: Any, url: str) -> Any:
    if not isinstance(response, dict) or ("result" not in response and "error" not in response):
        raise ChainUnreachableError(f"{url} answers, but not in JSON-RPC; is it the URL of an Ethereum node?")
    if response.get("error") is not None:
        error = response["error"]
        if not isinstance(error, dict):
            raise RpcError(method, 0, str(error), None)
        raise RpcError(method, error.get("code", 0), str(error.get("message", "")), error.get("data"))
    return response.get("result")


def _passing(error: Any) -> bool:
    """Whether it makes sense to ask again: no connection, no answer in time, or a server that is busy."""
    if error.response is not None:
        return error.response.status_code in _BUSY
    return not isinstance(error, ValueError)  # requests' errors about the URL itself are ValueErrors


def _unreachable(url: str, attempts: int, error: Any) -> str:
    if error.response is not None:
        return (
            f"{url} answers with HTTP status {error.response.status_code}; is it the URL of an Ethereum node?"
        )
    kind = "did not answer in time" if "Timeout" in type(error).__name__ else "cannot be reached"
    tries = f"{attempts} attempts" if attempts > 1 else "one attempt"
    return f"{url} {kind} ({tries}); is the chain running, and is the URL right?"
