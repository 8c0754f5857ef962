"""What a bundle must prove, and which step says so when the ledger, a quorum or an exporter lies."""

from dataclasses import replace

import pytest

from ledgerfed.audit import Certificate, ChainHead, Status, TrustInputs, verify_bundle, write_bundle
from ledgerfed.audit.events import Aborted, Certified, Genesis
from ledgerfed.errors import NotFoundError
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.model import encode_model
from ledgerfed.protocol.signature import sign_digest
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.typed_data import certificate_digest

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141


@pytest.fixture
def verify(tmp_path):
    def run(history, trust=None):
        write_bundle(history, tmp_path / "bundle.zip")
        return verify_bundle(tmp_path / "bundle.zip", *([trust] if trust else []))

    return run


def genesis_of(history):
    return next(event for event in history.events if isinstance(event, Genesis))


def test_an_honest_history_passes_every_step_in_order(bundle):
    report = verify_bundle(bundle)
    assert [step.status for step in report.steps] == [Status.PASS] * 12
    assert [step.number for step in report.steps] == list(range(1, 13))
    assert report.passed
    report.require_passed()


def test_the_rounds_are_told_with_reasons_aborts_and_forced_leaves(bundle, walked):
    first, second, third = verify_bundle(bundle).rounds
    assert (first.phase, first.admitted, first.rejected) == ("certified", (0, 1, 2, 3), ())
    assert (second.phase, second.admitted, second.manifest_hash) == ("aborted", (), None)
    assert second.model_hash == first.model_hash
    assert (third.admitted, third.rejected, third.forced) == ((0, 1, 3), ((2, "V6:copy"),), (3,))
    assert third.model_hash == walked.model.hash()
    assert third.transcript == walked.t


def test_without_trust_inputs_it_is_consistent_but_not_trusted(bundle):
    report = verify_bundle(bundle)
    assert report.passed
    assert not report.trusted
    assert not report.complete
    assert "self-consistent only" in report.verdict


def test_with_the_genesis_transcript_and_the_last_one_it_is_trusted_and_complete(bundle, history, walked):
    report = verify_bundle(bundle, TrustInputs(genesis_of(history).transcript, final_transcript=walked.t))
    assert report.trusted
    assert report.complete


def test_configuration_and_members_pin_the_origin_too(bundle, walked):
    trust = TrustInputs(config_hash=walked.config.hash(), members=walked.members)
    assert verify_bundle(bundle, trust).trusted
    assert not verify_bundle(bundle, TrustInputs(config_hash=walked.config.hash())).trusted


@pytest.mark.parametrize(
    ("name", "step"),
    [
        ("genesis_transcript", 5),
        ("config_hash", 3),
        ("contract_code_hash", 3),
        ("final_transcript", 12),
    ],
)
def test_a_trust_input_that_differs_fails_its_step(bundle, name, step):
    report = verify_bundle(bundle, TrustInputs(**{name: keccak(b"another")}))
    assert report.failure.number == step
    assert "against what you trust" in report.failure.found
    assert not report.trusted


@pytest.mark.threat("C2")
def test_a_forged_federation_with_other_members_passes_alone_but_not_against_trust(
    walk_three, verify, walked
):
    forged = walk_three(seed=2).history()
    assert verify(forged).passed
    assert verify(forged, TrustInputs(members=walked.members)).failure.number == 4
    genesis = genesis_of(walked.history())
    assert verify(forged, TrustInputs(genesis_transcript=genesis.transcript)).failure.number == 5


@pytest.mark.threat("C2")
def test_a_history_cut_at_the_end_passes_alone_but_not_against_the_chains_transcript(walk_one, begun, verify):
    walk = begun()
    walk_one(walk)
    shorter = walk.history()
    walk_one(walk)
    genesis = genesis_of(shorter).transcript
    assert verify(shorter, TrustInputs(genesis)).trusted
    assert verify(shorter, TrustInputs(genesis, final_transcript=walk.t)).failure.number == 12


