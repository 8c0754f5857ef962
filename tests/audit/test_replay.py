"""One certified round: each check refuses what it is there for, also where another one would notice later."""

from dataclasses import replace

import pytest

from ledgerfed.audit.documents import unfold
from ledgerfed.audit.events import Genesis
from ledgerfed.audit.replay import check_certificates, check_reveals, check_roots, check_signatures
from ledgerfed.audit.rules import Rules, opening_state, replay_rounds
from ledgerfed.errors import VerificationError
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak


@pytest.fixture(scope="module")
def rules(walked):
    return Rules(walked.federation, walked.config, walked.members, {})


@pytest.fixture(scope="module")
def trace(walked, rules):
    """Round 3: certified, with a forced leaf."""
    events = walked.chain.events
    first = next(place for place, event in enumerate(events) if isinstance(event, Genesis))
    start = opening_state(rules, events[first], walked.owner)
    return replay_rounds(rules, start, events[first + 2 :]).rounds[2]


@pytest.fixture(scope="module")
def documents(trace, walked):
    return unfold(trace.ended, walked.blobs)


@pytest.fixture(scope="module")
def certificate(walked):
    return walked.certificates[1]


def test_the_round_itself_holds(rules, trace, documents, certificate):
    check_roots(rules.federation, trace, documents)
    assert check_reveals(rules.config, documents) == 4
    assert check_signatures(trace, documents) == 3 + 4
    assert check_certificates(rules.federation, trace, [certificate]) == 4


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda trace, docs: (replace(trace, number=4), docs), "the round of the manifest is 3, expected 4"),
        (
            lambda trace, docs: (
                trace,
                replace(docs, manifest=replace(docs.manifest, federation=Federation(1, b"c" * 20))),
            ),
            "the federation of the manifest",
        ),
        (
            lambda trace, docs: (
                replace(trace, number=4),
                replace(docs, manifest=replace(docs.manifest, round=4)),
            ),
            "the round of the evidence is 3, expected 4",
        ),
        (
            lambda trace, docs: (trace, replace(docs, manifest=replace(docs.manifest, model=keccak(b"m")))),
            "the model of the manifest",
        ),
        (
            lambda trace, docs: (
                trace,
                replace(docs, manifest=replace(docs.manifest, reputation_root=keccak(b"r"))),
            ),
            "the reputation root of the manifest",
        ),
        (
            lambda trace, docs: (replace(trace, sealed=replace(trace.sealed, n=4)), docs),
            "the number of sealed leaves is 3, expected 4",
        ),
        (
            lambda trace, docs: (replace(trace, sealed=replace(trace.sealed, root=keccak(b"r"))), docs),
            "the root of the sealed leaves",
        ),
        (lambda trace, docs: (replace(trace, steps=trace.steps[1:]), docs), "the forced leaves of the"),
        (
            lambda trace, docs: (
                replace(trace, steps=(trace.steps[0], replace(trace.scored, root=keccak(b"r")))),
                docs,
            ),
            "the scores of the evidence",
        ),
        (
            lambda trace, docs: (
                trace,
                replace(docs, evidence=replace(docs.evidence, history=docs.evidence.history[::-1])),
            ),
            "the history of the evidence",
        ),
        (
            lambda trace, docs: (
                trace,
                replace(docs, evidence=replace(docs.evidence, commitments=docs.evidence.commitments[1:])),
            ),
            "the root of the score commitments",
        ),
        (
            lambda trace, docs: (replace(trace, steps=trace.steps[:1]), docs),
            "without a seal or without scores",
        ),
        (lambda trace, docs: (replace(trace, sealed=None), docs), "without a seal or without scores"),
    ],
)
def test_an_event_about_other_documents_is_refused(rules, trace, documents, change, reason):
    with pytest.raises(VerificationError, match=reason):
        check_roots(rules.federation, *change(trace, documents))


def test_a_score_vector_of_another_length_is_refused_though_it_opens_its_commitment(rules, documents, walked):
    evidence = documents.evidence
    reveal = replace(evidence.reveals[0], scores=evidence.reveals[0].scores[:4])
    commitment = replace(evidence.commitments[0], commitment=reveal.commitment(walked.federation))
    short = replace(
        evidence,
        reveals=(reveal, *evidence.reveals[1:]),
        commitments=(commitment, *evidence.commitments[1:]),
    )
    with pytest.raises(VerificationError, match="the number of scores of validator 0 is 4, expected 8"):
        check_reveals(rules.config, replace(documents, evidence=short))


def test_evidence_that_leads_to_another_transcript_is_refused(trace, documents):
    scored = replace(trace.scored, transcript=keccak(b"another"))
    other = replace(trace, steps=(*trace.steps[:-1], scored))
    with pytest.raises(VerificationError, match="the transcript that the evidence leads to"):
        check_signatures(other, documents)
