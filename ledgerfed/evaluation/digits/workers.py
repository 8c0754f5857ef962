"""What honest nodes send: the momentum of their gradients on batches of their own images.

Two losses: the plain cross-entropy, and one that takes a node's own class frequencies out (logit adjustment,
Menon et al. 2021, arXiv 2007.07314; for federations Zhang et al. 2022, arXiv 2209.00189): their logarithms
are added to the logits in training only. A node then learns how an image of a class looks and not how often
it has one, so that honest nodes agree although their labels do not, and hostile ones have less to hide in.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.datasets.digits import CLASSES
from ledgerfed.evaluation.digits.model import WIDTH, gradients
from ledgerfed.evaluation.digits.shares import Shares, images
from ledgerfed.series.arrays import Floats

MOMENTUM: Final = 0.9
BATCH: Final = 32


@dataclass(frozen=True, slots=True, eq=False)
class Sent:
    """What the honest nodes have to send in a round.

    `vectors` float64 [h, 2410]; `flipped` the same from labels 9 - y; `quality` float64 [h], the inverse of
    the batch's loss, which they report of themselves.
    """

    vectors: Floats
    flipped: Floats
    quality: Floats


class Workers:
    """The honest nodes of a run: their images, their momenta, and the generator of their batches."""

    def __init__(self, shares: Shares, rng: np.random.Generator, smoothing: float | None) -> None:
        """Take the nodes' images; `smoothing` is added to each count of a class, None is the plain loss."""
        self._nodes, self._rng = shares.nodes, rng
        self._log_prior = None if smoothing is None else _log_prior(shares, smoothing)
        self._vectors, self._flipped = (np.zeros((len(shares.nodes), WIDTH)) for _ in range(2))

    def train(self, theta: Floats, *, flipped: bool = False) -> Sent:
        """Return what the nodes send about the model; `flipped` is only worked out where it is asked for."""
        digits = images()
        draws = [node[self._rng.integers(len(node), size=BATCH)] for node in self._nodes]
        chosen = np.stack(draws)
        pixels, labels = digits.pixels[chosen], digits.labels[chosen]
        now, losses = gradients(theta, pixels, labels, self._log_prior)
        self._vectors = MOMENTUM * self._vectors + (1 - MOMENTUM) * now
        if flipped:
            prior = None if self._log_prior is None else self._log_prior[:, ::-1]
            wrong, _ = gradients(theta, pixels, CLASSES - 1 - labels, prior)
            self._flipped = MOMENTUM * self._flipped + (1 - MOMENTUM) * wrong
        return Sent(self._vectors, self._flipped, 1 / np.maximum(losses, 1e-6))


def _log_prior(shares: Shares, smoothing: float) -> Floats:
    labels = images().labels
    counts = np.array([np.bincount(labels[node], minlength=CLASSES) for node in shares.nodes]) + smoothing
    return np.asarray(np.log(counts / counts.sum(axis=1, keepdims=True)))
