"""viem, which most web pages talk to a chain with, takes a federation through a round."""

import pytest
from client_programs import run_script

ROUND = ["Sealed", "Forced", "Scored", "Certified"]
GENESIS = [*["MemberRegistered"] * 4, "Genesis", "OwnershipTransferred"]


@pytest.fixture(scope="module")
def saw(federation_file):
    return run_script("viem.mjs", federation_file)


def test_it_deploys_the_artifact_and_reads_the_state(saw):
    assert saw["deployment"] == {"status": "success", "events": GENESIS}
    assert saw["state"] == {"round": 1, "phase": 0, "end": 1}
    assert saw["chainId"] == 31337
    assert saw["codeLength"] > 10_000
    assert saw["pastPhase"] == 0


def test_a_refusal_reaches_it_with_its_reason(saw):
    assert saw["refusals"] == dict.fromkeys(("simulated", "estimated"), "fewer leaves than min_updates")


def test_it_sends_transactions_of_every_type_that_it_knows(saw):
    types = {"sealed": "eip1559", "forced": "legacy", "scored": "eip2930", "certified": "eip1559"}
    for (name, kind), event in zip(types.items(), ROUND, strict=True):
        assert saw["receipts"][name] == {"status": "success", "type": kind, "events": [event]}
    assert saw["failed"] == {"status": "reverted", "logs": 0}
    assert saw["round"] == 2
    assert saw["nonce"] == 1


def test_its_typed_data_and_transcript_are_the_contract_s(saw):
    assert saw["digestsAgree"]
    assert saw["transcriptAgrees"]


def test_gas_and_fees_are_estimated(saw):
    assert saw["gasWasEnough"]
    assert saw["feesAreOrdered"]
    assert saw["feeHistory"] == {"baseFees": 3, "ratios": 2, "rewards": [2, 2]}


def test_it_finds_logs_blocks_transactions_and_proofs(saw):
    assert saw["logs"] == {"all": [*GENESIS, *ROUND], "sealed": 1, "otherRound": 0, "inBlock": ["Sealed"]}
    assert saw["block"]["holdsIt"]
    assert saw["block"]["type"] == "eip1559"
    assert saw["block"]["confirmations"] > 5
    assert saw["proof"] == {"value": True, "transcript": True, "nodes": True}


def test_it_is_told_of_events_by_filter_and_by_websocket(saw):
    assert saw["watched"] == {"filter": ROUND, "socket": ROUND, "headsInOrder": True, "errors": []}
