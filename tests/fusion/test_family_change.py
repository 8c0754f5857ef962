from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import pytest

from ledgerfed.errors import FitError, InvalidValueError
from ledgerfed.exchange import Basis, ChannelTerm, Design, information
from ledgerfed.fusion.family_change import change_family
from ledgerfed.models import Fitted
from ledgerfed.models.ar import AR
from ledgerfed.models.arx import ARX

BASIS = Basis("y", "1", 60, (1,), (ChannelTerm("m", ("x",), 1),))
TIMES = np.datetime64("2024-01-01T00:00:00") + 60 * np.arange(200)


def rows(effect: float, n: int = 200, seed: int = 0) -> Design:
    """y_t = 0.6 y_{t-1} + effect x_{t-1} + noise."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=n), np.zeros(n)
    for t in range(1, n):
        y[t] = 0.6 * y[t - 1] + effect * x[t - 1] + 0.3 * rng.normal()
    back = [np.concatenate([[np.nan], series[:-1]]) for series in (y, x)]
    X = np.column_stack([*back, np.ones(n)])
    return Design(BASIS, TIMES[:n], X, y, ~np.isnan(X).any(axis=1))


@dataclass(frozen=True)
class Watched:
    """ARX that remembers what it was given, and fails on as many fits as told."""

    fails_from: int = 99
    seen: list[Design] = field(default_factory=list)
    name: str = "watched"
    exchange_weight: float = 1.0

    def fit(self, design: Design) -> Fitted:
        self.seen.append(design)
        if len(self.seen) > self.fails_from:
            raise FitError("no maximum found")
        return ARX().fit(design)


def test_a_node_changes_to_a_family_that_is_no_worse_on_its_latest_rows() -> None:
    own = rows(effect=1.0)
    change = change_family(AR(), ARX(), own, tail=40)
    assert change.changed
    assert change.after is not None
    assert change.after < 0.3 * change.before
    assert change.fitted.parameters == ARX().fit(own).parameters
    assert not change.distilled


def test_a_node_stays_with_its_family_when_the_new_one_is_worse() -> None:
    own = rows(effect=1.0)
    change = change_family(ARX(), AR(), own, tail=40)
    assert not change.changed
    assert change.fitted.parameters == ARX().fit(own).parameters
    assert change.after is not None
    assert change.after > change.before
    assert "'ar' errs by" in change.reason


def test_what_judges_was_seen_by_no_fit_that_is_judged() -> None:
    own, watched = rows(effect=1.0), Watched()
    change_family(AR(), watched, own, tail=40, theta=np.array([0.6, 1.0, 0.0]))
    assert [len(design.y) for design in watched.seen] == [160, 160, 200]
    assert [int(design.rows.sum()) for design in watched.seen] == [159, 159, 199]


def test_with_few_rows_the_new_family_starts_from_what_the_federation_predicts() -> None:
    truth = np.array([0.6, 1.0, 0.0])
    distilled = 0
    for seed in range(20):
        own = rows(effect=1.0, n=16, seed=seed)
        change = change_family(AR(), ARX(), own, tail=6, theta=truth)
        if change.distilled:
            distilled += 1
            X, y = own.sample()
            half = information(X, (y + X @ truth) / 2, y, 1.0)
            np.testing.assert_allclose(change.fitted.parameters, half.theta(), rtol=0, atol=2.0**-20)
    assert distilled >= 10


def test_a_family_that_cannot_be_fitted_is_a_reason_to_stay() -> None:
    own = rows(effect=1.0)
    for fails_from, after in ((0, False), (1, True)):
        change = change_family(AR(), Watched(fails_from), own, tail=40)
        assert not change.changed
        assert change.fitted.family == "ar"
        assert (change.after is not None) == after
        assert change.reason == "no maximum found"


def test_a_family_that_is_silent_on_the_tail_is_not_taken() -> None:
    @dataclass(frozen=True)
    class Silent:
        name: str = "silent"
        family: str = "silent"
        exchange_weight: float = 1.0
        parameters: tuple[float, ...] = ()

        def fit(self, design: Design) -> Fitted:
            return self

        def one_step(self, design: Design) -> np.ndarray:
            return np.full(len(design.y), np.nan)

    change = change_family(AR(), Silent(), rows(effect=1.0), tail=40)
    assert not change.changed
    assert "gives no prediction for some of the last 40 rows" in change.reason


def test_a_tail_must_leave_rows_to_fit_and_theta_must_fit_the_basis() -> None:
    own = rows(effect=1.0)
    for tail in (0, 199):
        with pytest.raises(InvalidValueError, match="leaves nothing to fit or to judge"):
            change_family(AR(), ARX(), own, tail)
    with pytest.raises(InvalidValueError, match="the basis 3 columns"):
        change_family(AR(), ARX(), own, 40, np.zeros(2))
