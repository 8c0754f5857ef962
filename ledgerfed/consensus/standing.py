"""Where an update stands among the others: its caps, its distance from the robust centre, its weight.

Rules:
- who has earned no influence yet has no say in where the centre lies, nor in what a rule makes of others:
  newcomers cannot outvote anybody by their number (threats N13, N14);
- if the survivors with influence are fewer than `min_updates`, all survivors have a say, and at least LEAST:
  an aborted round changes no reputation, so a federation that lost its voters would not find them again;
- V7 an update is an outlier when its whitened distance from the centre exceeds `outlier_factor` times the
  lower median of the voters' distances (a median below 1.0 counts as 1.0);
- claimed information and claimed samples count up to so many times the voters' lower median (threat N16);
- the weight of an admitted update is cap * influence * discount for a late one * what the federation's rule
  makes of it: damping with the distance from the centre, or the weight that another rule gives it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ledgerfed.aggregation.engine import weigh
from ledgerfed.aggregation.information import ratio_cap
from ledgerfed.aggregation.space import Contribution
from ledgerfed.aggregation.whitened import damping, robust_centre
from ledgerfed.consensus import reputation
from ledgerfed.consensus.gates import Candidate, RoundInput, order_key
from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.rule import Rule
from ledgerfed.protocol.score import ONE, lower_median

LEAST = ONE // 4
"""The influence of everybody where too few have any."""


@dataclass(frozen=True, slots=True)
class Standing:
    """Q16: `earned` is cap * influence * discount, `damping` the pull that the centre leaves it, `distance`
    its whitened distance from the centre, `limit` the largest that is no outlier."""

    cap: int
    earned: int
    damping: int
    distance: int
    limit: int

    @property
    def votes(self) -> bool:
        """Whether it has a say in what others are measured by."""
        return self.earned > 0


def standings(given: RoundInput, survivors: Sequence[Candidate]) -> Mapping[int, Standing]:
    """Return where every survivor of the gates V1-V6 stands, by index.

    Raises:
        InvalidValueError: the updates have no common solution on the grid.
    """
    if not survivors:
        return {}
    ordered = sorted(survivors, key=lambda c: order_key(given.evidence.opened_at, c.index))
    influence = _influences(given, ordered)
    voters = [c for c in ordered if influence[c.index]]
    caps = _caps(given, ordered, voters)
    centre = robust_centre(
        [information_of(c) for c in voters],
        [caps[c.index] for c in voters],
        given.prior,
        given.config.theta_scale,
        given.space,
    )
    distances = {c.index: given.space.distance(information_of(c), centre.theta) for c in ordered}
    median = max(ONE, lower_median(centre.distances))
    limit = median * given.config.gates.outlier_factor >> 16
    return {
        c.index: Standing(
            caps[c.index],
            _discounted(given, caps[c.index] * influence[c.index] >> 16, c.staleness),
            damping(distances[c.index], median),
            distances[c.index],
            limit,
        )
        for c in ordered
    }


def weights(
    given: RoundInput, admitted: Sequence[Candidate], found: Mapping[int, Standing]
) -> Mapping[int, int]:
    """Return the Q16 weight of every admitted update, by index.

    Raises:
        InvalidValueError: the rule is not defined for so few updates.
    """
    voters = [c for c in admitted if found[c.index].votes]
    given.config.aggregation.require(len(voters))
    shares = _shares(given, voters, found)
    return {c.index: found[c.index].earned * shares.get(c.index, 0) >> 16 for c in admitted}


def information_of(candidate: Candidate) -> Contribution:
    """Return the information of a survivor.

    Raises:
        InvalidValueError: it was not decoded.
    """
    if candidate.information is None:
        raise InvalidValueError(f"update {candidate.index} was not decoded")
    return candidate.information


def _shares(
    given: RoundInput, voters: Sequence[Candidate], found: Mapping[int, Standing]
) -> Mapping[int, int]:
    """Return what the rule leaves of every voter's weight, Q16; the largest share is ONE."""
    by = given.config.aggregation
    if by.rule is Rule.REDESCENDING:
        return {c.index: found[c.index].damping for c in voters}
    gram = given.space.gram(
        [information_of(c) for c in voters],
        [found[c.index].cap for c in voters],
        given.prior,
        given.base.theta,
    )
    order = sorted(range(len(voters)), key=lambda i: order_key(given.evidence.opened_at, voters[i].index))
    ranks = [order.index(i) for i in range(len(voters))]
    parts = weigh(by.rule, gram, by.hostile, ranks, mixing=by.mixing)
    largest = max(parts)
    return {c.index: (part << 16) // largest for c, part in zip(voters, parts, strict=True)}


def information_caps(given: RoundInput, survivors: Sequence[Candidate]) -> Mapping[int, int]:
    """Return per index of the survivors the Q16 factor that caps what information they claim."""
    influence = _influences(given, survivors)
    return _trace_caps(given, survivors, [c for c in survivors if influence[c.index]])


def _trace_caps(
    given: RoundInput, survivors: Sequence[Candidate], voters: Sequence[Candidate]
) -> Mapping[int, int]:
    if not voters:
        return {}
    usual, cap = lower_median([information_of(c).trace for c in voters]), given.config.gates.trace_cap
    return {c.index: ratio_cap(information_of(c).trace, cap, usual) for c in survivors}


def _caps(given: RoundInput, ordered: Sequence[Candidate], voters: Sequence[Candidate]) -> Mapping[int, int]:
    """Return per index the Q16 factor that caps claimed information and claimed samples."""
    traces = _trace_caps(given, ordered, voters)
    usual, cap = lower_median([_samples(c) for c in voters]), given.config.gates.sample_cap
    return {c.index: traces[c.index] * ratio_cap(_samples(c), cap, usual) >> 16 for c in ordered}


def _samples(candidate: Candidate) -> int:
    if candidate.opening is None:
        raise InvalidValueError(f"update {candidate.index} was not opened")
    return candidate.opening.n_samples


def _influences(given: RoundInput, survivors: Sequence[Candidate]) -> Mapping[int, int]:
    earned = {c.index: reputation.influence(given.reputations[c.index]) for c in survivors}
    if sum(value > 0 for value in earned.values()) >= given.config.min_updates:
        return earned
    return {index: max(value, LEAST) for index, value in earned.items()}


def _discounted(given: RoundInput, weight: int, staleness: int) -> int:
    for _ in range(staleness):
        weight = weight * given.config.gates.stale_discount >> 16
    return weight
