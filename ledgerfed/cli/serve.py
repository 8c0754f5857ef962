"""`ledgerfed serve`: the workspace's index over HTTP."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

from ledgerfed.cli.output import emit
from ledgerfed.errors import ConfigurationError

if TYPE_CHECKING:
    from ledgerfed_api import Settings

    from ledgerfed.evaluation.federation import FederationRecord
    from ledgerfed.observer import Finality
    from ledgerfed.store import Store

FOLLOW_SECONDS = 1.0


def run_serve(directory: Path, host: str, port: int, rpc: str | None, finality: str, *, as_json: bool) -> int:
    """Serve until interrupted; with `rpc`, keep the index in step with the chain meanwhile."""
    import uvicorn
    from ledgerfed_api import create_app

    from ledgerfed.cli.workspace import record_of
    from ledgerfed.observer.finality import parse_finality
    from ledgerfed.store import open_store

    record = record_of(directory)
    settings = _settings(directory)
    listener = _listen(host, port)
    with ExitStack() as stack:
        stack.callback(listener.close)
        if rpc is not None:
            store = stack.enter_context(open_store(directory, settings.database_url))
            _keep_in_step(stack, store, record, rpc, parse_finality(finality))
        app = create_app(settings)
        server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False))
        address = f"http://{host}:{listener.getsockname()[1]}"
        contract = "0x" + record.federation.contract.hex()
        emit(
            {"url": address, "contract": contract},
            as_json=as_json,
            lines=[f"serving the federation {contract} on {address}/v1/federations"],
        )
        server.run(sockets=[listener])
    return 0


def _settings(directory: Path) -> Settings:
    """Return the settings of the API; raises ConfigurationError when the environment makes no sense."""
    from ledgerfed_api import Settings
    from pydantic import ValidationError

    try:
        return Settings(workspace=directory)
    except ValidationError as error:
        wrong = error.errors()[0]
        name = "LEDGERFED_" + "_".join(str(part) for part in wrong["loc"]).upper()
        raise ConfigurationError(f"{name}={wrong['input']} cannot be used: {wrong['msg']}") from error


def _listen(host: str, port: int) -> socket.socket:
    """Return a bound socket; raises ConfigurationError when the port is taken."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # uvicorn turns Nagle's delay off only where the protocol is named
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except (OSError, OverflowError) as error:
        listener.close()
        raise ConfigurationError(f"cannot listen on {host}:{port} ({error}); give another --port") from error
    return listener


def _keep_in_step(
    stack: ExitStack, store: Store, record: FederationRecord, rpc: str, finality: Finality
) -> None:
    """Follow the chain in a thread until the stack unwinds; what is wrong with the chain is raised here."""
    from ledgerfed.cli.workspace import connect
    from ledgerfed.ledger.rpc import JsonRpc
    from ledgerfed.observer import follow, observe
    from ledgerfed.observer.ledger_source import LedgerSource

    source = LedgerSource(connect(rpc, record), JsonRpc(rpc))
    finality.newest_final(source, source.head().number)  # a tag that the chain does not know is said now
    observer = observe(store, source, record.federation, record.deployed_in, finality)
    stop = threading.Event()
    follower = threading.Thread(target=follow, args=(observer, stop, FOLLOW_SECONDS), daemon=True)
    follower.start()
    stack.callback(follower.join, 10)
    stack.callback(stop.set)
