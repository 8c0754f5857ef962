"""Whose scores of an update are heard, and what a round finds about the validators that gave them.

Rules:
- a validator's score of its own update is not heard;
- of at least 2f + 1 scores of an update the lower median counts; the node's own reveal counts towards the
  number, so that f silent validators of 3f + 1 leave no member unscored.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ledgerfed.consensus import reputation as rule
from ledgerfed.consensus.gates import RoundInput
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.manifest import Conduct, Scorer, Verdict
from ledgerfed.protocol.reputation import Reputation
from ledgerfed.protocol.score import GATED, NOT_HELD, ScoreVector


def heard(given: RoundInput, index: int) -> tuple[int, ...]:
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


def scorers(given: RoundInput, verdicts: Sequence[Verdict]) -> tuple[Scorer, ...]:
    """Return one line per committee member, by ascending index."""
    medians = {v.index: v.score for v in verdicts if v.score is not None}
    return tuple(_scorer(given, index, medians) for index in given.config.committee)


def validated(
    given: RoundInput, verdicts: Sequence[Verdict], found: Sequence[Scorer], index: int, before: Reputation
) -> Reputation:
    """Return the reputation of node `index` after what it did as a validator."""
    if index in given.faulted:  # whoever has left the committee since answers for it too
        return rule.faulty_validator_step(before)
    scorer = next((s for s in found if s.index == index), None)
    if scorer is None:
        return before
    if scorer.conduct is Conduct.UNREVEALED:
        return rule.validate_step(before, None)
    if scorer.deviation is None:
        return rule.absent_validator_step(before)
    due = [v.index for v in verdicts if v.score is not None and v.index != index]
    reveal = _reveal(given.evidence, index)
    scored = sum(reveal.scores[i] not in (NOT_HELD, GATED) for i in due) if reveal else 0
    return rule.validate_step(before, scorer.deviation, scored, len(due))


def _scorer(given: RoundInput, index: int, medians: Mapping[int, int]) -> Scorer:
    if index in given.faulted:
        return Scorer(index, Conduct.FAULT)
    if all(item.index != index for item in given.evidence.commitments):
        return Scorer(index, Conduct.ABSENT)
    reveal = _reveal(given.evidence, index)
    if reveal is None:
        return Scorer(index, Conduct.UNREVEALED)
    both = [i for i in medians if i != index and reveal.scores[i] not in (NOT_HELD, GATED)]
    if not both:
        return Scorer(index, Conduct.HEARD, 1)
    deviation = rule.deviation([reveal.scores[i] for i in both], [medians[i] for i in both])
    return Scorer(index, Conduct.HEARD, 1, deviation)


def _reveal(evidence: RoundEvidence, index: int) -> ScoreVector | None:
    return next((reveal for reveal in evidence.reveals if reveal.index == index), None)
