"""Deploying a federation: the one transaction that its operator sends before it belongs to nobody."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import astuple, dataclass

from ledgerfed.errors import ConfigurationError, TransactionRevertedError, WaitTimeoutError
from ledgerfed.ledger.artifact import round_ledger
from ledgerfed.ledger.calls import TransactionKind, constructor_types, encode_arguments
from ledgerfed.ledger.chain import connected_chain_id
from ledgerfed.ledger.fees import present_fees
from ledgerfed.ledger.keys import Signer
from ledgerfed.ledger.outbox import POLL_INTERVAL, RECEIPT_TIMEOUT
from ledgerfed.ledger.rpc import JsonRpc, RpcError
from ledgerfed.ledger.transactions import (
    MinedTransaction,
    Receipt,
    estimate_gas,
    next_nonce,
    receipt_of,
    sign,
    transmit,
)
from ledgerfed.ledger.views import NOBODY
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.federation import Federation, require_address
from ledgerfed.protocol.hashing import keccak, require_hash

_WHAT = "the deployment of RoundLedger"


@dataclass(frozen=True, slots=True)
class Deployment:
    """A new federation and the transaction that made it."""

    federation: Federation
    transaction: MinedTransaction


def deploy(
    url: str,
    signer: Signer,
    config: FederationConfig,
    members: tuple[bytes, ...],
    model: bytes,
    reputations: bytes,
    *,
    owner: bytes | None = None,
    chain_id: int | None = None,
    receipt_timeout: float = RECEIPT_TIMEOUT,
    sleep: Callable[[float], None] = time.sleep,
    clock: Callable[[], float] = time.monotonic,
) -> Deployment:
    """Deploy a federation of `members` (20-byte addresses by registry index) and wait until it stands.

    It does not go through the outbox: there is no federation yet to key it by, and deploying twice makes two
    federations of which one stays unused.

    Args:
        url: JSON-RPC endpoint of the chain.
        signer: pays; it has no rights over the federation afterwards.
        config: its hash, committee, depth, windows, min_updates and leaves_on_chain go on chain.
        members: addresses by registry index.
        model: hash of the model that the first round starts from.
        reputations: root of the reputation tree at genesis.
        owner: who may propose later epochs; None for a federation that never changes.
        chain_id: refuse any other chain.
        receipt_timeout: seconds that the transaction may take to be mined.
        sleep: waits so many seconds.
        clock: monotonic seconds.

    Raises:
        ChainUnreachableError: nobody answers at the URL, or it is another chain.
        ConfigurationError: a demo key on another chain, the signer cannot pay, or the EVM is too old.
        TransactionRevertedError: the contract refuses the parameters, with its reason.
        WaitTimeoutError: it is not mined in time.
    """
    payload = creation_payload(config, members, model, reputations, owner)
    rpc = JsonRpc(url)
    chain = connected_chain_id(rpc, chain_id)
    try:
        gas = estimate_gas(rpc, _WHAT, signer.address, None, payload)
    except RpcError as error:
        raise ConfigurationError(
            f"{url} cannot run RoundLedger ({error.message}); its EVM needs the rules of Cancun or later"
        ) from error
    nonce = next_nonce(rpc, signer.address, "pending")
    raw = sign(signer, chain, nonce, gas, None, payload, present_fees(rpc, signer.address))
    transmit(rpc, _WHAT, signer.address, raw)
    deadline = clock() + receipt_timeout
    while (receipt := receipt_of(rpc, keccak(raw))) is None:
        if clock() >= deadline:
            raise WaitTimeoutError(
                f"{_WHAT} is not mined after {receipt_timeout:g} s (transaction 0x{keccak(raw).hex()})"
            )
        sleep(POLL_INTERVAL)
    return _deployment(chain, signer.address, keccak(raw), receipt)


def creation_payload(
    config: FederationConfig,
    members: tuple[bytes, ...],
    model: bytes,
    reputations: bytes,
    owner: bytes | None = None,
) -> bytes:
    """Return the data of the deploying transaction: creation code and constructor arguments."""
    for index, member in enumerate(members):
        require_address(f"member {index}", member)
    arguments = (
        config.hash(),
        require_hash("the model hash", model),
        require_hash("the reputation root", reputations),
        members,
        config.committee,
        config.depth,
        astuple(config.windows),
        config.min_updates,
        config.leaves_on_chain,
        NOBODY if owner is None else require_address("the owner", owner),
    )
    return round_ledger().creation_code + encode_arguments(_WHAT, constructor_types(), arguments)


def _deployment(chain_id: int, sender: bytes, tx_hash: bytes, receipt: Receipt) -> Deployment:
    if not receipt.succeeded or receipt.contract is None:
        raise TransactionRevertedError(
            f"{_WHAT} failed in block {receipt.block_number}; is the chain's EVM older than Cancun?"
        )
    transaction = MinedTransaction(
        kind=TransactionKind.DEPLOY,
        round=0,
        hash=tx_hash,
        block_number=receipt.block_number,
        block_hash=receipt.block_hash,
        gas_used=receipt.gas_used,
        sender=sender,
    )
    return Deployment(Federation(chain_id, receipt.contract), transaction)
