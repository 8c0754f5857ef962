"""The space in which updates of one kind are summed and compared: all that the robust rules know of a kind.

A rule takes a space and never asks what kind it works on. Whitened by the update's own claim, a distance is
about 1.0 for the truth in every space.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

from ledgerfed.aggregation import information, predictions
from ledgerfed.protocol.fixedpoint import FixedVector
from ledgerfed.protocol.payload import InformationUpdate
from ledgerfed.protocol.update import Exchange


class Contribution(Protocol):
    """An update expanded to integers."""

    @property
    def width(self) -> int:
        """How many coefficients, or predictions, it speaks about."""
        ...

    @property
    def trace(self) -> int:
        """The claimed information, at scale 2^-80."""
        ...


U = TypeVar("U")
C = TypeVar("C", bound=Contribution)
P = TypeVar("P")


@dataclass(frozen=True, slots=True)
class Space(Generic[U, C, P]):
    """expand: an update to integers. pool: contributions with their Q16 weights about a prior precision at
    2^-96. solve: the pooled model on a grid. precision: what stands behind it. distance: whitened, per
    component, Q16. gram: the inner products of what contributions (with their Q16 caps) say beyond the base
    model, for the rules that work on distances between updates. aligned: whether two contributions are
    copies, seen from the base model. noise: the residual per sample that an update claims, Q16; None in a
    space without residuals.
    """

    expand: Callable[[U], C]
    pool: Callable[[Iterable[tuple[C, int]], int, int], P]
    solve: Callable[[P, int], FixedVector]
    precision: Callable[[P, int], FixedVector]
    distance: Callable[[C, FixedVector], int]
    gram: Callable[[Sequence[C], Sequence[int], int, FixedVector], list[list[int]]]
    aligned: Callable[[C, C, FixedVector, int], bool]
    noise: Callable[[U], int | None]


def _aligned_rows(
    left: information.ExactInformation, right: information.ExactInformation, _: FixedVector, bits: int
) -> bool:
    return information.aligned(left, right, bits)


def _noise_per_sample(update: InformationUpdate) -> int | None:
    return update.residual // update.n_samples


COEFFICIENTS = Space(
    information.expand,
    information.pool,
    information.solve,
    information.precision_triangle,
    information.distance,
    information.gram_about,
    _aligned_rows,
    _noise_per_sample,
)
PROBE = Space(
    predictions.expand,
    predictions.pool,
    predictions.solve,
    predictions.precision,
    predictions.distance,
    lambda updates, _caps, _prior, base: predictions.gram_about(updates, base),
    predictions.aligned,
    lambda _: None,
)
SPACES: Mapping[Exchange, Space[Any, Any, Any]] = {
    Exchange.INFORMATION: COEFFICIENTS,
    Exchange.PREDICTIONS: PROBE,
}
