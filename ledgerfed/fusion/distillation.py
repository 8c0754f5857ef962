"""Distillation: models that no basis can hold teach by what they predict on a public probe series.

Rules:
- the probe is public and pinned by hash; it holds standardised integers, so that every node sees the same
  rows to the last bit, whatever its machine;
- a teacher sends its one-step predictions on the probe and one precision: that of its errors at home. The
  probe's own target is not its measure: it is another series;
- the ensemble weighs teachers by precision, and its variance is that of the mixture: what the teachers do not
  know plus what they disagree on. It does not shrink with their number, for they may all err alike;
- a student joins the ensemble's rows to its own information, as so many rows as their precision is worth.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange.basis import Basis
from ledgerfed.exchange.design import Design
from ledgerfed.exchange.information import Information
from ledgerfed.fusion.square_root import residual_about, triangular
from ledgerfed.models.family import Fitted
from ledgerfed.protocol.canonical import document_hash
from ledgerfed.series.arrays import Floats, Integers

PROBE_SCALE = 12
"""A probe counts in 2^-12 of a standard deviation."""
_LARGEST = 1 << 20


@dataclass(frozen=True, slots=True, eq=False)
class Probe:
    """A public series on a basis: `X` int64 [n, d] and `y` int64 [n] in 2^-12 of a standard deviation.

    Row t is one step of the basis' grid after row t - 1; row 0 stands at `start`, seconds since 1970.
    """

    basis: Basis
    start: int
    X: Integers
    y: Integers

    def __post_init__(self) -> None:
        X, y = _integers("X", self.X), _integers("y", self.y)
        if y.ndim != 1 or not len(y) or X.shape != (len(y), self.basis.width):
            raise InvalidValueError(
                f"a probe on {self.basis.width} columns cannot have X {X.shape} and y {y.shape}"
            )
        object.__setattr__(self, "X", X)
        object.__setattr__(self, "y", y)

    def document(self) -> dict[str, Any]:
        """Return the probe as a JSON-able document of integers and strings."""
        return {
            "X": self.X.tolist(),
            "basis": self.basis.basis_id.hex(),
            "scale": PROBE_SCALE,
            "start": self.start,
            "y": self.y.tolist(),
        }

    def hash(self) -> bytes:
        """Return the keccak-256 of the canonical document (32 bytes): what a round pins."""
        return document_hash(self.document())

    def design(self) -> Design:
        """Return the probe as regression rows, all of which count."""
        steps = np.arange(len(self.y)) * np.timedelta64(self.basis.period, "s")
        times = np.datetime64(self.start, "s") + steps
        scale = 2.0**-PROBE_SCALE
        X, y = np.asarray(self.X * scale), np.asarray(self.y * scale)
        return Design(self.basis, times, X, y, np.ones(len(y), dtype=bool))

    @staticmethod
    def from_document(document: Mapping[str, Any], basis: Basis) -> Probe:
        """Read a document back.

        Raises:
            InvalidValueError: it is not the document of a probe on this basis.
        """
        try:
            probe = Probe(basis, document["start"], document["X"], document["y"])
        except (KeyError, TypeError, ValueError) as error:
            raise InvalidValueError(f"not the document of a probe: {error}") from error
        if probe.document() != document:
            raise InvalidValueError("the document is not a probe on this basis, or holds more than one")
        return probe


@dataclass(frozen=True, slots=True, eq=False)
class Lesson:
    """What is taught on a probe: `values` float64 [n] and the `precision` of each, float64 [n].

    The precision is 0 where nothing is taught, as in the rows that a filter needs to settle.
    """

    values: Floats
    precision: Floats

    def __post_init__(self) -> None:
        if self.values.ndim != 1 or self.values.shape != self.precision.shape:
            raise InvalidValueError(
                f"values {self.values.shape} and precision {self.precision.shape} must match"
            )
        if not (np.isfinite(self.values).all() and np.isfinite(self.precision).all()):
            raise InvalidValueError("a lesson needs finite values and precisions")
        if (self.precision < 0).any() or not self.precision.any():
            raise InvalidValueError("no precision may be negative, and one row must be taught")


def make_probe(public: Design) -> Probe:
    """Return a probe from the rows of a public series, from the first complete one to the end.

    Raises:
        InvalidValueError: a later row is not complete, or a value is beyond 2^8 standard deviations.
    """
    first = int(np.argmax(public.rows))
    if not public.rows[first:].all():
        missing = first + int(np.argmin(public.rows[first:]))
        raise InvalidValueError(f"row {missing} of the probe is not complete; take a stretch without gaps")
    start = int(public.times[first].astype("datetime64[s]").astype(np.int64))
    X, y = (np.rint(part[first:] * 2.0**PROBE_SCALE) for part in (public.X, public.y))
    return Probe(public.basis, start, X.astype(np.int64), y.astype(np.int64))


def teach(fitted: Fitted, probe: Probe, s2: float) -> Lesson:
    """Return what a fitted model predicts on the probe, with the precision 1 / s².

    Args:
        s2: variance of the model's one-step errors at home, on rows that it was not fitted on.

    Raises:
        InvalidValueError: s² is not positive, or the model predicts no row.
    """
    if not 0 < s2 < np.inf:
        raise InvalidValueError(f"s2 must be positive and finite, got {s2}")
    values = fitted.one_step(probe.design())
    known = np.isfinite(values)
    return Lesson(np.where(known, values, 0.0), known / s2)


def ensemble(lessons: Sequence[Lesson], weights: Sequence[float] | None = None) -> Lesson:
    """Return the precision-weighted mean of the lessons, and the precision of the mixture.

    Per row with weights v_k ∝ w_k p_k: value Σ v f, variance Σ v (1 / p + (f - value)²).

    Raises:
        InvalidValueError: there is no lesson, lengths differ, or a weight is negative.
    """
    factors = [1.0] * len(lessons) if weights is None else list(weights)
    if len({len(lesson.values) for lesson in lessons}) != 1 or len(factors) != len(lessons):
        raise InvalidValueError(
            f"need lessons on one probe with a weight each, got the lengths "
            f"{[len(lesson.values) for lesson in lessons]} and {len(factors)} weights"
        )
    if min(factors) < 0:
        raise InvalidValueError(f"weights must not be negative, got {factors}")
    values = np.stack([lesson.values for lesson in lessons])
    precision = np.stack([lesson.precision for lesson in lessons])
    shares = precision * np.array(factors)[:, None]
    total = shares.sum(axis=0)
    taught = total > 0
    shares = shares / np.where(taught, total, 1.0)
    mean = (shares * values).sum(axis=0)
    own = np.divide(shares, precision, out=np.zeros_like(shares), where=precision > 0)
    variance = (own + shares * (values - mean) ** 2).sum(axis=0)
    return Lesson(mean, np.divide(1.0, variance, out=np.zeros_like(variance), where=taught))


def student(probe: Probe, lesson: Lesson, own: Information, weight: float = 1.0) -> Information:
    """Return the node's information with the lesson joined to it; `theta()` of it is the student.

    Args:
        weight: what one probe row is worth against a row of the node's own with the same precision.

    `n`, s² and the residual stay those of the node's own rows, so that nobody counts a lesson as data.

    Raises:
        InvalidValueError: the lesson is not on this probe, the widths differ, or the weight is negative.
    """
    X = probe.design().X
    if len(lesson.values) != len(X) or own.width != X.shape[1] or weight < 0:
        raise InvalidValueError(
            f"a lesson of {len(lesson.values)} rows on {own.width} columns does not fit the probe {X.shape}, "
            f"or the weight {weight} is negative"
        )
    root = np.sqrt(weight * lesson.precision)
    rows = np.vstack([own.R, root[:, None] * X])
    R, z = triangular(rows, np.concatenate([own.z, root * lesson.values]))
    return Information(own.n, own.s2, R, z, residual_about(own, np.asarray(np.linalg.solve(R, z))))


def _integers(name: str, values: ArrayLike) -> Integers:
    array = np.asarray(values)
    if array.dtype.kind not in "iu" or (array.size and int(np.abs(array).max()) > _LARGEST):
        raise InvalidValueError(f"{name} of a probe must hold integers of at most {_LARGEST} either way")
    array = array.astype(np.int64)
    array.setflags(write=False)
    return array
