"""How much worse than usual an update forecasts on the hold-outs of others, and what that leaves of it.

Rules:
- the regret of an update is the share by which the hold-out error that its median score stands for exceeds
  the usual one's: (1 - score) / (1 - usual) - 1, where usual is the lower median of the scores of those
  that have a say; so it means the same in the first round, when anything helps, and in the tenth;
- V8 a regret above `regret_limit` is a low score; the limit stands beyond what honest nodes come to;
- the share of its weight that an update keeps is (scale^2 / (scale^2 + regret^2))^2: the pull redescends, so
  a ring that stays below every limit loses most of its weight for being of less use than others;
- its quality, which reputation learns, is the same fraction with PATIENCE times the scale, not squared: a
  node whose data differ from everybody's is regretted a little in every round and keeps its say.
"""

from __future__ import annotations

from collections.abc import Iterable

from ledgerfed.protocol.score import ONE, lower_median

PATIENCE = 2


def usual_score(scores: Iterable[int]) -> int:
    """Return the lower median of the scores, Q16; the worst there is when there are none."""
    return lower_median(found) if (found := [*scores]) else -ONE


def regret(score: int, usual: int) -> int:
    """Return the regret of a score in Q16, 0 for one that is no worse than usual."""
    return max(0, ((ONE - score) << 16) // max(1, ONE - usual) - ONE)


def share(regretted: int, scale: int) -> int:
    """Return what an update keeps of its weight in Q16: ONE without regret, a quarter at `scale`."""
    kept = _fraction(regretted, scale)
    return kept * kept >> 16


def quality(regretted: int, scale: int) -> int:
    """Return how good an update is in Q16: ONE without regret, a half at PATIENCE times `scale`."""
    return _fraction(regretted, PATIENCE * scale)


def _fraction(regretted: int, scale: int) -> int:
    return (scale * scale << 16) // (scale * scale + regretted * regretted)
