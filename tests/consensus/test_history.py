"""What a round remembers of earlier ones: the same updates on every machine that holds the evidence."""

from dataclasses import replace

import pytest

from ledgerfed.consensus.history import held_openings, past_updates
from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.configuration import FederationConfig, Gates, Windows
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak, word
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.payload import InformationUpdate, encode_update
from ledgerfed.protocol.reputation import Evidence, Reputation
from ledgerfed.protocol.score import GATED, NOT_HELD, ONE, ScoreVector

MEMORY = 3
GATES = Gates(400, ONE, ONE, ONE, 0, 20, MEMORY, ONE, -ONE, ONE, ONE)
CONFIG = FederationConfig(
    name="memory",
    basis=canonical_json({"target": {"lags": [1]}}),
    width=2,
    depth=2,
    committee=4,
    min_updates=2,
    windows=Windows(10, 5, 10, 10, 4),
    gates=GATES,
    genesis_reputation=Reputation(Evidence(0, 0), Evidence(0, 0)),
    prior=1,
    theta_scale=40,
    precision_scale=20,
)
FEDERATION = Federation(31337, keccak(b"contract")[-20:])


def payload(number, index, schema=CONFIG.schema, width=2):
    triangle = tuple(1 + index for _ in range(width * (width + 1) // 2))
    family = keccak(word(number))
    update = InformationUpdate(
        schema, keccak(b"base"), family, 60, 1, 60, (0,) * width, triangle, (index,) * width
    )
    return encode_update(update)


def evidence(number, shown, held=None):
    """Return an evidence that opens the payloads of `shown`; `held[v]` is what validator v has of them."""
    openings = tuple(
        Opening(number, index, keccak(b"base"), keccak(data), 60, CONFIG.schema, keccak(b"salt"))
        for index, data in sorted(shown.items())
    )
    held = held or dict.fromkeys(range(3), shown)
    reveals = tuple(
        ScoreVector(
            number, validator, tuple(GATED if i in has else NOT_HELD for i in range(4)), keccak(b"salt")
        )
        for validator, has in held.items()
    )
    return RoundEvidence(FEDERATION, number, keccak(b"t"), (), (), openings, (), reveals)


def remembered(evidences, *payloads, now):
    blobs = {keccak(data): data for data in payloads}
    return [(past.round, past.index) for past in past_updates(CONFIG, evidences, blobs, now)]


def test_a_round_remembers_as_many_rounds_as_the_configuration_says():
    shown = {number: payload(number, 0) for number in range(1, 8)}
    evidences = [evidence(number, {0: data}) for number, data in shown.items()]
    assert remembered(evidences, *shown.values(), now=6) == [(3, 0), (4, 0), (5, 0)]
    assert remembered(evidences, *shown.values(), now=1) == []


def test_the_order_in_which_evidences_come_does_not_matter():
    shown = {number: {0: payload(number, 0), 2: payload(number, 2)} for number in (2, 3)}
    evidences = [evidence(number, payloads) for number, payloads in shown.items()]
    everything = [data for payloads in shown.values() for data in payloads.values()]
    expected = [(2, 0), (2, 2), (3, 0), (3, 2)]
    assert remembered(evidences, *everything, now=4) == expected
    assert remembered(evidences[::-1], *everything, now=4) == expected


def test_only_what_more_than_f_validators_hold_is_remembered():
    shown = {0: payload(1, 0), 1: payload(1, 1)}
    found = evidence(1, shown, held={0: {0, 1}, 1: {0}, 3: set()})
    assert [opening.index for opening in held_openings(CONFIG, found)] == [0]
    assert remembered([found], shown[0], now=2) == [(1, 0)]


def test_a_missing_payload_that_others_hold_is_an_error_that_names_it():
    found = evidence(1, {0: payload(1, 0)})
    with pytest.raises(InvalidValueError, match=rf"round 1: the payload 0x{keccak(payload(1, 0)).hex()}"):
        remembered([found], now=2)
    assert remembered([found], now=2 + MEMORY) == []


@pytest.mark.parametrize(
    "other",
    [
        b"not an update",
        payload(1, 1, schema=keccak(b"another basis")),
        payload(1, 1, width=3),
        payload(1, 1) + bytes(400),
    ],
)
def test_what_does_not_decode_on_the_basis_of_the_federation_copies_nobody(other):
    honest = payload(1, 0)
    assert remembered([evidence(1, {0: honest, 1: other})], honest, other, now=2) == [(1, 0)]


def test_a_payload_beyond_the_size_limit_is_not_even_decoded():
    honest = payload(1, 0)
    small = replace(CONFIG, gates=replace(GATES, max_payload_bytes=len(honest) - 1))
    found = evidence(1, {0: honest})
    assert past_updates(small, [found], {keccak(honest): honest}, 2) == ()


def test_two_evidences_of_one_round_are_refused():
    found = evidence(1, {0: payload(1, 0)})
    with pytest.raises(InvalidValueError, match="two evidences"):
        remembered([found, replace(found, opened_at=keccak(b"fork"))], payload(1, 0), now=2)
