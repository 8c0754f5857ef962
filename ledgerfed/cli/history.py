"""A federation's history as the audit wants it, read from its chain and from whoever holds the documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields

from ledgerfed.audit import Certificate, ChainHead, FederationHistory
from ledgerfed.audit import events as audited
from ledgerfed.audit.documents import standing as standing_certificates
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
    told = tuple(_audited(event) for event in events)
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
        events=told,
        certificates=certificates,
        head=ChainHead(head.number, head.hash, ledger.transcript(head.number)),
        blobs=_documents(told, genesis, config, fetch),
    )


def gas_by_round(
    ledger: LedgerGateway, rpc: JsonRpc, deployed_in: int
) -> tuple[int, dict[int, dict[str, int]]]:
    """Return the gas of the deployment, and per round the gas by kind of transaction, summed."""
    deployment, rounds = 0, dict[int, dict[str, int]]()
    counted: set[bytes] = set()
    for event in ledger.read_events(deployed_in, ledger.block_number()):
        if isinstance(event, emitted.Genesis):
            deployment = observe_transaction(rpc, event.at.tx_hash).gas_used
            counted.add(event.at.tx_hash)
        if not isinstance(event, _OF_A_ROUND) or event.at.tx_hash in counted:
            continue
        counted.add(event.at.tx_hash)  # a dispute that aborts its round is one transaction
        observed = observe_transaction(rpc, event.at.tx_hash)
        gas = rounds.setdefault(event.round, {})
        kind = observed.kind.value if observed.kind else "through another contract"
        gas[kind] = gas.get(kind, 0) + observed.gas_used
    return deployment, rounds


_OF_A_ROUND = (
    emitted.Sealed,
    emitted.Forced,
    emitted.Scored,
    emitted.Certified,
    emitted.Aborted,
    emitted.Disputed,
    emitted.EpochOpened,
)


def _certificate(rpc: JsonRpc, event: emitted.Certified) -> bytes:
    signatures = observe_transaction(rpc, event.at.tx_hash).signatures
    if not signatures:
        raise NotFoundError(
            f"round {event.round} was certified through another contract, in {to_hex(event.at.tx_hash)}; "
            "its signatures do not stand in the call, so no bundle can hold them"
        )
    return b"".join(signatures)


def _documents(
    events: tuple[audited.LedgerEvent, ...], genesis: emitted.Genesis, config: bytes, fetch: Fetch
) -> dict[bytes, bytes]:
    """Return what the history refers to by hash: configurations of later epochs, and of the certificates that
    stand manifests, evidences, models and available payloads."""
    blobs = {genesis.model: fetch(genesis.model)}
    rules = FederationConfig.from_bytes(config)
    standing = frozenset(standing_certificates(events))
    for event in events:
        if isinstance(event, audited.EpochOpened):
            blobs[event.config_hash] = fetch(event.config_hash)
            rules = FederationConfig.from_bytes(blobs[event.config_hash])
        elif isinstance(event, audited.Certified) and event in standing:
            blobs |= _decided(event, rules, fetch)
    return blobs


def _decided(event: audited.Certified, rules: FederationConfig, fetch: Fetch) -> dict[bytes, bytes]:
    manifest = Manifest.from_bytes(fetch(event.manifest))
    evidence = RoundEvidence.from_bytes(fetch(manifest.evidence))
    wanted = [event.manifest, manifest.evidence, manifest.model]
    wanted += [opening.update_hash for opening in held_openings(rules, evidence)]
    return {digest: fetch(digest) for digest in wanted}


def _audited(event: emitted.LedgerEvent) -> audited.LedgerEvent:
    kind: type[audited.LedgerEvent] = getattr(audited, event.name)
    values = {f.name: getattr(event, f.name) for f in fields(event) if f.name != "at"}
    at = event.at
    place = audited.Place(at.block_number, at.block_hash, at.tx_hash, at.log_index, at.timestamp)
    return kind(place, **values)
