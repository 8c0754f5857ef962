"""The decision on a round: a pure function in integers from evidence to outcome.

Rules:
- at least 2f + 1 score reveals, or the round aborts;
- V3 an update counts as available when f + 1 reveals hold it;
- V7 a survivor of V1-V6 is an outlier when its whitened distance from the robust centre exceeds
  `outlier_factor` times the lower median of the distances (a median below 1.0 counts as 1.0);
- V8 of at least 2f + 1 scores the lower median reaches `score_floor`; the node's own reveal counts towards
  the number but is not heard, so that f silent validators of 3f + 1 leave no member unscored;
- weight = cap on claimed information * cap on claimed samples * influence of reputation * damping with the
  distance from the centre * discount for each model that its base lies behind, Q16;
- fewer than `min_updates` updates with weight abort the round: never silently a plain mean;
- the new model is the exact weighted pool of the admitted information; roots of its autoregression beyond
  `model_root_bound` are contracted inside (`consensus.stability`); an aborted round changes nothing;
- the federation drifts when at least two admitted updates, more than f, and a share of `drift_share` say that
  they do: a false flag costs its author nothing, so f liars must not be enough, whoever is absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ledgerfed.aggregation.information import ratio_cap
from ledgerfed.aggregation.space import Contribution
from ledgerfed.aggregation.whitened import RobustCentre, robust_centre
from ledgerfed.consensus import reputation as rule
from ledgerfed.consensus.gates import MEASURE_MAX, Candidate, RoundInput, order_key, pass_gates
from ledgerfed.consensus.stability import stabilise
from ledgerfed.errors import InvalidValueError, RoundAbortedError
from ledgerfed.protocol.manifest import Drift, Outcome, Reason, Verdict
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.reputation import Reputation
from ledgerfed.protocol.score import GATED, NOT_HELD, ONE, lower_median


def decide(given: RoundInput) -> Outcome:
    """Return the outcome of a round from authenticated evidence.

    Raises:
        RoundAbortedError: too few reveals, too few verified updates with weight, or a sum of them that does
            not fit the grid of the model.
    """
    reveals = given.evidence.reveals
    needed = 2 * given.config.faults + 1
    if len(reveals) < needed:
        raise RoundAbortedError(f"{len(reveals)} score reveals, {needed} are needed; the round aborts")
    candidates = pass_gates(given, available(given))
    survivors = [c for c in candidates if c.reason is None]
    try:
        centre = _centre(given, survivors)
        verdicts = tuple(_judge(given, c, centre) for c in candidates)
        model, stabilised = _aggregate(given, candidates, verdicts)
    except InvalidValueError as error:
        raise RoundAbortedError(f"the updates have no common solution; the round aborts: {error}") from error
    return Outcome(
        federation=given.evidence.federation,
        round=given.evidence.round,
        base_model=given.base.hash(),
        evidence=given.evidence.hash(),
        verdicts=verdicts,
        model=model,
        reputations=_new_reputations(given, verdicts),
        depth=given.config.depth,
        drift=_drift(given, candidates, verdicts),
        stabilised=stabilised,
    )


@dataclass(frozen=True, slots=True)
class _Standing:
    """Where a survivor stands: cap on its information, distance from the centre, damping, limit; all Q16."""

    cap: int
    distance: int
    damping: int
    limit: int


def available(given: RoundInput) -> frozenset[int]:
    """Return the indices whose opening at least f + 1 reveals hold, so that an honest validator has it.

    Raises:
        InvalidValueError: the payload of one of them is not among the payloads; pull it by its hash first.
    """
    found = set()
    for opening in given.evidence.openings:
        holders = sum(reveal.scores[opening.index] != NOT_HELD for reveal in given.evidence.reveals)
        if holders <= given.config.faults:
            continue
        if opening.update_hash not in given.payloads:
            raise InvalidValueError(
                f"round {given.evidence.round}: {holders} validators hold the payload "
                f"0x{opening.update_hash.hex()}, which is missing here; pull it by its hash"
            )
        found.add(opening.index)
    return frozenset(found)


def _centre(given: RoundInput, survivors: Sequence[Candidate]) -> Mapping[int, _Standing]:
    if not survivors:
        return {}
    seed = given.evidence.opened_at
    ordered = sorted(survivors, key=lambda c: order_key(seed, c.index))
    information = [_information(c) for c in ordered]
    caps = _caps(given, ordered, information)
    centre: RobustCentre = robust_centre(
        information, caps, given.prior, given.config.theta_scale, given.space
    )
    median = max(ONE, lower_median(centre.distances))
    limit = median * given.config.gates.outlier_factor >> 16
    rows = zip(ordered, caps, centre.distances, centre.weights, strict=True)
    return {c.index: _Standing(cap, distance, damping, limit) for c, cap, distance, damping in rows}


def _caps(
    given: RoundInput, survivors: Sequence[Candidate], information: Sequence[Contribution]
) -> list[int]:
    """Return per survivor the Q16 factor that caps claimed information and claimed samples."""
    gates = given.config.gates
    traces = [item.trace for item in information]
    samples = [c.opening.n_samples for c in survivors if c.opening]
    trace, count = lower_median(traces), lower_median(samples)
    return [
        ratio_cap(t, gates.trace_cap, trace) * ratio_cap(n, gates.sample_cap, count) >> 16
        for t, n in zip(traces, samples, strict=True)
    ]


def _judge(given: RoundInput, candidate: Candidate, standings: Mapping[int, _Standing]) -> Verdict:
    if candidate.reason is not None:
        return Verdict(candidate.index, candidate.reason, measures=candidate.measures)
    standing = standings[candidate.index]
    measures = {**dict(candidate.measures), "distance": standing.distance, "distance_limit": standing.limit}
    verdict = Verdict(
        candidate.index,
        Reason.ADMITTED,
        measures=tuple(sorted((name, min(value, MEASURE_MAX)) for name, value in measures.items())),
    )
    heard = _heard(given, candidate.index)
    if heard:
        verdict = replace(verdict, score=lower_median(heard), heard=heard)
    if standing.distance > standing.limit:
        return replace(verdict, reason=Reason.OUTLIER)
    if verdict.score is None:
        return replace(verdict, reason=Reason.UNSCORED)
    if verdict.score < given.config.gates.score_floor:
        return replace(verdict, reason=Reason.LOW_SCORE)
    influence = rule.influence(given.reputations[candidate.index])
    weight = (standing.cap * standing.damping >> 16) * influence >> 16
    return replace(verdict, weight=_discounted(given, weight, candidate.staleness))


def _discounted(given: RoundInput, weight: int, staleness: int) -> int:
    for _ in range(staleness):
        weight = weight * given.config.gates.stale_discount >> 16
    return weight


def _heard(given: RoundInput, index: int) -> tuple[int, ...]:
    """Return the scores that others gave to `index`, by ascending index; none when they are too few.

    Its own reveal counts towards the 2f + 1 without being heard. So 2f scores can be enough: their lower
    median is at most the best honest score even if f lie, and f silent validators leave no member unscored.
    """
    scores, revealed = [], 0
    for reveal in given.evidence.reveals:
        score = reveal.scores[index]
        if reveal.index == index:
            revealed = 1
        elif score not in (NOT_HELD, GATED):
            scores.append(score)
    enough = len(scores) + revealed > 2 * given.config.faults
    return tuple(scores) if enough else ()


def _aggregate(
    given: RoundInput, candidates: Sequence[Candidate], verdicts: Sequence[Verdict]
) -> tuple[GlobalModel, int | None]:
    """Return the new model, and what its roots were contracted by if they lay beyond the bound."""
    admitted = [
        (_information(c), v.weight) for c, v in zip(candidates, verdicts, strict=True) if v.weight > 0
    ]
    if len(admitted) < given.config.min_updates:
        raise RoundAbortedError(
            f"{len(admitted)} verified updates with weight, {given.config.min_updates} are needed; "
            "the round aborts"
        )
    space = given.space
    pooled = space.pool(admitted, given.prior, given.config.width)
    exact = space.solve(pooled, given.config.theta_scale)
    theta, stabilised = stabilise(exact, given.config.lags, given.config.gates.model_root_bound)
    precision = space.precision(pooled, given.config.precision_scale)
    model = GlobalModel(given.config.schema, len(admitted), theta, precision, given.base.kind)
    return model, stabilised


def _drift(given: RoundInput, candidates: Sequence[Candidate], verdicts: Sequence[Verdict]) -> Drift:
    flags = [
        c.update is not None and c.update.drift
        for c, v in zip(candidates, verdicts, strict=True)
        if v.admitted
    ]
    flagged, of = sum(flags), len(flags)
    enough = flagged << 16 >= given.config.gates.drift_share * of
    return Drift(flagged, of, enough and flagged > max(1, given.config.faults))


def _new_reputations(given: RoundInput, verdicts: Sequence[Verdict]) -> tuple[Reputation, ...]:
    floor = given.config.gates.score_floor
    trained = [
        rule.train_step(
            given.reputations[v.index],
            v.reason,
            rule.quality(v.score, floor) if v.score is not None else 0,
            given.evidence.round,
        )
        for v in verdicts
    ]
    return tuple(_validated(given, verdicts, index, r) for index, r in enumerate(trained))


def _validated(
    given: RoundInput, verdicts: Sequence[Verdict], index: int, reputation: Reputation
) -> Reputation:
    if index in given.faulted:  # whoever has left the committee since answers for it too
        return rule.faulty_validator_step(reputation)
    if index not in given.config.committee:
        return reputation
    if all(item.index != index for item in given.evidence.commitments):
        return rule.absent_validator_step(reputation)
    reveal = next((r for r in given.evidence.reveals if r.index == index), None)
    if reveal is None:
        return rule.validate_step(reputation, None)
    medians = {v.index: v.score for v in verdicts if v.score is not None and v.index != index}
    heard = [i for i in medians if reveal.scores[i] not in (NOT_HELD, GATED)]
    if not heard:
        return rule.absent_validator_step(reputation)
    deviation = rule.deviation([reveal.scores[i] for i in heard], [medians[i] for i in heard])
    return rule.validate_step(reputation, deviation, len(heard), len(medians))


def _information(candidate: Candidate) -> Contribution:
    if candidate.information is None:
        raise InvalidValueError(f"update {candidate.index} was not decoded")
    return candidate.information
