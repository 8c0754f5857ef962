"""Distillation: what no basis holds is exchanged as predictions on a public probe.

After FedMD (Li and Wang 2019, arXiv 1910.03581), in regression and with a precision for each node.

Rules:
- the probe is a public series in standardised units, as regression rows on a basis, in integers on a grid;
  its document pins all of it, and its hash is the schema;
- a native model runs over the whole probe and is heard after the burn-in, when its filter is warm;
- a student is the ridge regression of predictions on the probe's rows; predictions with precision p are
  information p XᵀX about its coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.basis import Basis
from ledgerfed.exchange.design import Design
from ledgerfed.exchange.information import RIDGE, Information
from ledgerfed.exchange.quantise import dequantise, model_to_precision, model_to_theta
from ledgerfed.protocol.bitfields import SIGNIFICANT_BITS
from ledgerfed.protocol.canonical import canonical_json, document_hash, fields, parse_canonical
from ledgerfed.protocol.fixedpoint import round_significant
from ledgerfed.protocol.hashing import require_range
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.payload import BITS_MAX, EXPONENT_MAX, EXPONENT_MIN
from ledgerfed.protocol.predictions import PRECISION_SCALE, PREDICTIONS, PredictionsUpdate
from ledgerfed.protocol.update import Update
from ledgerfed.series.arrays import Floats

GRID: int = 12
"""Binary scale of a probe's integers: a 4,096th of a standard deviation."""


@dataclass(frozen=True, slots=True)
class Probe:
    """A public series as regression rows, in integers at 2^-scale: `rows` [T][d], `target` [T].

    `start` is the time of the first row in seconds since 1970; predictions of the first `burn` rows do not
    count.
    """

    basis: Basis
    start: int
    burn: int
    scale: int
    rows: tuple[tuple[int, ...], ...]
    target: tuple[int, ...]

    def __post_init__(self) -> None:
        require_range("the start of a probe", self.start, -(1 << 52), 1 << 52)
        require_range("the scale of a probe", self.scale, 0, 30)
        require_range("the burn-in of a probe", self.burn, 0, len(self.rows) - 2)
        if len(self.target) != len(self.rows) or {len(row) for row in self.rows} != {self.basis.width}:
            raise InvalidValueError(
                f"a probe needs a target and {self.basis.width} columns for each of its {len(self.rows)} rows"
            )
        for row in (*self.rows, self.target):
            for value in row:
                require_range("a value of a probe", value, -(1 << 31), (1 << 31) - 1)

    @property
    def width(self) -> int:
        """The number of predictions m."""
        return len(self.rows) - self.burn

    @property
    def schema(self) -> bytes:
        """The keccak-256 of the canonical document (32 bytes)."""
        return document_hash(self.document())

    def document(self) -> dict[str, Any]:
        """Return the probe as a JSON-able document of integers and strings."""
        return {
            "basis": self.basis.document(),
            "burn": self.burn,
            "rows": [list(row) for row in self.rows],
            "scale": self.scale,
            "start": self.start,
            "target": list(self.target),
        }

    def to_bytes(self) -> bytes:
        """Return the canonical bytes of the document."""
        return canonical_json(self.document())

    def design(self) -> Design:
        """Return the probe as a design, for native models to run over; the rows after the burn-in count."""
        X = np.ldexp(np.array(self.rows, dtype=np.float64), -self.scale)
        y = np.ldexp(np.array(self.target, dtype=np.float64), -self.scale)
        seconds = self.start + self.basis.period * np.arange(len(y))
        times = seconds.astype("datetime64[s]")
        return Design(self.basis, times, X, y, np.arange(len(y)) >= self.burn)

    @staticmethod
    def from_document(document: Mapping[str, Any]) -> Probe:
        """Read a document back.

        Raises:
            InvalidValueError: keys are missing or unknown, or a value is not allowed.
        """
        keys = ("basis", "burn", "rows", "scale", "start", "target")
        record = fields("the probe", dict(document), keys)
        try:
            rows = tuple(tuple(row) for row in record["rows"])
            target = tuple(record["target"])
        except TypeError as error:
            raise InvalidValueError(f"the rows of a probe are lists of integers: {error}") from error
        basis = Basis.from_document(record["basis"])
        return Probe(basis, record["start"], record["burn"], record["scale"], rows, target)


