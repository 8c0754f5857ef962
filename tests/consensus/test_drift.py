"""A federation drifts when enough of the admitted updates say so, and never because one of them does."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.manifest import Drift, Manifest
from ledgerfed.protocol.score import ONE


def fired(scene, nodes, share=ONE // 4):
    """The scene in which the detectors of `nodes` fired."""
    scene = replace(scene, config=replace(scene.config, gates=replace(scene.config.gates, drift_share=share)))
    for index in nodes:
        scene = scene.send(index, replace(scene.update(index), drift=True))
    return scene


@pytest.mark.parametrize(
    ("nodes", "share", "declared"),
    [
        ((), ONE // 4, False),
        ((1,), ONE // 4, False),
        ((1,), 1, False),
        ((1, 2), ONE // 4, False),
        ((1, 2, 5), ONE // 4, True),
        ((1, 2, 5), ONE // 8 * 3, True),
        ((1, 2, 5), ONE // 8 * 3 + 1, False),
        (tuple(range(7)), ONE, False),
        (tuple(range(8)), ONE, True),
    ],
)
def test_drift_needs_more_than_f_nodes_and_its_share_of_the_admitted(scene, nodes, share, declared):
    outcome = fired(scene, nodes, share).outcome()
    assert outcome.drift == Drift(len(nodes), 8, declared)
    manifest = outcome.manifest()
    assert manifest.document()["drift"] == {"flagged": len(nodes), "of": 8, "declared": declared}
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


def test_f_liars_declare_no_drift_however_few_others_are_there(scene):
    """f = 2. A false flag costs nothing, so who waits for a round with few updates must not win by it."""
    few = replace(scene, payloads={i: p for i, p in scene.payloads.items() if i in (0, 1, 2, 3)})
    assert fired(few, (1, 2), 1).outcome().drift == Drift(2, 4, False)
    assert fired(few, (1, 2, 3), 1).outcome().drift == Drift(3, 4, True)


def test_where_no_validator_may_fail_one_node_is_still_no_drift(scene_of):
    three = scene_of(nodes=3, committee=3, depth=2)
    assert three.config.faults == 0
    assert fired(three, (1,), 1).outcome().drift == Drift(1, 3, False)
    assert fired(three, (1, 2), 1).outcome().drift == Drift(2, 3, True)


def test_a_refused_update_has_no_say(scene):
    noisy = fired(scene, (1, 2)).send(2, replace(fired(scene, (2,)).update(2), residual=0))
    assert noisy.outcome().drift == Drift(1, 7, False)


def test_nothing_else_follows_from_the_flag(scene):
    calm, drifting = scene.outcome(), fired(scene, (0, 1, 2, 3)).outcome()
    assert drifting.drift.declared
    assert (drifting.model, drifting.verdicts) == (calm.model, calm.verdicts)
    assert drifting.reputations == calm.reputations


@pytest.mark.parametrize("values", [(2, 1, False), (-1, 1, False), (0, -1, False), (1, 1, 1)])
def test_a_drift_that_cannot_be_is_refused(values):
    with pytest.raises(InvalidValueError):
        Drift(*values)
