"""`ledgerfed audit export` and `ledgerfed audit verify`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from ledgerfed.cli.output import emit
from ledgerfed.errors import VerificationError


def run_verify(bundle: Path, trust: Mapping[str, str | None], page: Path | None, *, as_json: bool) -> int:
    """Verify a bundle and print the report, as a page too; return 0 if every step holds, else 3."""
    from ledgerfed.audit import TrustInputs, verify_bundle
    from ledgerfed.audit.html import html_report
    from ledgerfed.protocol.hashing import from_hex

    known = {
        name: from_hex(name, text) for name, text in trust.items() if text is not None and name != "members"
    }
    members = trust["members"]
    addresses = None
    if members is not None:
        addresses = tuple(from_hex("a member", address.strip(), 20) for address in members.split(","))
    report = verify_bundle(bundle, TrustInputs(members=addresses, **known))
    if page is not None:
        page.write_text(html_report(report), "utf-8")
    emit(report.document(), as_json=as_json, lines=report.lines())
    return 0 if report.passed else VerificationError.exit_code


def run_export(directory: Path, output: Path | None, rpc: str | None, *, as_json: bool) -> int:
    """Read the federation of a workspace afresh from its chain and write its bundle; return the exit code."""
    from ledgerfed.audit import write_bundle
    from ledgerfed.cli.history import read_history
    from ledgerfed.cli.workspace import chain_of, connect, record_of
    from ledgerfed.ledger.rpc import JsonRpc
    from ledgerfed.store import open_store

    record = record_of(directory)
    with chain_of(directory, rpc) as url, open_store(directory) as store:
        ledger = connect(url, record)
        history = read_history(ledger, JsonRpc(url), record.deployed_in, store.blobs.get)
    path = output or directory / "bundles" / f"block-{history.head.number:08d}.zip"
    path.parent.mkdir(parents=True, exist_ok=True)
    digest = write_bundle(history, path)
    document = {
        "bundle": str(path),
        "sha256": digest.hex(),
        "rounds": len(history.certificates),
        "transcript": "0x" + history.head.transcript.hex(),
    }
    emit(document, as_json=as_json, lines=[f"{path}: {len(history.certificates)} certified rounds"])
    return 0
