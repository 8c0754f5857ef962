"""The gates V1-V6: whether an update may be scored at all.

Rules, in this order; the first that fails gives the reason:
- V1 the node is registered, no fault of it was proven since the last outcome that stands, not quarantined;
- V2 one leaf, sealed or forced; two different ones are an equivocation;
- V3 opened and available (what that means is the caller's: held here, or held by f + 1 validators);
- V4 canonical bytes of bounded size, the federation's schema, a base model that is the round's or one of the
  last `stale_rounds` before it;
- V5 enough samples for the columns of the basis, a residual that fits the claimed noise, bounded and stable
  coefficients, information that rows on the basis can hold (`consensus.claims`; predictions claim no
  residual, have no roots and no R: these three do not ask them);
- V6 evidence of training: not the base model in disguise, nor the data of another (`consensus.copies`).
V7 (robust distance) and V8 (scores) need all survivors and live in `decide`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from ledgerfed.aggregation.information import ExactInformation
from ledgerfed.aggregation.space import SPACES, Contribution, Space
from ledgerfed.consensus.authenticate import culprits, effective_leaves, equivocators
from ledgerfed.consensus.claims import are_consistent, claims_of
from ledgerfed.consensus.copies import Copied, Shown, find_copies, find_rings, same_data, same_words
from ledgerfed.consensus.stability import is_stable, largest_coefficient
from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.hashing import keccak, word
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.payload import InformationUpdate, update_hash
from ledgerfed.protocol.reputation import Reputation
from ledgerfed.protocol.score import ONE
from ledgerfed.protocol.update import Update, read_payload

SAMPLES_PER_COLUMN = 3
"""Fewer samples per column reveal too much of a panel and say too little (V5)."""
MEASURE_MAX = (1 << 53) - 1
COPY_OF = "copy_of"
"""The measure that names the author of what an earlier round showed."""


@dataclass(frozen=True, slots=True)
class PastUpdate:
    """An update that was opened in an earlier round, by the node whose data it shows."""

    round: int
    index: int
    update: Update


@dataclass(frozen=True, slots=True)
class RoundInput:
    """All that the decision on a round is a function of.

    `payloads` maps update hashes to payloads; `history` holds the updates opened in the remembered rounds
    before this one; `reputations` are those after the last certified round, in registry order, with zero
    evidence for who joined since; `faulted` are the culprits of all disputes since then, by index. `earlier`
    are the hashes of the models in force before the base, newest first, down to the genesis model; only the
    first `stale_rounds` are looked at.
    """

    config: FederationConfig
    base: GlobalModel
    reputations: tuple[Reputation, ...]
    evidence: RoundEvidence
    payloads: Mapping[bytes, bytes]
    history: tuple[PastUpdate, ...]
    faulted: frozenset[int] = frozenset()
    earlier: tuple[bytes, ...] = ()

    def __post_init__(self) -> None:
        config, base = self.config, self.base
        if (base.schema, base.width, base.kind) != (config.schema, config.width, config.model_kind):
            raise InvalidValueError("the base model stands on another basis than the configuration")
        if not self.config.committee[-1] < len(self.reputations) <= self.config.capacity:
            raise InvalidValueError(
                f"{len(self.reputations)} reputations; the committee needs index {self.config.committee[-1]} "
                f"and the trees hold {self.config.capacity}"
            )
        unpunished = culprits(self.config, self.evidence) - self.faulted
        if unpunished or any(index >= len(self.reputations) for index in self.faulted):
            raise InvalidValueError(
                f"round {self.evidence.round}: the disputes convict {sorted(unpunished)} beside the culprits "
                f"{sorted(self.faulted)} of {len(self.reputations)} nodes"
            )
        if any(past.update.width != self.config.width for past in self.history):
            raise InvalidValueError("the history holds an update of another width than the basis")
        for digest, payload in self.payloads.items():
            if update_hash(payload) != digest:
                raise InvalidValueError(f"the payload 0x{digest.hex()} does not hash to its name")

    def staleness(self, base_model: bytes) -> int | None:
        """Return how many models `base_model` lies behind the base, None if it is none that may be used."""
        usable = (self.base.hash(), *self.earlier[: self.config.gates.stale_rounds])
        return usable.index(base_model) if base_model in usable else None

    @property
    def space(self) -> Space[Any, Any, Any]:
        """Where the federation's updates are summed and compared."""
        return SPACES[self.config.exchange]

    @property
    def prior(self) -> int:
        """The precision of the zero model at scale 2^-96, as `pool` wants it."""
        return self.config.prior << (96 - self.config.precision_scale)


@dataclass(frozen=True, slots=True)
class Candidate:
    """What the gates know about one index: a survivor has information and no reason.

    `staleness` is how many models its base lies behind the round's.
    """

    index: int
    reason: Reason | None
    opening: Opening | None = None
    update: Update | None = None
    information: Contribution | None = None
    measures: tuple[tuple[str, int], ...] = ()
    staleness: int = 0


def pass_gates(given: RoundInput, available: frozenset[int]) -> tuple[Candidate, ...]:
    """Return one candidate per registry index, in order, after the gates V1-V6.

    An index outside `available` is withheld, whatever `given` happens to hold of it.
    """
    candidates = [_examine(given, index, available) for index in range(len(given.reputations))]
    return tuple(_check_copies(given, candidates))


def order_key(seed: bytes, index: int) -> bytes:
    """Return the tie-break key of a node: keccak(seed, index), so that no position can be sought out."""
    return keccak(seed + word(index))


