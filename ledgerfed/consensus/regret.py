"""How much worse than usual an update forecasts on the hold-outs of others, and what that leaves of it.

Rules:
- the regret of an update is the share by which the hold-out error that its median score stands for exceeds
  the usual one's: (1 - score) / (1 - usual) - 1, where usual is the lower median of the scores of those
  that have a say; so it means the same in the first round, when anything helps, and in the tenth;
- V8 a regret above `regret_limit` is a low score;
- quality falls from ONE without regret to zero at the limit, as the square of what is left: a ring that
  stays below every limit loses most of its weight, and its reputation, for being of less use than others.
"""

from __future__ import annotations

from collections.abc import Iterable

from ledgerfed.protocol.score import ONE, lower_median


def usual_score(scores: Iterable[int]) -> int:
    """Return the lower median of the scores, Q16; the worst there is when there are none."""
    return lower_median(found) if (found := [*scores]) else -ONE


def regret(score: int, usual: int) -> int:
    """Return the regret of a score in Q16, 0 for one that is no worse than usual."""
    return max(0, ((ONE - score) << 16) // max(1, ONE - usual) - ONE)


def quality(regretted: int, limit: int) -> int:
    """Return how good an update is in Q16: ((limit - regret) / limit)^2, 0 beyond the limit."""
    left = max(0, limit - regretted)
    return (left * left << 16) // (limit * limit)
