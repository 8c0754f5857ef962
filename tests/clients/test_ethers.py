"""ethers, which most wallets are made with, takes a federation through a round."""

import pytest
from client_programs import run_script

ROUND = ["Sealed", "Forced", "Scored", "Certified"]
GENESIS = [*["MemberRegistered"] * 4, "Genesis", "OwnershipTransferred"]


@pytest.fixture(scope="module")
def saw(federation_file):
    return run_script("ethers.mjs", federation_file)


def test_it_deploys_the_artifact_and_reads_the_state(saw):
    assert saw["deployment"] == {"status": 1, "type": 2, "events": GENESIS}
    assert saw["state"] == {"round": 1, "phase": 0, "end": 1}
    assert saw["network"] == 31337
    assert saw["pastPhase"] == 0


def test_a_refusal_reaches_it_with_its_reason(saw):
    reason = {"code": "CALL_EXCEPTION", "reason": "fewer leaves than min_updates"}
    assert saw["refusals"] == {"called": reason, "estimated": reason}


def test_it_sends_transactions_of_every_type_that_it_knows(saw):
    types = {"sealed": 2, "forced": 0, "scored": 1, "certified": 2}
    for (name, kind), event in zip(types.items(), ROUND, strict=True):
        assert saw["receipts"][name] == {"status": 1, "type": kind, "events": [event]}
    assert saw["failed"]["code"] == "CALL_EXCEPTION"
    assert saw["round"] == 2


def test_its_typed_data_and_transcript_are_the_contract_s(saw):
    assert saw["digestsAgree"]
    assert saw["transcriptAgrees"]


def test_fees_are_known(saw):
    assert saw["fees"]
    assert saw["feeHistory"] == {"baseFees": 3, "rewards": [1, 1]}


def test_it_finds_logs_blocks_transactions_and_proofs(saw):
    assert saw["logs"] == {"all": [*GENESIS, *ROUND], "sealed": 1, "otherRound": 0, "inBlock": 1}
    assert saw["block"] == {"holdsIt": True, "type": 2, "selector": True}
    assert saw["proof"]


def test_it_is_told_of_events_by_polling_and_by_websocket(saw):
    assert saw["watched"] == {"polled": ROUND, "socket": ROUND, "headsRise": True}
