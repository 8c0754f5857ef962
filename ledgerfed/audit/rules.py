"""The contract's rules, said once more: which event may follow, in which block, with what transcript.

Rules (docs/protocol.md, "State machine on chain" and "Epochs"), for an event in block b, with `end` where the
last window ended and t the transcript:
- Sealed in OPEN unless an epoch is due, end < b <= end + commit window; Scored in SEALED, end < b <= end +
  score window; both by the seat t mod C, in the second half of the window by any; never by who was removed;
- Forced in SEALED, b <= end, by a registered node, once a round;
- Certified in SCORED, b <= end; the next round opens with end = b + challenge window;
- Aborted once the window of the phase is over; the next round opens with end = b;
- disputes: `audit.disputes`;
- epochs and the owner: `audit.governance`;
- blocks never run backwards, and the transcript after every transition is the one that it names.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ledgerfed.audit.disputes import convicted, dispute, require_abort
from ledgerfed.audit.epochs import Epoch
from ledgerfed.audit.events import (
    Aborted,
    Certified,
    Disputed,
    EpochOpened,
    Forced,
    Genesis,
    LedgerEvent,
    MemberLeft,
    MemberRegistered,
    RoundEvent,
    Scored,
    Sealed,
    transition_of,
)
from ledgerfed.audit.governance import note, open_epoch
from ledgerfed.audit.state import DisputeTrace, LedgerState, RoundTrace, require
from ledgerfed.errors import InvalidValueError, VerificationError
from ledgerfed.protocol.change import VACANT
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import EMPTY, to_hex
from ledgerfed.protocol.transcript import Phase


@dataclass(frozen=True, slots=True)
class Rules:
    """What holds for all epochs, and the configurations of the later ones by hash."""

    federation: Federation
    config: FederationConfig
    members: tuple[bytes, ...]
    configs: Mapping[bytes, FederationConfig]


@dataclass(frozen=True, slots=True)
class Replay:
    """What a ledger tells: rounds in order from 1, disputes and epochs in order, and where it stands.

    The last round stands in it as far as it got; a round that only opened does not.
    """

    rounds: tuple[RoundTrace, ...]
    disputes: tuple[DisputeTrace, ...]
    epochs: tuple[Epoch, ...]
    state: LedgerState


def opening_state(rules: Rules, genesis: Genesis, owner: bytes) -> LedgerState:
    """Return the state right after the deployment: round 1 of epoch 0, OPEN."""
    block, t = genesis.at.block_number, genesis.transcript
    epoch = Epoch(0, rules.config, rules.members, block)
    return LedgerState(RoundTrace(1, epoch, t), epoch, block, block, t, owner, VACANT)


def replay_rounds(rules: Rules, start: LedgerState, events: Sequence[LedgerEvent]) -> Replay:
    """Return what `events` tell.

    Raises:
        VerificationError: an event that the contract cannot have emitted; the message names round and value.
    """
    state = start
    rounds: list[RoundTrace] = []
    disputes: list[DisputeTrace] = []
    epochs = [start.epoch]
    for event in events:
        before, state = state, advance(rules, state, event)
        if isinstance(event, Disputed):
            culprits, aborts = convicted(event, before.epoch), state.doomed is not None
            disputes.append(DisputeTrace(event, before.epoch, culprits, aborts))
            if event.contested:
                rounds.pop()
        elif isinstance(event, Certified | Aborted):
            rounds.append(_ended(before, event))
        elif isinstance(event, EpochOpened):
            epochs.append(state.epoch)
    if state.enrolled or state.doomed:
        raise VerificationError("the history ends within a transaction: its last event demands another")
    if state.trace.sealed is not None:
        rounds.append(state.trace)
    return Replay(tuple(rounds), tuple(disputes), tuple(epochs), state)


def advance(rules: Rules, state: LedgerState, event: LedgerEvent) -> LedgerState:
    """Return the state after `event`.

    Raises:
        VerificationError: the contract cannot have emitted it here.
    """
    block = event.at.block_number
    require(event, block >= state.block, f"block {state.block} came before it")
    if state.doomed is not None:
        require_abort(event, state.doomed)
    entry = isinstance(event, MemberLeft | MemberRegistered | EpochOpened)
    require(event, entry or not state.enrolled, "registrations stand before it without their epoch")
    if not isinstance(event, RoundEvent):
        return replace(note(state, event), block=block)
    try:
        after = transition_of(event).after(state.transcript)
    except InvalidValueError as error:
        raise VerificationError(f"round {event.round}: {type(event).__name__}: {error}") from error
    if not isinstance(event, Disputed):
        require(event, event.round == state.trace.number, f"round {state.trace.number} is current")
    told = _after(rules, state, event, after)
    found = f"the transcript is {to_hex(after)}, the event names {to_hex(event.transcript)}"
    require(event, after == event.transcript, found)
    return replace(told, block=block)


def _after(rules: Rules, state: LedgerState, event: RoundEvent, after: bytes) -> LedgerState:
    match event:
        case Sealed():
            return _seal(rules, state, event, after)
        case Forced():
            return _force(state, event, after)
        case Scored():
            return _score(rules, state, event, after)
        case Certified():
            return _certify(rules, state, event, after)
        case Aborted():
            return _abort(rules, state, event, after)
        case Disputed():
            return dispute(rules.config.windows, state, event, after)
        case EpochOpened():
            return open_epoch(rules.configs, state, event, after)


def _ended(state: LedgerState, event: Certified | Aborted) -> RoundTrace:
    return replace(state.trace, ended=event, faulted=state.faulted)


def _seal(rules: Rules, state: LedgerState, event: Sealed, after: bytes) -> LedgerState:
    windows, config = rules.config.windows, state.epoch.config
    _require_phase(state, event, Phase.OPEN)
    require(event, not state.due, "an epoch is due and must be opened first")
    _require_turn(state, event, windows.commit)
    require(event, event.root != EMPTY, "the root is EMPTY")
    allowed = f"from {config.min_updates} to {config.capacity} are allowed"
    holds = config.min_updates <= event.n <= config.capacity
    require(event, holds, f"{event.n} leaves, {allowed}")
    trace = RoundTrace(event.round, state.epoch, state.transcript, event, removed=state.removed)
    end = event.at.block_number + windows.force
    return replace(state, trace=trace, end=end, transcript=after, last=None, since=())


def _force(state: LedgerState, event: Forced, after: bytes) -> LedgerState:
    members = state.epoch.members
    _require_phase(state, event, Phase.SEALED)
    require(event, event.at.block_number <= state.end, f"the force window ended with block {state.end}")
    known = event.index < len(members) and members[event.index] != VACANT
    require(event, known, f"{event.index} is the index of no member")
    require(event, event.leaf != EMPTY, "the leaf is EMPTY")
    again = any(forced.index == event.index for forced in state.trace.forced)
    require(event, not again, f"node {event.index} forced before")
    return replace(state, trace=_with_step(state, event), transcript=after)


def _score(rules: Rules, state: LedgerState, event: Scored, after: bytes) -> LedgerState:
    windows = rules.config.windows
    _require_phase(state, event, Phase.SEALED)
    _require_turn(state, event, windows.score)
    require(event, event.root != EMPTY, "the root is EMPTY")
    end = event.at.block_number + windows.certify
    return replace(state, trace=_with_step(state, event), transcript=after, end=end)


def _certify(rules: Rules, state: LedgerState, event: Certified, after: bytes) -> LedgerState:
    _require_phase(state, event, Phase.SCORED)
    require(event, event.at.block_number <= state.end, f"the certify window ended with block {state.end}")
    end = event.at.block_number + rules.config.windows.challenge
    trace = _ended(state, event)
    return replace(state, transcript=after, faulted=frozenset()).ended(trace, end)


def _abort(rules: Rules, state: LedgerState, event: Aborted, after: bytes) -> LedgerState:
    windows, phase, block = rules.config.windows, state.trace.phase, event.at.block_number
    if state.doomed is None:
        deadline = state.end + {Phase.OPEN: windows.commit, Phase.SEALED: windows.score}.get(phase, 0)
        require(event, event.phase == phase, f"it says phase {event.phase}, the round is {phase.name}")
        require(event, block > deadline, f"the deadline is block {deadline}")
    trace = _ended(state, event)
    return replace(state, transcript=after, doomed=None).ended(trace, block)


def _with_step(state: LedgerState, event: Forced | Scored) -> RoundTrace:
    return replace(state.trace, steps=(*state.trace.steps, event))


def _require_phase(state: LedgerState, event: LedgerEvent, phase: Phase) -> None:
    found = state.trace.phase
    require(event, found is phase, f"the round is {found.name}, it needs {phase.name}")


def _require_turn(state: LedgerState, event: Sealed | Scored, window: int) -> None:
    block, end, epoch = event.at.block_number, state.end, state.epoch
    require(event, end < block <= end + window, f"the window is from block {end + 1} to {end + window}")
    relayer, index = to_hex(event.relayer), epoch.index_of(event.relayer)
    require(event, index is not None, f"the relayer {relayer} is not on the committee")
    require(event, index not in state.removed, f"the relayer {relayer} was removed")
    turn = epoch.committee[int.from_bytes(state.transcript, "big") % len(epoch.committee)]
    late = block > end + window // 2
    require(event, late or event.relayer == turn, f"sent by {relayer} in the turn of {to_hex(turn)}")
