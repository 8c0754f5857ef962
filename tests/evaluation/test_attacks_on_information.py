"""Every attack does what it says: to coefficients, precision, data, time and scores."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ledgerfed.consensus import PastUpdate
from ledgerfed.datasets import load_transit
from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.attacks.claims import Inflated, TinyClaim
from ledgerfed.evaluation.attacks.coefficients import (
    AlongSpread,
    CoefficientAttack,
    Gaussian,
    InnerProduct,
    LittleIsEnough,
    Mimic,
    Scaling,
)
from ledgerfed.evaluation.attacks.free_riding import BaseWithNoise, Copy, Replay, StaleBase
from ledgerfed.evaluation.attacks.poisoning import TargetFlip, TargetShift
from ledgerfed.evaluation.attacks.scores import Colluding, Constant, Favouring, Inverting, Silent
from ledgerfed.evaluation.attacks.timing import OnOff, Sleeper
from ledgerfed.evaluation.demo import demo_config
from ledgerfed.evaluation.demo_scenarios import TRANSIT
from ledgerfed.evaluation.hostile import AttackContext, ScoringContext
from ledgerfed.exchange import dequantise, model_to_theta
from ledgerfed.models import load_family
from ledgerfed.node import honest_update
from ledgerfed.node.walk import fit_local, make_update, prepare
from ledgerfed.protocol.fixedpoint import FixedVector
from ledgerfed.protocol.payload import InformationUpdate
from ledgerfed.protocol.score import GATED, NOT_HELD, ONE
from ledgerfed.series.arrays import Floats

NODES = 5
RING = (1, 4)
EXACT = 5e-3
"""What twelve bits of a mantissa leave of a coefficient."""


@pytest.fixture(scope="module")
def context() -> AttackContext:
    """The first of the ring in the second round; three honest nodes, everybody showed an update before."""
    benches = [prepare(panel, TRANSIT.windows(panel), TRANSIT.basis) for panel in load_transit()[:NODES]]
    locals_ = [fit_local(bench, load_family("arx")) for bench in benches]
    genesis = demo_config(NODES).genesis_model()
    first = [make_update(b, m, genesis) for b, m in zip(benches, locals_, strict=True)]
    values = tuple(round(v * 2**30) for v in dequantise(first[0]).theta())
    base = replace(genesis, contributors=4, theta=FixedVector(values, 30))
    honest = tuple(make_update(benches[i], locals_[i], base) for i in range(NODES) if i not in RING)
    history = tuple(PastUpdate(1, i, update) for i, update in enumerate(first))
    return AttackContext(
        benches[1], locals_[1], base, 2, 1, history, honest=honest, ring=RING, earlier=(genesis,)
    )


def theta(update: object) -> Floats:
    assert isinstance(update, InformationUpdate)
    return dequantise(update).theta()


def said(context: AttackContext, lie: object) -> Floats:
    return theta(CoefficientAttack(lie)(context))  # type: ignore[arg-type]


def close(left: Floats, right: Floats) -> bool:
    return bool(np.abs(left - right).max() <= EXACT * max(1.0, float(np.abs(right).max())))


def test_a_lie_about_coefficients_keeps_the_precision_and_the_claims(context: AttackContext) -> None:
    honest, lied = honest_update(context), CoefficientAttack(Scaling(-2.0))(context)
    mine, theirs = dequantise(_information(honest)), dequantise(_information(lied))
    assert np.allclose(mine.R, theirs.R, atol=EXACT * np.abs(mine.R).max())
    assert (mine.n, mine.s2, mine.residual) == (theirs.n, theirs.s2, theirs.residual)
    assert _information(lied).base_model == context.base.hash()


def test_scaling_multiplies_and_a_negative_factor_flips_the_sign(context: AttackContext) -> None:
    own = theta(honest_update(context))
    assert close(said(context, Scaling(3.0)), 3 * own)
    assert close(said(context, Scaling(-2.5)), -2.5 * own)


def test_inner_product_says_minus_the_honest_mean(context: AttackContext) -> None:
    mean = np.mean([theta(update) for update in context.honest], axis=0)
    assert close(said(context, InnerProduct(0.5)), -0.5 * mean)


def test_a_little_is_z_deviations_of_every_coefficient_towards_zero(context: AttackContext) -> None:
    honest = np.array([theta(update) for update in context.honest])
    mean, sd = honest.mean(axis=0), honest.std(axis=0)
    assert close(said(context, LittleIsEnough(1.5)), mean - 1.5 * sd * np.sign(mean))
    assert (np.abs(said(context, LittleIsEnough(-3.0))).sum()) > np.abs(mean).sum()


def test_mimics_say_what_the_most_remote_honest_node_says(context: AttackContext) -> None:
    honest = np.array([theta(update) for update in context.honest])
    far = np.linalg.norm(honest - honest.mean(axis=0), axis=1).argmax()
    assert close(said(context, Mimic()), honest[far])


def test_along_the_spread_moves_only_where_the_honest_differ_most() -> None:
    honest = np.array([[1.0, 3.0], [1.0, 1.0], [1.0, 2.0]])
    moved = AlongSpread(2.0)(honest[0], honest, np.random.default_rng(0))
    assert moved == pytest.approx([1.0, 2.0 - 2 * np.sqrt(2 / 3)])
    assert AlongSpread(-2.0)(honest[0], honest, np.random.default_rng(0))[1] > 2


def test_gaussian_noise_is_in_honest_spreads_and_differs_by_node_round_and_seed(
    context: AttackContext,
) -> None:
    honest = np.array([[0.0, 0.0], [2.0, 0.0]])
    drawn = [Gaussian(10.0)(honest[0], honest, np.random.default_rng(seed)) for seed in range(400)]
    assert np.std(drawn, axis=0) == pytest.approx([10.0, 0.0], rel=0.1)
    attack = CoefficientAttack(Gaussian(1.0), seed=3)
    others = (replace(context, index=4), replace(context, round=3))
    assert attack(context) == attack(context)
    assert all(attack(other) != attack(context) for other in others)
    assert CoefficientAttack(Gaussian(1.0), seed=4)(context) != attack(context)


def test_colluders_that_see_nobody_are_told_so(context: AttackContext) -> None:
    with pytest.raises(InvalidValueError, match="dry round"):
        CoefficientAttack(InnerProduct(1.0))(replace(context, honest=()))


def test_an_inflated_claim_says_the_same_with_more_precision_and_rows(context: AttackContext) -> None:
    honest = _information(honest_update(context))
    louder = _information(Inflated(honest_update, 100.0, samples=3.0)(context))
    assert close(theta(louder), theta(honest))
    assert np.trace(dequantise(louder).precision()) == pytest.approx(
        100 * np.trace(dequantise(honest).precision()), rel=1e-3
    )
    assert louder.n_samples == 3 * honest.n_samples


def test_a_tiny_claim_changes_nothing_and_stays_clear_of_the_base(context: AttackContext) -> None:
    tiny = dequantise(_information(TinyClaim(1e-4)(context)))
    honest = dequantise(_information(honest_update(context)))
    assert np.trace(tiny.precision()) == pytest.approx(1e-4 * np.trace(honest.precision()), rel=0.05)
    about_base = tiny.z - tiny.R @ model_to_theta(context.base)
    assert 0.3 < np.mean(about_base**2) < 3


def test_a_copy_is_what_an_honest_node_showed_a_round_ago(context: AttackContext) -> None:
    copied = _information(Copy()(context))
    shown = [past.update for past in context.history if past.index not in RING]
    assert replace(copied, base_model=shown[0].base_model) in shown
    assert copied.base_model == context.base.hash()


def test_a_noisy_copy_says_the_same_with_another_precision(context: AttackContext) -> None:
    exact, noisy = _information(Copy()(context)), _information(Copy(0.05)(context))
    assert close(theta(noisy), theta(exact))
    R, S = dequantise(exact).R, dequantise(noisy).R
    entries = np.abs(R) > 0.1 * np.abs(R).max()
    assert np.std((S / R - 1)[entries & (R != 0)]) == pytest.approx(0.05, rel=0.5)


def test_free_riders_are_honest_while_there_is_nothing_to_take(context: AttackContext) -> None:
    first = replace(context, round=1, history=(), earlier=())
    honest = honest_update(first)
    assert [attack(first) for attack in (Copy(), Copy(0.1), Replay(1), StaleBase(1))] == [honest] * 4


def test_a_replay_is_ones_own_old_update_under_the_new_base(context: AttackContext) -> None:
    replayed = _information(Replay(1)(context))
    assert replace(replayed, base_model=context.history[1].update.base_model) == context.history[1].update
    assert replayed.base_model == context.base.hash()


def test_a_stale_base_is_trained_on_and_said(context: AttackContext) -> None:
    assert _information(StaleBase(1)(context)).base_model == context.earlier[0].hash()
    assert StaleBase(2)(context) == honest_update(context)


def test_the_base_with_noise_lies_as_far_from_the_base_as_the_noise(context: AttackContext) -> None:
    for noise in (0.0, 2.0):
        info = dequantise(_information(BaseWithNoise(noise)(context)))
        apart = info.z - info.R @ model_to_theta(context.base)
        assert np.mean(apart**2) == pytest.approx(noise**2, abs=0.6 * noise**2 + 1e-2)


def test_poison_is_trained_on_and_nothing_else_is_touched(context: AttackContext) -> None:
    context = replace(context, base=context.earlier[0])  # no base whose noise weighs against the ridge
    honest = theta(honest_update(context))
    assert close(theta(TargetFlip()(context)), -honest)
    shifted = theta(TargetShift(2.0)(context)) - honest
    X, _ = context.bench.train.sample()
    assert X @ shifted == pytest.approx(np.full(len(X), 2.0), abs=0.05)
    assert honest_update(context) == make_update(context.bench, context.local, context.base)


def test_a_sleeper_is_honest_for_so_many_rounds(context: AttackContext) -> None:
    attack = Sleeper(CoefficientAttack(Scaling(-1.0)), 2)
    hostile = [attack(replace(context, round=r)) != honest_update(context) for r in range(1, 6)]
    assert hostile == [False, False, True, True, True]
    assert hostile == [attack.hostile_in(r) for r in range(1, 6)]


def test_an_on_off_attacker_is_hostile_in_the_last_round_of_every_period(context: AttackContext) -> None:
    attack = OnOff(CoefficientAttack(Scaling(-1.0)), 3)
    hostile = [attack(replace(context, round=r)) != honest_update(context) for r in range(1, 7)]
    assert hostile == [False, False, True, False, False, True]
    with pytest.raises(InvalidValueError, match="at least one round"):
        OnOff(honest_update, 0)


MEASURED = {1: (100, 0, 300, GATED, -400), 4: (110, 200, 310, GATED, 0)}
SCORING = ScoringContext(2, 1, RING, MEASURED)


def test_inverting_and_constant_scorers_keep_their_hands_off_what_they_do_not_score() -> None:
    assert Inverting()(SCORING) == (-100, 0, -300, GATED, 400)
    assert Constant(7)(SCORING) == (7, 0, 7, GATED, 7)
    withheld = replace(SCORING, measured={**MEASURED, 1: (NOT_HELD, 0, 1, 2, 3)})
    assert Inverting()(withheld)[0] == NOT_HELD


def test_a_favouring_scorer_gives_its_ring_the_best_and_others_the_worst() -> None:
    assert Favouring()(SCORING) == (-ONE, 0, -ONE, GATED, ONE)


def test_colluders_share_a_vector_lift_the_ring_and_sink_the_victim() -> None:
    ring = [Colluding((2,), push=0.5)(replace(SCORING, index=i)) for i in RING]
    assert ring[0] == (100, 0, 300 - ONE // 2, GATED, ONE // 2 - 400)
    assert ring[1] == (100, ONE // 2, 300 - ONE // 2, GATED, 0)


def test_noise_keeps_colluders_apart_and_is_as_large_as_asked() -> None:
    wide = ScoringContext(1, 0, (0, 1), {0: (0,) * 500, 1: (0,) * 500})
    left, right = (Colluding((), 0.0, 0.02)(replace(wide, index=i)) for i in (0, 1))
    assert left != right
    assert np.std(left) == pytest.approx(0.02 * ONE, rel=0.15)


def test_a_silent_scorer_says_nothing() -> None:
    assert Silent()(SCORING) is None


def _information(update: object) -> InformationUpdate:
    assert isinstance(update, InformationUpdate)
    return update
