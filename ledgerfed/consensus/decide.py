"""The decision on a round: a pure function in integers from evidence to outcome.

Rules:
- at least 2f + 1 score reveals, or the round aborts;
- V3 an update counts as available when f + 1 reveals hold it;
- V7 a survivor of V1-V6 is no outlier, and weighs what `standing` says;
- V8 the median of the scores that `scores` hears reaches `score_floor`, and is not regretted beyond
  `regret_limit`; `consensus.regret` also says what share of its weight an update keeps;
- fewer than `min_updates` admitted updates with a say abort the round, and so do too few for the rule to
  stand its number of hostile ones, and a round in which none keeps any weight: never silently a plain mean;
- the new model is the exact weighted pool of the admitted information; roots of its autoregression beyond
  `model_root_bound` are contracted inside (`consensus.stability`); an aborted round changes nothing;
- the federation drifts when at least two admitted updates with weight, more than f, and a share of
  `drift_share` say that they do: a false flag costs its author nothing, so f liars must not be enough,
  whoever is absent.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from ledgerfed.consensus import reputation as rule
from ledgerfed.consensus.gates import MEASURE_MAX, Candidate, RoundInput, pass_gates
from ledgerfed.consensus.regret import quality, regret, share, usual_score
from ledgerfed.consensus.scores import Hearing, heard, listen, scorers, validated
from ledgerfed.consensus.stability import stabilise
from ledgerfed.consensus.standing import Standing, information_of, standings, weights
from ledgerfed.errors import InvalidValueError, RoundAbortedError
from ledgerfed.protocol.manifest import Drift, Outcome, Reason, Scorer, Verdict
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.reputation import Reputation
from ledgerfed.protocol.score import NOT_HELD, lower_median


def decide(given: RoundInput) -> Outcome:
    """Return the outcome of a round from authenticated evidence.

    Raises:
        RoundAbortedError: too few reveals, too few verified updates with a say, or a sum of them that does
            not fit the grid of the model.
    """
    reveals = given.evidence.reveals
    needed = 2 * given.config.faults + 1
    if len(reveals) < needed:
        raise RoundAbortedError(f"{len(reveals)} score reveals, {needed} are needed; the round aborts")
    candidates, hearing = pass_gates(given, available(given)), listen(given)
    try:
        found = standings(given, [c for c in candidates if c.reason is None])
        judged = [_judge(given, c, found, hearing) for c in candidates]
        judged, regrets = _regrets(given, judged, found)
        verdicts = _weighed(given, candidates, judged, found, regrets)
        model, stabilised = _aggregate(given, candidates, verdicts)
    except InvalidValueError as error:
        raise RoundAbortedError(f"the updates have no common solution; the round aborts: {error}") from error
    conduct = scorers(given, hearing, verdicts)
    return Outcome(
        federation=given.evidence.federation,
        round=given.evidence.round,
        base_model=given.base.hash(),
        evidence=given.evidence.hash(),
        verdicts=verdicts,
        model=model,
        reputations=_new_reputations(given, verdicts, conduct, regrets),
        depth=given.config.depth,
        drift=_drift(given, candidates, verdicts),
        stabilised=stabilised,
        aggregation=given.config.aggregation,
        scorers=conduct,
    )


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


def _judge(
    given: RoundInput, candidate: Candidate, found: Mapping[int, Standing], hearing: Hearing
) -> Verdict:
    if candidate.reason is not None:
        return Verdict(candidate.index, candidate.reason, measures=candidate.measures)
    standing = found[candidate.index]
    verdict = _with_measures(
        Verdict(candidate.index, Reason.ADMITTED, measures=candidate.measures),
        {"distance": standing.distance, "distance_limit": standing.limit},
    )
    scores = heard(given, hearing, candidate.index)
    if scores:
        verdict = replace(verdict, score=lower_median(scores), heard=scores)
    if standing.distance > standing.limit:
        return replace(verdict, reason=Reason.OUTLIER)
    if verdict.score is None:
        return replace(verdict, reason=Reason.UNSCORED)
    if verdict.score < given.config.gates.score_floor:
        return replace(verdict, reason=Reason.LOW_SCORE)
    return verdict


def _regrets(
    given: RoundInput, judged: Sequence[Verdict], found: Mapping[int, Standing]
) -> tuple[list[Verdict], Mapping[int, int]]:
    """Return the verdicts after the regret of V8, and the regret of every update still admitted."""
    scores = {v.index: v.score for v in judged if v.admitted and v.score is not None}
    usual = usual_score(score for index, score in scores.items() if found[index].votes)
    regrets = {index: regret(score, usual) for index, score in scores.items()}
    limit = given.config.gates.regret_limit
    verdicts = [_with_measures(v, {"regret": regrets[v.index]}) if v.index in regrets else v for v in judged]
    return (
        [replace(v, reason=Reason.LOW_SCORE) if regrets.get(v.index, 0) > limit else v for v in verdicts],
        {index: r for index, r in regrets.items() if r <= limit},
    )


def _with_measures(verdict: Verdict, measures: Mapping[str, int]) -> Verdict:
    both = {**dict(verdict.measures), **measures}
    return replace(verdict, measures=tuple(sorted((k, min(v, MEASURE_MAX)) for k, v in both.items())))


def _weighed(
    given: RoundInput,
    candidates: Sequence[Candidate],
    judged: Sequence[Verdict],
    found: Mapping[int, Standing],
    regrets: Mapping[int, int],
) -> tuple[Verdict, ...]:
    """Return the verdicts with the weights of the admitted.

    Raises:
        RoundAbortedError: too few of them have a say.
    """
    admitted = [c for c, v in zip(candidates, judged, strict=True) if v.admitted]
    votes = sum(found[c.index].votes for c in admitted)
    if votes < given.config.min_updates:
        raise RoundAbortedError(
            f"{votes} verified updates with weight, {given.config.min_updates} are needed; the round aborts"
        )
    full, scale = weights(given, admitted, found), given.config.gates.regret_scale
    weighed = tuple(
        replace(v, weight=full[v.index] * share(regrets[v.index], scale) >> 16) if v.admitted else v
        for v in judged
    )
    if not any(v.weight for v in weighed):
        raise RoundAbortedError("no verified update keeps any weight; the round aborts")
    return weighed


def _aggregate(
    given: RoundInput, candidates: Sequence[Candidate], verdicts: Sequence[Verdict]
) -> tuple[GlobalModel, int | None]:
    """Return the new model, and what its roots were contracted by if they lay beyond the bound."""
    weighed = [
        (information_of(c), v.weight) for c, v in zip(candidates, verdicts, strict=True) if v.weight > 0
    ]
    space = given.space
    pooled = space.pool(weighed, given.prior, given.config.width)
    exact = space.solve(pooled, given.config.theta_scale)
    theta, stabilised = stabilise(exact, given.config.lags, given.config.gates.model_root_bound)
    precision = space.precision(pooled, given.config.precision_scale)
    model = GlobalModel(given.config.schema, len(weighed), theta, precision, given.base.kind)
    return model, stabilised


def _drift(given: RoundInput, candidates: Sequence[Candidate], verdicts: Sequence[Verdict]) -> Drift:
    flags = [
        c.update is not None and c.update.drift
        for c, v in zip(candidates, verdicts, strict=True)
        if v.weight > 0
    ]
    flagged, of = sum(flags), len(flags)
    enough = flagged << 16 >= given.config.gates.drift_share * of
    return Drift(flagged, of, enough and flagged > max(1, given.config.faults))


def _new_reputations(
    given: RoundInput,
    verdicts: Sequence[Verdict],
    conduct: Sequence[Scorer],
    regrets: Mapping[int, int],
) -> tuple[Reputation, ...]:
    scale = given.config.gates.regret_scale
    trained = [
        rule.train_step(
            given.reputations[v.index],
            v.reason,
            quality(regrets[v.index], scale) if v.admitted else 0,
            given.evidence.round,
        )
        for v in verdicts
    ]
    return tuple(validated(given, verdicts, conduct, index, r) for index, r in enumerate(trained))
