"""What the devnet refuses on purpose; every message is one line for a person."""

from __future__ import annotations

from typing import ClassVar

from ledgerfed.errors import LedgerFedError, TransactionRevertedError


class TransactionRejectedError(LedgerFedError):
    """The chain will not take this transaction: nonce, funds, fee, gas, chain id or signature."""

    code = "transaction-rejected"
    exit_code: ClassVar[int] = 5


class LimitExceededError(LedgerFedError):
    """More was asked for than one answer, or this chain, can hold; the message says how to ask for less."""

    code = "limit-exceeded"


class InvalidBlockError(LedgerFedError):
    """A block from a peer breaks a rule of the chain; it and what follows it are not taken."""

    code = "invalid-block"


class ExecutionFailedError(TransactionRevertedError):
    """A call failed inside the EVM. `output` holds the revert data; it is empty for other failures.

    Args:
        message: one line for a person.
        output: the bytes that the contract returned with REVERT.
        reverted: False when the machine halted otherwise, such as out of gas.
    """

    def __init__(self, message: str, output: bytes, *, reverted: bool) -> None:
        super().__init__(message)
        self.output = output
        self.reverted = reverted
