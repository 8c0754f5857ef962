"""The contract's rules, said once more: which event may follow, in which block, with what transcript.

Rules (docs/protocol.md, "State machine on chain"), for an event of the current round in block b, with `end`
where the last window ended and t the transcript:
- Sealed in OPEN, end < b <= end + commit window; Scored in SEALED, end < b <= end + score window; both by
  committee[t mod C], in the second half of the window by any committee member;
- Forced in SEALED, b <= end, by a registered node, once a round;
- Certified in SCORED, b <= end; the next round opens with end = b + challenge window;
- Aborted once the window of the phase is over; the next round opens with end = b;
- blocks never run backwards, and the transcript after every event is the one that it names.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ledgerfed.audit.events import Aborted, Certified, Forced, RoundEvent, Scored, Sealed
from ledgerfed.errors import VerificationError
from ledgerfed.protocol import transcript
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import EMPTY, to_hex
from ledgerfed.protocol.transcript import Phase


@dataclass(frozen=True, slots=True)
class Rules:
    """What does not change during an epoch."""

    federation: Federation
    config: FederationConfig
    members: tuple[bytes, ...]


@dataclass(frozen=True, slots=True)
class RoundTrace:
    """What the ledger says about one round. `ended` is None while the round is under way."""

    number: int
    opened_at: bytes
    sealed: Sealed | None = None
    forced: tuple[Forced, ...] = ()
    scored: Scored | None = None
    ended: Certified | Aborted | None = None

    @property
    def closed_at(self) -> bytes:
        """The transcript after the last event of the round."""
        last = self.ended or self.scored or (self.forced[-1] if self.forced else self.sealed)
        return self.opened_at if last is None else last.transcript

    @property
    def phase(self) -> Phase:
        """Where the round stands, or how it ended."""
        if self.ended is not None:
            return Phase.CERTIFIED if isinstance(self.ended, Certified) else Phase.ABORTED
        if self.scored is not None:
            return Phase.SCORED
        return Phase.OPEN if self.sealed is None else Phase.SEALED


@dataclass(frozen=True, slots=True)
class LedgerState:
    """The contract between two events: the current round, the block where the last window ended, t."""

    trace: RoundTrace
    end: int
    block: int
    transcript: bytes


def opening_state(genesis_block: int, genesis_transcript: bytes) -> LedgerState:
    """Return the state right after the deployment: round 1, OPEN."""
    return LedgerState(RoundTrace(1, genesis_transcript), genesis_block, genesis_block, genesis_transcript)


def replay_rounds(
    rules: Rules, start: LedgerState, events: Sequence[RoundEvent]
) -> tuple[tuple[RoundTrace, ...], bytes]:
    """Return the rounds that `events` tell, in order from 1, and the transcript after the last event.

    The last round stands in it as far as it got; a round that only opened does not.

    Raises:
        VerificationError: an event that the contract cannot have emitted; the message names round and value.
    """
    state, traces = start, []
    for event in events:
        state, ended = advance(rules, state, event)
        if ended is not None:
            traces.append(ended)
    if state.trace.sealed is not None:
        traces.append(state.trace)
    return tuple(traces), state.transcript


def advance(rules: Rules, state: LedgerState, event: RoundEvent) -> tuple[LedgerState, RoundTrace | None]:
    """Return the state after `event`, and the trace of the round when the event ended it.

    Raises:
        VerificationError: the contract cannot have emitted it here.
    """
    _require(event, event.round == state.trace.number, f"round {state.trace.number} is current")
    _require(event, event.at.block_number >= state.block, f"block {state.block} came before it")
    if isinstance(event, Sealed):
        after, t, end = _seal(rules, state, event)
    elif isinstance(event, Forced):
        after, t, end = _force(rules, state, event)
    elif isinstance(event, Scored):
        after, t, end = _score(rules, state, event)
    else:
        after, t, end = (
            _certify(rules, state, event) if isinstance(event, Certified) else _abort(rules, state, event)
        )
    _require(
        event,
        t == event.transcript,
        f"the transcript is {to_hex(t)}, the event names {to_hex(event.transcript)}",
    )
    block = event.at.block_number
    if after.ended is None:
        return LedgerState(after, end, block, t), None
    return LedgerState(RoundTrace(after.number + 1, t), end, block, t), after


_Step = tuple[RoundTrace, bytes, int]


def _seal(rules: Rules, state: LedgerState, event: Sealed) -> _Step:
    config = rules.config
    _require_phase(state, event, Phase.OPEN)
    _require_turn(rules, state, event, config.windows.commit)
    _require(event, event.root != EMPTY, "the root is EMPTY")
    _require(
        event,
        config.min_updates <= event.n <= config.capacity,
        f"{event.n} leaves, from {config.min_updates} to {config.capacity} are allowed",
    )
    t = transcript.after_seal(state.transcript, event.round, event.root, event.n)
    return replace(state.trace, sealed=event), t, event.at.block_number + config.windows.force


def _force(rules: Rules, state: LedgerState, event: Forced) -> _Step:
    _require_phase(state, event, Phase.SEALED)
    _require(event, event.at.block_number <= state.end, f"the force window ended with block {state.end}")
    _require(event, event.index < len(rules.members), f"{event.index} is the index of no member")
    _require(event, event.leaf != EMPTY, "the leaf is EMPTY")
    before = state.trace.forced
    _require(event, all(f.index != event.index for f in before), f"node {event.index} forced before")
    t = transcript.after_force(state.transcript, event.round, event.index, event.leaf)
    return replace(state.trace, forced=(*before, event)), t, state.end


def _score(rules: Rules, state: LedgerState, event: Scored) -> _Step:
    windows = rules.config.windows
    _require_phase(state, event, Phase.SEALED)
    _require_turn(rules, state, event, windows.score)
    _require(event, event.root != EMPTY, "the root is EMPTY")
    t = transcript.after_scores(state.transcript, event.round, event.root)
    return replace(state.trace, scored=event), t, event.at.block_number + windows.certify


def _certify(rules: Rules, state: LedgerState, event: Certified) -> _Step:
    _require_phase(state, event, Phase.SCORED)
    _require(event, event.at.block_number <= state.end, f"the certify window ended with block {state.end}")
    t = transcript.after_certify(
        state.transcript, event.round, event.manifest, event.model, event.reputations
    )
    return replace(state.trace, ended=event), t, event.at.block_number + rules.config.windows.challenge


def _abort(rules: Rules, state: LedgerState, event: Aborted) -> _Step:
    windows, phase = rules.config.windows, state.trace.phase
    deadline = state.end + {Phase.OPEN: windows.commit, Phase.SEALED: windows.score}.get(phase, 0)
    _require(event, event.phase == phase, f"it says phase {event.phase}, the round is {phase.name}")
    _require(event, event.at.block_number > deadline, f"the deadline is block {deadline}")
    t = transcript.after_abort(state.transcript, event.round, phase)
    return replace(state.trace, ended=event), t, event.at.block_number


def _require_phase(state: LedgerState, event: RoundEvent, phase: Phase) -> None:
    found = state.trace.phase
    _require(event, found is phase, f"the round is {found.name}, it needs {phase.name}")


def _require_turn(rules: Rules, state: LedgerState, event: Sealed | Scored, window: int) -> None:
    block, end = event.at.block_number, state.end
    _require(event, end < block <= end + window, f"the window is from block {end + 1} to {end + window}")
    committee = rules.members[: rules.config.committee]
    turn = committee[int.from_bytes(state.transcript, "big") % len(committee)]
    relayer = to_hex(event.relayer)
    _require(event, event.relayer in committee, f"the relayer {relayer} is not on the committee")
    late = block > end + window // 2
    _require(event, late or event.relayer == turn, f"sent by {relayer} in the turn of {to_hex(turn)}")


def _require(event: RoundEvent, holds: bool, otherwise: str) -> None:
    if not holds:
        what = f"{type(event).__name__} in block {event.at.block_number}"
        raise VerificationError(f"round {event.round}: {what}: {otherwise}")
