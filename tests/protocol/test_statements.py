"""Leaves, score commitments, transcripts and typed data bind all that they name (threats N1, N9, R5)."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import pytest

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol import transcript, typed_data
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.leaf import MAX_SAMPLES, Opening
from ledgerfed.protocol.reputation import A_MAX, B_MAX, Evidence, Reputation
from ledgerfed.protocol.score import GATED, NOT_HELD, ONE, ScoreVector, clip_score, lower_median
from ledgerfed.protocol.transcript import Phase

HERE = Federation(31337, keccak(b"contract")[-20:])
ELSEWHERE = (Federation(1, HERE.contract), Federation(31337, keccak(b"other contract")[-20:]))
A, B = keccak(b"a"), keccak(b"b")


def all_different(values):
    assert all(x != y for x, y in combinations(values, 2))


@pytest.mark.threat("N1", "N9")
def test_a_leaf_binds_chain_contract_round_index_base_update_count_schema_and_salt():
    opening = Opening(3, 1, A, A, 60, A, A)
    changes = [
        {"round": 4},
        {"index": 2},
        {"base_model": B},
        {"update_hash": B},
        {"n_samples": 61},
        {"schema": B},
        {"salt": B},
    ]
    leaves = [replace(opening, **change).leaf(HERE) for change in changes]
    all_different([opening.leaf(HERE), *leaves, *(opening.leaf(other) for other in ELSEWHERE)])


@pytest.mark.threat("V1", "N9")
def test_a_score_commitment_binds_chain_contract_round_index_scores_and_salt():
    vector = ScoreVector(3, 1, (0, ONE), A)
    changes = [{"round": 4}, {"index": 2}, {"scores": (ONE, 0)}, {"scores": (0, ONE, 0)}, {"salt": B}]
    hashes = [replace(vector, **change).commitment(HERE) for change in changes]
    all_different([vector.commitment(HERE), *hashes, *(vector.commitment(o) for o in ELSEWHERE)])


@pytest.mark.threat("N9")
def test_a_signature_is_void_on_another_chain_contract_round_index_or_fork():
    digests = [
        make(where, *rest)
        for where in (HERE, *ELSEWHERE)
        for make, rest in (
            (typed_data.leaf_digest, (3, 1, A, A, 9)),
            (typed_data.leaf_digest, (4, 1, A, A, 9)),
            (typed_data.leaf_digest, (3, 2, A, A, 9)),
            (typed_data.leaf_digest, (3, 1, B, A, 9)),
            (typed_data.leaf_digest, (3, 1, A, B, 9)),
            (typed_data.leaf_digest, (3, 1, A, A, 8)),
            (typed_data.receipt_digest, (3, 1, A, A)),
            (typed_data.receipt_digest, (4, 1, A, A)),
            (typed_data.receipt_digest, (3, 2, A, A)),
            (typed_data.receipt_digest, (3, 1, B, A)),
            (typed_data.receipt_digest, (3, 1, A, B)),
            (typed_data.score_commitment_digest, (3, 1, A, A)),
            (typed_data.score_commitment_digest, (4, 1, A, A)),
            (typed_data.score_commitment_digest, (3, 2, A, A)),
            (typed_data.score_commitment_digest, (3, 1, B, A)),
            (typed_data.score_commitment_digest, (3, 1, A, B)),
            (typed_data.certificate_digest, (3, A)),
            (typed_data.certificate_digest, (4, A)),
            (typed_data.certificate_digest, (3, B)),
        )
    ]
    all_different(digests)


def test_every_transition_makes_another_transcript():
    steps = [
        transcript.after_seal(A, 3, B, 2),
        transcript.after_seal(A, 4, B, 2),
        transcript.after_seal(A, 3, B, 3),
        transcript.after_seal(B, 3, B, 2),
        transcript.after_force(A, 3, 2, B),
        transcript.after_force(A, 3, 1, B),
        transcript.after_scores(A, 3, B),
        transcript.after_certify(A, 3, A, B, B),
        transcript.after_certify(A, 3, B, A, B),
        transcript.after_certify(A, 3, B, B, A),
        *(transcript.after_abort(A, 3, phase) for phase in Phase),
    ]
    all_different(steps)


def test_a_genesis_binds_the_federation_and_every_part():
    parts = [A, A, A, A]
    changed = [[*parts[:k], B, *parts[k + 1 :]] for k in range(4)]
    found = [transcript.genesis(HERE, *p) for p in (parts, *changed)]
    all_different([*found, *(transcript.genesis(other, *parts) for other in ELSEWHERE)])


def test_a_registry_binds_order_and_count():
    a, b = A[:20], B[:20]
    registries = ([], [a], [b], [a, b], [b, a], [a, a])
    all_different([transcript.registry_hash(r) for r in registries])


@pytest.mark.parametrize("t", [b"", A[:31], A + b"\x00", None])
def test_a_transcript_is_32_bytes(t):
    with pytest.raises(InvalidValueError, match="transcript"):
        transcript.after_scores(t, 1, A)


@pytest.mark.parametrize(
    "change",
    [
        {"round": 0},
        {"round": 1 << 32},
        {"index": -1},
        {"index": 1 << 20},
        {"n_samples": -1},
        {"n_samples": MAX_SAMPLES + 1},
        {"salt": b""},
        {"n_samples": True},
    ],
)
def test_an_opening_out_of_range_cannot_be_made(change):
    with pytest.raises(InvalidValueError):
        replace(Opening(3, 1, A, A, 60, A, A), **change)


@pytest.mark.parametrize("score", [ONE + 1, -ONE - 1, NOT_HELD - 1, GATED + 1, 1 << 31, 0.5, True, None, [0]])
def test_a_score_out_of_range_cannot_be_given(score):
    with pytest.raises(InvalidValueError, match="position 1"):
        ScoreVector(1, 0, (0, score), A)


@pytest.mark.parametrize("value", [float(NOT_HELD), float(GATED)])
def test_a_float_is_no_sentinel(value):
    with pytest.raises(InvalidValueError):
        ScoreVector(1, 0, (value,), A)


def test_scores_are_clipped_to_one():
    assert [clip_score(v) for v in (-ONE - 1, -ONE, 5, ONE, ONE + 7)] == [-ONE, -ONE, 5, ONE, ONE]


@pytest.mark.threat("V2")
@pytest.mark.parametrize(("values", "median"), [([3], 3), ([1, 2], 1), ([5, 1, 3], 3), ([4, 4, 1, 9], 4)])
def test_the_median_of_an_even_number_is_the_lower_one(values, median):
    assert lower_median(values) == median


def test_the_median_of_nothing_does_not_exist():
    with pytest.raises(InvalidValueError, match="no values"):
        lower_median([])


@pytest.mark.parametrize(
    "make",
    [
        lambda: Evidence(-1, 0),
        lambda: Evidence(A_MAX + 1, 0),
        lambda: Evidence(0, B_MAX + 1),
        lambda: Reputation(Evidence(0, 0), Evidence(0, 0), 1 << 32),
        lambda: Reputation.from_row([1, 2, 3, 4]),
        lambda: Federation(0, A[:20]),
        lambda: Federation(1, bytes(20)),
        lambda: Federation(1, A),
    ],
)
def test_values_out_of_range_cannot_be_made(make):
    with pytest.raises(InvalidValueError):
        make()


def test_a_reputation_stands_strictly_between_zero_and_one():
    for a in (0, 1, A_MAX):
        for b in (0, 1, B_MAX):
            assert 0 < Evidence(a, b).value < ONE
    assert Evidence(0, 0).value == ONE // 4
