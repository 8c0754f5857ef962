"""The report says what held, what did not and what nobody checked, the same in every form."""

import json
from dataclasses import replace
from html.parser import HTMLParser

import pytest

from ledgerfed.audit import Status, TrustInputs, verify_bundle
from ledgerfed.audit.html import html_report
from ledgerfed.audit.report import NOT_COMPLETE, NOT_PINNED
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