def make_probe(source: Design, burn: int, scale: int = GRID) -> Probe:
    """Return the complete rows of a public design as a probe; its series is shown to everybody.

    Raises:
        InvalidValueError: the rows have gaps, so that no filter could run over them, or do not fit the grid.
    """
    places = np.flatnonzero(source.rows)
    if not len(places) or (np.diff(places) != 1).any():
        raise InvalidValueError("a probe needs rows without a gap; give a window that has none missing")
    X, y = source.sample()
    start = int(source.times[places[0]].astype("datetime64[s]").astype(np.int64))
    rows = tuple(tuple(int(v) for v in np.rint(np.ldexp(row, scale))) for row in X)
    return Probe(source.basis, start, burn, scale, rows, tuple(int(v) for v in np.rint(np.ldexp(y, scale))))


def read_schema(document: bytes) -> tuple[Basis, Probe | None]:
    """Return the basis that a configuration's schema document names, and the probe if it is one.

    Raises:
        InvalidValueError: neither the document of a basis nor of a probe.
    """
    found = parse_canonical(document)
    if "rows" not in found:
        return Basis.from_document(found), None
    probe = Probe.from_document(found)
    return probe.basis, probe


def quantise_predictions(
    predictions: Floats,
    precision: float,
    *,
    n: int,
    schema: bytes,
    base_model: bytes,
    family: bytes,
    bits: int = BITS_MAX,
    drift: bool = False,
) -> PredictionsUpdate:
    """Return the update that carries predictions, float64 [m], and their precision, relative to `base_model`.

    Raises:
        InvalidValueError: a prediction is not finite or too large, or the precision is not positive.
    """
    if not np.isfinite(predictions).all() or not 0 < precision < np.inf:
        raise InvalidValueError("a prediction or the precision is not finite; the fit is not usable")
    limit = (1 << bits - 1) - 1
    largest = float(np.abs(predictions).max())
    exponent = EXPONENT_MAX if largest == 0 else min(EXPONENT_MAX, bits - 1 - math.frexp(largest)[1])
    if round(math.ldexp(largest, exponent)) > limit:
        exponent -= 1
    if exponent < EXPONENT_MIN:
        raise InvalidValueError(f"a prediction reaches {largest}; the native model runs away on the probe")
    integer = max(1, round(math.ldexp(precision, PRECISION_SCALE)))
    return PredictionsUpdate(
        schema=schema,
        base_model=base_model,
        family=family,
        n_samples=n,
        precision=round_significant(integer, SIGNIFICANT_BITS),
        exponent=exponent,
        values=tuple(int(value) for value in np.rint(np.ldexp(predictions, exponent))),
        bits=bits,
        drift=drift,
    )


def predictions_of(update: PredictionsUpdate) -> Floats:
    """Return the predictions that an update carries, float64 [m], exactly."""
    return np.asarray(np.ldexp(np.array(update.values, dtype=np.float64), -update.exponent), dtype=np.float64)


def student(X: Floats, predictions: Floats, ridge: float = RIDGE) -> Floats:
    """Return the ridge regression of predictions [m] on the probe's rows X [m, d], float64 [d]."""
    gram = X.T @ X + ridge * np.eye(X.shape[1])
    return np.asarray(np.linalg.solve(gram, X.T @ predictions), dtype=np.float64)


def as_information(update: Update, probe: Probe | None) -> Information:
    """Return what an update of either kind says about the coefficients of the basis.

    Raises:
        InvalidValueError: predictions without the probe that they are on.
    """
    if not isinstance(update, PredictionsUpdate):
        return dequantise(update)
    X = _rows(probe)
    predictions = predictions_of(update)
    precision = math.ldexp(update.precision, -PRECISION_SCALE)
    R = np.linalg.cholesky(precision * (X.T @ X + RIDGE * np.eye(X.shape[1]))).T
    return Information(update.n_samples, 1.0, np.triu(R), R @ student(X, predictions), 0.0)


def coefficients(model: GlobalModel, probe: Probe | None) -> tuple[Floats, Floats]:
    """Return θ, float64 [d], and its precision Λ, float64 [d, d], of a model of either kind.

    A model of predictions has those of its student.

    Raises:
        InvalidValueError: predictions without the probe that they are on.
    """
    values = model_to_theta(model)
    if model.kind != PREDICTIONS:
        return values, model_to_precision(model)
    X = _rows(probe)
    precision = math.ldexp(model.precision.values[0], -model.precision.scale)
    return student(X, values), precision * (X.T @ X + RIDGE * np.eye(X.shape[1]))


def _rows(probe: Probe | None) -> Floats:
    if probe is None:
        raise InvalidValueError("predictions say nothing without their probe; prepare the node with it")
    return probe.design().sample()[0]
