"""One federation under one attack: some rounds of the real decision, then every honest node forecasts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.errors import RoundAbortedError
from ledgerfed.evaluation.attack_study.catalogue import Play
from ledgerfed.evaluation.attack_study.nodes import Federation
from ledgerfed.evaluation.dry_run import play_rounds
from ledgerfed.evaluation.methods.result import Trained
from ledgerfed.exchange.distillation import coefficients
from ledgerfed.fusion import no_harm, personalise, predictive
from ledgerfed.node.walk import LocalModel, Workbench, inform
from ledgerfed.protocol.manifest import Outcome
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.series.arrays import Floats

ROUNDS: Final = 5


@dataclass(frozen=True, slots=True)
class Judged:
    """Verdicts on node-rounds by reason, and how many of them carried weight."""

    reasons: Mapping[str, int]
    weighed: int

    @property
    def total(self) -> int:
        """How many node-rounds were judged."""
        return sum(self.reasons.values())

    @property
    def admitted(self) -> int:
        """How many of them were admitted."""
        return self.reasons.get("admitted", 0)


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """What came of it: test MSE of the honest nodes' forecasters, float64 [honest], standardised; verdicts on
    honest and on hostile updates; how many rounds aborted.
    """

    mse: Floats
    honest: Judged
    hostile: Judged
    aborted: int


def play(
    federation: Federation,
    honest: tuple[int, ...],
    ring: tuple[int, ...] = (),
    attack: Play | None = None,
    rounds: int = ROUNDS,
) -> Played:
    """Return what `rounds` rounds with `ring` in them leave the `honest` nodes with."""
    config = federation.config()
    attacks = attack.players(ring) if attack else {}
    found = play_rounds(config, federation.benches, federation.locals_, attacks, rounds)
    certified = [outcome for outcome in found if not isinstance(outcome, RoundAbortedError)]
    model = certified[-1].model if certified else config.genesis_model()
    active: Callable[[int], bool] = attack.attacks_in if attack and not attack.harmless else lambda _: False
    return Played(
        np.array([forecaster_mse(federation, index, model) for index in honest]),
        _judged(certified, honest, lambda _: True),
        _judged(certified, ring, active),
        len(found) - len(certified),
    )


def own_mse(node: Trained) -> float:
    """Return the test MSE of the node's own model."""
    _, y = node.participant.answers
    return float(np.mean((y - node.ahead) ** 2))


def forecaster_mse(federation: Federation, index: int, model: GlobalModel) -> float:
    """Return the test MSE of a node's no-harm forecaster on a global model; of its own model on none.

    As in `evaluation.methods.rehearsal`, with the hold-out in place of the rehearsal's tail.
    """
    node, bench, local = federation.nodes[index], federation.benches[index], federation.locals_[index]
    X, y = node.participant.answers
    if not model.contributors:
        return own_mse(node)
    personal, share = _proven(bench, local, model)
    return float(np.mean((y - share * node.ahead - (1 - share) * X @ personal) ** 2))


def _proven(bench: Workbench, local: LocalModel, model: GlobalModel) -> tuple[Floats, float]:
    """Return the personal coefficients and the weight of the native model beside them."""
    theta, precision = coefficients(model, bench.probe)
    own, mean_precision = inform(bench, local, model), precision / model.contributors
    X, y = bench.holdout.sample()
    plain = personalise(own, theta, mean_precision)
    native = local.fitted.one_step(bench.holdout)[bench.holdout.rows]
    used, rows = len(local.fitted.parameters), len(bench.train.sample()[1])
    share = no_harm(y - X @ plain.theta, y - native, rows, used)
    proven = predictive(own, theta, mean_precision, X, y)
    return personalise(own, theta, mean_precision, proven).theta, share


def _judged(outcomes: list[Outcome], nodes: tuple[int, ...], counts: Callable[[int], bool]) -> Judged:
    asked = frozenset(nodes)
    verdicts = [v for o in outcomes if counts(o.round) for v in o.verdicts if v.index in asked]
    reasons = Counter(v.reason.value for v in verdicts)
    return Judged(dict(sorted(reasons.items())), sum(v.weight > 0 for v in verdicts))
