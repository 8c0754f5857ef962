"""Nobody is paid for another's update, near-copies included, nor for the base model (N3, N4)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ledgerfed.consensus import PastUpdate
from ledgerfed.evaluation.attacks.information import as_honest
from ledgerfed.exchange import Information, dequantise, model_to_theta
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.score import ONE

THETA = (0.4, 0.1, 0.05)
"""A base model that a few rounds have led to, near the truth of the scene but not at it."""


def found(scene, index):
    """The verdict on one node, after a check that all others are admitted, and its punishment."""
    outcome = scene.outcome()
    assert [v.index for v in outcome.verdicts if not v.admitted] in ([], [index])
    before, after = scene.reputations[index].trainer, outcome.reputations[index].trainer
    return outcome.verdicts[index], after.b - (before.b - (before.b >> 5))


def shown_by(scene, index):
    """The scene after a round in which node `index` showed the update that it still has."""
    past = PastUpdate(scene.round - 1, index, replace(scene.update(index), base_model=keccak(b"earlier")))
    return replace(scene, history=(past,))


def noisy(update, share):
    """The update with noise of `share` of every number of R and z."""
    rng, info = np.random.default_rng(3), dequantise(update)
    R = np.triu(info.R * (1 + share * rng.standard_normal(info.R.shape)))
    z = info.z * (1 + share * rng.standard_normal(info.z.shape))
    return as_honest(update, replace(info, R=R, z=z))


COPIES = {
    "verbatim": lambda update: update,
    "another family": lambda update: replace(update, family=b"made"),
    "another sample count": lambda update: replace(update, n_samples=update.n_samples + 7),
    "one ulp of R": lambda update: replace(update, upper=(update.upper[0] + 1, *update.upper[1:])),
    "one ulp of z": lambda update: replace(update, z=(update.z[0] + 1, *update.z[1:])),
    "one ulp of the noise": lambda update: replace(update, residual=update.residual + (1 << 16)),
    "noise of 1e-6": lambda update: noisy(update, 1e-6),
    "noise of 1e-5": lambda update: noisy(update, 1e-5),
    "noise of 1e-4": lambda update: noisy(update, 1e-4),
    "half of R and z": lambda update: replace(
        update, exponents=tuple(e + 1 for e in update.exponents), s2=4 * update.s2
    ),
}


@pytest.mark.threat("N3")
@pytest.mark.parametrize("kind", COPIES)
@pytest.mark.parametrize("copier", [0, 3, 7])
def test_n3_a_near_copy_of_what_another_showed_is_refused_and_punished_hard(scene, kind, copier):
    victim = 4
    copied = COPIES[kind](scene.update(victim))
    verdict, punishment = found(shown_by(scene, victim).send(copier, copied), copier)
    assert (verdict.reason, verdict.weight, punishment) == (Reason.COPY, 0, 4 * ONE)


@pytest.mark.threat("N3")
@pytest.mark.parametrize("kind", COPIES)
def test_n3_the_author_of_what_is_copied_keeps_its_weight(scene, kind):
    copied = COPIES[kind](scene.update(4))
    alone = shown_by(scene, 4).outcome().verdicts[4]
    with_copier = shown_by(scene, 4).send(3, copied).outcome().verdicts[4]
    assert (with_copier.reason, with_copier.score) == (alone.reason, alone.score)
    assert with_copier.weight > 0


@pytest.fixture(scope="module")
def later(scene, theta_model):
    """The scene with a base model that is not zero, and everybody's honest update relative to it."""
    scene = replace(scene, base=theta_model(scene, THETA))
    for index in scene.payloads:
        scene = scene.send(index, replace(scene.update(index), base_model=scene.base.hash()))
    return scene


def about_base(later, noise):
    """The own precision about the base model's coefficients, with whitened noise."""
    own = later.update(3)
    info = dequantise(own)
    shift = noise * np.random.default_rng(4).standard_normal(info.width)
    return as_honest(own, replace(info, z=info.R @ model_to_theta(later.base) + shift))


def last_model(later):
    """The base model once more, as if 120 rows of independent columns had led to it."""
    own, R = later.update(3), np.sqrt(120) * np.eye(3)
    return as_honest(own, Information(120, 1.0, R, R @ model_to_theta(later.base), 120.0))


def nothing(later):
    """The least that a payload can say: R = 2^-40 I and z = 0."""
    return replace(later.update(3), exponents=(40,) * 3, upper=(1, 0, 0, 1, 0, 1), z=(0, 0, 0))


LAZY = {
    "base": (lambda later: about_base(later, 0.0), Reason.BASE_COPY),
    "base and noise": (lambda later: about_base(later, 0.1), Reason.BASE_COPY),
    "last model": (last_model, Reason.BASE_COPY),
    "nothing": (nothing, Reason.INCONSISTENT_INFORMATION),
}


@pytest.mark.threat("N4")
@pytest.mark.parametrize("kind", LAZY)
def test_n4_the_base_model_sent_back_is_refused_and_punished_hard(later, kind):
    send, reason = LAZY[kind]
    verdict, punishment = found(later.send(3, send(later)), 3)
    assert (verdict.reason, verdict.weight, punishment) == (reason, 0, 4 * ONE)


@pytest.mark.threat("N4")
def test_n4_an_honest_update_about_the_same_base_is_none_of_it(later):
    assert all(v.admitted and v.weight > 0 for v in later.outcome().verdicts)


@pytest.mark.threat("N4")
def test_n4_an_update_relative_to_a_model_that_nobody_certified_is_refused(later):
    lazy = replace(later.update(3), base_model=keccak(b"a model of long ago"))
    verdict, punishment = found(later.send(3, lazy), 3)
    assert (verdict.reason, verdict.weight, punishment) == (Reason.WRONG_BASE, 0, 4 * ONE)
