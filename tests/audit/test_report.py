"""The report says what held, what did not and what nobody checked, the same in every form."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from ledgerfed.audit import Status, TrustInputs, verify_bundle, write_bundle
from ledgerfed.audit.html import html_report
from ledgerfed.audit.report import FALLEN, NOT_COMPLETE, NOT_PINNED
from ledgerfed.errors import VerificationError
from ledgerfed.protocol.hashing import keccak, to_hex


@pytest.fixture(scope="module")
def report(bundle):
    return verify_bundle(bundle)


@pytest.fixture(scope="module")
def rejected(bundle):
    return verify_bundle(bundle, TrustInputs(config_hash=keccak(b"another")))


class Tags(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.attributes, self.text = [], [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += [name for name, _ in attrs]

    def handle_data(self, data):
        self.text.append(data)


def test_the_document_is_plain_json_with_every_step_and_round(report, walked):
    document = json.loads(json.dumps(report.document()))
    assert (document["passed"], document["trusted"], document["complete"]) == (True, False, False)
    assert [step["number"] for step in document["steps"]] == list(range(1, 13))
    assert document["contract"] == to_hex(walked.federation.contract)
    third = document["rounds"][2]
    assert third["rejected"] == [{"node": 2, "reason": "V6:copy"}]
    assert third["model_hash"] == to_hex(walked.model.hash())
    assert third["transcript"] == to_hex(walked.t)
    assert document["rounds"][1]["manifest_hash"] is None


def test_the_text_names_every_step_round_and_limit(report):
    lines = list(report.lines())
    assert lines[0].startswith(" 1  PASS     archive and digests")
    assert "round 3: certified" in lines[14]
    assert "not admitted 2 V6:copy; forced 3" in lines[14]
    assert f"note: {NOT_PINNED}" in lines
    assert f"note: {NOT_COMPLETE}" in lines
    assert all("\n" not in line for line in lines)


def test_a_failure_names_its_step_and_skips_what_needs_it(rejected):
    assert rejected.verdict.startswith("REJECTED at step 3 (contract and configuration): ")
    statuses = {step.number: step.status for step in rejected.steps}
    assert statuses[3] is Status.FAIL
    assert statuses[4] is Status.PASS
    assert {statuses[number] for number in range(5, 13)} == {Status.SKIPPED}
    assert rejected.steps[4].found == "needs step 3"
    assert rejected.rounds == ()
    with pytest.raises(VerificationError, match="REJECTED at step 3"):
        rejected.require_passed()


def test_trust_inputs_do_not_make_a_failed_report_trusted(bundle, walked):
    trust = TrustInputs(
        config_hash=walked.config.hash(), members=walked.members, final_transcript=keccak(b"another")
    )
    failed = verify_bundle(bundle, trust)
    assert not failed.trusted
    assert not failed.complete


def test_the_page_says_the_same_without_script_or_link(report):
    page = Tags(html_report(report))
    text = " ".join(page.text)
    assert all(step.title in text for step in report.steps)
    assert report.verdict in text
    assert to_hex(report.rounds[2].model_hash) in text
    assert not {"script", "link", "img", "iframe", "a"} & set(page.tags)
    assert not {"src", "href", "onload", "onclick"} & set(page.attributes)


def test_the_page_escapes_what_a_bundle_brings(report):
    hostile = replace(report.steps[0], status=Status.FAIL, found="<script>alert('x')</script>")
    page = html_report(replace(report, steps=(hostile, *report.steps[1:])))
    assert "<script" not in page
    assert "&lt;script&gt;" in page


# --- disputes, void certificates, epochs ------------------------------------------------------------------


@pytest.fixture(scope="module")
def told(eventful_bundle):
    return verify_bundle(eventful_bundle)


def test_the_text_tells_disputes_and_epochs_in_words(told):
    lines = list(told.lines())
    assert any(
        line.startswith("round 1: certified") and "1 certificate fell before" in line for line in lines
    )
    expected = [
        "two certificates of round 1: node 3 is removed, the certificate of round 1 is void, "
        "and the round is decided again",
        "two leaves of round 2: node 4 is removed",
        "two commitments of round 3: node 2 is removed, and the round aborts because too few of the "
        "committee are left",
        "committee 0, 1, 2, 5, quorum 3; joined: 5; left: 3; has a new key: 2",
    ]
    for words in expected:
        assert sum(line.endswith(words) for line in lines) == 1, words
    assert f"note: {FALLEN}" in lines


def test_the_document_tells_disputes_and_epochs_in_full(told, eventful):
    document = json.loads(json.dumps(told.document()))
    assert [(d["round"], d["culprits"], d["contested"], d["aborted"]) for d in document["disputes"]] == [
        (1, [3], True, False),
        (2, [4], False, False),
        (3, [2], False, True),
    ]
    first, second = document["epochs"]
    assert first["change_hash"] is None
    assert (second["joined"], second["left"], second["rekeyed"]) == ([5], [3], [2])
    assert second["config_hash"] == to_hex(eventful.config.hash())
    assert [r["epoch"] for r in document["rounds"]] == [0, 0, 0, 1, 1]
    assert [len(r["fell"]) for r in document["rounds"]] == [1, 0, 0, 0, 0]


def test_the_page_tells_disputes_and_epochs_and_an_uneventful_one_no_disputes(told, report):
    text = " ".join(Tags(html_report(told)).text)
    for dispute in told.disputes:
        assert dispute.consequence in text
        assert to_hex(dispute.proof) in text
    assert told.epochs[1].changes in text
    assert "certified, after 1 certificate that fell" in text
    assert "Disputes" not in Tags(html_report(report)).text
    assert "Epochs" in Tags(html_report(report)).text


def test_a_certificate_that_can_still_be_disputed_is_no_last_word(eventful, tmp_path):
    history = eventful.history()
    until = eventful.end
    for number, words in ((until - 1, True), (until, False)):
        head = replace(history.head, number=number)
        write_bundle(replace(history, head=head), tmp_path / "early.zip")
        report = verify_bundle(tmp_path / "early.zip")
        assert report.passed
        note = f"the certificate of round 5 can still be disputed until block {until}"
        assert (note in report.notes) is words
        assert (f"can be disputed until block {until}" in html_report(report)) is words
        assert report.document()["rounds"][4]["contestable_until"] == (until if words else None)
