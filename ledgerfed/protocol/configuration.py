"""The configuration of a federation: every number that a decision depends on, under one hash.

The hash stands in the genesis transcript, so nobody can change a rule without changing history.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from dataclasses import fields as dataclass_fields
from functools import lru_cache
from itertools import pairwise
from typing import Any

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.canonical import canonical_json, document_hash, fields, parse_canonical, rows
from ledgerfed.protocol.hashing import keccak, require_range
from ledgerfed.protocol.merkle import MAX_DEPTH
from ledgerfed.protocol.model import GlobalModel, genesis_model
from ledgerfed.protocol.payload import INFORMATION, MAX_WIDTH
from ledgerfed.protocol.predictions import PREDICTIONS
from ledgerfed.protocol.reputation import Reputation
from ledgerfed.protocol.rule import DECLARATIONS, Aggregation
from ledgerfed.protocol.score import ONE
from ledgerfed.protocol.update import Exchange

PROTOCOL = "LFR-2"
MAX_COMMITTEE = 31
MAX_STALE_ROUNDS = 64


_AT_LEAST_ONE = (
    "root_bound",
    "noise_band",
    "norm_bound",
    "moment_band",
    "outlier_factor",
    "trace_cap",
    "sample_cap",
)


@dataclass(frozen=True, slots=True)
class Windows:
    """Lengths of the windows of a round, in blocks (docs/protocol.md, "State machine on chain")."""

    commit: int
    force: int
    score: int
    certify: int
    challenge: int

    def __post_init__(self) -> None:
        for window in dataclass_fields(self):
            lowest = 0 if window.name in ("challenge", "force") else 2
            require_range(f"the {window.name} window", getattr(self, window.name), lowest, 1_000_000)


@dataclass(frozen=True, slots=True)
class Gates:
    """Thresholds of the verification gates V4-V8 and of the outcome; Q16 where they are not counts.

    max_payload_bytes: V4. stale_rounds: V4, how many certified models the base of a late update may lie
    behind the round's base (0: none). stale_discount: its weight, once for each of them. root_bound: V5,
    largest modulus of a root of the implied autoregression. noise_band: V5, the claimed residual per sample
    lies in [1 / band, band]. norm_bound: V5, largest implied coefficient. base_distance: V6, smallest
    whitened distance per coefficient from the base model. copy_alignment_bits: V6, two updates are near
    copies when the squared cosine of their R exceeds 1 - 2^-bits. copy_memory: V6, rounds that are
    remembered. moment_band: V5, with n and s2 as claimed the mean square of every lag column lies in
    [1 / band, band], that of any other column below band. lag_spread: V5, how far the autocovariances that
    R and z state several times may differ, as a share of the variance. twin_alignment_bits and twin_distance:
    V6, updates whose R are so nearly aligned and that say the same within this whitened distance per
    coefficient are copies too. ring_distance: V6, updates of one round whose coefficients agree to within
    this whitened distance per coefficient count once (0: off). outlier_factor: V7, largest whitened distance
    in units of the lower median.
    score_floor: V8, smallest lower-median score (negative: a loss). regret_limit: V8, by what share an
    update's hold-out error may exceed the usual one. regret_scale: the share at which it keeps a quarter of
    its weight.
    trace_cap and sample_cap: claimed information and
    samples count up to so many times the lower median. model_root_bound: no root of the global model's
    autoregression comes to this modulus (1.0 allows none on the unit circle). drift_share: the share of
    admitted updates that must say so for a federation to drift.
    """

    max_payload_bytes: int
    stale_rounds: int
    stale_discount: int
    root_bound: int
    noise_band: int
    norm_bound: int
    base_distance: int
    copy_alignment_bits: int
    copy_memory: int
    moment_band: int
    lag_spread: int
    twin_alignment_bits: int
    twin_distance: int
    ring_distance: int
    outlier_factor: int
    score_floor: int
    regret_limit: int
    regret_scale: int
    trace_cap: int
    sample_cap: int
    model_root_bound: int
    drift_share: int

    def __post_init__(self) -> None:
        require_range("max_payload_bytes", self.max_payload_bytes, 1, 1 << 26)
        require_range("stale_rounds", self.stale_rounds, 0, MAX_STALE_ROUNDS)
        require_range("stale_discount", self.stale_discount, 0, ONE)
        for name in _AT_LEAST_ONE:
            require_range(name, getattr(self, name), ONE, 1 << 40)
        require_range("base_distance", self.base_distance, 0, 1 << 32)
        require_range("copy_alignment_bits", self.copy_alignment_bits, 1, 40)
        require_range("twin_alignment_bits", self.twin_alignment_bits, 1, self.copy_alignment_bits)
        require_range("twin_distance", self.twin_distance, 0, 1 << 32)
        require_range("ring_distance", self.ring_distance, 0, 1 << 32)
        require_range("lag_spread", self.lag_spread, 1, 1 << 32)
        require_range("copy_memory", self.copy_memory, 1, 1024)
        require_range("score_floor", self.score_floor, -ONE, -1)
        require_range("regret_limit", self.regret_limit, 1, 1 << 32)
        require_range("regret_scale", self.regret_scale, 1, 1 << 32)
        require_range("model_root_bound", self.model_root_bound, ONE // 2, 1 << 40)
        require_range("drift_share", self.drift_share, 1, ONE)


@dataclass(frozen=True, slots=True)
class FederationConfig:
    """All parameters of a federation.

    `basis` is the canonical JSON of the basis document (its hash is the schema of every update), `width` its
    number of columns, at least two because gate V6 compares directions. With `exchange` PREDICTIONS it is the
    probe document, which names a basis and holds the rows, and `width` is the number of predictions. `prior`
    is the precision of the zero model at scale 2^-precision_scale. `genesis_reputation` is what every member
    of the genesis registry starts with; later joiners start at zero evidence. `committee` are the registry
    indices of the validators, ascending; a seat is a place in it. `leaves_on_chain` says how a round is
    sealed. `aggregation` is the robust rule; `min_updates` must be enough for it.
    """

    name: str
    basis: bytes
    width: int
    depth: int
    committee: tuple[int, ...]
    min_updates: int
    windows: Windows
    gates: Gates
    genesis_reputation: Reputation
    prior: int
    theta_scale: int
    precision_scale: int
    leaves_on_chain: bool = False
    exchange: Exchange = Exchange.INFORMATION
    aggregation: Aggregation = Aggregation()

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not 0 < len(self.name) <= 64:
            raise InvalidValueError(f"the name of a federation has 1 to 64 characters, got {self.name!r}")
        require_range("the width of the basis", self.width, 2, MAX_WIDTH)
        if not isinstance(self.exchange, Exchange):
            raise InvalidValueError(f"exchange is one of {[*map(str, Exchange)]}, got {self.exchange!r}")
        if self.exchange is Exchange.INFORMATION:
            _lags_of(self.basis, self.width)
        else:
            _probe_columns(self.basis, self.width)
        require_range("the depth of the trees", self.depth, 0, MAX_DEPTH)
        require_range("the committee size", len(self.committee), 1, MAX_COMMITTEE)
        for index in self.committee:
            require_range("an index of the committee", index, 0, self.capacity - 1)
        if any(a >= b for a, b in pairwise(self.committee)):
            raise InvalidValueError(f"the committee must ascend, got {list(self.committee)}")
        if not isinstance(self.leaves_on_chain, bool):
            raise InvalidValueError(f"leaves_on_chain must be true or false, got {self.leaves_on_chain!r}")
        require_range("min_updates", self.min_updates, 1, 1 << self.depth)
        if not DECLARATIONS[self.aggregation.rule].weighs:
            raise InvalidValueError(
                f"{self.aggregation.rule} needs coordinates that mean the same for everybody; for what a "
                "federation exchanges name a rule that weighs whole updates"
            )
        self.aggregation.require(self.min_updates)
        if 4 * self.genesis_reputation.trainer.value <= ONE:
            raise InvalidValueError(
                f"who starts with a reputation of {self.genesis_reputation.trainer.value}/{ONE} has no "
                "say; let the members of the genesis registry start above a quarter"
            )
        require_range("the prior precision", self.prior, 1, (1 << 62) - 1)
        require_range("the theta scale", self.theta_scale, 0, 62)
        require_range("the precision scale", self.precision_scale, 0, 62)

    @property
    def schema(self) -> bytes:
        """The basis id: keccak-256 of the basis document."""
        return keccak(self.basis)

    @property
    def lags(self) -> tuple[int, ...]:
        """The lags of the target, ascending; they are the first columns of the basis.

        Predictions have none: nothing about them is an autoregression.
        """
        return _lags_of(self.basis, self.width) if self.exchange is Exchange.INFORMATION else ()

    @property
    def model_kind(self) -> int:
        """The kind of the federation's models."""
        return INFORMATION if self.exchange is Exchange.INFORMATION else PREDICTIONS

    @property
    def columns(self) -> int:
        """How many columns the basis has, whatever is exchanged."""
        if self.exchange is Exchange.INFORMATION:
            return self.width
        return _probe_columns(self.basis, self.width)

    @property
    def capacity(self) -> int:
        """How many registry positions the trees have: 2^depth."""
        return 1 << self.depth

    @property
    def faults(self) -> int:
        """f: how many validators may be faulty, floor((C - 1) / 3)."""
        return (len(self.committee) - 1) // 3

    @property
    def quorum(self) -> int:
        """q: how many validators must sign, floor(2C / 3) + 1."""
        return 2 * len(self.committee) // 3 + 1

    def require_successor(self, after: FederationConfig) -> None:
        """Check that an epoch may replace this configuration by `after`.

        Raises:
            InvalidValueError: it changes what the contract or the model in force holds fixed.
        """
        for name in _FIXED:
            old, new = getattr(self, name), getattr(after, name)
            if old != new:
                raise InvalidValueError(f"an epoch cannot change {name}; it is {old!r}, proposed is {new!r}")

    def genesis_model(self) -> GlobalModel:
        """Return the model that the first round starts from: it knows nothing."""
        return genesis_model(
            self.schema, self.width, self.prior, self.theta_scale, self.precision_scale, self.model_kind
        )

    def document(self) -> dict[str, Any]:
        """Return the configuration document."""
        return {
            "protocol": PROTOCOL,
            "name": self.name,
            "basis": parse_canonical(self.basis),
            "width": self.width,
            "depth": self.depth,
            "committee": list(self.committee),
            "min_updates": self.min_updates,
            "windows": asdict(self.windows),
            "gates": asdict(self.gates),
            "genesis_reputation": self.genesis_reputation.row(),
            "prior": str(self.prior),
            "theta_scale": self.theta_scale,
            "precision_scale": self.precision_scale,
            "leaves_on_chain": self.leaves_on_chain,
            "exchange": self.exchange.value,
            "aggregation": self.aggregation.document(),
        }

    def hash(self) -> bytes:
        """Return the configuration hash."""
        return document_hash(self.document())

    def to_bytes(self) -> bytes:
        """Return the canonical bytes of the document."""
        return canonical_json(self.document())

    @staticmethod
    def from_bytes(data: bytes) -> FederationConfig:
        """Read a configuration document.

        Raises:
            InvalidValueError: not canonical, unknown or missing keys, another protocol, a value out of range.
        """
        return _read(parse_canonical(data))


