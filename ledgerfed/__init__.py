"""Federated forecasting with no trusted server: the public API, each name loaded when it is used."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ledgerfed.audit import AuditReport, TrustInputs, verify_bundle, write_bundle
    from ledgerfed.consensus import RoundInput, authenticate, decide
    from ledgerfed.datasets import load_transit
    from ledgerfed.errors import LedgerFedError
    from ledgerfed.exchange import Basis, ChannelTerm, Information
    from ledgerfed.ledger import LedgerGateway, LocalSigner, deploy
    from ledgerfed.models import Family, load_family
    from ledgerfed.node import NodeAgent, Ports, run_rounds
    from ledgerfed.protocol.configuration import FederationConfig, Gates, Windows
    from ledgerfed.series import Modality, Panel, split
    from ledgerfed.store import open_store

_HOME = {
    "AuditReport": "audit",
    "TrustInputs": "audit",
    "verify_bundle": "audit",
    "write_bundle": "audit",
    "RoundInput": "consensus",
    "authenticate": "consensus",
    "decide": "consensus",
    "load_transit": "datasets",
    "LedgerFedError": "errors",
    "Basis": "exchange",
    "ChannelTerm": "exchange",
    "Information": "exchange",
    "LedgerGateway": "ledger",
    "LocalSigner": "ledger",
    "deploy": "ledger",
    "Family": "models",
    "load_family": "models",
    "NodeAgent": "node",
    "Ports": "node",
    "run_rounds": "node",
    "FederationConfig": "protocol.configuration",
    "Gates": "protocol.configuration",
    "Windows": "protocol.configuration",
    "Modality": "series",
    "Panel": "series",
    "split": "series",
    "open_store": "store",
}
__all__ = [
    "AuditReport",
    "Basis",
    "ChannelTerm",
    "Family",
    "FederationConfig",
    "Gates",
    "Information",
    "LedgerFedError",
    "LedgerGateway",
    "LocalSigner",
    "Modality",
    "NodeAgent",
    "Panel",
    "Ports",
    "RoundInput",
    "TrustInputs",
    "Windows",
    "authenticate",
    "decide",
    "deploy",
    "load_family",
    "load_transit",
    "open_store",
    "run_rounds",
    "split",
    "verify_bundle",
    "write_bundle",
]


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'ledgerfed' has no attribute {name!r}")
    return getattr(import_module(f"ledgerfed.{_HOME[name]}"), name)


def __dir__() -> list[str]:
    return sorted(__all__)
