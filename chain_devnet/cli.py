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

from chain_devnet.authority import Authority
from chain_devnet.config import CHAIN_ID
from chain_devnet.producer import Sealing
from chain_devnet.server import DevnetServer
from ledgerfed.errors import ConfigurationError, InvalidValueError, LedgerFedError

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
            sealing=_sealing(options),
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
    sealing: Sealing | None = None,
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
        directory,
        host,
        port,
        chain_id=chain_id,
        block_time=block_time,
        clock=lambda: int(time.time()),
        sealing=sealing,
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


def _sealing(options: argparse.Namespace) -> Sealing | None:
    if not options.signer:
        if options.key_file or options.peer or options.period is not None:
            raise InvalidValueError(
                "--period, --key-file and --peer belong to a chain with signers; name --signer"
            )
        return None
    authority = Authority(tuple(sorted({_address(name) for name in options.signer})), options.period or 1)
    key = None if options.key_file is None else _key(options.key_file)
    return Sealing(authority, key, tuple(options.peer))


def _address(name: str) -> bytes:
    return _bytes(name, 20, f"{name} is no signer's address; expected 0x and 40 hex digits")


def _key(path: Path) -> bytes:
    try:
        text = path.read_text().strip()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the key in {path}: {error}") from error
    return _bytes(text, 32, f"{path} holds no key; expected 0x and 64 hex digits")


def _bytes(text: str, length: int, complaint: str) -> bytes:
    try:
        value = bytes.fromhex(text.removeprefix("0x"))
    except ValueError:
        value = b""
    if len(value) != length:
        raise InvalidValueError(complaint)
    return value


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
    parser.add_argument(
        "--signer",
        action="append",
        default=[],
        metavar="ADDRESS",
        help="let this address seal in turn with the others so named; give it once for each",
    )
    parser.add_argument("--period", type=int, metavar="SECONDS", help="time between blocks of signers (1)")
    parser.add_argument(
        "--key-file", type=Path, metavar="FILE", help="the key in hex with which this node seals"
    )
    parser.add_argument(
        "--peer",
        action="append",
        default=[],
        metavar="URL",
        help="follow this node too; give it once for each",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object instead of text")
    return parser
