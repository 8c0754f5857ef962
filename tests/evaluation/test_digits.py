"""Digits under attack: the task, what decides in integers, and the table."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from ledgerfed.aggregation.engine import aggregate
from ledgerfed.aggregation.gram import gram
from ledgerfed.aggregation.grid import Stack
from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.attacks.vectors import InnerProduct, LabelFlip, Mimic, Scaling
from ledgerfed.evaluation.digits.catalogue import TRIES, tries
from ledgerfed.evaluation.digits.defences import (
    DEFENCES,
    MEAN,
    OURS,
    Ours,
    Published,
    Received,
    find_defence,
    weighted_median,
)
from ledgerfed.evaluation.digits.model import WIDTH, gradients, initial
from ledgerfed.evaluation.digits.parts import DigitsPart, digit_parts, digits_summary, do_digits
from ledgerfed.evaluation.digits.rounding import as_floats, place
from ledgerfed.evaluation.digits.shares import deal, images
from ledgerfed.evaluation.digits.standing import FLOOR, KNEE, MEMORY, clipped, cosines, stand, trust, votes_of
from ledgerfed.evaluation.digits.summary import NOBODY, as_markdown
from ledgerfed.evaluation.digits.training import NODES, Setting, train
from ledgerfed.evaluation.digits.workers import Workers
from ledgerfed.protocol.rule import Rule
from ledgerfed.protocol.score import ONE

CALM = Setting(hostile=0, bound=4, concentration=1.0, seed=3, rounds=40)
ATTACKED = replace(CALM, hostile=4)


def rows(n: int = 7, d: int = 300, seed: int = 0) -> np.ndarray:
    """Updates that agree in part: a common direction and noise."""
    rng = np.random.default_rng(seed)
    return np.rint(2_000 * (0.5 + rng.standard_normal((n, d)))).astype(np.int32)


def received(values: np.ndarray, hostile: int = 1, evidence=None) -> Received:
    n = len(values)
    return Received(Stack(values, 20), hostile, tuple(range(n)), (1,) * n, evidence or (None,) * n)


# The task


def test_gradients_are_those_of_each_worker_s_loss() -> None:
    rng = np.random.default_rng(0)
    theta, pixels = initial(rng), rng.random((3, 5, 64))
    labels, prior = rng.integers(10, size=(3, 5)), rng.standard_normal((3, 10))
    found, _ = gradients(theta, pixels, labels, prior)
    assert found.shape == (3, WIDTH)
    for _ in range(5):
        direction = rng.standard_normal(WIDTH)
        ahead, behind = (
            gradients(theta + step * direction, pixels, labels, prior)[1] for step in (1e-6, -1e-6)
        )
        np.testing.assert_allclose(found @ direction, (ahead - behind) / 2e-6, rtol=1e-4, atol=1e-6)


def test_every_image_is_dealt_once_and_the_held_out_parts_do_not_depend_on_the_nodes() -> None:
    shares = deal(0, 13, 0.1)
    everything = np.concatenate([shares.test, shares.validation, *shares.nodes])
    assert sorted(everything.tolist()) == list(range(1_797))
    assert (len(shares.test), len(shares.validation)) == (360, 180)
    assert (shares.test == deal(0, 17, 1.0).test).all()
    assert (shares.test != deal(1, 17, 1.0).test).any()


def test_a_smaller_concentration_gives_nodes_fewer_classes() -> None:
    largest = [
        np.mean([np.bincount(images().labels[node]).max() / len(node) for node in deal(0, 13, c).nodes])
        for c in (100.0, 1.0, 0.1)
    ]
    assert largest[0] < 0.2 < largest[1] < 0.5 < largest[2]


def test_shares_of_nobody_and_no_concentration_are_refused() -> None:
    for honest, concentration in ((0, 1.0), (13, 0.0), (13, float("nan"))):
        with pytest.raises(InvalidValueError, match="needs an honest node"):
            deal(0, honest, concentration)


def test_taking_the_class_frequencies_out_makes_honest_nodes_agree() -> None:
    def agreement(smoothing):
        workers = Workers(deal(0, 13, 1.0), np.random.default_rng(0), smoothing)
        theta = initial(np.random.default_rng(1))
        for _ in range(10):
            sent = workers.train(theta)
        units = sent.vectors / np.linalg.norm(sent.vectors, axis=1, keepdims=True)
        return (units @ units.T)[np.triu_indices(13, 1)].mean()

    assert agreement(3.0) > agreement(None) + 0.2


# From floats to integers


def test_a_loud_update_is_refused_and_coarsens_the_grid_for_nobody() -> None:
    vectors = np.random.default_rng(0).standard_normal((5, 50))
    quiet = place(vectors)
    vectors[2] *= 1_000
    loud = place(vectors)
    assert loud.fits.tolist() == [True, True, False, True, True]
    assert loud.stack.scale == quiet.stack.scale
    np.testing.assert_allclose(as_floats(loud.stack.values[0], loud.stack.scale), vectors[0], atol=1e-3)


def test_a_grid_that_refuses_nothing_holds_the_loudest() -> None:
    vectors = np.random.default_rng(0).standard_normal((5, 50))
    vectors[2] *= 1_000
    placed = place(vectors, refuses=False)
    assert placed.fits.all()
    np.testing.assert_allclose(as_floats(placed.stack.values[2], placed.stack.scale), vectors[2], atol=0.05)


@pytest.mark.parametrize("value", [np.nan, np.inf, -(2.0**40)])
def test_values_that_no_integer_holds_are_refused(value) -> None:
    with pytest.raises(InvalidValueError, match="not finite or beyond"):
        place(np.array([[0.0, value]]))


# What decides


def test_a_published_defence_is_the_exact_engine() -> None:
    given = received(rows())
    for rule, mixing in ((Rule.MEDIAN, False), (Rule.TRIMMED_MEAN, True), (Rule.COVARIANCE_FILTER, False)):
        found, _ = Published(rule, mixing)(given)
        assert found.dtype == np.int64
        np.testing.assert_array_equal(found, aggregate(rule, given.stack, 1, given.ranks, mixing=mixing))


def test_every_defence_answers_in_integers() -> None:
    for defence in DEFENCES.values():
        found, evidence = defence.decide(received(rows(17), hostile=4))
        assert found.dtype == np.int64
        assert all(value is None or isinstance(value, int) for value in evidence)


def test_the_weighted_median_is_where_half_of_the_weight_lies() -> None:
    stack = Stack(np.array([[5, 1], [1, 2], [9, 3]], np.int32), 0)
    assert weighted_median(stack, (1, 1, 1)).tolist() == [5, 2]
    assert weighted_median(stack, (1, 1, 5)).tolist() == [9, 3]
    assert weighted_median(stack, (1, 1, 2)).tolist() == [5, 2]


def test_cosines_are_those_of_the_rows_and_zero_for_nothing() -> None:
    values = rows()
    values[3] = 0
    found = np.array(cosines(gram(values))) / ONE
    lengths = np.linalg.norm(values, axis=1)
    with np.errstate(invalid="ignore"):
        wanted = np.nan_to_num(values.astype(float) @ values.T / np.outer(lengths, lengths))
    np.fill_diagonal(wanted, 1)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


def test_who_points_against_the_others_loses_all_weight() -> None:
    values = rows()
    values[0] = -values[1:].mean(axis=0)
    weights = stand(gram(values), (None,) * 7).weights
    assert weights[0] == 0
    assert min(weights[1:]) > 0


def test_one_bad_round_costs_less_than_four() -> None:
    values, evidence, found = rows(), (None,) * 7, []
    evidence = stand(gram(values), evidence).evidence
    values[0] = -values[1:].mean(axis=0)
    for _ in range(4):
        standing = stand(gram(values), evidence)
        evidence = standing.evidence
        found.append(standing.evidence[0])
    assert found == sorted(found, reverse=True)
    score = standing.scores[0]
    assert found[-1] == found[-2] - (found[-2] >> MEMORY) + score


def test_a_node_s_say_about_itself_is_not_heard() -> None:
    values = rows(3)
    values[0] = -values[0]
    scores = stand(gram(values), (None,) * 3).scores
    assert scores[0] == min(cosines(gram(values))[0][1:])


def test_copies_share_one_vote() -> None:
    values = rows(9)
    alone = votes_of(cosines(gram(values))[5], 5)
    values[6:] = values[5]
    found = [votes_of(row, i) for i, row in enumerate(cosines(gram(values)))]
    assert alone / 2 < sum(found[5:]) < 1.2 * alone + ONE / 4
    weights = stand(gram(values), (None,) * 9).weights
    assert weights[5] <= found[5] * ONE


def test_trust_falls_between_one_and_two_knees_and_equal_nodes_are_all_trusted() -> None:
    deviation = FLOOR << MEMORY
    span = KNEE * deviation
    evidence = [0, 0, 0, 0, -span, -span - span // 2, -2 * span]
    assert trust(evidence) == [ONE, ONE, ONE, ONE, ONE, ONE // 2, 0]


def test_no_update_pulls_longer_than_the_lower_median_of_lengths() -> None:
    values = rows()
    values[0] *= 8
    found = clipped(values.astype(np.int64), gram(values))
    lengths = np.linalg.norm(found, axis=1)
    limit = np.sort(np.linalg.norm(values, axis=1))[3]
    assert lengths.max() == pytest.approx(limit, rel=1e-3)
    shorter = np.linalg.norm(values, axis=1) <= limit
    np.testing.assert_array_equal(found[shorter], values[shorter])


def test_ours_does_not_depend_on_the_order_of_nodes() -> None:
    values, order = rows(9), np.random.default_rng(1).permutation(9)
    before = tuple(range(0, 9 * ONE, ONE))
    found, after = Ours()(received(values, evidence=before))
    shuffled = np.ascontiguousarray(values[order])
    other, turned = Ours()(received(shuffled, evidence=tuple(before[i] for i in order)))
    np.testing.assert_array_equal(found, other)
    assert turned == tuple(after[i] for i in order)


# Rounds


def test_a_run_is_the_same_again_and_another_seed_another_run() -> None:
    short = replace(ATTACKED, rounds=12)
    first, again = (train(short, DEFENCES[OURS], InnerProduct(1.0)) for _ in range(2))
    assert first.theta.tobytes() == again.theta.tobytes()
    assert (train(replace(short, seed=4), DEFENCES[OURS], InnerProduct(1.0)).theta != first.theta).any()


def test_ours_stands_where_the_mean_falls() -> None:
    calm = train(CALM, DEFENCES[MEAN], None).test
    assert calm > 0.85
    attack = InnerProduct(4.0)
    assert train(ATTACKED, DEFENCES[MEAN], attack).test < 0.5
    assert train(ATTACKED, DEFENCES[OURS], attack).test > calm - 0.08


def test_a_scaled_update_is_refused_by_ours_and_swallowed_by_the_mean() -> None:
    loud, mean = Scaling(-200.0), DEFENCES[MEAN]
    assert train(ATTACKED, mean, loud).test < 0.5
    assert train(ATTACKED, replace(mean, refuses=True), loud).test > 0.8


def test_wrong_labels_are_worked_out_for_the_attack_that_sends_them() -> None:
    short = replace(ATTACKED, rounds=3)
    honest, flipped = (train(short, DEFENCES[MEAN], a).theta for a in (Mimic(0), LabelFlip(1.0)))
    silent = train(short, DEFENCES[MEAN], LabelFlip(0.0)).theta
    assert (flipped != silent).any()
    assert (flipped != honest).any()


def test_self_reported_quality_hands_the_median_to_the_hostile() -> None:
    found = train(ATTACKED, find_defence("quality-weighted median"), InnerProduct(1.0))
    assert found.test < 0.3


def test_hostile_nodes_without_an_attack_and_half_of_them_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="name both or none"):
        train(ATTACKED, DEFENCES[MEAN], None)
    with pytest.raises(InvalidValueError, match="fewer than half of 17"):
        replace(CALM, hostile=NODES // 2 + 1)


# The table


def test_parts_have_names_of_their_own_and_cover_every_defence() -> None:
    parts = digit_parts(2)
    assert len({part.name for part in parts}) == len(parts) == len(DEFENCES) * 2 * 3
    assert {part.name for part in digit_parts(2, quick=True)}.isdisjoint(part.name for part in parts)
    assert len({(t.attack, t.strength) for t in TRIES}) == len(TRIES) > len(tries(quick=True)) > 5


def test_a_part_is_plain_and_the_summary_takes_its_worst() -> None:
    part = DigitsPart("median", 1.0, 4, seeds=1, quick=True, rounds=2)
    document = json.loads(json.dumps(do_digits(part)))
    assert len(document["trials"]) == len(tries(quick=True))
    (row,) = digits_summary([document])["rows"]
    assert row["accuracy"] == min(trial["test"] for trial in document["trials"])
    assert any(line.startswith("| median | ") for line in as_markdown([row]))


def document(defence: str, concentration: float, hostile: int, *accuracies: float) -> dict:
    attack = "mimic" if hostile else NOBODY
    trials = [
        {"attack": attack, "strength": "1", "seed": i, "test": accuracy, "validation": 1.0}
        for i, accuracy in enumerate(accuracies)
    ]
    return {"defence": defence, "concentration": concentration, "hostile": hostile, "trials": trials}


def test_ours_is_held_to_its_worst_and_to_the_mean_without_attack() -> None:
    found = digits_summary(
        [
            document(OURS, 1.0, 4, 0.95, 0.91),
            document(OURS, 1.0, 0, 0.94, 0.96),
            document(MEAN, 1.0, 0, 0.955, 0.955),
            document(MEAN, 1.0, 4, 0.1),
        ]
    )
    worst, lost = found["targets"]
    assert (worst.measured, worst.met) == (0.91, False)
    assert lost.measured == pytest.approx(0.005)
    assert lost.met


def test_an_unknown_defence_and_no_seeds_are_refused() -> None:
    with pytest.raises(InvalidValueError, match="no defence is called 'hope'"):
        DigitsPart("hope", 1.0, 4, 1)
    with pytest.raises(InvalidValueError, match="must be positive"):
        DigitsPart(OURS, 1.0, 4, 0)
