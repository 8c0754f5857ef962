"""Every error that ledgerfed raises on purpose, under one root.

A message is one line for a person: what happened, with which value, and what to do about it. A subclass
exists where a caller would act differently; the exit code is what the command line ends with.
"""

from __future__ import annotations

from typing import ClassVar


class LedgerFedError(Exception):
    """Root of all deliberate errors. `code` names the problem for machines (RFC 9457 type suffix)."""

    code: ClassVar[str] = "error"
    exit_code: ClassVar[int] = 1


class InvalidValueError(LedgerFedError, ValueError):
    """A value that its type does not allow: wrong length, out of range, not finite, not canonical."""

    code = "invalid-value"
    exit_code = 2


class ConfigurationError(LedgerFedError):
    """The configuration contradicts itself or the chain; nothing was started."""

    code = "configuration"
    exit_code = 2


class VerificationError(LedgerFedError):
    """A proof, a signature or a replay does not hold."""

    code = "verification-failed"
    exit_code = 3


class NotFoundError(LedgerFedError):
    """The thing asked for is not known here."""

    code = "not-found"
    exit_code = 4


class ConflictError(LedgerFedError):
    """Two statements that cannot both stand: equivocation, another transaction under the same key."""

    code = "conflict"
    exit_code = 5


class ChainUnreachableError(LedgerFedError):
    """No usable chain at the URL: no server, wrong chain id, or no contract at the address."""

    code = "chain-unreachable"
    exit_code = 6


class TransactionRevertedError(LedgerFedError):
    """The contract refused a transaction; the message carries its reason."""

    code = "transaction-reverted"
    exit_code = 5


class RoundAbortedError(LedgerFedError):
    """The round cannot be decided: too few verified updates, reveals or signatures."""

    code = "round-aborted"
    exit_code = 5


class StoreError(LedgerFedError):
    """The database or the payload store cannot be used as it is."""

    code = "store"
    exit_code = 2


class FitError(LedgerFedError):
    """A local model could not be fitted to the panel; the node sits the round out and says so."""

    code = "fit"
    exit_code = 1


class WaitTimeoutError(LedgerFedError):
    """Something awaited did not come in time."""

    code = "timeout"
    exit_code = 8