def test_a_round_under_way_is_told_as_far_as_it_got(begun, walk_one, verify):
    walk = begun()
    walk_one(walk)
    walk.seal(list(walk.commit({index: walk.payload(index) for index in range(3)}).values()))
    report = verify(walk.history())
    assert report.passed
    assert [summary.phase for summary in report.rounds] == ["certified", "sealed"]


def test_a_federation_without_rounds_passes(begun, verify):
    report = verify(begun().history())
    assert report.passed
    assert report.rounds == ()


# --- lies of an exporter ---------------------------------------------------------------------------------


def drop_round(history, number):
    ended = [event for event in history.events if isinstance(event, Certified) and event.round == number]
    gone = {event.manifest for event in ended}
    return replace(
        history,
        events=tuple(event for event in history.events if getattr(event, "round", 0) != number),
        certificates=tuple(c for c in history.certificates if c.round != number),
        blobs={digest: blob for digest, blob in history.blobs.items() if digest not in gone},
    )


@pytest.mark.parametrize(("number", "step"), [(1, 6), (2, 6), (3, 8)])
def test_a_dropped_round_is_missed(history, verify, number, step):
    report = verify(drop_round(history, number))
    assert report.failure.number == step


def test_a_dropped_last_round_with_all_its_blobs_is_missed_by_the_final_transcript(history, verify, walked):
    cut = drop_round(history, 3)
    evidence = walked.evidences[1]
    gone = {evidence.hash(), walked.model.hash(), *(o.update_hash for o in evidence.openings)}
    report = verify(replace(cut, blobs={k: v for k, v in cut.blobs.items() if k not in gone}))
    assert report.failure.number == 12


def test_swapped_rounds_are_refused(history, verify):
    swap = {1: 3, 3: 1}
    places = [event.at for event in history.events]
    events = [
        replace(event, round=swap.get(event.round, event.round)) if hasattr(event, "round") else event
        for event in history.events
    ]
    assert verify(replace(history, events=tuple(events))).failure.number == 6
    ordered = history.events[:6] + history.events[11:] + history.events[9:11] + history.events[6:9]
    moved = tuple(replace(event, at=at) for event, at in zip(ordered, places, strict=True))
    assert verify(replace(history, events=moved)).failure.number == 6


def test_a_round_that_pretends_to_have_been_aborted_breaks_the_transcript(history, verify):
    *before, last = history.events
    lie = Aborted(last.at, 3, int(Phase.SCORED), last.transcript)
    cut = replace(history, events=(*before, lie), certificates=history.certificates[:1])
    assert verify(cut).failure.number == 6


def test_a_missing_payload_is_named_with_its_round_and_node(history, verify, walked):
    opening = walked.evidences[1].openings[2]
    blobs = {digest: blob for digest, blob in history.blobs.items() if digest != opening.update_hash}
    failure = verify(replace(history, blobs=blobs)).failure
    assert failure.number == 8
    assert failure.found.startswith("round 3: the payload of node 2")
    assert opening.update_hash.hex() in failure.found


def test_a_blob_that_nothing_refers_to_is_refused(history, verify):
    report = verify(replace(history, blobs={**history.blobs, keccak(b"stray"): b"stray"}))
    assert report.failure.number == 8
    assert keccak(b"stray").hex() in report.failure.found


def test_the_code_of_another_contract_is_refused_unless_it_is_trusted(history, verify):
    other = replace(history, code_hash=keccak(b"other code"))
    assert verify(other).failure.number == 3
    assert verify(other, TrustInputs(contract_code_hash=keccak(b"other code"))).passed


def test_times_that_run_backwards_are_refused(history, verify):
    *before, last = history.events
    older = replace(last, at=replace(last.at, timestamp=before[0].at.timestamp - 1))
    failure = verify(replace(history, events=(*before, older))).failure
    assert failure.number == 6
    assert "older" in failure.found


def test_a_head_before_the_last_event_is_refused(history, verify):
    head = ChainHead(history.events[-1].at.block_number - 1, history.head.hash, history.head.transcript)
    assert verify(replace(history, head=head)).failure.number == 6


