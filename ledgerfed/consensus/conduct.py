"""How validators behaved as scorers in a round, from what they revealed: who colludes, who stands apart.

Rules:
- an update says something about its scorers when 2f + 1 of them scored it (its author's reveal counts
  towards the number) and their scores spread; its spread is the |s - s'| that half of the pairs without f of
  them come to, so that f liars far away cannot make the others look alike;
- two scorers **collude** when they agree on every such update that both scored, at least COMMON of them, to
  within 1 / BAND of its spread: private hold-outs never agree so (docs/adr/0019). A pair that both clipped
  an update says nothing there. Who agrees with the same scorer is of one group. The best reputation of a
  group keeps its voice, keccak draws between equals: who repeats what an aborted round showed frames nobody
  above itself;
- a scorer is an **outlier** when the lower median over updates of |s - median| exceeds both the loss that
  gate V8 forbids and APART times the lower median of that over all scorers;
- neither is believed of more than f validators together: then somebody honest is among them, and all stay.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import combinations
from math import comb

from ledgerfed.consensus.gates import RoundInput, order_key
from ledgerfed.protocol.manifest import Conduct
from ledgerfed.protocol.score import GATED, NOT_HELD, ONE, lower_median

COMMON = 3
"""Updates that two scorers must agree on before that means anything."""
BAND = 64
"""Honest scorers agree to 1 / 26 of the spread at most (`evaluation.reputation_study`)."""
APART = 8

Said = Mapping[int, int]
"""Scores of one update by validator."""


def said_of(given: RoundInput, index: int) -> Said:
    """Return what other validators said about `index`, in ascending order of their indices."""
    return {
        reveal.index: reveal.scores[index]
        for reveal in given.evidence.reveals
        if reveal.index != index and reveal.scores[index] not in (NOT_HELD, GATED)
    }


def has_revealed(given: RoundInput, index: int) -> bool:
    """Return whether the node is a validator that revealed its scores."""
    return any(reveal.index == index for reveal in given.evidence.reveals)


def suspects(given: RoundInput) -> Mapping[int, Conduct]:
    """Return the validators that are not to be heard for their scores, at most f of them."""
    most = given.config.faults
    telling = tuple(said for index in range(len(given.reputations)) if (said := _telling(given, index)))
    colluders = _colluders(given, telling)
    if len(colluders) > most:
        colluders = frozenset()
    apart = _apart(given, [{j: s for j, s in said.items() if j not in colluders} for said in telling])
    if len(colluders) + len(apart) > most:
        apart = frozenset()
    return dict.fromkeys(sorted(colluders), Conduct.COLLUSION) | dict.fromkeys(sorted(apart), Conduct.OUTLIER)


def _telling(given: RoundInput, index: int) -> Said | None:
    said = said_of(given, index)
    return said if len(said) + has_revealed(given, index) > 2 * given.config.faults else None


def _colluders(given: RoundInput, telling: Sequence[Said]) -> frozenset[int]:
    spreads = [_spread(said, given.config.faults) for said in telling]
    compared = [(said, spread) for said, spread in zip(telling, spreads, strict=True) if spread >= BAND]
    voices = [reveal.index for reveal in given.evidence.reveals]
    pairs = [(i, j) for i, j in combinations(voices, 2) if _agree(compared, i, j)]
    return frozenset(
        index
        for group in _groups(pairs)
        for index in sorted(group, key=lambda index: _standing(given, index))[1:]
    )


def _spread(said: Said, faults: int) -> int:
    apart = sorted(abs(s - t) for s, t in combinations(said.values(), 2))
    pairs = comb(len(said) - faults, 2) if len(said) > faults else 0
    return apart[(pairs - 1) // 2] if pairs else 0


def _agree(compared: Sequence[tuple[Said, int]], i: int, j: int) -> bool:
    common = 0
    for said, spread in compared:
        if i not in said or j not in said or said[i] == said[j] in (-ONE, ONE):
            continue
        if abs(said[i] - said[j]) * BAND > spread:
            return False
        common += 1
    return common >= COMMON


def _groups(pairs: Sequence[tuple[int, int]]) -> Iterator[frozenset[int]]:
    """Yield the connected components."""
    left = {index for pair in pairs for index in pair}
    while left:
        group = {min(left)}
        while grown := {i for pair in pairs if group & set(pair) for i in pair} - group:
            group |= grown
        left -= group
        yield frozenset(group)


def _standing(given: RoundInput, index: int) -> tuple[int, bytes]:
    return -given.reputations[index].validator.value, order_key(given.evidence.opened_at, index)


def _apart(given: RoundInput, telling: Sequence[Said]) -> frozenset[int]:
    distances: dict[int, list[int]] = {}
    for said in telling:
        median = lower_median([*said.values()]) if said else 0
        for index, score in said.items():
            distances.setdefault(index, []).append(abs(score - median))
    typical = {index: lower_median(found) for index, found in distances.items()}
    if not typical:
        return frozenset()
    limit = max(-given.config.gates.score_floor, APART * lower_median([*typical.values()]))
    return frozenset(index for index, distance in typical.items() if distance > limit)
