"""What a dispute may prove, and what follows from it (docs/protocol.md, "Challenges").

Rules, for a dispute in block b:
- two statements or certificates (1-4) convict a registered node, for any round that has begun;
- a broken receipt (5) convicts the sealer, a doubled index (6) a node that forced a leaf, of the round that
  is SEALED, SCORED or inside its challenge window;
- a wrong median (7) convicts all who signed the certificate of the round inside its challenge window;
- nobody is removed twice, but with those who signed a wrong median;
- the certificate of that round, if it can still fall, falls: the round is SCORED again; SCORED gets a new
  certify window; a round left with fewer members than the quorum aborts in the same transaction.
"""

from __future__ import annotations

from dataclasses import replace

from ledgerfed.audit.epochs import Epoch
from ledgerfed.audit.events import Aborted, Certified, Disputed, LedgerEvent
from ledgerfed.audit.state import LedgerState, RoundTrace, require
from ledgerfed.protocol.change import VACANT
from ledgerfed.protocol.configuration import Windows
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Dispute, Fault

OF_THE_SEAL = (Fault.BROKEN_RECEIPT, Fault.DOUBLED_INDEX, Fault.WRONG_MEDIAN)


def convicted(event: Disputed, epoch: Epoch) -> frozenset[int]:
    """Return the registry indices of the culprits of a dispute in `epoch`."""
    step = Dispute(event.round, event.fault, event.culprits, event.proof)
    return step.indices(epoch.config.committee)


def dispute(windows: Windows, state: LedgerState, event: Disputed, after: bytes) -> LedgerState:
    """Return the state after a dispute; VerificationError when the contract cannot have accepted it."""
    block = event.at.block_number
    require(event, event.fault in tuple(Fault), f"{event.fault} is no fault")
    last = state.contestable(block)
    contested = last if last is not None and last.number == event.round else None
    fell = contested is not None
    require(event, event.contested == fell, "the certificate of the round " + _fallen(fell))
    require(event, event.round <= state.trace.number, "the round has not begun")
    disputed = contested or state.trace
    if event.fault in OF_THE_SEAL:
        sealed = disputed.sealed is not None and disputed.number == event.round
        require(event, sealed, "no seal of this round can be answered for any more")
    culprits = _culprits(state, disputed, event)
    told = _without(state, culprits)
    if contested is not None:
        told = _reopened(told, contested, event)
    elif state.trace.phase is Phase.OPEN:
        return replace(told, transcript=after, since=(*state.since, event))
    else:
        told = replace(told, trace=replace(state.trace, steps=(*state.trace.steps, event)))
    config = state.epoch.config
    doomed = event if len(config.committee) - len(told.removed) < config.quorum else None
    end = block + windows.certify if told.trace.phase is Phase.SCORED else state.end
    return replace(told, transcript=after, end=end, doomed=doomed)


def require_abort(event: LedgerEvent, doomed: Disputed) -> None:
    """Check that the event is the abort that a dispute makes when too few of the committee are left."""
    aborts = isinstance(event, Aborted) and event.phase == Phase.DISPUTED
    require(event, aborts, "too few of the committee are left, so the round must abort")
    same = event.at.tx_hash == doomed.at.tx_hash
    require(event, same, "the abort stands in another transaction than its dispute")


def _fallen(fell: bool) -> str:
    return "falls with it" if fell else "does not fall with it: there is none that still can"


def _culprits(state: LedgerState, disputed: RoundTrace, event: Disputed) -> frozenset[int]:
    epoch = state.epoch
    committee = epoch.config.committee
    culprits = convicted(event, epoch)
    if event.fault == Fault.WRONG_MEDIAN:
        require(event, event.contested, "no certificate of the round can be challenged")
        seats = event.culprits.bit_length() <= len(committee) and len(culprits) >= epoch.config.quorum
        require(event, seats, f"the seats {event.culprits:#b} cannot have signed a certificate")
        return culprits
    (culprit,) = culprits
    known = culprit < len(epoch.members) and epoch.members[culprit] != VACANT
    require(event, known, f"{culprit} is the index of no member")
    before = state.removed if culprit in committee else state.out
    require(event, culprit not in before, f"node {culprit} was removed before")
    if event.fault == Fault.BROKEN_RECEIPT:
        sealer = None if disputed.sealed is None else epoch.index_of(disputed.sealed.relayer)
        require(event, culprit == sealer, f"node {culprit} has not sealed the round")
    if event.fault == Fault.DOUBLED_INDEX:
        forced = any(leaf.index == culprit for leaf in disputed.forced)
        require(event, forced, f"node {culprit} has forced no leaf in the round")
    return culprits


def _without(state: LedgerState, culprits: frozenset[int]) -> LedgerState:
    """Return the state in which the culprits have lost their part."""
    seated = culprits & frozenset(state.epoch.config.committee)
    return replace(
        state,
        removed=state.removed | seated,
        out=state.out | (culprits - seated),
        faulted=state.faulted | culprits,
    )


def _reopened(state: LedgerState, fell: RoundTrace, event: Disputed) -> LedgerState:
    """Return the state in which the certificate of the round before has fallen; all stands in its history."""
    assert isinstance(fell.ended, Certified)
    steps = (*fell.steps, fell.ended, *state.since, event)
    trace = replace(fell, steps=steps, ended=None)
    return replace(state, trace=trace, last=None, since=(), faulted=state.faulted | fell.faulted)