def test_a_missing_file_is_no_report_but_an_error(tmp_path):
    with pytest.raises(NotFoundError, match=r"no audit bundle at .*nowhere\.zip"):
        verify_bundle(tmp_path / "nowhere.zip")


# --- genesis and registry --------------------------------------------------------------------------------


def with_genesis(history, **changes):
    lie = replace(genesis_of(history), **changes)
    events = tuple(lie if isinstance(event, Genesis) else event for event in history.events)
    return replace(history, events=events)


@pytest.mark.parametrize(
    ("changes", "step", "reason"),
    [
        ({"config_hash": keccak(b"x")}, 3, "the configuration hash of Genesis"),
        ({"committee": (0, 1, 2)}, 3, "the committee of Genesis is (0, 1, 2), expected (0, 1, 2, 3)"),
        ({"leaves_on_chain": True}, 3, "leaves_on_chain of Genesis is True, expected False"),
        ({"depth": 4}, 3, "the depth of Genesis is 4, expected 3"),
        ({"windows": (10, 4, 10, 10, 3)}, 3, "the windows of Genesis"),
        ({"min_updates": 1}, 3, "min_updates of Genesis is 1, expected 2"),
        ({"registry_hash": keccak(b"x")}, 4, "the registry hash of Genesis"),
        ({"reputations": keccak(b"x")}, 5, "the reputation root of Genesis"),
        ({"transcript": keccak(b"x")}, 5, "the transcript of Genesis"),
    ],
)
def test_a_genesis_that_says_otherwise_is_refused(history, verify, changes, step, reason):
    failure = verify(with_genesis(history, **changes)).failure
    assert failure.number == step
    assert failure.found.startswith(reason)


def test_a_federation_that_starts_from_another_model_than_its_configuration_says_is_refused(
    history, verify, walked
):
    other = encode_model(replace(walked.config.genesis_model(), contributors=7))
    lie = with_genesis(history, model=keccak(other))
    failure = verify(replace(lie, blobs={**lie.blobs, keccak(other): other})).failure
    assert failure.number == 5
    assert failure.found.startswith("the genesis model is ")


def with_start(history, change):
    """Return the history with other first events (members, Genesis, the owner) in the same places."""
    start = history.events[:6]
    moved = [replace(event, at=old.at) for event, old in zip(change(start), start, strict=False)]
    return replace(history, events=(*moved, *history.events[len(start) :]))


@pytest.mark.parametrize(
    ("change", "step", "reason"),
    [
        (lambda e: [e[1], e[0], *e[2:]], 4, "the registry indices is [1, 0, 2, 3]"),
        (lambda e: [replace(e[0], epoch=1), *e[1:]], 4, "the epochs is {0, 1}"),
        (lambda e: [e[0], replace(e[1], member=e[0].member), *e[2:]], 4, "the number of different"),
        (lambda e: [*e[:3], *e[4:]], 4, "3 members, from 4 to 8 are possible"),
        (lambda e: [e[5], *e[:5]], 4, "the first events"),
        (lambda e: [*e[:4], e[5], e[4]], 4, "the first events"),
        (lambda e: e[:5], 4, "the first events"),
        (lambda e: [*e[:5], replace(e[5], previous=e[5].owner)], 4, "the owner before the deployment"),
        (lambda e: e[:4], 2, "the number of Genesis events is 0, expected 1"),
    ],
)
def test_a_registry_that_says_otherwise_is_refused(history, verify, change, step, reason):
    failure = verify(with_start(history, change)).failure
    assert failure.number == step
    assert failure.found.startswith(reason)


def test_members_of_another_transaction_than_genesis_are_refused(history, verify):
    first, *rest = history.events
    elsewhere = replace(first, at=replace(first.at, tx_hash=keccak(b"elsewhere")))
    failure = verify(replace(history, events=(elsewhere, *rest))).failure
    assert failure.number == 4
    assert failure.found.startswith("the transactions that made the federation")


