"""Ways to make forecasters of what nodes exchange: functions of all that they send to one model a node."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from ledgerfed.evaluation.metrics import geometric_mean
from ledgerfed.evaluation.synthetic_nodes import Linear, Node, lagged
from ledgerfed.exchange import Information, information
from ledgerfed.exchange.autocovariance import (
    SmallProfile,
    combine,
    dequantise_profile,
    quantise_profile,
    small_profile,
    theta,
)
from ledgerfed.exchange.linear_prediction import cepstrum, from_cepstrum, padded, step_down, step_up
from ledgerfed.fusion import KAPPAS, fuse, personal, shrinkage
from ledgerfed.series.arrays import Floats

LAGS: Final = 12
LONG: Final = 128
"""Lags at which infinite autoregressions are cut where they are averaged as such."""
_BOUND: Final = 0.999
_EMPTY: Final = np.empty(0)

Forecasters = list[Linear]


class Federation:
    """The nodes of one repeat and what they send: native models, AR(M) and information, made once."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self.nodes = nodes
        self.samples = [(lagged(node.y, LAGS), node.y[LAGS:]) for node in nodes]
        self.exact = [information(X, y, y, 1.0, ridge=0.0) for X, y in self.samples]
        self.projected = [
            information(X, y, node.native.one_step(node.y)[LAGS:], 0.0, ridge=0.0)
            for node, (X, y) in zip(nodes, self.samples, strict=True)
        ]
        self.best = [node.native.best(LAGS) for node in nodes]
        self.reflections = [step_down(ar, _BOUND) for ar in self.best]
        self.weights = [node.native.weights(LONG) for node in nodes]
        self.rows = np.array([len(node.y) for node in nodes], dtype=np.float64)
        self.noise = np.array([np.mean((n.y - n.native.one_step(n.y)) ** 2) for n in nodes])
        self.profiles = [_sent(node) for node in nodes]

    def of_all(self, ar: Floats, ma: Floats = _EMPTY) -> Forecasters:
        """Return one global model for every node."""
        return [Linear(ar, ma)] * len(self.nodes)


def _sent(node: Node) -> SmallProfile:
    profile = small_profile(node.y / node.y.std(), LAGS)
    return dequantise_profile(profile.n, quantise_profile(profile))


def positions_mean(f: Federation) -> Forecasters:
    """Average native parameter vectors by position, as federated averaging does, over those that reach there.

    The vector is φ then θ, or the gain of the local level; each node puts its part of the mean in its family.
    """
    vectors = [_native_vector(node.native) for node in f.nodes]
    longest = max(len(vector) for vector in vectors)
    mean = [np.mean([v[i] for v in vectors if len(v) > i]) for i in range(longest)]
    return [_from_vector(np.array(mean), node.native) for node in f.nodes]


def _native_vector(native: Linear) -> Floats:
    if native.difference.order:
        return 1 + native.ma
    return np.concatenate([native.ar, native.ma])


def _from_vector(vector: Floats, family: Linear) -> Linear:
    if family.difference.order:
        return replace(family, ma=np.clip(vector[:1] - 1, -_BOUND, _BOUND))
    p, q = len(family.ar), len(family.ma)
    return Linear(vector[:p], np.clip(vector[p : p + q], -_BOUND, _BOUND))


def names_mean(f: Federation) -> Forecasters:
    """Average native parameters by name: AR coefficients and moving average, zero where a family has none."""
    order = max(len(node.native.folded) for node in f.nodes)
    ar = np.mean([padded(node.native.folded, order) for node in f.nodes], axis=0)
    return f.of_all(ar, np.mean([padded(node.native.ma, 1) for node in f.nodes], axis=0))


def diagonal_precision(f: Federation) -> Forecasters:
    """Weigh each coefficient with its own precision and forget the correlations."""
    diagonals = np.array([np.diag(info.precision()) for info in f.projected])
    thetas = np.array([info.theta() for info in f.projected])
    return f.of_all((diagonals * thetas).sum(axis=0) / diagonals.sum(axis=0))


def reflections_mean(f: Federation) -> Forecasters:
    """Average partial autocorrelations with the weights n / s²."""
    return f.of_all(step_up(np.average(f.reflections, axis=0, weights=f.rows / f.noise)))


def cepstrum_mean(f: Federation) -> Forecasters:
    """Average cepstra with the weights n."""
    cepstra = [cepstrum(step_up(reflections), LAGS) for reflections in f.reflections]
    return f.of_all(from_cepstrum(np.average(cepstra, axis=0, weights=f.rows)))


def pooled(f: Federation) -> Forecasters:
    """Least squares on all rows together, whatever the noise of their node."""
    X, y = (np.concatenate(parts) for parts in zip(*f.samples, strict=True))
    return f.of_all(np.linalg.lstsq(X, y)[0])


def personal_forecasters(f: Federation) -> Forecasters:
    """Take the global model as each node's prior, as strong as the marginal likelihood says."""
    centre, precision = fuse(f.exact, [1.0] * len(f.exact))
    mean = precision / len(f.exact)
    kappa = most_likely_kappa(f.exact, centre, mean)
    return [Linear(personal(info, centre, mean, kappa), _EMPTY) for info in f.exact]


def most_likely_kappa(infos: Sequence[Information], centre: Floats, mean: Floats) -> float:
    """Return the κ of `KAPPAS` under which all messages together are most likely."""
    total = sum(shrinkage(info, centre, mean).log_evidence() for info in infos)
    return float(KAPPAS[int(np.argmax(total))])


METHODS: Final[Mapping[str, Callable[[Federation], Forecasters]]] = {
    "local, own model": lambda f: [node.native for node in f.nodes],
    "local, AR(12) by least squares": lambda f: [Linear(info.theta(), _EMPTY) for info in f.exact],
    "native parameters, by position": positions_mean,
    "native parameters, by name": names_mean,
    "AR(inf), mean": lambda f: f.of_all(np.mean(f.weights, axis=0)),
    "AR(inf), weights n/s2": lambda f: f.of_all(np.average(f.weights, axis=0, weights=f.rows / f.noise)),
    "AR(inf), median": lambda f: f.of_all(np.median(f.weights, axis=0)),
    "precision, own models (lambda 0)": lambda f: f.of_all(fuse(f.projected, [1.0] * len(f.nodes))[0]),
    "precision, statistics (lambda 1)": lambda f: f.of_all(fuse(f.exact, [1.0] * len(f.nodes))[0]),
    "precision, diagonal only": diagonal_precision,
    "partial autocorrelations, mean": reflections_mean,
    "cepstrum, mean": cepstrum_mean,
    "autocovariances (26 bytes)": lambda f: f.of_all(theta(combine(f.profiles, [1.0] * len(f.nodes)))),
    "centralized, raw least squares": pooled,
    "personal, kappa by likelihood": personal_forecasters,
}


def judged(federation: Federation) -> dict[str, float]:
    """Return each method's geometric mean over nodes of expected squared error over the truth's."""
    return {
        name: geometric_mean(
            [1 + node.excess(model) for node, model in zip(federation.nodes, method(federation), strict=True)]
        )
        for name, method in METHODS.items()
    }
