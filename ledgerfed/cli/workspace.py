"""A workspace on disk, and the chain that belongs to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ledgerfed.errors import NotFoundError
from ledgerfed.evaluation.federation import FederationRecord, read_record
from ledgerfed.ledger import LedgerGateway

DEVNET = "devnet"


def record_of(directory: Path) -> FederationRecord:
    """Return where the workspace's federation was deployed.

    Raises:
        NotFoundError: the directory holds no federation.
    """
    record = read_record(directory) if directory.is_dir() else None
    if record is None:
        raise NotFoundError(f"{directory} holds no federation; run `ledgerfed demo --dir {directory}` first")
    return record


@contextmanager
def chain_of(directory: Path, rpc: str | None) -> Iterator[str]:
    """Yield the URL of the chain: `rpc`, or the workspace's own devnet, started for as long as needed."""
    if rpc is not None:
        yield rpc
        return
    from chain_devnet import DevnetServer

    with DevnetServer(directory / DEVNET) as server:
        yield server.url


def connect(url: str, record: FederationRecord) -> LedgerGateway:
    """Return a read-only gateway to the workspace's federation.

    Raises:
        ChainUnreachableError: no chain there, another chain, or nothing at the address.
    """
    return LedgerGateway.connect(url, record.federation.contract, chain_id=record.federation.chain_id)