def _examine(given: RoundInput, index: int, available: frozenset[int]) -> Candidate:
    if index in given.faulted:
        return Candidate(index, Reason.FAULT)
    if given.reputations[index].quarantined_until >= given.evidence.round:
        return Candidate(index, Reason.QUARANTINED)
    if index not in effective_leaves(given.evidence):
        return Candidate(index, Reason.ABSENT)
    if index in equivocators(given.evidence):
        return Candidate(index, Reason.EQUIVOCATION)
    opening = next((o for o in given.evidence.openings if o.index == index), None)
    if opening is None or index not in available:
        return Candidate(index, Reason.WITHHELD)
    candidate = _decode(given, opening, given.payloads[opening.update_hash])
    return candidate if candidate.reason else _check_values(given, candidate)


def _decode(given: RoundInput, opening: Opening, payload: bytes) -> Candidate:
    index = opening.index
    if len(payload) > given.config.gates.max_payload_bytes:
        return Candidate(index, Reason.UNDECODABLE, opening, measures=(("bytes", len(payload)),))
    try:
        update = read_payload(payload, opening, given.config.exchange)
    except InvalidValueError:
        return Candidate(index, Reason.UNDECODABLE, opening, measures=(("bytes", len(payload)),))
    if opening.schema != given.config.schema or update.width != given.config.width:
        return Candidate(index, Reason.WRONG_SCHEMA, opening, update)
    staleness = given.staleness(opening.base_model)
    if staleness is None:
        return Candidate(index, Reason.WRONG_BASE, opening, update)
    return Candidate(index, None, opening, update, given.space.expand(update), staleness=staleness)


def _check_values(given: RoundInput, candidate: Candidate) -> Candidate:
    update, information = _parts(candidate)
    gates, space = given.config.gates, given.space
    if update.n_samples < SAMPLES_PER_COLUMN * given.config.columns:
        measured = replace(candidate, measures=(("samples", update.n_samples),))
        return replace(measured, reason=Reason.TOO_FEW_SAMPLES)
    noise = space.noise(update)
    known = {"staleness": candidate.staleness} | ({} if noise is None else {"noise": noise})
    try:
        pooled = space.pool([(information, ONE)], given.prior, update.width)
        theta = space.solve(pooled, given.config.theta_scale)
    except InvalidValueError:  # its coefficients do not fit the grid of the model
        return replace(candidate, reason=Reason.OUT_OF_RANGE, measures=_measures(known))
    largest = largest_coefficient(theta)
    measures = known | {
        "base_distance": space.distance(information, given.base.theta),
        "largest_coefficient": largest,
    }
    candidate = replace(candidate, measures=_measures(measures))
    lags = given.config.lags
    if noise is not None and (noise * gates.noise_band < ONE * ONE or noise > gates.noise_band):
        return replace(candidate, reason=Reason.INCONSISTENT_NOISE)
    if largest > gates.norm_bound:
        return replace(candidate, reason=Reason.OUT_OF_RANGE)
    if not is_stable(theta.values[: len(lags)], theta.scale, lags, gates.root_bound):
        return replace(candidate, reason=Reason.UNSTABLE)
    candidate = _check_claims(given, candidate)
    if candidate.reason is None and measures["base_distance"] < gates.base_distance:
        return replace(candidate, reason=Reason.BASE_COPY)
    return candidate


def _check_claims(given: RoundInput, candidate: Candidate) -> Candidate:
    update, information = _parts(candidate)
    if not (isinstance(update, InformationUpdate) and isinstance(information, ExactInformation)):
        return candidate
    claims = claims_of(update, information, given.config.lags)
    claimed = {
        "lag_spread": claims.spread,
        "moment_highest": max(claims.moments),
        "moment_lowest": min(claims.moments),
    }
    measured = replace(candidate, measures=_measures(dict(candidate.measures) | claimed))
    if are_consistent(claims, given.config):
        return measured
    return replace(measured, reason=Reason.INCONSISTENT_INFORMATION)


def _check_copies(given: RoundInput, candidates: Sequence[Candidate]) -> list[Candidate]:
    """Of those who show the same data only the author keeps its own; the others' verdicts name it."""
    before = [Shown(p.round, p.index, given.space.expand(p.update)) for p in given.history]
    now = [
        Shown(given.evidence.round, c.index, c.information)
        for c in candidates
        if c.information and c.reason is None
    ]
    same = same_data(given.config, given.base.theta)
    copied = dict(find_copies(before, now, same, lambda index: _claim(given, index)))
    left = [shown for shown in now if shown.index not in copied]
    copied |= find_rings(left, same_words(given.config), lambda index: _claim(given, index))
    return [_refuse_copy(c, copied[c.index]) if c.index in copied else c for c in candidates]


def _refuse_copy(candidate: Candidate, copied: Copied) -> Candidate:
    measures = dict(candidate.measures) | ({COPY_OF: copied.author} if copied.earlier else {})
    return replace(candidate, reason=Reason.COPY, measures=_measures(measures))


def _claim(given: RoundInput, index: int) -> tuple[int, bytes]:
    """Return how a node ranks among those who show the same data at once: the best reputation first.

    Nobody sees an update before the seal, but an aborted round reveals updates that no evidence remembers.
    """
    return -given.reputations[index].trainer.value, order_key(given.evidence.opened_at, index)


def _parts(candidate: Candidate) -> tuple[Update, Contribution]:
    if candidate.update is None or candidate.information is None:
        raise InvalidValueError(f"update {candidate.index} was not decoded")
    return candidate.update, candidate.information


def _measures(values: Mapping[str, int]) -> tuple[tuple[str, int], ...]:
    return tuple(sorted((name, min(value, MEASURE_MAX)) for name, value in values.items()))