@lru_cache(maxsize=64)
def _lags_of(basis: bytes, width: int) -> tuple[int, ...]:
    target = parse_canonical(basis).get("target")
    lags = target.get("lags") if isinstance(target, dict) else None
    if not isinstance(lags, list) or len(lags) > width:
        raise InvalidValueError(f"the basis document needs a list of at most {width} lags, got {lags!r}")
    previous = 0
    for lag in lags:
        previous = require_range("a lag of the basis", lag, previous + 1, 1 << 16)
    return tuple(lags)


@lru_cache(maxsize=64)
def _probe_columns(probe: bytes, width: int) -> int:
    """Return how many columns the rows of a probe document have; `width` of them are predicted."""
    document = parse_canonical(probe)
    rows_ = document.get("rows")
    if not isinstance(rows_, list) or not all(isinstance(row, list) for row in rows_):
        raise InvalidValueError("the probe document needs a list of rows")
    burn = document.get("burn")
    if not isinstance(burn, int) or len(rows_) - burn != width or burn < 0:
        raise InvalidValueError(
            f"the probe has {len(rows_)} rows after a burn-in of {burn}, the width says {width} predictions"
        )
    columns = {len(row) for row in rows_}
    if len(columns) != 1 or not 0 < min(columns) <= MAX_WIDTH:
        raise InvalidValueError(f"the rows of the probe must have one width, got {sorted(columns)}")
    return columns.pop()


