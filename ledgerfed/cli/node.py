"""`ledgerfed node`: one member of a federation as a long-running process."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from ledgerfed.cli.output import emit
from ledgerfed.cli.signing import open_signer
from ledgerfed.errors import ConfigurationError, InvalidValueError, NotFoundError

if TYPE_CHECKING:
    from ledgerfed.evaluation.federation import FederationRecord
    from ledgerfed.exchange.basis import Basis
    from ledgerfed.network import HttpTransport, Peer
    from ledgerfed.node import FederationFile, Progress
    from ledgerfed.node.walk import Workbench
    from ledgerfed.series import Panel

LOCK = "node.lock"
LINGER_SECONDS = 5.0
INTERRUPTED = 130


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What the command line says about one node."""

    rpc: str
    federation: Path
    index: int | None
    directory: Path
    keystore: Path | None
    password_file: Path | None
    panel: Path | None
    known_ahead: tuple[str, ...]
    station: str | None
    windows: str | None
    family: str
    listen: str | None
    following: tuple[Path, ...]
    rounds: int | None
    poll: float


def run_node(options: NodeOptions, *, as_json: bool) -> int:
    """Run one node until it is interrupted, or its rounds are over; return the exit code."""
    from ledgerfed.evaluation.federation import write_record
    from ledgerfed.ledger import LedgerGateway
    from ledgerfed.models import load_family
    from ledgerfed.network import HttpTransport, Peer
    from ledgerfed.node import NodeAgent, NodeService, Ports, read_federation_file
    from ledgerfed.node.joining import own_index, peers_on_chain
    from ledgerfed.store import open_store

    file = read_federation_file(options.federation)
    following = _following(options, file)
    family, bench = load_family(options.family), _bench(options, file)
    signer = open_signer(options.keystore, options.password_file)
    with ExitStack() as stack:
        stack.enter_context(_claimed(options.directory, file))
        store = stack.enter_context(open_store(options.directory))
        contract, chain_id = file.federation.contract, file.federation.chain_id
        stop = stack.enter_context(_until_told())
        looks = {"poll_interval": options.poll, "sleep": _sleeper(stop)}
        ledger = LedgerGateway.connect(options.rpc, contract, store.outbox, chain_id=chain_id, **looks)
        for later in following:
            store.blobs.put(later.config.to_bytes())
        urls = {peer.address: peer.url for f in (file, *following) for peer in f.members}
        peers = peers_on_chain(ledger, file, urls)
        index = own_index(peers, signer.address, options.index)
        write_record(options.directory, _record(file))
        ledger.reconcile(signer.address)
        host, port = _address(options.listen, peers[index])
        transport = stack.enter_context(
            HttpTransport(file.federation, index, signer, peers, os.urandom(32), host, port)
        )
        tell = _teller(as_json=as_json)
        ports = Ports(signer, ledger, transport, store.journal, store.blobs)
        agent = NodeAgent(file.config, index, ports, bench, family, file.deployed_in, on_progress=tell)
        meet = lambda members: transport.know([Peer(a, urls.get(a)) for a in members])  # noqa: E731
        service = NodeService(agent, transport, stop, options.poll, tell, meet)
        _tell_start(file, index, signer.address, transport, ledger.block_number(), as_json=as_json)
        service.run(options.rounds)
        if not stop.is_set():
            service.linger(LINGER_SECONDS)
            return 0
    return INTERRUPTED


def _following(options: NodeOptions, file: FederationFile) -> tuple[FederationFile, ...]:
    """Return the federation files of epochs to come: their rules and peers must be known when they begin."""
    from ledgerfed.node import read_federation_file

    files = tuple(read_federation_file(path) for path in options.following)
    for path, later in zip(options.following, files, strict=True):
        if later.federation != file.federation:
            raise ConfigurationError(f"{path} is for another federation than {options.federation}")
    return files


def _bench(options: NodeOptions, file: FederationFile) -> Workbench:
    """Return the node's rows: of its own table, or of a station of the shipped data."""
    from ledgerfed.exchange.distillation import read_schema
    from ledgerfed.node.walk import prepare
    from ledgerfed.series import split

    basis, probe = read_schema(file.config.basis)
    panel = _panel(options, basis)
    holdout, train, test = _lengths(options)
    try:
        return prepare(panel, split(panel, holdout, train, test), basis, probe)
    except NotFoundError as error:
        raise ConfigurationError(f"{panel.name} does not fit the federation's basis: {error}") from error


