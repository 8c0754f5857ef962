"""A perceptron of 64 inputs, 32 hidden units and 10 classes, and the gradients of many workers at once.

The parameters are one vector of WIDTH = 2,410 numbers, in the order of `_parts`.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from ledgerfed.datasets.digits import CLASSES, PIXELS
from ledgerfed.series.arrays import Floats

HIDDEN: Final = 32
WIDTH: Final = PIXELS * HIDDEN + HIDDEN + HIDDEN * CLASSES + CLASSES
Labels = npt.NDArray[np.int64]


def initial(rng: np.random.Generator) -> Floats:
    """Return parameters to start from, float64 [2410]: He's for the hidden layer (arXiv 1502.01852)."""
    first = rng.standard_normal(PIXELS * HIDDEN) * np.sqrt(2 / PIXELS)
    second = rng.standard_normal(HIDDEN * CLASSES) / np.sqrt(HIDDEN)
    return np.concatenate([first, np.zeros(HIDDEN), second, np.zeros(CLASSES)])


def accuracy(theta: Floats, pixels: Floats, labels: Labels) -> float:
    """Return the share of images [k, 64] whose most likely class is their label [k]."""
    W, b, V, c = _parts(theta)
    logits = np.maximum(pixels @ W + b, 0) @ V + c
    return float((logits.argmax(axis=1) == labels).mean())


def gradients(
    theta: Floats, pixels: Floats, labels: Labels, log_prior: Floats | None = None
) -> tuple[Floats, Floats]:
    """Return each worker's gradient of the cross-entropy, float64 [h, 2410], and its mean loss, [h].

    Args:
        theta: the shared parameters, float64 [2410].
        pixels: a batch of each worker, float64 [h, batch, 64].
        labels: int64 [h, batch].
        log_prior: what is added to the logits of each worker, float64 [h, 10]; nothing when None.
    """
    h, batch, _ = pixels.shape
    W, b, V, c = _parts(theta)
    before = pixels.reshape(-1, PIXELS) @ W + b
    hidden = np.maximum(before, 0)
    logits = (hidden @ V + c).reshape(h, batch, CLASSES)
    if log_prior is not None:
        logits = logits + log_prior[:, None, :]
    logits -= logits.max(axis=2, keepdims=True)
    share = np.exp(logits)
    share /= share.sum(axis=2, keepdims=True)
    chosen = np.take_along_axis(share, labels[:, :, None], axis=2)
    losses = -np.log(np.maximum(chosen[:, :, 0], np.finfo(np.float64).tiny)).mean(axis=1)
    np.put_along_axis(share, labels[:, :, None], chosen - 1, axis=2)
    error = share / batch
    back = (error.reshape(-1, CLASSES) @ V.T * (before > 0)).reshape(h, batch, HIDDEN)
    found = (
        pixels.transpose(0, 2, 1) @ back,
        back.sum(axis=1),
        hidden.reshape(h, batch, HIDDEN).transpose(0, 2, 1) @ error,
        error.sum(axis=1),
    )
    return np.concatenate([part.reshape(h, -1) for part in found], axis=1), losses


def _parts(theta: Floats) -> tuple[Floats, Floats, Floats, Floats]:
    W, b, V, c = np.split(theta, np.cumsum([PIXELS * HIDDEN, HIDDEN, HIDDEN * CLASSES]))
    return W.reshape(PIXELS, HIDDEN), b, V.reshape(HIDDEN, CLASSES), c
