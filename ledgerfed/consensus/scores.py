"""Whose scores of an update are heard, and what a round finds about the validators that gave them.

Rules:
- a validator's score of its own update is not heard, nor is who colludes or stands apart
  (`consensus.conduct`);
- a score stands among those heard as often as its author has a voice: twice from a validator reputation of
  LOUD, once from QUIET (a newcomer has exactly that), else not at all; their lower median is the weighted
  one, and the contract can check it from the row alone;
- the f loudest must speak for less than half, or everybody who is not suspect is heard once, or everybody.
  If none of these will do, the author's own reveal counts for one in it without being heard;
- a validator's deviation is the mean over updates of how much farther its score lies from the median than
  SPREADS times the update's own spread, the lower median of all such distances.

Hence (docs/adr/0019), with at most f faulty validators, whatever their reputations: a score is at most the
best honest one, and at least the worst if 2f + 1 others scored the update or its author is faulty itself.
f silent validators of 3f + 1 leave nobody unscored.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from ledgerfed.consensus import reputation as rule
from ledgerfed.consensus.conduct import has_revealed, said_of, suspects
from ledgerfed.consensus.gates import RoundInput
from ledgerfed.protocol.manifest import MAX_VOICE, Conduct, Scorer, Verdict
from ledgerfed.protocol.reputation import Reputation
from ledgerfed.protocol.score import GATED, NOT_HELD, ONE, lower_median

LOUD = 3 * ONE // 5
QUIET = ONE // 4

SPREADS = 4
"""Spreads of an update that a score may lie from the median before it counts as a deviation."""


@dataclass(frozen=True, slots=True)
class Hearing:
    """How often each validator that revealed is heard, and who is not at all for its conduct."""

    voices: Mapping[int, int]
    suspects: Mapping[int, Conduct]

    def levels(self) -> Iterator[Mapping[int, int]]:
        """Yield how often everybody is heard: as earned, then once, then the suspects too."""
        yield self.voices
        yield {index: int(index not in self.suspects) for index in self.voices}
        yield dict.fromkeys(self.voices, 1)


def voice(reputation: Reputation) -> int:
    """Return how often the scores of a validator of this standing are heard: 0, 1 or 2."""
    value = reputation.validator.value
    return MAX_VOICE if value >= LOUD else int(value >= QUIET)


def listen(given: RoundInput) -> Hearing:
    """Return who is heard in the round."""
    found = suspects(given)
    silenced = given.faulted | found.keys()
    return Hearing(
        {
            reveal.index: 0 if reveal.index in silenced else voice(given.reputations[reveal.index])
            for reveal in given.evidence.reveals
        },
        found,
    )


def heard(given: RoundInput, hearing: Hearing, index: int) -> tuple[int, ...]:
    """Return the scores of `index` that count, each as often as it is heard, by ascending validator.

    Empty when they are too few.
    """
    said, most = said_of(given, index), given.config.faults
    for own in (0, int(has_revealed(given, index))):
        for level in hearing.levels():
            chosen = {j: level[j] for j in said}
            if _is_safe([*chosen.values()], most, own):
                return tuple(score for j, score in said.items() for _ in range(_relative(chosen, j)))
    return ()


def scorers(given: RoundInput, hearing: Hearing, verdicts: Sequence[Verdict]) -> tuple[Scorer, ...]:
    """Return one line per committee member, by ascending index."""
    medians = {v.index: v.score for v in verdicts if v.score is not None}
    spreads = {k: _spread([*said_of(given, k).values()], median) for k, median in medians.items()}
    return tuple(_scorer(given, hearing, index, medians, spreads) for index in given.config.committee)


def validated(
    given: RoundInput, verdicts: Sequence[Verdict], found: Sequence[Scorer], index: int, before: Reputation
) -> Reputation:
    """Return the reputation of node `index` after what it did as a validator."""
    if index in given.faulted:  # whoever has left the committee since answers for it too
        return rule.faulty_validator_step(before)
    scorer = next((s for s in found if s.index == index), None)
    if scorer is None:
        return before
    if scorer.conduct in rule.MISCONDUCT:
        return rule.misconduct_step(before, scorer.conduct)
    if scorer.deviation is None:
        return rule.absent_validator_step(before)
    due = [v.index for v in verdicts if v.score is not None and v.index != index]
    return rule.validate_step(before, scorer.deviation, len(_scored(given, index, due)), len(due))


def _is_safe(chosen: Sequence[int], most: int, own: int) -> bool:
    """Return whether the `most` loudest speak for less than half; `own` is the author's part in all."""
    loudest = sum(sorted(chosen, reverse=True)[:most])
    return any(chosen) and 2 * loudest < sum(chosen) + own


def _relative(chosen: Mapping[int, int], index: int) -> int:
    """Return how often a score stands in the row: where all that are heard are alike, once is enough."""
    alike = len({often for often in chosen.values() if often}) == 1
    return min(1, chosen[index]) if alike else chosen[index]


def _spread(said: Sequence[int], median: int) -> int:
    return lower_median([abs(score - median) for score in said])


def _scorer(
    given: RoundInput,
    hearing: Hearing,
    index: int,
    medians: Mapping[int, int],
    spreads: Mapping[int, int],
) -> Scorer:
    if index in given.faulted:
        return Scorer(index, Conduct.FAULT)
    if all(item.index != index for item in given.evidence.commitments):
        return Scorer(index, Conduct.ABSENT)
    if index not in hearing.voices:
        return Scorer(index, Conduct.UNREVEALED)
    scored = _scored(given, index, [i for i in medians if i != index])
    deviation = rule.deviation(
        list(scored.values()),
        [medians[i] for i in scored],
        [SPREADS * spreads[i] for i in scored],
    )
    conduct = hearing.suspects.get(index, Conduct.HEARD)
    return Scorer(index, conduct, hearing.voices[index], deviation)


def _scored(given: RoundInput, index: int, due: Sequence[int]) -> Mapping[int, int]:
    """Return what validator `index` said about those that were due."""
    for reveal in given.evidence.reveals:
        if reveal.index == index:
            return {i: reveal.scores[i] for i in due if reveal.scores[i] not in (NOT_HELD, GATED)}
    return {}