def test_a_second_genesis_is_refused(history, verify):
    last = history.events[-1]
    again = replace(genesis_of(history), at=replace(last.at, log_index=last.at.log_index + 1))
    failure = verify(replace(history, events=(*history.events, again))).failure
    assert failure.number == 2
    assert failure.found == "the number of Genesis events is 2, expected 1"


# --- places on the chain ---------------------------------------------------------------------------------


def with_place(history, position, **changes):
    events = list(history.events)
    events[position] = replace(events[position], at=replace(events[position].at, **changes))
    return replace(history, events=tuple(events))


def test_places_that_contradict_each_other_are_refused(history, verify):
    seal, score = history.events[6], history.events[7]
    in_genesis_block = {"block_hash": keccak(b"other")}
    for lie, reason in [
        (with_place(history, 4, **in_genesis_block), "hash and time of block 7"),
        (with_place(history, 7, tx_hash=seal.at.tx_hash), "the block of transaction"),
        (with_place(history, 7, block_hash=seal.at.block_hash), "two blocks have the same hash"),
    ]:
        failure = verify(lie).failure
        assert failure.number == 6
        assert failure.found.startswith(reason)
    assert score.at.block_number != seal.at.block_number


def test_the_head_is_the_block_of_the_last_event_or_a_later_one(history, verify):
    last = history.events[-1].at
    at_last = replace(history, head=replace(history.head, number=last.block_number, hash=last.block_hash))
    assert verify(at_last).passed
    other = replace(at_last, head=replace(at_last.head, hash=keccak(b"other")))
    failure = verify(other).failure
    assert failure.number == 6
    assert failure.found.startswith(f"the hash of the head block {last.block_number}")


def test_a_certificate_for_a_round_without_an_outcome_is_refused(history, verify):
    surplus = replace(history.certificates[0], round=2)
    certificates = (history.certificates[0], surplus, history.certificates[1])
    failure = verify(replace(history, certificates=certificates)).failure
    assert failure.number == 6
    assert failure.found == "the rounds with a certificate is [1, 2, 3], expected [1, 3]"


# --- certificates ----------------------------------------------------------------------------------------


def with_certificate(history, signatures):
    return replace(history, certificates=(Certificate(1, b"".join(signatures)), *history.certificates[1:]))


def digest_of_round_one(walked):
    event = next(event for event in walked.chain.events if isinstance(event, Certified))
    return certificate_digest(walked.federation, 1, event.transcript)


def high_s(signature):
    s = ORDER - int.from_bytes(signature[32:64], "big")
    return signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])


@pytest.mark.parametrize(
    ("forge", "reason"),
    [
        (lambda s, other: s[:2], "signed by 2, 3 are needed"),
        (lambda s, other: [s[0], s[0], s[1]], "not once each in ascending index"),
        (lambda s, other: [s[1], s[0], s[2]], "not once each in ascending index"),
        (lambda s, other: [s[0], s[1], other], "not on the committee"),
        (lambda s, other: [s[0], s[1], high_s(s[2])], "high s"),
    ],
)
def test_a_certificate_needs_a_quorum_of_distinct_members_with_low_s(history, walked, verify, forge, reason):
    digest = digest_of_round_one(walked)
    signatures = [sign_digest(walked.keys[index], digest) for index in (0, 1, 3)]
    failure = verify(
        with_certificate(history, forge(signatures, sign_digest(keccak(b"stranger"), digest)))
    ).failure
    assert failure.number == 9
    assert failure.found.startswith("round 1: ")
    assert reason in failure.found


# --- lies of a colluding quorum, with every hash and signature right -------------------------------------


def reweighted(outcome):
    first, *rest = outcome.verdicts
    return replace(outcome, verdicts=(replace(first, weight=first.weight - 1), *rest))


def expelled(outcome):
    first, *rest = outcome.verdicts
    return replace(outcome, verdicts=(replace(first, reason=Reason.OUTLIER, weight=0), *rest))


def remodelled(outcome):
    theta = outcome.model.theta
    values = (theta.values[0] + 1, *theta.values[1:])
    return replace(outcome, model=replace(outcome.model, theta=replace(theta, values=values)))


