"""A chain that behaves otherwise than the real one behind it, in what a test says and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import httpx

Forward = Callable[[], dict[str, Any]]
Rewrite = Callable[[str, list[Any], Forward], dict[str, Any]]
"""(method, parameters, forward) -> the response object; `forward()` is what the real chain answers."""


@contextmanager
def rewritten(target: str, rewrite: Rewrite) -> Iterator[str]:
    """Yield the URL of a proxy that answers each call, alone or in a batch, by `rewrite`."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            told = [self.one(call) for call in asked] if isinstance(asked, list) else self.one(asked)
            body = json.dumps(told).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def one(self, call: dict[str, Any]) -> dict[str, Any]:
            said = rewrite(call["method"], call["params"], lambda: httpx.post(target, json=call).json())
            return {
                "jsonrpc": "2.0",
                "id": call["id"],
                **{k: said[k] for k in ("result", "error") if k in said},
            }

        def log_message(self, *arguments: object) -> None:
            """Say nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
