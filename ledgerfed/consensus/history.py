"""What earlier rounds showed: the updates that gate V6 compares a new one with.

Rules, so that every node and every auditor remembers the same:
- only certified rounds count, because only their evidence is agreed on; round r remembers those from
  r - copy_memory to r - 1;
- of their openings those that f + 1 reveals hold (gate V3): others may be unknown to an honest node;
- of these the payloads that decode on the federation's basis; what stands on another basis copies nobody;
- what was refused as a copy of an earlier round counts as its author's, so that whoever repeats it never
  outlasts the memory of the author;
- in ascending round and index.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

from ledgerfed.consensus.gates import COPY_OF, PastUpdate
from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.manifest import Verdict
from ledgerfed.protocol.score import NOT_HELD
from ledgerfed.protocol.update import Update, read_payload


def past_updates(
    config: FederationConfig,
    rounds: Sequence[tuple[FederationConfig, RoundEvidence]],
    payloads: Mapping[bytes, bytes],
    round_number: int,
    copies: Mapping[int, Mapping[int, int]] | None = None,
) -> tuple[PastUpdate, ...]:
    """Return the updates that round `round_number` remembers, as `RoundInput.history` wants them.

    Args:
        config: the configuration of the epoch.
        rounds: evidence of certified rounds, each with the configuration that it was decided by, in any
            order; rounds outside the memory are passed over.
        payloads: payloads by update hash, for the remembered rounds at least.
        round_number: the round to be decided.
        copies: `authors_of_copies` of the remembered rounds, by round.

    Raises:
        InvalidValueError: one round has two evidences, or a payload that f + 1 validators held is missing.
    """
    kept = [(c, e) for c, e in rounds if _remembers(config, round_number, e.round)]
    remembered = {e.round: (c, e) for c, e in kept}
    if len(remembered) != len(kept):
        raise InvalidValueError(f"a round has two evidences among {[e.round for _, e in kept]}")
    return tuple(
        replace(past, index=(copies or {}).get(number, {}).get(past.index, past.index))
        for number in sorted(remembered)
        for past in _opened_updates(*remembered[number], payloads)
    )


def authors_of_copies(verdicts: Iterable[Verdict]) -> Mapping[int, int]:
    """Return whose data a round refused as copies of what an earlier one showed, by the copier's index."""
    found = {v.index: dict(v.measures).get(COPY_OF) for v in verdicts}
    return {index: author for index, author in found.items() if author is not None}


def held_openings(config: FederationConfig, evidence: RoundEvidence) -> tuple[Opening, ...]:
    """Return the openings that at least f + 1 reveals hold, so that an honest validator has the payload."""
    held = held_indices(config, evidence)
    return tuple(opening for opening in evidence.openings if opening.index in held)


def held_indices(config: FederationConfig, evidence: RoundEvidence) -> frozenset[int]:
    """Return the indices whose opening at least f + 1 reveals hold, opened in the evidence or not."""
    positions = range(min((len(reveal.scores) for reveal in evidence.reveals), default=0))
    holders = {k: sum(reveal.scores[k] != NOT_HELD for reveal in evidence.reveals) for k in positions}
    return frozenset(index for index, count in holders.items() if count > config.faults)


def _remembers(config: FederationConfig, now: int, then: int) -> bool:
    return now - config.gates.copy_memory <= then < now


def _opened_updates(
    config: FederationConfig, evidence: RoundEvidence, payloads: Mapping[bytes, bytes]
) -> Iterator[PastUpdate]:
    for opening in held_openings(config, evidence):
        payload = payloads.get(opening.update_hash)
        if payload is None:
            raise InvalidValueError(
                f"round {evidence.round}: the payload 0x{opening.update_hash.hex()} of node {opening.index} "
                "is missing here; pull it by its hash"
            )
        update = _decode(config, payload, opening)
        if update is not None:
            yield PastUpdate(evidence.round, opening.index, update)


def _decode(config: FederationConfig, payload: bytes, opening: Opening) -> Update | None:
    """Return the update if it is one on the federation's schema, within the size that gate V4 allows."""
    if len(payload) > config.gates.max_payload_bytes or opening.schema != config.schema:
        return None
    try:
        update = read_payload(payload, opening, config.exchange)
    except InvalidValueError:
        return None
    return update if update.width == config.width else None
