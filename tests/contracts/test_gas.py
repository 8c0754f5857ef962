"""Gas per call on Prague rules, against the goals of the ledger and a committed snapshot."""

import json
from pathlib import Path

import pytest
from deployed_ledger import deploy

from ledgerfed.protocol import transcript as reference
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.signature import sign_digest
from ledgerfed.protocol.typed_data import certificate_digest

SNAPSHOT = Path(__file__).with_name("gas.json")
OUTCOME = (keccak(b"manifest"), keccak(b"new model"), keccak(b"new reputations"))


def measure(ledger, n):
    """Gas of the second round, in which no slot is written for the first time."""
    for number in (1, 2):
        gas = {}
        ledger.evm.block = ledger.state()["end"] + 1
        gas["seal"] = ledger.transact("seal", number, keccak(b"root"), n, sender=ledger.relayer())
        gas["force"] = ledger.transact("force", number, keccak(b"leaf"), sender=ledger.members[-1])
        ledger.evm.block = ledger.state()["end"] + 1
        gas["scores"] = ledger.transact("scores", number, keccak(b"scores"), sender=ledger.relayer())
        t = reference.after_certify(ledger.view("transcript"), number, *OUTCOME)
        digest = certificate_digest(ledger.federation, number, t)
        signatures = b"".join(sign_digest(key, digest) for key in ledger.keys[: ledger.view("quorum")])
        gas["certify"] = ledger.transact("certify", number, *OUTCOME, signatures, sender=ledger.members[0])
    ledger.evm.block += 1000
    gas["abort"] = ledger.transact("abort", 3, sender=ledger.members[0])
    used = {name: receipt.gas_used for name, receipt in gas.items()}
    return used | {"round": used["seal"] + used["scores"] + used["certify"]}


@pytest.fixture
def table(local_evm):
    rows = {}
    for committee, n in ((4, 10), (4, 1000), (7, 10), (8, 10), (13, 10), (13, 1000)):
        ledger = deploy(local_evm(), nodes=committee, committee=committee, depth=10, min_updates=1)
        row = {"deploy": ledger.genesis.gas_used} | measure(ledger, n)
        rows[f"q={ledger.view('quorum')} n={n}"] = row
    return rows


def test_a_round_meets_the_gas_goals(table):
    for n in (10, 1000):
        assert table[f"q=3 n={n}"]["round"] <= 135_000
        assert table[f"q=9 n={n}"]["round"] <= 180_000
    for q in (3, 9):
        assert abs(table[f"q={q} n=10"]["round"] - table[f"q={q} n=1000"]["round"]) <= 100
    assert max(row["force"] for row in table.values()) <= 42_000


def test_no_call_costs_two_percent_more_than_the_snapshot(table):
    snapshot = json.loads(SNAPSHOT.read_text("utf-8"))
    assert snapshot.keys() == table.keys()
    for name, row in table.items():
        for call, gas in row.items():
            assert gas <= snapshot[name][call] * 1.02, (
                f"{call} at {name}: {gas}, snapshot {snapshot[name][call]}"
            )
