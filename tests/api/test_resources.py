"""What each resource says, checked against the federation that made it."""

from __future__ import annotations

import json
import os
import zipfile

import pytest

from ledgerfed.protocol.hashing import EMPTY, keccak
from ledgerfed.protocol.merkle import verify_inclusion
from ledgerfed.protocol.model import decode_model
from ledgerfed.protocol.reputation import Evidence, Reputation, result_hash
from ledgerfed.protocol.signature import recover_address


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


def test_the_federation_is_listed_with_what_it_started_from(served) -> None:
    listed = served.client.get("/v1/federations").json()["items"]
    answer = served.get("").json()
    assert listed == [answer["federation"]]
    federation = answer["federation"]
    assert federation["name"] == "demo"
    assert _bytes(federation["genesis"]["config_hash"]) == served.chain.config.hash()
    assert (federation["genesis"]["committee"], federation["genesis"]["quorum"]) == ([0, 1, 2, 3], 3)
    assert (federation["owner"], federation["proposal"]) == (None, None)
    assert federation["epoch"]["committee"] == [0, 1, 2, 3]
    assert (federation["nodes"], federation["round"]) == (4, 5)
    assert _bytes(federation["transcript"]) == served.chain.now.t


def test_the_contract_may_be_written_in_any_case(served) -> None:
    mixed = f"/v1/federations/0x{served.chain.federation.contract.hex().upper()}"
    assert served.client.get(mixed).status_code == 200


@pytest.mark.threat("P4")
def test_rounds_come_newest_first_and_none_can_be_hidden(served) -> None:
    page = served.get("/rounds").json()
    assert [r["number"] for r in page["items"]] == [5, 4, 3, 2, 1]
    assert [r["phase"] for r in page["items"]] == ["SEALED", "CERTIFIED", "ABORTED", "CERTIFIED", "CERTIFIED"]
    assert (page["first_round"], page["last_round"], page["count"]) == (1, 5, 5)
    assert _bytes(page["transcript"]) == served.chain.now.t


def test_rounds_are_filtered_by_phase(served) -> None:
    assert [r["number"] for r in served.get("/rounds?phase=ABORTED").json()["items"]] == [3]


def test_a_round_tells_its_verdicts_with_reasons(served) -> None:
    found = served.get("/rounds/2").json()["round"]
    assert found["admitted"] == [0, 3]
    assert found["rejected"] == [{"node": 1, "reason": "V6:copy"}, {"node": 2, "reason": "absent"}]
    assert (found["leaves"], found["forced"], found["aborted_in"]) == (2, 1, None)
    assert served.get("/rounds/3").json()["round"]["aborted_in"] == "OPEN"


def test_a_round_has_five_names(served) -> None:
    def number(name: str) -> int:
        return served.get(f"/rounds/{name}").json()["round"]["number"]

    assert (number("4"), number("head"), number("finalized"), number("genesis")) == (4, 5, 4, 0)
    transcript = served.get("/rounds/2").json()["round"]["transcript"]
    assert number(transcript) == 2
    start = served.get("").json()["federation"]["genesis"]["transcript"]
    assert number(start) == 0


def test_deadlines_follow_the_state_machine(serve) -> None:
    served = serve(empty=True)
    chain, observer = served.chain, served.observer

    def deadlines() -> dict[str, int]:
        observer.advance()
        found = served.get("/rounds/head").json()["round"]["deadlines"]
        return {name: block for name, block in found.items() if block is not None}

    b = chain.head().number
    opened = {"seal_from": b + 1, "seal_by_anyone_from": b + 4, "seal_until": b + 6, "abort_from": b + 7}
    assert deadlines() == opened
    chain.seal()
    b = chain.head().number
    assert deadlines() == {
        "force_until": b + 3,
        "scores_from": b + 4,
        "scores_by_anyone_from": b + 7,
        "scores_until": b + 9,
        "abort_from": b + 10,
    }
    chain.score()
    b = chain.head().number
    assert deadlines() == {"certify_until": b + 6, "abort_from": b + 7}
    chain.certify()
    b = chain.head().number
    assert deadlines()["seal_from"] == b + 3


def test_updates_tell_opening_verdict_and_measures(served) -> None:
    page = served.get("/rounds/2/updates").json()
    first, copy, absent, forced = page["items"]
    assert (first["admitted"], first["weight"], first["score"]) == (True, 65536, 1000)
    assert first["measures"] == {"distance": 0, "trace": 900}
    assert (copy["reason"], copy["measures"], copy["weight"]) == ("V6:copy", {"distance": 1 << 30}, 0)
    assert (absent["leaf"], absent["opening"], absent["reason"]) == (None, None, "absent")
    assert (forced["forced"], forced["signature"]) == (True, None)
    withheld = served.get("/rounds/4/updates/0").json()["update"]
    assert (withheld["reason"], withheld["opening"]) == ("V3:withheld", None)
    assert withheld["leaf"] is not None


