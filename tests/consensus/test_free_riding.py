"""Gate V6: whoever did not train is refused, and whoever was copied never is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ledgerfed.consensus import PastUpdate
from ledgerfed.consensus.copies import Shown, find_copies, is_stretched
from ledgerfed.consensus.gates import COPY_OF
from ledgerfed.consensus.history import authors_of_copies, past_updates
from ledgerfed.exchange import dequantise, quantise
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.payload import InformationUpdate
from ledgerfed.protocol.reputation import Evidence
from ledgerfed.protocol.score import ONE

VICTIM, RIDER = 4, 3


@pytest.fixture(scope="module")
def strict(scene):
    """The scene with the demonstration's limits of gate V6."""
    gates = replace(
        scene.config.gates,
        copy_alignment_bits=14,
        twin_alignment_bits=1,
        twin_distance=ONE // 256,
        base_distance=3 * ONE // 128,
    )
    return replace(scene, config=replace(scene.config, gates=gates))


def remembering(scene, *shown: tuple[int, int, InformationUpdate]):
    past = tuple(
        PastUpdate(number, index, update) for number, index, update in sorted(shown, key=lambda s: s[:2])
    )
    return replace(scene, history=past)


def noisy(update: InformationUpdate, noise: float, z: str, seed: int = 0) -> InformationUpdate:
    """A copy with this relative noise on R, each column as heavy as before, so that gate V5 has no objection.

    z is `kept`, or made `anew` from the copied coefficients.
    """
    info, rng = dequantise(update), np.random.default_rng(seed)
    R = info.R * (1 + noise * rng.standard_normal(info.R.shape))
    R *= np.linalg.norm(info.R, axis=0) / np.linalg.norm(R, axis=0)
    bent = replace(info, R=R, z=R @ info.theta() if z == "anew" else info.z)
    return quantise(bent, schema=update.schema, base_model=update.base_model, family=b"mine", bits=16)


def reasons(scene) -> dict[int, Reason]:
    return {v.index: v.reason for v in scene.outcome().verdicts}


def only(rider: Reason) -> dict[int, Reason]:
    return {index: rider if index == RIDER else Reason.ADMITTED for index in range(8)}


def test_nodes_that_trained_are_nobodys_copy_in_any_round(strict):
    shown = [(number, index, strict.update(index)) for number in (2, 3, 4) for index in range(8)]
    assert set(reasons(remembering(strict, *shown)).values()) == {Reason.ADMITTED}


@pytest.mark.threat("N3")
@pytest.mark.parametrize("z", ["kept", "anew"])
@pytest.mark.parametrize("noise", [0.0, 0.001, 0.01, 0.03, 0.1, 0.2])
def test_v6_n3_noise_on_a_copied_square_root_hides_nothing(strict, noise, z):
    copied = strict.send(RIDER, noisy(strict.update(VICTIM), noise, z))
    assert reasons(remembering(copied, (4, VICTIM, strict.update(VICTIM)))) == only(Reason.COPY)


@pytest.mark.threat("N3")
def test_v6_n3_the_coefficients_of_another_behind_an_own_square_root_are_refused(strict, disguised):
    """Rings send the same coefficients: two that each measured never agree within their own noise."""
    theta = tuple(dequantise(strict.update(VICTIM)).theta())
    copied = strict.send(RIDER, disguised(strict.update(RIDER), theta))
    assert reasons(remembering(copied, (4, VICTIM, strict.update(VICTIM)))) == only(Reason.COPY)


@pytest.mark.threat("N3")
@pytest.mark.parametrize("z", ["kept", "anew"])
def test_v6_n3_a_noisy_copy_of_an_older_update_is_refused_too(strict, z):
    shown = [(number, VICTIM, strict.update(VICTIM)) for number in (1, 2)]
    copied = strict.send(RIDER, noisy(strict.update(VICTIM), 0.02, z))
    assert reasons(remembering(copied, *shown)) == only(Reason.COPY)


@pytest.mark.threat("N3")
def test_v6_n3_the_verdict_names_the_author_of_what_was_shown_before(strict):
    copied = strict.send(RIDER, replace(strict.update(VICTIM), family=b"mine"))
    outcome = remembering(copied, (4, VICTIM, strict.update(VICTIM))).outcome()
    assert dict(outcome.verdicts[RIDER].measures)[COPY_OF] == VICTIM
    assert authors_of_copies(outcome.verdicts) == {RIDER: VICTIM}
    at_once = copied.outcome().verdicts
    assert [v.reason for v in at_once].count(Reason.COPY) == 1
    assert authors_of_copies(at_once) == {}