_KEYS = (
    "protocol",
    "name",
    "basis",
    "width",
    "depth",
    "committee",
    "min_updates",
    "windows",
    "gates",
    "genesis_reputation",
    "prior",
    "theta_scale",
    "precision_scale",
    "leaves_on_chain",
    "exchange",
    "aggregation",
)
_FIXED = (
    "name",
    "basis",
    "width",
    "depth",
    "windows",
    "prior",
    "theta_scale",
    "precision_scale",
    "leaves_on_chain",
    "exchange",
)


def _read(document: Mapping[str, Any]) -> FederationConfig:
    record = fields("the configuration", document, _KEYS)
    if record["protocol"] != PROTOCOL:
        raise InvalidValueError(f"the configuration speaks {record['protocol']!r}, this program {PROTOCOL}")
    prior = record["prior"]
    if not isinstance(prior, str) or not re.fullmatch("[1-9][0-9]{0,18}", prior):
        raise InvalidValueError(f"prior must be a decimal string of a positive int64, got {prior!r}")
    return FederationConfig(
        name=record["name"],
        basis=canonical_json(record["basis"]),
        width=record["width"],
        depth=record["depth"],
        committee=tuple(rows("committee", record["committee"])),
        min_updates=record["min_updates"],
        windows=Windows(**fields("windows", record["windows"], [f.name for f in dataclass_fields(Windows)])),
        gates=Gates(**fields("gates", record["gates"], [f.name for f in dataclass_fields(Gates)])),
        genesis_reputation=Reputation.from_row(rows("genesis_reputation", record["genesis_reputation"])),
        prior=int(prior),
        theta_scale=record["theta_scale"],
        precision_scale=record["precision_scale"],
        leaves_on_chain=record["leaves_on_chain"],
        exchange=_exchange(record["exchange"]),
        aggregation=Aggregation.from_document(record["aggregation"]),
    )


def _exchange(name: Any) -> Exchange:
    if name not in [*Exchange]:
        raise InvalidValueError(f"exchange is one of {[*map(str, Exchange)]}, got {name!r}")
    return Exchange(name)