def test_an_update_is_found_by_index_and_by_hash(served) -> None:
    by_index = served.get("/rounds/2/updates/3").json()
    by_hash = served.get(f"/rounds/2/updates/{by_index['update']['opening']['update_hash']}").json()
    assert by_index == by_hash
    assert served.get("/rounds/2/updates/4").status_code == 404
    assert [u["node"] for u in served.get("/rounds/2/updates?reason=absent").json()["items"]] == [2]


def test_scores_show_commitments_and_what_was_revealed(served) -> None:
    scores = served.get("/rounds/1/scores").json()
    assert [s["validator"] for s in scores["items"]] == [0, 1, 2, 3]
    assert scores["items"][0]["scores"] == [1000, "GATED", 3000, 4000]
    assert scores["items"][3]["scores"] is None
    assert served.get("/rounds/2/scores").json()["items"][0]["scores"][2] == "NOT_HELD"


def test_the_certificate_can_be_checked_without_the_server(served) -> None:
    certificate = served.get("/rounds/1/certificate").json()["certificate"]
    assert (certificate["void"], certificate["dispute"], certificate["finalized"]) == (False, None, True)
    assert len(certificate["signatures"]) == certificate["quorum"] == 3
    for signed in certificate["signatures"]:
        signer = recover_address(_bytes(certificate["digest"]), _bytes(signed["signature"]))
        assert signer == _bytes(signed["address"]) == served.chain.members[signed["validator"]]


def test_documents_are_served_as_they_were_hashed(served) -> None:
    certificate = served.get("/rounds/1/certificate").json()["certificate"]
    manifest = served.get("/rounds/1/manifest").content
    assert keccak(manifest) == _bytes(certificate["manifest"])
    evidence = served.get("/rounds/1/evidence").content
    assert keccak(evidence) == _bytes(json.loads(manifest)["evidence"])


@pytest.mark.parametrize("what", ["model", "manifest", "evidence", "certificate"])
def test_an_aborted_round_has_none_of_the_documents(served, what: str) -> None:
    assert served.get(f"/rounds/3/{what}").status_code == 404


def test_models_are_exact_integers(served) -> None:
    listed = served.get("/models").json()["items"]
    assert [m["round"] for m in listed] == [4, 2, 1, 0]
    model = served.get(f"/models/{listed[0]['hash']}").json()["model"]
    assert model == served.get("/rounds/4/model").json()["model"]
    stored = decode_model(served.store.blobs.get(_bytes(model["hash"])))
    assert tuple(int(v) for v in model["theta"]) == stored.theta.values
    assert tuple(int(v) for v in model["precision"]) == stored.precision.values
    assert served.get("/rounds/genesis/model").json()["model"]["hash"] == listed[-1]["hash"]
    assert served.get("/models/0x" + "ab" * 32).status_code == 404


def test_nodes_are_found_by_index_and_address(served) -> None:
    nodes = served.get("/nodes").json()["items"]
    assert [_bytes(n["address"]) for n in nodes] == served.chain.members
    assert [n["seat"] for n in nodes] == [0, 1, 2, 3]
    assert [n["keys"] for n in nodes] == [[{"epoch": 0, "address": n["address"]}] for n in nodes]
    by_address = served.get(f"/nodes/{nodes[2]['address']}").json()["node"]
    assert by_address == served.get("/nodes/2").json()["node"] == nodes[2]
    assert served.get("/nodes/4").status_code == 404


def test_the_reputation_history_skips_aborted_rounds_and_can_be_cut(served) -> None:
    history = served.get("/nodes/1/reputation").json()["items"]
    assert [r["round"] for r in history] == [0, 1, 2, 4]
    assert history[-1]["trainer"] < history[0]["trainer"]
    current = served.chain.now.reputations[1]
    assert (history[-1]["a"], history[-1]["b"]) == (current.trainer.a, current.trainer.b)
    cut = served.get("/nodes/1/reputation?from=1&to=3").json()["items"]
    assert [r["round"] for r in cut] == [1, 2]


def test_an_inclusion_proof_leads_to_the_sealed_root(served) -> None:
    proof = served.get("/proofs/inclusion?round=2&node=1").json()
    sealed = served.get("/audit/trail?kind=Sealed&round=2").json()["items"][0]["arguments"]
    assert proof["root"] == sealed["root"]
    siblings = [_bytes(s) for s in proof["siblings"]]
    verify_inclusion(_bytes(proof["root"]), _bytes(proof["leaf"]), 1, siblings, proof["depth"])


@pytest.mark.parametrize("node", [2, 3])
def test_an_exclusion_proof_shows_that_nothing_was_sealed(served, node: int) -> None:
    proof = served.get(f"/proofs/exclusion?round=2&node={node}").json()
    siblings = [_bytes(s) for s in proof["siblings"]]
    verify_inclusion(_bytes(proof["root"]), EMPTY, node, siblings, proof["depth"])
    assert served.get(f"/proofs/inclusion?round=2&node={node}").status_code == 404
    assert served.get("/proofs/exclusion?round=2&node=1").status_code == 404


