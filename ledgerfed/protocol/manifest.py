"""The manifest: everything that a round decides, as one canonical document.

An outcome is a pure function of configuration, base model, reputations, evidence, payloads and remembered
updates (`ledgerfed.consensus.decide`), so every honest validator and every auditor gets the same hash.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import Any

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.canonical import canonical_json, document_hash, fields, parse_canonical, rows
from ledgerfed.protocol.configuration import PROTOCOL
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import from_hex, require_hash, require_range, to_hex
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.reputation import Reputation, reputation_tree, result_hash
from ledgerfed.protocol.rule import Aggregation
from ledgerfed.protocol.score import ONE

MAX_VOICE = 2
"""How often one scorer's word counts at most."""


class Reason(StrEnum):
    """Why an update was admitted or not; the gate is named in docs/protocol.md and in `consensus.gates`."""

    ADMITTED = "admitted"
    ABSENT = "absent"
    QUARANTINED = "V1:quarantined"
    FAULT = "V1:proven-fault"
    EQUIVOCATION = "V2:equivocation"
    WITHHELD = "V3:withheld"
    UNDECODABLE = "V4:undecodable"
    WRONG_SCHEMA = "V4:wrong-schema"
    WRONG_BASE = "V4:wrong-base"
    TOO_FEW_SAMPLES = "V5:too-few-samples"
    INCONSISTENT_NOISE = "V5:inconsistent-noise"
    INCONSISTENT_INFORMATION = "V5:inconsistent-information"
    OUT_OF_RANGE = "V5:out-of-range"
    UNSTABLE = "V5:unstable"
    BASE_COPY = "V6:base-copy"
    COPY = "V6:copy"
    OUTLIER = "V7:outlier"
    UNSCORED = "V8:too-few-scores"
    LOW_SCORE = "V8:low-score"


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a round decided about one registry index.

    `score` is the lower median of `heard` in Q16 (None when it was not scored), `heard` the scores of the
    validators that counted, by ascending index, `weight` the Q16 factor on its information (0 unless
    admitted), `measures` the named integers that the gates looked at, in ascending name.
    """

    index: int
    reason: Reason
    score: int | None = None
    weight: int = 0
    measures: tuple[tuple[str, int], ...] = ()
    heard: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        names = [name for name, _ in self.measures]
        if names != sorted(set(names)):
            raise InvalidValueError(f"measures must stand in ascending name, once each, got {names}")
        require_range("the index of a verdict", self.index, 0, (1 << 20) - 1)
        require_range("the weight of a verdict", self.weight, 0, (1 << 53) - 1)
        if self.score is not None:
            require_range("the score of a verdict", self.score, -ONE, ONE)
        for name, measure in self.measures:
            require_range(f"the measure {name}", measure, -(1 << 53) + 1, (1 << 53) - 1)
        for score in self.heard:
            require_range("a score heard", score, -ONE, ONE)
        if self.score is None and self.heard:
            raise InvalidValueError(f"verdict {self.index}: scores were heard, but there is no score")
        if self.weight and not self.admitted:
            raise InvalidValueError(f"verdict {self.index}: {self.reason} carries the weight {self.weight}")

    @property
    def admitted(self) -> bool:
        """Whether the update entered the aggregation."""
        return self.reason is Reason.ADMITTED

    @property
    def result(self) -> bytes:
        """The result hash, which the reputation leaf of the node binds."""
        return result_hash(self.score, self.heard)


class Conduct(StrEnum):
    """How a committee member behaved as a scorer of the round."""

    HEARD = "heard"
    ABSENT = "absent"
    UNREVEALED = "unrevealed"
    OUTLIER = "outlier"
    COLLUSION = "collusion"
    FAULT = "proven-fault"


@dataclass(frozen=True, slots=True)
class Scorer:
    """What a round found about one committee member's scores.

    `voice` is how often each of them stands among those heard (0 to 2), unless too few would be heard and
    everybody is heard once. `deviation` (Q16) is how far they lie from the medians, None where nothing was
    scored.
    """

    index: int
    conduct: Conduct
    voice: int = 0
    deviation: int | None = None

    def __post_init__(self) -> None:
        require_range("the index of a scorer", self.index, 0, (1 << 20) - 1)
        require_range("the voice of a scorer", self.voice, 0, MAX_VOICE)
        if self.voice and self.conduct is not Conduct.HEARD:
            raise InvalidValueError(f"scorer {self.index}: {self.conduct} has the voice {self.voice}")
        if self.deviation is not None:
            require_range("the deviation of a scorer", self.deviation, 0, 2 * ONE)

    def document(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {
            "index": self.index,
            "conduct": self.conduct.value,
            "voice": self.voice,
            "deviation": self.deviation,
        }


@dataclass(frozen=True, slots=True)
class Drift:
    """How many of the `of` admitted updates say that their node's detector fired, and if that is `declared`
    a drift of the federation."""

    flagged: int = 0
    of: int = 0
    declared: bool = False

    def __post_init__(self) -> None:
        require_range("the admitted updates of a drift", self.of, 0, 1 << 20)
        require_range("the flagged updates of a drift", self.flagged, 0, self.of)
        if not isinstance(self.declared, bool):
            raise InvalidValueError(f"declared must be true or false, got {self.declared!r}")

    def document(self) -> dict[str, Any]:
        """Return the JSON object."""
        return {"flagged": self.flagged, "of": self.of, "declared": self.declared}


@dataclass(frozen=True, slots=True)
class Outcome:
    """All that a round decides. `verdicts` and `reputations` are in registry order.

    `stabilised` is the Q16 factor that the roots of the model's autoregression were contracted by, None when
    they lay inside the bound. `aggregation` is the rule that decided, and how many hostile updates it was to
    stand; `scorers` is one line a committee member, by ascending index.
    """

    federation: Federation
    round: int
    base_model: bytes
    evidence: bytes
    verdicts: tuple[Verdict, ...]
    model: GlobalModel
    reputations: tuple[Reputation, ...]
    depth: int
    drift: Drift = Drift()
    stabilised: int | None = None
    aggregation: Aggregation = Aggregation()
    scorers: tuple[Scorer, ...] = ()

    @property
    def reputation_root(self) -> bytes:
        """The root of the reputation tree."""
        results = [verdict.result for verdict in self.verdicts]
        return reputation_tree(self.reputations, self.depth, results).root

    def manifest(self) -> Manifest:
        """Return the manifest of this outcome."""
        return Manifest(
            self.federation,
            self.round,
            self.base_model,
            self.evidence,
            self.verdicts,
            self.model.hash(),
            self.reputations,
            self.reputation_root,
            self.drift,
            self.stabilised,
            self.aggregation,
            self.scorers,
        )


@dataclass(frozen=True, slots=True)
class Manifest:
    """The outcome as certified: like `Outcome`, with the model by hash."""

    federation: Federation
    round: int
    base_model: bytes
    evidence: bytes
    verdicts: tuple[Verdict, ...]
    model: bytes
    reputations: tuple[Reputation, ...]
    reputation_root: bytes
    drift: Drift = Drift()
    stabilised: int | None = None
    aggregation: Aggregation = Aggregation()
    scorers: tuple[Scorer, ...] = ()

    def __post_init__(self) -> None:
        require_range("the round of a manifest", self.round, 1, (1 << 32) - 1)
        for name in ("base_model", "evidence", "model", "reputation_root"):
            require_hash(f"{name} of a manifest", getattr(self, name))
        if self.stabilised is not None:
            require_range("the contraction of a model", self.stabilised, 0, ONE - 1)
        if [v.index for v in self.verdicts] != list(range(len(self.reputations))):
            raise InvalidValueError("a manifest has one verdict per registry index, in order")
        if any(a.index >= b.index for a, b in pairwise(self.scorers)):
            raise InvalidValueError("the scorers of a manifest ascend")

    def document(self) -> dict[str, Any]:
        """Return the manifest document."""
        return {
            "protocol": PROTOCOL,
            "chain_id": self.federation.chain_id,
            "contract": to_hex(self.federation.contract),
            "round": self.round,
            "base_model": to_hex(self.base_model),
            "evidence": to_hex(self.evidence),
            "verdicts": [
                {
                    "index": v.index,
                    "reason": v.reason.value,
                    "score": v.score,
                    "weight": v.weight,
                    "measures": dict(v.measures),
                    "heard": list(v.heard),
                }
                for v in self.verdicts
            ],
            "model": to_hex(self.model),
            "reputations": [r.row() for r in self.reputations],
            "reputation_root": to_hex(self.reputation_root),
            "drift": self.drift.document(),
            "stabilised": self.stabilised,
            "aggregation": self.aggregation.document(),
            "scorers": [scorer.document() for scorer in self.scorers],
        }

    def hash(self) -> bytes:
        """Return the manifest hash, which a certificate signs."""
        return document_hash(self.document())

    def to_bytes(self) -> bytes:
        """Return the canonical bytes of the document."""
        return canonical_json(self.document())

    @staticmethod
    def from_bytes(data: bytes) -> Manifest:
        """Read a manifest document.

        Raises:
            InvalidValueError: not canonical, unknown or missing keys, a value out of range.
        """
        return _read(parse_canonical(data))


_KEYS = (
    "protocol",
    "chain_id",
    "contract",
    "round",
    "base_model",
    "evidence",
    "verdicts",
    "model",
    "reputations",
    "reputation_root",
    "drift",
    "stabilised",
    "aggregation",
    "scorers",
)


def _read(document: dict[str, Any]) -> Manifest:
    record = fields("the manifest", document, _KEYS)
    if record["protocol"] != PROTOCOL:
        raise InvalidValueError(f"the manifest speaks {record['protocol']!r}, this program {PROTOCOL}")
    return Manifest(
        federation=Federation(record["chain_id"], from_hex("contract", record["contract"], 20)),
        round=record["round"],
        base_model=from_hex("base_model", record["base_model"]),
        evidence=from_hex("evidence", record["evidence"]),
        verdicts=tuple(_read_verdict(x) for x in rows("verdicts", record["verdicts"])),
        model=from_hex("model", record["model"]),
        reputations=tuple(
            Reputation.from_row(rows("a reputation", x)) for x in rows("reputations", record["reputations"])
        ),
        reputation_root=from_hex("reputation_root", record["reputation_root"]),
        drift=Drift(**fields("drift", record["drift"], ("flagged", "of", "declared"))),
        stabilised=record["stabilised"],
        aggregation=Aggregation.from_document(record["aggregation"]),
        scorers=tuple(_read_scorer(x) for x in rows("scorers", record["scorers"])),
    )


def _read_scorer(document: object) -> Scorer:
    record = fields("a scorer", document, ("index", "conduct", "voice", "deviation"))
    try:
        conduct = Conduct(record["conduct"])
    except ValueError as error:
        raise InvalidValueError(f"unknown conduct {record['conduct']!r}") from error
    return Scorer(record["index"], conduct, record["voice"], record["deviation"])


def _read_verdict(document: object) -> Verdict:
    record = fields("a verdict", document, ("index", "reason", "score", "weight", "measures", "heard"))
    try:
        reason = Reason(record["reason"])
    except ValueError as error:
        raise InvalidValueError(f"unknown reason {record['reason']!r}") from error
    measures = record["measures"]
    if not isinstance(measures, dict):
        raise InvalidValueError(f"measures must be an object, got {measures!r}")
    return Verdict(
        record["index"],
        reason,
        record["score"],
        record["weight"],
        tuple(sorted(measures.items())),
        tuple(rows("heard", record["heard"])),
    )
