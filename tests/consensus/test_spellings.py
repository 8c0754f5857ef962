"""The same values in other bytes, or the same bytes about another base, are still another's work (V6)."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledgerfed.aggregation.information import expand
from ledgerfed.consensus import PastUpdate
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.payload import encode_update

EARLIER = (keccak(b"model before"), keccak(b"model before that"))


def wider(update):
    """The same mantissas, said with 16 bits."""
    return replace(update, bits=16)


def finer(update):
    """Twice the mantissas at half the unit, where they fit."""
    bigger = replace(update, bits=16, z=tuple(min(z, 1 << 13) for z in update.z))
    return replace(
        bigger,
        exponents=tuple(e + 1 for e in bigger.exponents),
        upper=tuple(2 * m for m in bigger.upper),
        z=tuple(2 * z for z in bigger.z),
    )


@pytest.mark.threat("N3")
@pytest.mark.parametrize("respelled", [wider, finer])
def test_v6_a_copy_in_other_bytes_is_a_copy(scene, respelled):
    original = scene.update(3)
    copy = respelled(original)
    assert encode_update(copy) != encode_update(original)
    assert expand(copy).rows == expand(original).rows
    copied = scene.send(5, copy)
    reasons = [v.reason for v in copied.outcome().verdicts]
    assert sorted(reasons[i].value for i in (3, 5)) == ["V6:copy", "admitted"]


@pytest.mark.threat("N3")
def test_v6_an_old_base_does_not_make_a_remembered_payload_ones_own(scene):
    """The payload does not say what base it is about, so the same bytes open under any that V4 takes."""
    shown = PastUpdate(scene.round - 1, 2, scene.update(2))
    late = replace(scene, history=(shown,), earlier=EARLIER)
    for base in (scene.base.hash(), *EARLIER):
        thief = late.send(5, replace(scene.update(2), base_model=base))
        assert thief.payloads[5] == thief.payloads[2]
        verdicts = thief.outcome().verdicts
        assert verdicts[5].reason is Reason.COPY
        assert verdicts[2].admitted


@pytest.mark.threat("N3")
def test_v4_the_same_bytes_of_two_nodes_are_judged_each_by_its_own_opening(scene):
    """One payload, two openings: sample count and base come from the leaf, so no node speaks for another."""
    late = replace(scene, earlier=EARLIER)
    twin = late.send(5, replace(scene.update(3), base_model=keccak(b"unknown"), n_samples=1))
    verdicts = twin.outcome().verdicts
    assert verdicts[5].reason is Reason.WRONG_BASE
    assert verdicts[3] == late.send(5, b"nonsense").outcome().verdicts[3]


def test_a_round_that_resends_its_own_update_wins_no_weight_by_an_older_base(scene):
    """Honest data that did not change gives the same R again, so that is no copy; the claim only costs."""
    own = PastUpdate(scene.round - 1, 3, scene.update(3))
    again = replace(scene, history=(own,), earlier=EARLIER)
    fresh = again.outcome().verdicts[3]
    stale = again.send(3, replace(scene.update(3), base_model=EARLIER[0])).outcome().verdicts[3]
    assert fresh.admitted
    assert stale.admitted
    assert stale.weight < fresh.weight