def _panel(options: NodeOptions, basis: Basis) -> Panel:
    from ledgerfed.datasets import load_transit, read_table

    if (options.panel is None) == (options.station is None):
        raise ConfigurationError("a node needs data: give --panel FILE, or --demo-station NAME to try it")
    if options.panel is not None:
        return read_table(options.panel, basis, options.known_ahead)
    panels = {panel.name: panel for panel in load_transit()}
    if options.station not in panels:
        raise NotFoundError(f"no station {options.station!r}; there are {', '.join(panels)}")
    return panels[str(options.station)]


def _lengths(options: NodeOptions) -> tuple[int, int, int]:
    """Return the rows of holdout, training and test; the stations keep the demonstration's test year."""
    text = options.windows or ("60,60,1" if options.panel else "60,60,365")
    try:
        holdout, train, test = (int(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidValueError(f"rows are three numbers, holdout,train,test, got {text!r}") from error
    return holdout, train, test


def _address(listen: str | None, own: Peer) -> tuple[str, int]:
    """Return host and port to listen on: as told, or those of the node's own URL."""
    text = listen
    if text is None:
        if own.url is None:
            raise ConfigurationError(
                "the federation file names no URL for this node; give --listen HOST:PORT"
            )
        parts = urlsplit(own.url)
        return parts.hostname or "", parts.port or (443 if parts.scheme == "https" else 80)
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal():
        raise InvalidValueError(f"--listen wants HOST:PORT, got {text!r}")
    return host.strip("[]"), int(port)


@contextmanager
def _claimed(directory: Path, file: FederationFile) -> Iterator[None]:
    """Hold the node's directory, which belongs to one federation, against other processes.

    Raises:
        ConfigurationError: another process runs the node, or the directory is another federation's.
    """
    from ledgerfed.evaluation.federation import read_record

    record = _record(file)
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(directory / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise ConfigurationError(f"{directory} cannot be used: {error.strerror}; choose another") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if (read_record(directory) or record) != record:
            raise ConfigurationError(f"{directory} belongs to another federation; choose another with --dir")
        yield
    except BlockingIOError as error:
        raise ConfigurationError(f"another process runs the node of {directory}; stop it first") from error
    finally:
        os.close(descriptor)


def _record(file: FederationFile) -> FederationRecord:
    """Return what a workspace remembers of its federation, so that it can be served and exported."""
    from ledgerfed.evaluation.federation import FederationRecord

    return FederationRecord(file.federation, file.deployed_in, file.config.hash())


@contextmanager
def _until_told() -> Iterator[threading.Event]:
    """Yield an event that SIGINT and SIGTERM set; a second one interrupts."""
    stop = threading.Event()

    def told(*_: object) -> None:
        if stop.is_set():
            raise KeyboardInterrupt
        stop.set()

    before = {number: signal.signal(number, told) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _sleeper(stop: threading.Event) -> Callable[[float], None]:
    """Return what waits for a transaction, and no longer than the node is to run: nothing is lost by that."""

    def sleep(seconds: float) -> None:
        if stop.wait(seconds):
            raise KeyboardInterrupt

    return sleep


def _teller(*, as_json: bool) -> Callable[[Progress], None]:
    """Return what shows the node's deeds: JSON lines on stdout, or lines on stderr."""
    if as_json:
        return lambda progress: _line(
            {
                "event": progress.step,
                "round": progress.round,
                "node": progress.index,
                "detail": progress.detail,
                "gas": progress.gas,
            }
        )
    from rich.console import Console

    console = Console(file=sys.stderr)

    def tell(progress: Progress) -> None:
        gas = f"  {progress.gas:,} gas" if progress.gas else ""
        style = {"certified": "green", "reverted": "yellow", "trouble": "red", "chain away": "red"}
        console.print(
            f"round {progress.round:>4}  {progress.step:<12} {progress.detail}{gas}",
            style=style.get(progress.step),
            highlight=False,
            markup=False,
            soft_wrap=True,
        )

    return tell


def _tell_start(
    file: FederationFile, index: int, address: bytes, transport: HttpTransport, head: int, *, as_json: bool
) -> None:
    contract = "0x" + file.federation.contract.hex()
    document = {
        "event": "started",
        "node": index,
        "address": "0x" + address.hex(),
        "contract": contract,
        "chain_id": file.federation.chain_id,
        "listening": transport.url,
        "block": head,
    }
    said = f"node {index} of {len(file.members)} in the federation {contract}, listening on {transport.url}"
    emit(document, as_json=as_json, lines=[said])


def _line(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document) + "\n")
    sys.stdout.flush()
