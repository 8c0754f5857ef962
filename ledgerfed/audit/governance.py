"""What the owner may do, and how an epoch opens (docs/protocol.md, "Epochs and the owner").

Rules, for an event in block b:
- the owner, if there is one, proposes what the next epoch changes, while none is due, and only what can be
  applied; it is due once the current round has ended;
- an epoch opens with what was announced, in OPEN, b > end, after the registrations that its change makes, in
  their transaction; then end = b, and everybody that was removed from the committee is back;
- its configuration fits the change, and changes nothing that the contract or the model holds fixed;
- ownership passes to whom the owner named, when that one accepts.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ledgerfed.audit.epochs import Epoch, enrolments, require_applicable
from ledgerfed.audit.events import (
    EpochOpened,
    EpochProposed,
    LedgerEvent,
    MemberLeft,
    MemberRegistered,
    OwnershipProposed,
    OwnershipTransferred,
)
from ledgerfed.audit.state import LedgerState, RoundTrace, require
from ledgerfed.errors import InvalidValueError, VerificationError
from ledgerfed.protocol.change import VACANT, Change
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.hashing import to_hex
from ledgerfed.protocol.transcript import Phase

MAX_EPOCH = (1 << 16) - 1


def note(state: LedgerState, event: LedgerEvent) -> LedgerState:
    """Return the state after an event that leaves the transcript as it is; VerificationError if none can."""
    if isinstance(event, EpochProposed):
        return _propose(state, event)
    if isinstance(event, OwnershipProposed):
        owns = any(event.owner) and event.owner == state.owner
        require(event, owns, f"the owner is {to_hex(state.owner)}")
        return replace(state, successor=event.successor)
    if isinstance(event, OwnershipTransferred):
        require(event, event.previous == state.owner, f"the owner was {to_hex(state.owner)}")
        named = any(event.owner) and event.owner == state.successor
        require(event, named, f"{to_hex(event.owner)} was not named as the next owner")
        return replace(state, owner=event.owner, successor=VACANT)
    if isinstance(event, MemberLeft | MemberRegistered):
        require(event, state.due, "no epoch is due")
        return replace(state, enrolled=(*state.enrolled, event))
    raise VerificationError(f"{type(event).__name__} in block {event.at.block_number} after the deployment")


def _propose(state: LedgerState, event: EpochProposed) -> LedgerState:
    number = state.epoch.number
    require(event, any(state.owner), "the federation has no owner")
    require(event, not state.due, "an epoch is due and must be opened first")
    require(event, event.epoch == number + 1 <= MAX_EPOCH, f"epoch {number} is in force")
    try:
        require_applicable(event.change, state.epoch.members, state.epoch.config.depth)
    except VerificationError as error:
        require(event, False, str(error))
    return replace(state, proposal=event.change)


def open_epoch(
    configs: Mapping[bytes, FederationConfig], state: LedgerState, event: EpochOpened, after: bytes
) -> LedgerState:
    """Return the state after an epoch opened; VerificationError when the contract cannot have opened it."""
    change, block = state.proposal, event.at.block_number
    found = state.trace.phase
    require(event, found is Phase.OPEN, f"the round is {found.name}, it needs OPEN")
    if change is None or not state.due:
        raise VerificationError(f"round {event.round}: EpochOpened in block {block}: no epoch is due")
    require(event, block > state.end, f"the last window ends with block {state.end}")
    require(event, event.epoch == state.epoch.number + 1, f"epoch {state.epoch.number} is in force")
    announced = (change.hash(), change.config_hash)
    told = (event.change_hash, event.config_hash)
    require(event, told == announced, "another change was announced")
    _require_enrolments(state, event, enrolments(change, state.epoch.members))
    config = _configuration(configs, state.epoch, change, event)
    members = change.apply(state.epoch.members)
    epoch = Epoch(event.epoch, config, members, block, event.change_hash)
    rekeyed = frozenset(change.indices)
    return replace(
        state,
        trace=RoundTrace(event.round, epoch, after),
        epoch=epoch,
        end=block,
        transcript=after,
        proposal=None,
        due=False,
        last=None,
        since=(),
        removed=frozenset(),
        out=state.out - rekeyed,
        enrolled=(),
    )


def _require_enrolments(
    state: LedgerState, event: EpochOpened, expected: tuple[tuple[str, int, bytes], ...]
) -> None:
    found = tuple((type(entry).__name__, entry.index, entry.member) for entry in state.enrolled)
    require(event, found == expected, f"{len(found)} registrations that are not those of the change")
    for entry in state.enrolled:
        require(event, entry.epoch == event.epoch, f"a registration is for epoch {entry.epoch}")
        same = entry.at.tx_hash == event.at.tx_hash
        require(event, same, f"node {entry.index} was registered in another transaction")


def _configuration(
    configs: Mapping[bytes, FederationConfig], before: Epoch, change: Change, event: EpochOpened
) -> FederationConfig:
    """Return the configuration of the epoch, which must fit the change and the contract."""
    config = configs.get(event.config_hash)
    if config is None:
        raise VerificationError(
            f"epoch {event.epoch}: the configuration {to_hex(event.config_hash)} is not known"
        )
    try:
        before.config.require_successor(config)
    except InvalidValueError as error:
        raise VerificationError(f"epoch {event.epoch}: {error}") from error
    committee = f"the configuration seats {config.committee}, the change {change.committee}"
    require(event, config.committee == change.committee, committee)
    least = f"the configuration demands {config.min_updates} updates, the change {change.min_updates}"
    require(event, config.min_updates == change.min_updates, least)
    return config
