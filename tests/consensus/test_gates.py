"""Each gate stops its threat, with its reason, and stops nobody else."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from ledgerfed.consensus import PastUpdate, pass_gates
from ledgerfed.consensus.stability import is_stable
from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange import dequantise
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.payload import (
    EXPONENT_MAX,
    EXPONENT_MIN,
    InformationUpdate,
    encode_update,
)
from ledgerfed.protocol.reputation import Evidence, Reputation
from ledgerfed.protocol.score import NOT_HELD, ONE

OTHER = keccak(b"other")
MIB = b"made"


def update_of(scene, index: int) -> InformationUpdate:
    return scene.update(index)


def with_gates(scene, **change: int):
    return replace(scene, config=replace(scene.config, gates=replace(scene.config.gates, **change)))


def verdict(scene, index: int):
    """The verdict on `index`, after a check that every other node is admitted."""
    outcome = scene.outcome()
    for v in outcome.verdicts:
        assert v.admitted or v.index == index, v
    return outcome.verdicts[index]


def reason(scene, index: int) -> Reason:
    return verdict(scene, index).reason


def test_honest_nodes_pass_every_gate(scene, small):
    for honest in (scene, small):
        assert all(v.admitted and v.weight > 0 for v in honest.outcome().verdicts)


def test_v1_a_quarantined_node_is_left_out_until_its_time_is_over(scene):
    for until, expected in ((4, Reason.ADMITTED), (5, Reason.QUARANTINED), (9, Reason.QUARANTINED)):
        rows = list(scene.reputations)
        rows[3] = replace(rows[3], quarantined_until=until)
        assert reason(replace(scene, reputations=tuple(rows)), 3) is expected


@pytest.mark.threat("N5")
def test_v2_n5_a_node_with_two_different_leaves_is_quarantined(scene):
    two = replace(scene, forced=(3,), second_leaf=frozenset({3}))
    outcome = two.outcome()
    assert outcome.verdicts[3].reason is Reason.EQUIVOCATION
    assert outcome.reputations[3].quarantined_until == 25
    assert [v.admitted for v in outcome.verdicts].count(True) == 7


@pytest.mark.threat("R1")
def test_v2_r1_a_forced_leaf_counts_like_a_sealed_one(scene):
    assert reason(replace(scene, forced=(3,)), 3) is Reason.ADMITTED


def test_v2_forcing_the_sealed_leaf_again_is_no_equivocation(scene):
    evidence = replace(scene, forced=(3,)).evidence()
    sealed = (*evidence.leaves[:3], scene.evidence().leaves[3], *evidence.leaves[3:])
    again = scene.with_scores(replace(evidence, leaves=sealed))
    candidates = pass_gates(replace(scene.given(), evidence=again), frozenset(range(8)))
    assert candidates[3].reason is None


@pytest.mark.threat("N6")
def test_v3_n6_a_node_that_commits_and_never_opens_is_punished_hard(scene):
    shut = replace(scene, shut=frozenset({3}))
    assert reason(shut, 3) is Reason.WITHHELD
    before, after = scene.reputations[3].trainer, shut.outcome().reputations[3].trainer
    assert after.b == before.b - (before.b >> 5) + 4 * ONE


@pytest.mark.threat("N6")
def test_v3_n6_an_opening_shown_to_f_validators_only_is_withheld(scene):
    few = replace(scene, scores={(j, 3): NOT_HELD for j in range(2, 8)})
    assert reason(few, 3) is Reason.WITHHELD
    enough = replace(scene, scores={(j, 3): NOT_HELD for j in range(3, 8)})
    assert reason(enough, 3) is Reason.UNSCORED


def test_a_node_that_sits_out_is_absent_and_loses_nothing_but_time(scene):
    away = replace(scene, payloads={i: p for i, p in scene.payloads.items() if i != 3})
    assert reason(away, 3) is Reason.ABSENT
    assert away.outcome().reputations[3].trainer == Evidence(8 * ONE - (8 * ONE >> 4), 0)


@pytest.mark.threat("N11")
@pytest.mark.parametrize(
    "cut", [b"", b"LFU2", b"x" * 300, b"\x00" * 133, b"LFU2\x01\x00\x0c\xff\xff" + b"\xff" * 200]
)
def test_v4_n11_a_payload_that_does_not_decode_is_refused(scene, cut):
    assert reason(scene.send(3, cut), 3) is Reason.UNDECODABLE


@pytest.mark.threat("N11")
def test_v4_n11_any_byte_of_a_payload_makes_it_another_update_or_none(scene):
    """The payload is what the leaf committed to; whatever the bytes say, the others are decided on."""
    payload = scene.payloads[3]
    for position in range(0, len(payload), 3):
        bent = payload[:position] + bytes([payload[position] ^ 0x81]) + payload[position + 1 :]
        outcome = scene.send(3, bent).outcome()
        assert all(v.admitted for v in outcome.verdicts if v.index != 3)


@pytest.mark.threat("N11")
def test_v4_n11_an_oversize_payload_is_refused_unread(scene):
    large = with_gates(scene, max_payload_bytes=len(scene.payloads[3]))
    assert reason(large, 3) is Reason.ADMITTED
    assert reason(large.send(3, scene.payloads[3] + b"\x00"), 3) is Reason.UNDECODABLE
    tight = with_gates(scene, max_payload_bytes=len(scene.payloads[3]) - 1)
    candidates = pass_gates(tight.given(), frozenset(range(8)))
    assert {c.reason for c in candidates} == {Reason.UNDECODABLE}


def test_v4_another_basis_is_refused(scene):
    assert reason(scene.send(3, replace(update_of(scene, 3), schema=OTHER)), 3) is Reason.WRONG_SCHEMA
    wider = replace(update_of(scene, 3), exponents=(0,) * 4, upper=(9, 0, 0, 0, 9, 0, 0, 9, 0, 9), z=(1,) * 4)
    assert reason(scene.send(3, wider), 3) is Reason.WRONG_SCHEMA
    told = replace(scene, openings={3: replace(scene.opening(3), schema=OTHER)})
    assert reason(told, 3) is Reason.WRONG_SCHEMA


@pytest.mark.threat("N4")
def test_v4_n4_another_base_model_is_refused(scene):
    assert reason(scene.send(3, replace(update_of(scene, 3), base_model=OTHER)), 3) is Reason.WRONG_BASE
    told = replace(scene, openings={3: replace(scene.opening(3), base_model=OTHER)})
    assert reason(told, 3) is Reason.WRONG_BASE


@pytest.mark.threat("N16")
@pytest.mark.parametrize("claim", [0, 30, 480, (1 << 40) - 1])
def test_v5_n16_a_claimed_sample_count_must_fit_the_residual(scene, claim):
    """The leaf alone says how many samples there were; the residual per sample tells how true that is."""
    told = replace(scene, openings={3: replace(scene.opening(3), n_samples=claim)})
    assert reason(told, 3) in (Reason.TOO_FEW_SAMPLES, Reason.INCONSISTENT_NOISE) or claim == 30


@pytest.mark.parametrize(("samples", "expected"), [(0, False), (8, False), (9, True)])
def test_v5_fewer_than_three_samples_a_column_are_refused(scene_of, scene, samples, expected):
    """Nine rows make an update; who claims fewer than it has is refused for that, whatever R says."""
    update = update_of(scene_of(samples=9), 3)
    few = replace(update, n_samples=samples, residual=samples << 16)
    assert (reason(scene.send(3, few), 3) is not Reason.TOO_FEW_SAMPLES) == expected


@pytest.mark.parametrize(
    ("noise", "expected"),
    [
        (0, Reason.INCONSISTENT_NOISE),
        (ONE // 4 - 1, Reason.INCONSISTENT_NOISE),
        (ONE // 4, Reason.ADMITTED),
        (4 * ONE, Reason.ADMITTED),
        (4 * ONE + 1, Reason.INCONSISTENT_NOISE),
        (1 << 56, Reason.INCONSISTENT_NOISE),
    ],
)
def test_v5_a_residual_that_belies_the_claimed_noise_is_refused(scene, noise, expected):
    claim = replace(update_of(scene, 3), residual=noise * 120)
    assert reason(scene.send(3, claim), 3) is expected


def test_v5_coefficients_beyond_the_norm_bound_are_refused(scene, disguised):
    far = disguised(update_of(scene, 3), (0.3, 0.1, 9.0))
    assert reason(scene.send(3, far), 3) is Reason.OUT_OF_RANGE
    near = disguised(update_of(scene, 3), (0.3, 0.1, 7.9))
    assert reason(scene.send(3, near), 3) is not Reason.OUT_OF_RANGE


@pytest.mark.threat("N11")
@pytest.mark.parametrize("spread", [(EXPONENT_MIN,) * 3, (EXPONENT_MAX,) * 3, (-24, 40, 0), (40, -24, 40)])
@pytest.mark.parametrize("z", [(-(1 << 15),) * 3, ((1 << 15) - 1, -(1 << 15), 1), (0, 0, 0)])
@pytest.mark.parametrize(
    "upper", [(1, 32767, 32767, 1, 32767, 1), (32767, -32768, 0, 1, 0, 1), (1, 0, 0, 1, 0, 1)]
)
def test_v5_no_extreme_integers_stop_the_round(scene, spread, z, upper):
    """Coefficients that do not fit the grid would otherwise raise and leave everybody without a round."""
    update = replace(update_of(scene, 3), exponents=spread, z=z, upper=upper, bits=16)
    found = scene.send(3, update).outcome().verdicts
    assert all(v.admitted for v in found if v.index != 3)
    assert found[3].weight == 0 or z == (0, 0, 0)


def test_v5_coefficients_beyond_int64_are_out_of_range(scene):
    update = replace(
        update_of(scene, 3),
        exponents=(-24,) * 3,
        z=((1 << 15) - 1,) * 3,
        upper=(1, 32767, 1, 1, 32767, 1),
        bits=16,
    )
    assert reason(scene.send(3, update), 3) is Reason.OUT_OF_RANGE


@pytest.mark.threat("N12")
@pytest.mark.parametrize(
    ("root", "expected"), [(0.95, True), (1.0, True), (1.01, True), (1.03, False), (1.5, False)]
)
def test_v5_n12_an_explosive_autoregression_is_unstable(scene, disguised, root, expected):
    """The root bound of the scene is 1 + 1/64: roots at 1 - eps, 1 and 1 + eps pass, beyond it none."""
    bent = disguised(update_of(scene, 3), (root, 0.0, 0.0))
    assert (reason(scene.send(3, bent), 3) is not Reason.UNSTABLE) == expected


@pytest.mark.threat("N12")
def test_v5_n12_the_roots_decide_and_not_the_size_of_a_coefficient(scene, disguised):
    complex_pair = (1.6, -0.9)  # modulus 0.949
    stable = disguised(update_of(scene, 3), (*complex_pair, 0.0))
    assert reason(scene.send(3, stable), 3) is Reason.OUTLIER
    unstable = disguised(update_of(scene, 3), (0.3, 0.8, 0.0))
    assert max(abs(np.roots([1, -0.3, -0.8]))) > 1 + 1 / 64
    assert reason(scene.send(3, unstable), 3) is Reason.UNSTABLE


@pytest.mark.threat("N12")
@pytest.mark.parametrize("bound", [1.0, 1.05, 1.3])
def test_n12_stability_agrees_with_the_roots(bound):
    rng = np.random.default_rng(5)
    for _ in range(300):
        order = int(rng.integers(1, 9))
        lags = tuple(sorted(rng.choice(np.arange(1, 13), size=order, replace=False).tolist()))
        a = rng.standard_normal(order) / order
        dense = np.zeros(lags[-1])
        dense[np.array(lags) - 1] = a
        largest = max(abs(np.roots([1, *-dense])))
        if abs(largest - bound) > 1e-6:
            integers = [round(float(v) * 2**40) for v in a]
            assert is_stable(integers, 40, lags, round(bound * ONE)) == (largest < round(bound * ONE) / ONE)


@pytest.mark.threat("N12")
def test_n12_a_root_is_judged_to_the_last_bit():
    assert is_stable([(1 << 40) - 1], 40, (1,), ONE)
    assert not is_stable([1 << 40], 40, (1,), ONE)
    assert not is_stable([-(1 << 40)], 40, (1,), ONE)
    assert is_stable([], 40, (), ONE)


@pytest.mark.threat("N12")
def test_n12_a_season_of_a_year_is_judged_at_once():
    coefficients = [1 << 38] * 3
    assert is_stable(coefficients, 40, (1, 7, 364), ONE)
    assert not is_stable([1 << 39, 1 << 39, 1 << 38], 40, (1, 7, 364), ONE)


@pytest.mark.threat("N4")
def test_v6_n4_the_base_model_in_disguise_is_refused(scene, theta_model, disguised):
    theta = (0.4, 0.1, 0.05)
    later = replace(scene, base=theta_model(scene, theta))
    for index in later.payloads:
        honest = replace(update_of(scene, index), base_model=later.base.hash())
        later = later.send(index, honest)
    shape = update_of(later, 3)
    for noise in (0.0, 0.1):
        assert reason(later.send(3, disguised(shape, theta, noise)), 3) is Reason.BASE_COPY


def near_copy(update: InformationUpdate, kind: str) -> InformationUpdate:
    info = dequantise(update)
    if kind == "verbatim":
        return replace(update, family=MIB)
    if kind == "one ulp":
        return replace(update, upper=(update.upper[0] + 1, *update.upper[1:]))
    if kind == "scaled":
        return replace(update, exponents=tuple(e - 2 for e in update.exponents))
    if kind == "other z":
        return replace(update, z=tuple(-v // 2 for v in update.z))
    noise = 1e-6 * np.random.default_rng(3).standard_normal(info.z.shape)
    return replace(update, z=tuple(int(v * (1 + e)) for v, e in zip(update.z, noise, strict=True)))


@pytest.mark.threat("N3")
@pytest.mark.parametrize("kind", ["verbatim", "one ulp", "scaled", "other z", "noisy"])
def test_v6_n3_a_near_copy_of_what_was_shown_before_is_refused(scene, kind):
    victim = update_of(scene, 4)
    past = PastUpdate(scene.round - 1, 4, replace(victim, base_model=OTHER))
    copied = replace(scene.send(3, near_copy(victim, kind)), history=(past,))
    outcome = copied.outcome()
    if kind in ("scaled", "other z"):
        assert outcome.verdicts[3].reason in (Reason.COPY, Reason.UNSTABLE, Reason.INCONSISTENT_INFORMATION)
    else:
        assert outcome.verdicts[3].reason is Reason.COPY
    assert all(v.admitted for v in outcome.verdicts if v.index != 3)


@pytest.mark.threat("N3")
def test_v6_n3_of_two_equal_updates_in_one_round_exactly_one_counts(scene):
    kept = set()
    for number in range(12):
        twins = replace(scene.send(3, scene.payloads[4]), opened_at=keccak(bytes([number])))
        reasons = [v.reason for v in twins.outcome().verdicts]
        assert sorted((reasons[3], reasons[4])) == sorted((Reason.ADMITTED, Reason.COPY))
        kept.add(3 if reasons[3] is Reason.ADMITTED else 4)
    assert kept == {3, 4}


def test_v6_whoever_copies_the_opening_of_an_aborted_round_yields_to_its_better_known_author(scene):
    """No evidence remembers an aborted round, so author and copier show the same data at once."""
    rows = list(scene.reputations)
    rows[3] = replace(rows[3], trainer=Evidence(rows[3].trainer.a, rows[3].trainer.b + ONE))
    for number in range(6):
        twins = replace(scene.send(3, scene.payloads[4]), opened_at=keccak(bytes([number])))
        assert reason(replace(twins, reputations=tuple(rows)), 3) is Reason.COPY


def test_v6_a_node_may_send_its_own_data_again(scene):
    past = tuple(PastUpdate(r, i, update_of(scene, i)) for r in (3, 4) for i in range(8))
    assert all(v.admitted for v in replace(scene, history=past).outcome().verdicts)


def test_v6_a_copier_never_turns_its_victim_away_when_the_memory_of_the_first_is_gone(scene):
    """Rounds 3 and 4 hold the victim's and the copier's update; that the victim was first is forgotten."""
    copied = replace(update_of(scene, 4), family=MIB)
    past = tuple(PastUpdate(r, i, copied if i == 3 else update_of(scene, 4)) for r in (3, 4) for i in (3, 4))
    for number in range(8):
        later = replace(scene.send(3, copied), history=past, opened_at=keccak(bytes([number])), round=5)
        assert later.outcome().verdicts[4].admitted


def test_v6_copies_of_copies_leave_one_author(scene):
    crowd = scene
    for index in range(1, 8):
        crowd = crowd.send(index, scene.payloads[0])
    crowd = replace(crowd, config=replace(crowd.config, min_updates=1))
    found = [v.reason for v in crowd.outcome().verdicts]
    assert found.count(Reason.ADMITTED) == 1
    assert found.count(Reason.COPY) == 7


def test_v6_an_update_that_another_gate_refuses_takes_nobodys_authorship(scene):
    """A twin that fails V5 is not an author in its own round."""
    twin = replace(update_of(scene, 4), residual=0)
    for number in range(6):
        bent = replace(scene.send(3, twin), opened_at=keccak(bytes([number])))
        assert reason(bent, 3) is Reason.INCONSISTENT_NOISE


def test_the_values_of_a_round_must_belong_together(scene):
    given = scene.given()
    with pytest.raises(InvalidValueError, match="another basis"):
        replace(given, base=replace(given.base, schema=OTHER))
    with pytest.raises(InvalidValueError, match="does not hash"):
        replace(given, payloads={OTHER: b"payload"})
    for count in (7, 9):
        with pytest.raises(InvalidValueError, match=f"{count} reputations"):
            replace(given, reputations=(scene.reputations * 2)[:count])
    narrow = InformationUpdate(OTHER, OTHER, MIB, 9, 1, 1, (0,), (1,), (0,))
    with pytest.raises(InvalidValueError, match="width"):
        replace(given, history=(PastUpdate(1, 0, narrow),))


def test_measures_never_leave_their_range(scene):
    loud = replace(update_of(scene, 3), residual=((1 << 24) - 1) << 39)
    found = verdict(scene.send(3, loud), 3)
    assert all(abs(value) < 1 << 53 for _, value in found.measures)
    assert [name for name, _ in found.measures] == sorted(name for name, _ in found.measures)


def test_a_payload_comes_back_from_the_scene(scene):
    assert all(encode_update(scene.update(i)) == p for i, p in scene.payloads.items())
    assert scene.reputations[0] == Reputation(Evidence(8 * ONE, 0), Evidence(0, 0))
