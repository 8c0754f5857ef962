"""Every node remembers the same updates, because certified evidence alone decides what was shown."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledgerfed.consensus.history import past_updates
from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.score import NOT_HELD


def remember(scene, rounds, now, **change):
    evidences = [(scene.config, replace(scene, round=r, **change).evidence()) for r in rounds]
    payloads = {keccak(p): p for p in scene.payloads.values()}
    return past_updates(scene.config, evidences, payloads, now)


def test_the_last_rounds_within_the_memory_are_remembered_in_order(scene):
    found = remember(scene, (9, 3, 5, 4, 2), 8)
    assert [(p.round, p.index) for p in found] == [(r, i) for r in (4, 5) for i in range(8)]
    assert found[3].update == scene.update(3)


@pytest.mark.threat("N6")
def test_what_f_plus_1_validators_did_not_hold_was_never_shown(scene):
    few = {(j, 3): NOT_HELD for j in range(2, 8)}
    assert [p.index for p in remember(scene, (7,), 8, scores=few)] == [0, 1, 2, 4, 5, 6, 7]
    enough = {(j, 3): NOT_HELD for j in range(3, 8)}
    assert len(remember(scene, (7,), 8, scores=enough)) == 8


def test_what_does_not_decode_on_the_basis_copies_nobody(scene):
    update = scene.update(3)
    for payload in (b"noise", replace(update, schema=bytes(32))):
        bent = scene.send(3, payload)
        assert [p.index for p in remember(bent, (7,), 8)] == [0, 1, 2, 4, 5, 6, 7]


def test_each_round_is_remembered_by_the_configuration_that_decided_it(scene):
    """Two holders are enough for a committee of four and too few for one of eight, whatever came later."""
    small = replace(scene.config, committee=(0, 1, 2, 3))
    few = {(j, 3): NOT_HELD for j in range(2, 8)}
    payloads = {keccak(p): p for p in scene.payloads.values()}
    then = replace(scene, round=6, scores=few).evidence()
    later = replace(scene, round=7, scores=few, config=small).evidence()
    for now in (scene.config, small):
        past = past_updates(now, [(scene.config, then), (small, later)], payloads, 8)
        assert [p.index for p in past if p.round == 6] == [0, 1, 2, 4, 5, 6, 7]
        assert [p.index for p in past if p.round == 7] == list(range(8))


def test_a_missing_payload_must_be_pulled_and_a_round_has_one_evidence(scene):
    evidence = scene.evidence()
    with pytest.raises(InvalidValueError, match="pull it by its hash"):
        past_updates(scene.config, [(scene.config, evidence)], {}, 6)
    with pytest.raises(InvalidValueError, match="two evidences"):
        remember(scene, (7, 7), 8)


@pytest.mark.threat("N3")
def test_v6_n3_the_update_that_a_node_showed_last_round_is_refused_from_another(scene):
    past = remember(scene, (4,), 5)
    copied = replace(scene.send(3, scene.payloads[6]), history=past)
    found = {v.index: v.reason for v in copied.outcome().verdicts}
    assert found == {i: Reason.COPY if i == 3 else Reason.ADMITTED for i in range(8)}