@pytest.mark.threat("N4")
def test_v6_n4_the_base_model_with_noise_is_refused_up_to_the_limit_and_the_verdict_says_how_near(
    strict, theta_model, disguised
):
    theta = (0.4, 0.1, 0.05)
    later = replace(strict, base=theta_model(strict, theta))
    for index in later.payloads:
        later = later.send(index, replace(strict.update(index), base_model=later.base.hash()))
    for noise, expected in ((0.0, Reason.BASE_COPY), (0.05, Reason.BASE_COPY), (1.0, Reason.ADMITTED)):
        outcome = later.send(RIDER, disguised(later.update(RIDER), theta, noise, seed=2)).outcome()
        found = outcome.verdicts[RIDER]
        assert found.reason is expected
        near = dict(found.measures)["base_distance"] < later.config.gates.base_distance
        assert near == (expected is Reason.BASE_COPY)


@pytest.mark.threat("N3")
def test_v6_a_copier_who_repeats_its_copy_never_outlives_the_memory_of_its_victim(strict):
    """The victim shows its data in round 1 and is away for longer than the memory of four rounds."""
    copy = noisy(strict.update(VICTIM), 0.001, "kept")
    rounds, copies = [], {}
    payloads = {keccak(p): p for p in strict.payloads.values()}
    for number in range(1, 9):
        there = number in (1, 8)
        now = replace(strict if number == 1 else strict.send(RIDER, copy), round=number)
        if not there:
            now = replace(now, payloads={i: p for i, p in now.payloads.items() if i != VICTIM})
        payloads |= {keccak(p): p for p in now.payloads.values()}
        past = past_updates(now.config, rounds, payloads, number, copies)
        now = replace(now, history=past)
        verdicts = now.outcome().verdicts
        if number > 1:
            assert verdicts[RIDER].reason is Reason.COPY, number
        if there:
            assert verdicts[VICTIM].admitted, number
        rounds.append((now.config, now.evidence()))
        copies[number] = authors_of_copies(verdicts)


def test_v6_a_copy_is_remembered_as_its_authors(strict):
    copied = replace(strict.send(RIDER, replace(strict.update(VICTIM), family=b"mine")), round=4)
    payloads = {keccak(p): p for p in copied.payloads.values()}
    rounds = [(copied.config, copied.evidence())]
    past = past_updates(copied.config, rounds, payloads, 5, {4: {RIDER: VICTIM}})
    assert [p.index for p in past] == [VICTIM if index == RIDER else index for index in range(8)]
    assert [p.index for p in past_updates(copied.config, rounds, payloads, 5)] == list(range(8))


@pytest.mark.threat("N3")
def test_v6_whoever_showed_other_data_before_yields_to_the_one_it_copied_from_an_aborted_round(strict):
    """The better reputation does not help: no panel changes into what another node just opened."""
    rows = list(strict.reputations)
    rows[VICTIM] = replace(rows[VICTIM], trainer=Evidence(2 * ONE, 2 * ONE))
    copied = replace(strict.send(RIDER, strict.payloads[VICTIM]), reputations=tuple(rows))
    for number in range(6):
        now = replace(copied, opened_at=keccak(bytes([number])))
        assert reasons(now)[VICTIM] is Reason.COPY  # without a memory the reputation decides
        assert reasons(remembering(now, (4, RIDER, strict.update(RIDER)))) == only(Reason.COPY)


def test_v6_two_nodes_with_one_panel_count_once(strict):
    twins = strict.send(RIDER, strict.payloads[VICTIM])
    assert sorted((reasons(twins)[RIDER], reasons(twins)[VICTIM])) == [Reason.COPY, Reason.ADMITTED]


def shown(number: int, index: int, value: int) -> Shown:
    return Shown(number, index, value)  # type: ignore[arg-type]  # what is shown is compared by `near` only


def near(ours: Shown, theirs: Shown) -> bool:
    return abs(ours.information - theirs.information) <= 1  # type: ignore[operator]


def test_v6_whoever_goes_on_with_its_own_data_wins_against_one_that_shows_them_now():
    """The node's data moved on: what the other shows is near to what it shows now, not to what it showed."""
    found = find_copies([shown(1, 7, 10)], [shown(2, 0, 12), shown(2, 7, 11)], near, lambda index: index)
    assert {index: (c.author, c.earlier) for index, c in found.items()} == {0: (7, False)}


def test_v6_the_earliest_author_counts_and_both_of_one_round():
    before = [shown(1, 5, 10), shown(1, 6, 10), shown(2, 7, 10)]
    now = [shown(3, index, 10) for index in (5, 6, 7)]
    found = find_copies(before, now, near, lambda index: -index)
    assert {index: (c.author, c.earlier) for index, c in found.items()} == {7: (6, True)}


def test_v6_a_multiple_of_another_z_is_no_evidence_of_training():
    z = [3 << 40, -(2 << 40), 1 << 40]
    assert is_stretched(z, [5 * v for v in z], 1)
    assert not is_stretched(z, [-v for v in z], 1 << 40)
    assert not is_stretched(z, [0, 0, 0], 1 << 40)
    turned = [3 << 40, -(2 << 40), 2 << 40]
    off = 14 - 15**2 / 17  # |z|^2 minus the part along the other
    assert is_stretched(z, turned, round(off / 3 * ONE) + 1)
    assert not is_stretched(z, turned, round(off / 3 * ONE) - 1)