def test_a_reputation_proof_leads_to_the_certified_root(served) -> None:
    for asked, proven in (("2", 2), ("3", 2), ("genesis", 0)):
        proof = served.get(f"/proofs/reputation?round={asked}&node=1").json()
        assert proof["round"] == proven
        values = proof["reputation"]
        reputation = Reputation(
            Evidence(values["a"], values["b"]),
            Evidence(values["va"], values["vb"]),
            values["quarantined_until"],
        )
        siblings = [_bytes(s) for s in proof["siblings"]]
        result = result_hash(proof["score"], proof["heard"])
        assert proof["result"] == "0x" + result.hex()
        leaf = reputation.leaf(1, result)
        verify_inclusion(_bytes(proof["root"]), leaf, 1, siblings, proof["depth"])
    certified = served.get("/audit/trail?kind=Certified&round=2").json()["items"][0]["arguments"]
    assert served.get("/proofs/reputation?round=2&node=0").json()["root"] == certified["reputations"]


@pytest.mark.parametrize("path", ["inclusion?round=2&node=9", "reputation?round=2&node=4"])
def test_there_is_no_proof_for_a_position_outside(served, path: str) -> None:
    assert served.get(f"/proofs/{path}").status_code == 404


def test_the_trail_has_every_event_with_block_transaction_and_time(served) -> None:
    items = served.get("/audit/trail").json()["items"]
    kinds = [e["kind"] for e in items]
    assert kinds[:6] == ["MemberRegistered"] * 4 + ["Genesis", "OwnershipTransferred"]
    rounds = ["Sealed", "Scored", "Certified", "Sealed", "Forced", "Scored", "Certified", "Aborted"]
    assert kinds[6:] == [*rounds, "Sealed", "Scored", "Certified", "Sealed"]
    sealed = items[6]
    block = served.chain.block(sealed["block_number"])
    assert _bytes(sealed["block_hash"]) == block.hash
    assert (sealed["timestamp"], sealed["time"]) == (block.timestamp, "2025-06-15T15:07:28Z")
    assert len(_bytes(sealed["transaction"])) == 32
    assert all(e["canonical"] for e in items)


def test_what_a_fork_took_back_stays_in_the_trail(serve) -> None:
    served = serve(confirmations=8)
    served.chain.fork(back=1, branch=b"other")
    served.chain.mine(2)
    served.observer.advance()
    taken_back = [e for e in served.get("/audit/trail").json()["items"] if not e["canonical"]]
    assert [(e["kind"], e["round"]) for e in taken_back] == [("Sealed", 5)]
    assert served.get("/rounds/head").json()["round"]["phase"] == "OPEN"


def _bundle(served, name: str, contract: str, seconds: int) -> bytes:
    path = served.workspace / "bundles" / name
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("manifest.json", json.dumps({"chain_id": 31337, "contract": contract, "name": name}))
    os.utime(path, (seconds, seconds))
    return path.read_bytes()


def test_the_newest_bundle_of_the_federation_is_downloaded(served) -> None:
    assert served.get("/bundle").status_code == 404
    contract = "0x" + served.chain.federation.contract.hex()
    newest = _bundle(served, "b.zip", contract, 2_000)
    _bundle(served, "a.zip", contract, 1_000)
    _bundle(served, "c.zip", "0x" + "77" * 20, 3_000)
    (served.workspace / "bundles" / "d.zip").write_bytes(b"torn")
    answer = served.get("/bundle")
    assert answer.content == newest
    assert answer.headers["content-type"] == "application/zip"
    assert contract in answer.headers["content-disposition"]


def test_payloads_are_not_served(served) -> None:
    digest = served.get("/rounds/1/updates/0").json()["update"]["opening"]["update_hash"]
    payload = served.store.blobs.get(_bytes(digest))
    values = {"federation": served.path.rsplit("/", 1)[1], "round_id": "1", "node": "0", "epoch_id": "0"}
    values |= {"update_id": "0", "model_hash": digest, "code": "store"}
    paths = served.client.get("/openapi.json").json()["paths"]
    assert len(paths) == 30
    for path in paths:
        body = served.client.get(path.format(**values), params={"round": "1", "node": 0}).content
        assert payload not in body
        assert payload.hex().encode() not in body


def test_a_server_may_be_told_to_serve_one_federation_only(serve) -> None:
    contract = serve().path.rsplit("/", 1)[1]
    other = serve(federation="31337:0x" + "77" * 20)
    assert other.client.get("/v1/federations").json() == {"items": []}
    assert other.get("").status_code == 404
    assert serve(federation=f"31337:{contract}").get("").status_code == 200


def test_before_genesis_is_indexed_it_is_said_so(serve) -> None:
    served = serve(empty=True)
    with served.store.database.write() as connection:
        from ledgerfed.store.projections import clear_projections

        clear_projections(connection, 1)
    assert served.get("").json()["federation"]["genesis"] is None
    answer = served.get("/rounds/head")
    assert answer.status_code == 404
    assert "Genesis event is not indexed yet" in answer.json()["detail"]
