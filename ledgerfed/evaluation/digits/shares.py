"""Who has which images: a part for the test, one for choices, and the rest dealt to the honest nodes.

The classes are dealt by Dirichlet shares (Hsu et al. 2019, arXiv 1909.06335): at concentration 1 a node has
a few classes often, at 0.1 most of its images are of one or two. As in byzfl, hostile nodes hold no images
that the others lack.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import numpy as np
import numpy.typing as npt

from ledgerfed.datasets.digits import CLASSES, Digits, load_digits
from ledgerfed.errors import InvalidValueError

TEST: Final = 360
VALIDATION: Final = 180
LEAST: Final = 8
"""Images that every node has at least; shares are drawn again until it does."""
Indices = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Shares:
    """Positions of images: `test`, `validation`, and one array for each honest node in `nodes`."""

    test: Indices
    validation: Indices
    nodes: tuple[Indices, ...]


@lru_cache(maxsize=1)
def images() -> Digits:
    """Return the images, read once."""
    return load_digits()


def deal(seed: int, honest: int, concentration: float) -> Shares:
    """Return the shares of a seed: test and validation depend on the seed alone.

    Raises:
        InvalidValueError: no honest node, or a concentration that is not positive.
    """
    if honest < 1 or not concentration > 0:
        raise InvalidValueError(
            f"needs an honest node and a positive concentration, got {honest}, {concentration}"
        )
    labels = images().labels
    order = np.random.default_rng([seed, 1]).permutation(len(labels))
    test, validation, train = np.split(order, [TEST, TEST + VALIDATION])
    rng = np.random.default_rng([seed, 2])
    while True:
        nodes = _dealt(rng, train, labels[train], honest, concentration)
        if min(map(len, nodes)) >= LEAST:
            return Shares(test, validation, nodes)


def _dealt(
    rng: np.random.Generator, train: Indices, labels: Indices, honest: int, concentration: float
) -> tuple[Indices, ...]:
    dealt: list[list[Indices]] = [[] for _ in range(honest)]
    for label in range(CLASSES):
        of_class = rng.permutation(train[labels == label])
        reached = np.cumsum(rng.dirichlet(np.full(honest, concentration)))[:-1]
        cuts = np.rint(reached * len(of_class)).astype(np.int64)
        for node, piece in zip(dealt, np.split(of_class, cuts), strict=True):
            node.append(piece)
    return tuple(np.concatenate(pieces) for pieces in dealt)
