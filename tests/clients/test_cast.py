"""Foundry's cast, which operators use in a shell, takes a federation through a round."""

import pytest
from client_programs import run_script


@pytest.fixture(scope="module")
def saw(federation_file):
    return run_script("cast.sh", federation_file)


def test_it_deploys_the_artifact_and_reads_the_state(saw, client_chain):
    assert (saw["deployed"], saw["chain"], saw["phase"], saw["past_phase"]) == ("0x1", "31337", "0", "0")
    assert int(saw["code"]) > 10_000
    assert saw["client"].startswith(client_chain.name)


@pytest.mark.parametrize("attempt", ["refused", "estimate_refused"])
def test_a_refusal_reaches_it_with_its_reason(saw, attempt):
    assert "execution reverted: fewer leaves than min_updates" in saw[attempt]


def test_it_sends_transactions_of_type_0_and_2(saw):
    types = {"sealed": "0x2", "forced": "0x0", "scored": "0x2", "certified": "0x2"}
    assert {name: saw[name] for name in types} == {name: f"0x1 {kind}" for name, kind in types.items()}
    assert saw["failed"] == "0x0"
    assert (saw["transcript"], saw["round"]) == ("equal", "2")


def test_gas_and_fees_are_known(saw):
    assert 30_000 < int(saw["estimate"]) < 60_000
    assert int(saw["gas_price"]) > 10**9 > int(saw["base_fee"]) > 0
    assert saw["rewards"].count("0x") == 2
    assert 9_999 < float(saw["spent"]) < 10_000
    assert saw["nonce"] == "2"


def test_it_finds_logs_receipts_blocks_storage_and_proofs(saw):
    assert (saw["logs"], saw["sealed_logs"], saw["in_block"]) == ("10", "1", "1")
    assert (saw["receipt"], saw["transaction"], saw["storage"], saw["proof"]) == (
        "equal",
        "0x2",
        "equal",
        "equal",
    )
    assert saw["age"] == "known"
