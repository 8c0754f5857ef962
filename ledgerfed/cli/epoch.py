"""`ledgerfed epoch` and `ledgerfed owner`: what a federation's owner proposes, and who opens it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledgerfed.cli.output import emit
from ledgerfed.cli.signing import open_signer
from ledgerfed.errors import ConfigurationError, ConflictError, InvalidValueError, NotFoundError

if TYPE_CHECKING:
    from ledgerfed.ledger import LedgerGateway, LocalSigner
    from ledgerfed.ledger.transactions import MinedTransaction
    from ledgerfed.node.federation_file import FederationFile
    from ledgerfed.protocol.change import Change


@dataclass(frozen=True, slots=True)
class OwnerOptions:
    """Where the federation is, and who speaks."""

    rpc: str
    federation: Path
    directory: Path
    keystore: Path | None
    password_file: Path | None


def run_show(rpc: str, path: Path, *, as_json: bool) -> int:
    """Print the epoch that a federation is in, who takes part, and what is announced."""
    from ledgerfed.ledger import LedgerGateway
    from ledgerfed.ledger.views import Notice

    federation = _read(path).federation
    ledger = LedgerGateway.connect(rpc, federation.contract, chain_id=federation.chain_id)
    state, proposal = ledger.state(), ledger.proposal()
    members = ["0x" + address.hex() if any(address) else None for address in ledger.members()]
    document = {
        "epoch": state.epoch,
        "round": state.round,
        "config_hash": "0x" + ledger.config_hash().hex(),
        "committee": list(ledger.committee()),
        "min_updates": state.min_updates,
        "members": members,
        "removed_seats": state.removed,
        "notice": Notice(state.notice).name.lower(),
        "announced": None if proposal is None else "0x" + proposal.hex(),
        "owner": _shown(ledger.owner()),
        "successor": _shown(ledger.successor()),
    }
    lines = [
        f"epoch {state.epoch}, round {state.round}, configuration {document['config_hash']}",
        f"committee {', '.join(map(str, ledger.committee()))}; at least {state.min_updates} updates",
        *(f"  member {index}: {address or 'has left'}" for index, address in enumerate(members)),
        f"next epoch: {document['notice']}" + (f", change {document['announced']}" if proposal else ""),
        f"owner: {document['owner'] or 'nobody'}; named as the next one: {document['successor'] or 'nobody'}",
    ]
    emit(document, as_json=as_json, lines=lines)
    return 0


def run_propose(options: OwnerOptions, following: Path, *, as_json: bool) -> int:
    """Announce what sets the federation file `following` apart from the chain; return the exit code."""
    after = _read(following)
    with _owned(options) as (file, ledger, signer):
        try:
            if after.federation != file.federation:
                raise InvalidValueError("it is for another federation")
            file.config.require_successor(after.config)
        except InvalidValueError as error:
            raise ConfigurationError(f"{following} cannot be the next epoch: {error}") from error
        change, epoch = _change(ledger.members(), after), ledger.state().epoch + 1
        mined = ledger.propose(signer, epoch, change)
    document = {
        "epoch": epoch,
        "change_hash": "0x" + change.hash().hex(),
        "config_hash": "0x" + change.config_hash.hex(),
        "indices": list(change.indices),
        **_mined(mined),
    }
    lines = [
        f"announced epoch {epoch} in block {mined.block_number}: {len(change.indices)} changes of the "
        f"registry, committee {', '.join(map(str, change.committee))}",
        f"give {following} to every member: ledgerfed node --next {following}",
    ]
    emit(document, as_json=as_json, lines=lines)
    return 0


def run_open(options: OwnerOptions, following: Path, *, as_json: bool) -> int:
    """Open the epoch that is due with the change that `following` makes; return the exit code."""
    after = _read(following)
    with _owned(options) as (_, ledger, signer):
        change, epoch = _change(ledger.members(), after), ledger.state().epoch + 1
        if ledger.proposal() != change.hash():
            raise ConflictError(
                f"{following} is not what the owner announced; look with `ledgerfed epoch show`"
            )
        mined = ledger.open_epoch(signer, epoch, change)
    said = f"epoch {epoch} begins with block {mined.block_number}"
    emit({"epoch": epoch, **_mined(mined)}, as_json=as_json, lines=[said])
    return 0


def run_owner(options: OwnerOptions, successor: str | None, *, as_json: bool) -> int:
    """Name `successor` as the next owner, or take over if it is None; return the exit code."""
    from ledgerfed.protocol.hashing import from_hex

    named = None if successor is None else from_hex("the successor", successor.lower(), 20)
    with _owned(options) as (_, ledger, signer):
        mined = ledger.accept_ownership(signer) if named is None else ledger.propose_owner(signer, named)
        document = {"owner": _shown(ledger.owner()), "successor": _shown(ledger.successor()), **_mined(mined)}
    said = f"owner {document['owner']}; named as the next one: {document['successor'] or 'nobody'}"
    emit(document, as_json=as_json, lines=[said])
    return 0


def _change(members: tuple[bytes, ...], after: FederationFile) -> Change:
    """Return what leads from the members on chain to those of a federation file."""
    from ledgerfed.protocol.change import Change

    wanted = [peer.address for peer in after.members]
    if len(wanted) < len(members):
        raise InvalidValueError(
            f"the file lists {len(wanted)} members, the contract {len(members)}; a member that leaves keeps "
            "its place with the zero address"
        )
    present = [*members, *(None for _ in wanted[len(members) :])]
    changed = {i: new for i, (old, new) in enumerate(zip(present, wanted, strict=True)) if old != new}
    config = after.config
    return Change(
        config.hash(), config.min_updates, config.committee, tuple(changed), tuple(changed.values())
    )


def _read(path: Path) -> FederationFile:
    from ledgerfed.node.federation_file import read_federation_file

    return read_federation_file(path)


@contextmanager
def _owned(options: OwnerOptions) -> Iterator[tuple[FederationFile, LedgerGateway, LocalSigner]]:
    """Yield the federation file, the contract with an outbox on disk, and who signs.

    Raises:
        NotFoundError: the federation has no owner, so nothing about it ever changes.
    """
    from ledgerfed.ledger import LedgerGateway
    from ledgerfed.store import open_store

    file, signer = _read(options.federation), open_signer(options.keystore, options.password_file)
    contract, chain_id = file.federation.contract, file.federation.chain_id
    with open_store(options.directory) as store:
        ledger = LedgerGateway.connect(options.rpc, contract, store.outbox, chain_id=chain_id)
        if not any(ledger.owner()):
            raise NotFoundError("this federation has no owner, so it never changes; deploy with --owner")
        ledger.reconcile(signer.address)
        yield file, ledger, signer


def _mined(mined: MinedTransaction) -> dict[str, Any]:
    return {"transaction": "0x" + mined.hash.hex(), "block": mined.block_number, "gas": mined.gas_used}


def _shown(address: bytes) -> str | None:
    return "0x" + address.hex() if any(address) else None
