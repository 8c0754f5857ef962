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
        ((1, 2), ONE // 4, True),
        ((1, 2), ONE // 4 + 1, False),
        ((1, 2, 5), ONE // 4 + 1, True),
        (tuple(range(7)), ONE, False),
        (tuple(range(8)), ONE, True),
    ],
)
def test_drift_needs_two_nodes_and_its_share_of_the_admitted(scene, nodes, share, declared):
    outcome = fired(scene, nodes, share).outcome()
    assert outcome.drift == Drift(len(nodes), 8, declared)
    manifest = outcome.manifest()
    assert manifest.document()["drift"] == {"flagged": len(nodes), "of": 8, "declared": declared}
    assert Manifest.from_bytes(manifest.to_bytes()) == manifest


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
