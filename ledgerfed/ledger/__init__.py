"""Adapter to the chain: the contract, keys, transactions that leave exactly once, events.

web3, eth-abi and eth-account are imported when a connection is made or a transaction is signed, not here.
"""

from ledgerfed.ledger.artifact import Artifact, round_ledger
from ledgerfed.ledger.calls import TransactionKind
from ledgerfed.ledger.chain import BlockHeader
from ledgerfed.ledger.challenges import (
    BrokenReceipt,
    Challenge,
    DoubledIndex,
    TwoCertificates,
    TwoStatements,
    WrongMedian,
)
from ledgerfed.ledger.deployment import Deployment, deploy
from ledgerfed.ledger.gateway import LedgerGateway
from ledgerfed.ledger.keys import (
    DEMO_CHAIN_IDS,
    DemoSigner,
    LocalSigner,
    Signer,
    demo_key,
    read_keystore,
    write_keystore,
)
from ledgerfed.ledger.outbox import Outbox
from ledgerfed.ledger.outbox_store import OutboxEntry, OutboxRow, OutboxState, OutboxStore
from ledgerfed.ledger.transactions import MinedTransaction
from ledgerfed.ledger.views import NOBODY, LedgerState, Notice, RegisteredNode, Terms

__all__ = [
    "DEMO_CHAIN_IDS",
    "NOBODY",
    "Artifact",
    "BlockHeader",
    "BrokenReceipt",
    "Challenge",
    "DemoSigner",
    "Deployment",
    "DoubledIndex",
    "LedgerGateway",
    "LedgerState",
    "LocalSigner",
    "MinedTransaction",
    "Notice",
    "Outbox",
    "OutboxEntry",
    "OutboxRow",
    "OutboxState",
    "OutboxStore",
    "RegisteredNode",
    "Signer",
    "Terms",
    "TransactionKind",
    "TwoCertificates",
    "TwoStatements",
    "WrongMedian",
    "demo_key",
    "deploy",
    "read_keystore",
    "round_ledger",
    "write_keystore",
]
