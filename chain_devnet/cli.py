"""The devnet as a program: options, one block of text, and a clean end."""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from threading import Event

from chain_devnet.config import CHAIN_ID
from chain_devnet.server import DevnetServer
from ledgerfed.errors import LedgerFedError

DEFAULT_DIRECTORY = Path(".ledgerfed/devnet")
DEFAULT_PORT = 8545


def main(argv: Sequence[str] | None = None) -> int:
    """Run a devnet until SIGINT or SIGTERM; returns the exit code."""
    options = _parser().parse_args(argv)
    try:
        return run(
            directory=None if options.in_memory else options.dir,
            host=options.host,
            port=options.port,
            chain_id=options.chain_id,
            block_time=options.block_time,
            as_json=options.json,
        )
    except LedgerFedError as error:
        print(f"error: {error}", file=sys.stderr)  # noqa: T201
        return error.exit_code


def run(
    directory: Path | None = DEFAULT_DIRECTORY,
    host: str = "127.0.0.1",
    port: int = DEFAULT_PORT,
    chain_id: int = CHAIN_ID,
    block_time: float | None = None,
    *,
    as_json: bool = False,
) -> int:
    """Serve a chain on wall-clock time until SIGINT or SIGTERM (`DevnetServer` has the parameters).

    It prints where it serves and whom it funds, as text or as one line of JSON.

    Raises:
        LedgerFedError: the port, the directory or a parameter cannot be used; nothing was started.
    """
    ended = Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: ended.set())
    server = DevnetServer(
        directory, host, port, chain_id=chain_id, block_time=block_time, clock=lambda: int(time.time())
    )
    with server:
        lines = [_document(server, chain_id)] if as_json else _lines(server, chain_id, directory)
        sys.stdout.writelines(f"{line}\n" for line in lines)
        sys.stdout.flush()
        ended.wait()
    return 0


def _lines(server: DevnetServer, chain_id: int, directory: Path | None) -> list[str]:
    where = "memory only" if directory is None else str(directory)
    head = server.chain.head.header.number
    return [
        f"devnet {server.url} (chain id {chain_id}, block {head}, kept in {where})",
        "Funded accounts; these keys are public, never use them for anything of value:",
        *(f"  {account.checksum_address}  0x{account.key.hex()}" for account in server.accounts),
    ]


def _document(server: DevnetServer, chain_id: int) -> str:
    accounts = [{"address": a.checksum_address, "key": f"0x{a.key.hex()}"} for a in server.accounts]
    return json.dumps({"url": server.url, "chain_id": chain_id, "accounts": accounts})


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="chain_devnet", description="An Ethereum chain for development.")
    place = parser.add_mutually_exclusive_group()
    place.add_argument("--dir", type=Path, default=DEFAULT_DIRECTORY, help="where it is kept (%(default)s)")
    place.add_argument("--in-memory", action="store_true", help="keep nothing on disk")
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument("--port", type=int, default=DEFAULT_PORT, help="TCP port, 0 for any (%(default)s)")
    parser.add_argument("--chain-id", type=int, default=CHAIN_ID, help="chain id (%(default)s)")
    parser.add_argument(
        "--block-time",
        type=float,
        metavar="SECONDS",
        help="mine at intervals, not per transaction",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser
