"""How reputation moves: bounded, slow to gain, quick to lose, the same integers everywhere.

Rules, for the trainer and the validator pair of a node alike (one step per certified round):
- a' = a - (a >> 4) + pos    good evidence, a memory of about 16 rounds;
- b' = b - (b >> 5) + neg    bad evidence is forgotten half as fast;
- R = (a + 1) / (a + b + 4), so a newcomer without evidence stands at 0.25;
- absence adds nothing and decays towards the newcomer's value; so does a validator's score vector in which
  nothing is scored, in proportion to what it leaves out;
- influence: no weight at R <= 0.25, full weight from R >= 0.40.
The fixpoints bound a below 2^21 and b below 2^26 (`protocol.reputation`).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ledgerfed.protocol.manifest import Conduct, Reason
from ledgerfed.protocol.reputation import Evidence, Reputation
from ledgerfed.protocol.score import ONE

QUARANTINE_ROUNDS = 20
STATISTICAL, HARD, FAULT = 2 * ONE, 4 * ONE, 16 * ONE

_PENALTY: Mapping[Reason, int] = {
    Reason.ABSENT: 0,
    Reason.QUARANTINED: 0,
    Reason.FAULT: FAULT,
    Reason.EQUIVOCATION: FAULT,
    Reason.WITHHELD: HARD,
    Reason.UNDECODABLE: HARD,
    Reason.WRONG_SCHEMA: HARD,
    Reason.WRONG_BASE: HARD,
    Reason.TOO_FEW_SAMPLES: HARD,
    Reason.INCONSISTENT_NOISE: HARD,
    Reason.INCONSISTENT_INFORMATION: HARD,
    Reason.OUT_OF_RANGE: HARD,
    Reason.UNSTABLE: HARD,
    Reason.BASE_COPY: HARD,
    Reason.COPY: HARD,
    Reason.OUTLIER: STATISTICAL,
    Reason.UNSCORED: STATISTICAL,
    Reason.LOW_SCORE: STATISTICAL,
}

MISCONDUCT: Mapping[Conduct, int] = {
    Conduct.UNREVEALED: HARD,
    Conduct.COLLUSION: HARD,
    Conduct.OUTLIER: STATISTICAL,
}


def step(evidence: Evidence, positive: int, negative: int) -> Evidence:
    """Return the evidence after one round with Q16 amounts of good and bad."""
    return Evidence(
        evidence.a - (evidence.a >> 4) + positive,
        evidence.b - (evidence.b >> 5) + negative,
    )


def train_step(reputation: Reputation, reason: Reason, quality: int, round_number: int) -> Reputation:
    """Return the reputation after the verdict `reason`; `quality` (Q16) counts for an admitted update."""
    if reason is Reason.ADMITTED:
        trainer = step(reputation.trainer, quality, ONE - quality)
    else:
        trainer = step(reputation.trainer, 0, _PENALTY[reason])
    until = reputation.quarantined_until
    if reason in (Reason.FAULT, Reason.EQUIVOCATION):
        until = round_number + QUARANTINE_ROUNDS
    return Reputation(trainer, reputation.validator, until)


def validate_step(reputation: Reputation, deviation: int, scored: int = 1, due: int = 1) -> Reputation:
    """Return the reputation after a validator's scores deviated from the medians by `deviation` (Q16).

    The good part is (1/2 - d) / (1/2 + d) (BlockFLow). Of `due` scored updates it gave a score to `scored`;
    the evidence is that share of a round's, so that leaving scores out earns nothing.
    """
    half = ONE // 2
    positive = max(0, (half - deviation) * ONE // (half + deviation))
    return _with_validator(reputation, positive * scored // due, (ONE - positive) * scored // due)


def misconduct_step(reputation: Reputation, conduct: Conduct) -> Reputation:
    """Return the reputation of a validator that committed and never revealed, stood apart or colluded."""
    return _with_validator(reputation, 0, MISCONDUCT[conduct])


def absent_validator_step(reputation: Reputation) -> Reputation:
    """Return the reputation of a committee member that scored nothing: it only decays."""
    return _with_validator(reputation, 0, 0)


def faulty_validator_step(reputation: Reputation) -> Reputation:
    """Return the reputation of a validator with a proven fault, of whatever kind."""
    return _with_validator(reputation, 0, FAULT)


def influence(reputation: Reputation) -> int:
    """Return the Q16 factor of a trainer's reputation on its weight: clamp((R - 0.25) / 0.15, 0, 1)."""
    return max(0, min(ONE, (20 * reputation.trainer.value - 5 * ONE) // 3))


def deviation(scores: Sequence[int], medians: Sequence[int], allowed: Sequence[int]) -> int | None:
    """Return by how much a validator's scores lie beyond what is allowed around the medians, on average.

    Floor of the mean, Q16; None when it scored nothing. Why the mean of the excess: docs/adr/0019.
    """
    excess = [max(0, abs(s - m) - a) for s, m, a in zip(scores, medians, allowed, strict=True)]
    return sum(excess) // len(excess) if excess else None


def _with_validator(reputation: Reputation, positive: int, negative: int) -> Reputation:
    return Reputation(
        reputation.trainer,
        step(reputation.validator, positive, negative),
        reputation.quarantined_until,
    )
