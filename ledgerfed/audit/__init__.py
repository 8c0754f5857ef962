"""The audit: a federation's history in one archive, and its verification by anybody, offline."""

from ledgerfed.audit.bundle import read_bundle, write_bundle
from ledgerfed.audit.history import Certificate, ChainHead, FederationHistory
from ledgerfed.audit.report import (
    AuditReport,
    DisputeSummary,
    EpochSummary,
    RoundSummary,
    Status,
    StepResult,
)
from ledgerfed.audit.trust import TrustInputs
from ledgerfed.audit.verify import verify_bundle

__all__ = [
    "AuditReport",
    "Certificate",
    "ChainHead",
    "DisputeSummary",
    "EpochSummary",
    "FederationHistory",
    "RoundSummary",
    "Status",
    "StepResult",
    "TrustInputs",
    "read_bundle",
    "verify_bundle",
    "write_bundle",
]