def favoured(outcome):
    first, *rest = outcome.reputations
    return replace(outcome, reputations=(replace(first, quarantined_until=9), *rest))


@pytest.mark.threat("R6")
@pytest.mark.parametrize("lie", [reweighted, expelled, remodelled, favoured])
def test_a_quorum_that_certifies_another_outcome_is_found_by_the_replay(begun, walk_one, verify, lie):
    walk = begun()
    walk_one(walk)
    walk_one(walk, outcome_lie=lie)
    failure = verify(walk.history()).failure
    assert failure.number == 11
    assert failure.found.startswith("round 2: ")


def test_a_quorum_that_certifies_what_must_abort_is_found_by_the_replay(begun, walk_one, verify):
    usual = begun().config
    strict = begun(config=replace(usual, gates=replace(usual.gates, base_distance=1 << 32)))
    strict.decides_by = usual
    walk_one(strict)
    failure = verify(strict.history()).failure
    assert failure.number == 11
    assert "the replay aborts" in failure.found


def without_first_leaf(evidence):
    return replace(evidence, leaves=evidence.leaves[1:], openings=evidence.openings[1:])


def opened_elsewhere(evidence):
    return replace(evidence, opened_at=keccak(b"another fork"))


def with_first(name, **changes):
    def lie(evidence):
        first, *rest = getattr(evidence, name)
        return replace(evidence, **{name: (replace(first, **changes), *rest)})

    return lie


def with_better_score(evidence):
    first, *rest = evidence.reveals
    scores = (first.scores[0] + 1, *first.scores[1:])
    return replace(evidence, reveals=(replace(first, scores=scores), *rest))


@pytest.mark.parametrize(
    ("lie", "step"),
    [
        (without_first_leaf, 6),
        (opened_elsewhere, 6),
        (with_first("leaves", leaf=keccak(b"another leaf")), 6),
        (with_first("commitments", commitment=keccak(b"another commitment")), 6),
        (with_better_score, 7),
        (with_first("reveals", salt=keccak(b"another salt")), 7),
        (lambda evidence: replace(evidence, reveals=evidence.reveals[:2]), 7),
        (with_first("openings", n_samples=61), 8),
        (lambda evidence: replace(evidence, openings=evidence.openings[1:]), 8),
        (with_first("openings", salt=keccak(b"another salt")), 8),
        (with_first("leaves", signature=bytes(64) + b"\x1b"), 9),
        (with_first("leaves", deadline=20), 9),
        (with_first("commitments", signature=bytes(64) + b"\x1b"), 9),
    ],
)
def test_a_quorum_that_certifies_other_evidence_is_found_by_its_step(begun, walk_one, verify, lie, step):
    walk = begun()
    walk_one(walk, evidence_lie=lie)
    failure = verify(walk.history()).failure
    assert failure.number == step
    assert failure.found.count("round 1: ") == 1


def test_a_round_on_another_base_than_the_last_certified_model_is_refused(begun, walk_one, verify):
    walk = begun()
    genesis_model = walk.model.hash()
    walk_one(walk)
    walk_one(walk, outcome_lie=lambda outcome: replace(outcome, base_model=genesis_model))
    failure = verify(walk.history()).failure
    assert failure.number == 10
    assert failure.found.startswith("round 2: the base model")


def test_an_evidence_of_another_federation_is_refused(begun, walk_one, verify):
    walk = begun()
    other = replace(walk.federation, chain_id=1)
    walk_one(walk, evidence_lie=lambda evidence: replace(evidence, federation=other))
    failure = verify(walk.history()).failure
    assert failure.number == 6
    assert "the federation of the evidence" in failure.found


def test_a_federation_that_demands_more_updates_than_it_has_members_is_refused(begun, verify):
    greedy = replace(begun().config, min_updates=5)
    failure = verify(begun(config=greedy).history()).failure
    assert failure.number == 4
    assert failure.found == "4 members, from 5 to 8 are possible"
