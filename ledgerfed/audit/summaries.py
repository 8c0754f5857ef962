"""What a verified history told, round by round, dispute by dispute, epoch by epoch, for the report."""

from __future__ import annotations

from itertools import pairwise

from ledgerfed.audit.epochs import Epoch
from ledgerfed.audit.events import Certified
from ledgerfed.audit.report import DisputeSummary, EpochSummary, RoundSummary
from ledgerfed.audit.rules import Replay
from ledgerfed.audit.state import DisputeTrace, RoundTrace
from ledgerfed.audit.steps import Case
from ledgerfed.protocol.change import VACANT
from ledgerfed.protocol.transition import Fault


def round_summaries(case: Case) -> tuple[RoundSummary, ...]:
    """Return what the rounds decided; an aborted one leaves the model of the round before in force."""
    found, model = [], case.genesis.model
    last = case.replay.state.contestable(case.history.head.number + 1)
    for trace in case.replay.rounds:
        certified = trace.ended if isinstance(trace.ended, Certified) else None
        model = certified.model if certified else model
        manifest = case.documents[trace.number].manifest if certified else None
        verdicts = manifest.verdicts if manifest else ()
        open_still = last is not None and last.number == trace.number
        found.append(
            RoundSummary(
                number=trace.number,
                epoch=trace.epoch.number,
                phase=trace.phase.name.lower(),
                admitted=tuple(v.index for v in verdicts if v.admitted),
                rejected=tuple((v.index, v.reason.value) for v in verdicts if not v.admitted),
                forced=tuple(event.index for event in trace.forced),
                fell=tuple(event.manifest for event in trace.fell),
                contestable_until=case.replay.state.end if open_still else None,
                model_hash=model,
                manifest_hash=certified.manifest if certified else None,
                transcript=trace.closed_at,
                drift=manifest.drift if manifest else None,
                stabilised=manifest.stabilised if manifest else None,
            )
        )
    return tuple(found)


def dispute_summaries(replay: Replay) -> tuple[DisputeSummary, ...]:
    """Return the disputes in the order of the chain."""
    return tuple(_dispute(trace) for trace in replay.disputes)


def epoch_summaries(replay: Replay) -> tuple[EpochSummary, ...]:
    """Return the epochs, each with what it changed of the one before."""
    first = _epoch(replay.epochs[0], replay.epochs[0], replay.rounds)
    return (first, *(_epoch(before, after, replay.rounds) for before, after in pairwise(replay.epochs)))


def _dispute(trace: DisputeTrace) -> DisputeSummary:
    event = trace.event
    return DisputeSummary(
        block=event.at.block_number,
        epoch=trace.epoch.number,
        round=event.round,
        fault=Fault(event.fault).name.lower().replace("_", " "),
        culprits=tuple(sorted(trace.culprits)),
        contested=event.contested,
        aborted=trace.aborted,
        proof=event.proof,
        transcript=event.transcript,
    )


def _epoch(before: Epoch, after: Epoch, rounds: tuple[RoundTrace, ...]) -> EpochSummary:
    pairs = list(zip(before.members, after.members, strict=False))
    changed = [index for index, (old, new) in enumerate(pairs) if old != new]
    return EpochSummary(
        number=after.number,
        block=after.block,
        rounds=tuple(trace.number for trace in rounds if trace.epoch.number == after.number),
        members=sum(member != VACANT for member in after.members),
        committee=after.config.committee,
        quorum=after.config.quorum,
        joined=tuple(range(len(before.members), len(after.members))),
        left=tuple(index for index in changed if after.members[index] == VACANT),
        rekeyed=tuple(index for index in changed if after.members[index] != VACANT),
        config_hash=after.config.hash(),
        change_hash=None if after.number == 0 else after.change,
    )
