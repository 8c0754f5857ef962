"""A federation's history as the audit wants it, read from its chain and from whoever holds the documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

from ledgerfed.audit import Certificate, ChainHead, FederationHistory
from ledgerfed.audit import events as audited
from ledgerfed.consensus.history import held_openings
from ledgerfed.errors import NotFoundError
from ledgerfed.ledger import LedgerGateway
from ledgerfed.ledger import events as emitted
from ledgerfed.ledger.inspection import observe_transaction
from ledgerfed.ledger.rpc import JsonRpc
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.hashing import keccak, to_hex
from ledgerfed.protocol.manifest import Manifest

Fetch = Callable[[bytes], bytes]
"""Returns bytes by their keccak-256; raises NotFoundError when nobody has them."""


def read_history(ledger: LedgerGateway, rpc: JsonRpc, deployed_in: int, fetch: Fetch) -> FederationHistory:
    """Return the history up to the present head: events from the chain, documents by hash.

    Raises:
        NotFoundError: a document that a certified round refers to is nowhere to be had.
    """
    head = ledger.header(ledger.block_number())
    events = ledger.read_events(deployed_in, head.number)
    certificates = tuple(
        Certificate(event.round, _certificate(rpc, event))
        for event in events
        if isinstance(event, emitted.Certified)
    )
    genesis = next(event for event in events if isinstance(event, emitted.Genesis))
    config = fetch(genesis.config_hash)
    return FederationHistory(
        federation=ledger.federation,
        config=config,
        code_hash=keccak(ledger.code()),
        events=tuple(_audited(event) for event in events),
        certificates=certificates,
        head=ChainHead(head.number, head.hash, ledger.transcript(head.number)),
        blobs=_documents(FederationConfig.from_bytes(config), events, genesis.model, fetch),
    )


def gas_by_round(
    ledger: LedgerGateway, rpc: JsonRpc, deployed_in: int
) -> tuple[int, dict[int, dict[str, int]]]:
    """Return the gas of the deployment, and per round the gas by kind of transaction, summed."""
    deployment, rounds = 0, dict[int, dict[str, int]]()
    for event in ledger.read_events(deployed_in, ledger.block_number()):
        if isinstance(event, emitted.MemberRegistered):
            continue
        observed = observe_transaction(rpc, event.at.tx_hash)
        if isinstance(event, emitted.Genesis):
            deployment = observed.gas_used
            continue
        gas = rounds.setdefault(event.round, {})
        kind = observed.kind.value if observed.kind else "through another contract"
        gas[kind] = gas.get(kind, 0) + observed.gas_used
    return deployment, rounds


def _certificate(rpc: JsonRpc, event: emitted.Certified) -> bytes:
    signatures = observe_transaction(rpc, event.at.tx_hash).signatures
    if not signatures:
        raise NotFoundError(
            f"round {event.round} was certified through another contract, in {to_hex(event.at.tx_hash)}; "
            "its signatures do not stand in the call, so no bundle can hold them"
        )
    return b"".join(signatures)


def _documents(
    config: FederationConfig,
    events: tuple[emitted.LedgerEvent, ...],
    genesis_model: bytes,
    fetch: Fetch,
) -> dict[bytes, bytes]:
    """Return what the certified rounds refer to by hash: manifests, evidences, models, available payloads."""
    blobs = {genesis_model: fetch(genesis_model)}
    for event in events:
        if isinstance(event, emitted.Certified):
            manifest = Manifest.from_bytes(fetch(event.manifest))
            evidence = RoundEvidence.from_bytes(fetch(manifest.evidence))
            wanted = [event.manifest, manifest.evidence, manifest.model]
            wanted += [opening.update_hash for opening in held_openings(config, evidence)]
            blobs |= {digest: fetch(digest) for digest in wanted}
    return blobs


def _audited(event: emitted.LedgerEvent) -> audited.LedgerEvent:
    kind: type[audited.LedgerEvent] = getattr(audited, event.name)
    values = {f.name: getattr(event, f.name) for f in fields(event) if f.name != "at"}
    at = event.at
    place = audited.Place(at.block_number, at.block_hash, at.tx_hash, at.log_index, at.timestamp)
    return kind(place, **values)
