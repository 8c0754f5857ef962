"""Every attack on vectors changes what it says it changes."""

from __future__ import annotations

import numpy as np
import pytest

from ledgerfed.errors import InvalidValueError
from ledgerfed.evaluation.attacks.vectors import (
    Adaptive,
    Apart,
    Copy,
    Gaussian,
    Heading,
    InnerProduct,
    LabelFlip,
    LittleIsEnough,
    Mimic,
    Replay,
    Scaling,
    Sight,
    SignFlip,
    Silence,
    Widest,
    squared_diameter,
    tuned,
)

HONEST, HOSTILE, WIDTH = 5, 3, 400


def sight(answer=lambda vectors: vectors.mean(axis=0), seed=0) -> Sight:
    rng = np.random.default_rng(seed)
    honest, flipped, earlier = 1 + rng.normal(size=(3, HONEST, WIDTH))
    return Sight(honest, flipped, earlier, HOSTILE, rng, answer)


SEEN = sight()
MEAN, SPREAD = SEEN.honest.mean(axis=0), SEEN.honest.std(axis=0)


@pytest.mark.parametrize(
    ("attack", "rows"),
    [
        (SignFlip(2.5), -2.5 * SEEN.honest[:HOSTILE]),
        (Scaling(5.0), 5 * SEEN.honest[:HOSTILE]),
        (InnerProduct(0.5), np.tile(-0.5 * MEAN, (HOSTILE, 1))),
        (LittleIsEnough(1.5), np.tile(MEAN - 1.5 * SPREAD, (HOSTILE, 1))),
        (Mimic(HONEST + 1), np.tile(SEEN.honest[1], (HOSTILE, 1))),
        (LabelFlip(3.0), 3 * SEEN.flipped[:HOSTILE]),
        (Copy(), SEEN.honest[:HOSTILE]),
        (Replay(2.0), 2 * SEEN.earlier[:HOSTILE]),
        (Silence(), np.zeros((HOSTILE, WIDTH))),
        (Adaptive(Heading.BACK, (1.0,), 3.0), np.tile(-2 * MEAN, (HOSTILE, 1))),
        (Adaptive(Heading.SIGNS, (1.0,), 3.0), np.tile(MEAN - 3 * np.sign(MEAN), (HOSTILE, 1))),
    ],
    ids=lambda value: str(value)[:24] if not isinstance(value, np.ndarray) else "",
)
def test_an_attack_sends_what_it_says(attack, rows) -> None:
    np.testing.assert_allclose(attack(sight()), rows)


def test_gaussian_noise_has_the_length_it_says_and_another_direction_in_each_row() -> None:
    rows = Gaussian(5.0)(sight())
    lengths = np.linalg.norm(rows, axis=1) / np.linalg.norm(SEEN.honest, axis=1).mean()
    np.testing.assert_allclose(lengths, 5, rtol=0.2)
    assert np.abs(np.corrcoef(rows) - np.eye(HOSTILE)).max() < 0.3


@pytest.mark.parametrize("heading", Heading)
def test_the_widest_vector_stays_just_inside_the_honest_spread(heading) -> None:
    seen = sight()
    (row, *others) = Widest(heading)(seen)
    assert all((other == row).all() for other in others)
    furthest = ((seen.honest - row) ** 2).sum(axis=1).max()
    assert furthest == pytest.approx(squared_diameter(seen.honest))
    assert (row - seen.mean) @ heading.from_mean(seen) > 0


def test_the_widest_vector_is_the_mean_where_there_is_no_direction() -> None:
    seen = Sight(*np.zeros((3, HONEST, WIDTH)), HOSTILE, np.random.default_rng(0), lambda v: v[0])
    assert (Widest(Heading.BACK)(seen) == 0).all()


def test_an_adaptive_attack_takes_the_strength_that_moves_the_defence_most() -> None:
    """This defence drops rows that are far away: the strongest attack is not the worst."""

    def drops_far_rows(vectors):
        near = np.linalg.norm(vectors - MEAN, axis=1) < 2.1 * np.linalg.norm(MEAN)
        return vectors[near].mean(axis=0)

    attack = Adaptive(Heading.BACK, (0.5, 1.0, 2.0, 4.0))
    assert tuned(attack, sight(drops_far_rows)).strength == 2.0
    assert tuned(attack, sight()).strength == 4.0
    assert tuned(Apart(attack, 0.1), sight(drops_far_rows)).attack.strength == 2.0
    assert tuned(Copy(), sight()) == Copy()


def test_an_adaptive_attack_without_a_strength_says_so() -> None:
    with pytest.raises(InvalidValueError, match="tune it first"):
        Adaptive(Heading.BACK, (1.0,))(sight())


def test_rows_apart_agree_less_but_keep_their_direction() -> None:
    seen = sight()
    plain, apart = InnerProduct(1.0)(seen), Apart(InnerProduct(1.0), 0.6)(seen)
    norms = np.linalg.norm(apart, axis=1)
    cosines = (apart @ apart.T) / np.outer(norms, norms)
    np.testing.assert_allclose(cosines[~np.eye(HOSTILE, dtype=bool)], 1 / 1.36, atol=0.12)
    assert ((apart * plain).sum(axis=1) > 0).all()


def test_the_same_generator_gives_the_same_rows() -> None:
    for attack in (Gaussian(1.0), Apart(Mimic(0), 0.5)):
        np.testing.assert_array_equal(attack(sight(seed=7)), attack(sight(seed=7)))
        assert (attack(sight(seed=7)) != attack(sight(seed=8))).any()


def test_nobody_hostile_and_unequal_shapes_are_refused() -> None:
    rows = np.zeros((2, 3))
    with pytest.raises(InvalidValueError, match="needs hostile nodes, got 0"):
        Sight(rows, rows, rows, 0, np.random.default_rng(0), lambda v: v[0])
    with pytest.raises(InvalidValueError, match="must have one shape"):
        Sight(rows, rows[:1], rows, 1, np.random.default_rng(0), lambda v: v[0])
