"""Gate V6 against a ring that tells one lie in one voice, each over rows of its own (threat N10)."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ledgerfed.consensus import PastUpdate
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.score import ONE

LIE = (0.4, 0.25, 0.2)


def alert(scene, distance=ONE // 16):
    gates = replace(scene.config.gates, ring_distance=distance)
    return replace(scene, config=replace(scene.config, gates=gates))


def ring_of(scene, disguised, noise=0.0, members=(5, 6, 7)):
    for index in members:
        scene = scene.send(index, disguised(scene.update(index), LIE, noise=noise, seed=index))
    return scene


def refused(outcome):
    return {v.index for v in outcome.verdicts if v.reason is Reason.COPY}


@pytest.mark.threat("N10")
def test_n10_of_a_ring_that_says_the_same_one_counts(scene, disguised):
    caught = refused(ring_of(alert(scene), disguised).outcome())
    assert len(caught) == 2
    assert caught < {5, 6, 7}
    assert not refused(ring_of(scene, disguised).outcome()), "off, nobody asks"


@pytest.mark.threat("N10")
def test_n10_having_said_it_before_makes_nobody_of_the_ring_an_author(scene, disguised):
    """All of them showed it in the round before; with each an author of it, all would count for ever."""
    lying = ring_of(alert(scene), disguised)
    past = tuple(PastUpdate(lying.round - 1, index, lying.update(index)) for index in (5, 6, 7))
    assert len(refused(replace(lying, history=past).outcome())) == 2


def test_the_best_reputation_of_a_ring_counts_so_that_nobody_is_framed_from_below(scene, disguised):
    better = replace(scene.reputations[0], trainer=replace(scene.reputations[0].trainer, a=9 * ONE))
    reputations = tuple(better if i == 6 else r for i, r in enumerate(scene.reputations))
    assert refused(ring_of(alert(replace(scene, reputations=reputations)), disguised).outcome()) == {5, 7}


def test_honest_nodes_never_agree_so(scene, scene_of):
    """Three coefficients of one truth may agree to a sixteenth by chance; to a thousandth they do not."""
    for nodes in (scene, scene_of(8, 8, 3, 400)):
        assert not refused(alert(nodes, ONE // 1024).outcome())


def test_noise_of_ones_own_hides_a_ring_from_this_gate(scene, disguised):
    """What it cannot do: `consensus.regret` is what is left against it."""
    assert not refused(ring_of(alert(scene), disguised, noise=1.0).outcome())


@pytest.mark.threat("V6")
@pytest.mark.parametrize("order", [(0, 1, 2, 3, 4, 5, 6, 7), (7, 6, 5, 4, 3, 2, 1, 0)])
def test_v6_who_of_a_ring_counts_does_not_depend_on_any_order(scene, disguised, order):
    lying = ring_of(alert(scene), disguised)
    shuffled = replace(lying, payloads={i: lying.payloads[i] for i in order})
    assert refused(shuffled.outcome()) == refused(lying.outcome())
    assert np.any([v.admitted for v in lying.outcome().verdicts[5:]])
