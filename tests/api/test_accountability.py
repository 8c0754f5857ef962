"""Disputes, epochs, keys and the owner, as the API tells them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.signature import recover_address
from ledgerfed.protocol.transition import Fault


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.removeprefix("0x"))


@pytest.fixture
def fallen(serve):
    """A server of a federation whose second round was certified, contested, and certified again."""
    served = serve(empty=True)
    chain = served.chain
    chain.run_round()
    chain.run_round(forced=[3])
    chain.dispute(1, Fault.TWO_CERTIFICATES, round_number=2)
    served.observer.advance()
    return served


def test_a_dispute_names_fault_culprits_and_what_it_led_to(fallen) -> None:
    (dispute,) = fallen.get("/disputes").json()["items"]
    assert (dispute["number"], dispute["fault"], dispute["nodes"]) == (1, "TWO_CERTIFICATES", [1])
    assert (dispute["round"], dispute["epoch"], dispute["block"]) == (2, 0, fallen.chain.head().number)
    assert (dispute["contested"], dispute["aborted"], dispute["finalized"]) == (True, False, True)
    assert _bytes(dispute["transcript"]) == fallen.chain.now.t
    assert fallen.get("/disputes?round=1").json()["items"] == []
    assert len(fallen.get("/disputes?round=2").json()["items"]) == 1
    (event,) = fallen.get("/audit/trail?kind=Disputed").json()["items"]
    assert event["arguments"]["contested"] is True
    assert event["arguments"]["proof"] == dispute["proof"]


def test_disputes_are_listed_in_pages(fallen) -> None:
    fallen.chain.dispute(2, round_number=1)
    fallen.observer.advance()
    first = fallen.get("/disputes?limit=1").json()
    second = fallen.client.get(first["next"]).json()
    assert [d["number"] for d in first["items"] + second["items"]] == [1, 2]
    assert second["next"] is None


def test_a_round_whose_certificate_fell_is_scored_again_and_shows_the_void_one(fallen) -> None:
    found = fallen.get("/rounds/2").json()["round"]
    assert (found["phase"], found["attempt"], found["manifest"], found["challenge"]) == (
        "SCORED",
        1,
        None,
        None,
    )
    end = fallen.chain.head().number + fallen.chain.config.windows.certify
    assert (found["deadlines"]["certify_until"], found["deadlines"]["abort_from"]) == (end, end + 1)
    assert (found["admitted"], found["finalized"]) == (None, False)
    (void,) = found["fallen"]
    assert (void["attempt"], void["dispute"]) == (0, 1)
    assert fallen.get("/rounds/2/updates").json()["items"] == []
    missing = fallen.get("/rounds/2/certificate")
    assert missing.status_code == 404
    assert "see certificates" in missing.json()["detail"]
    assert [m["round"] for m in fallen.get("/models").json()["items"]] == [1, 0]

    fallen.chain.certify()
    fallen.observer.advance()
    found = fallen.get("/rounds/2").json()["round"]
    assert (found["phase"], found["attempt"], len(found["fallen"])) == ("CERTIFIED", 1, 1)
    assert found["admitted"] == [0, 1, 2, 3]


def test_certificates_void_or_not_can_be_checked_without_the_server(fallen) -> None:
    fallen.chain.certify()
    fallen.observer.advance()
    void, standing = fallen.get("/rounds/2/certificates").json()["items"]
    assert (void["attempt"], void["void"], void["dispute"], void["challenge"]) == (0, True, 1, None)
    assert (standing["attempt"], standing["void"], standing["dispute"]) == (1, False, None)
    assert [s["validator"] for s in void["signatures"]] == [0, 1, 2]
    assert [s["validator"] for s in standing["signatures"]] == [0, 2, 3]
    for certificate in (void, standing):
        for signed in certificate["signatures"]:
            signer = recover_address(_bytes(certificate["digest"]), _bytes(signed["signature"]))
            assert signer == _bytes(signed["address"])
    assert standing == fallen.get("/rounds/2/certificate").json()["certificate"]
    assert void["manifest"] != standing["manifest"]
    assert keccak(fallen.store.blobs.get(_bytes(void["manifest"]))) == _bytes(void["manifest"])


def test_the_challenge_window_is_open_until_its_last_block_is_indexed(serve) -> None:
    served = serve(empty=True)
    served.chain.run_round()
    until = served.chain.head().number + served.chain.config.windows.challenge
    told = []
    for _ in range(4):
        served.observer.advance()
        window = served.get("/rounds/1").json()["round"]["challenge"]
        assert window["until"] == until
        assert served.get("/rounds/1/certificate").json()["certificate"]["challenge"] == window
        told.append((window["open"], served.get("/rounds/1").json()["round"]["finalized"]))
        served.chain.mine()
    assert told == [(True, False), (True, False), (False, True), (False, True)]
    assert served.get("/rounds/genesis").json()["round"]["challenge"] is None


def test_a_certificate_that_can_fall_is_not_final_however_few_confirmations(serve) -> None:
    served = serve(confirmations=2, empty=True)
    served.chain.run_round()
    finals = []
    for _ in range(5):
        served.observer.advance()
        finals.append(served.get("/rounds/1/certificate").json()["certificate"]["finalized"])
        served.chain.mine()
    assert finals == [False, False, False, False, True]


def test_a_round_that_ended_for_want_of_members_says_so(serve) -> None:
    served = serve(empty=True)
    served.chain.run_round()
    served.chain.dispute(0b0111, Fault.WRONG_MEDIAN, round_number=1)
    served.observer.advance()
    found = served.get("/rounds/1").json()["round"]
    assert (found["phase"], found["aborted_in"], len(found["fallen"])) == ("ABORTED", "DISPUTED", 1)
    (dispute,) = served.get("/disputes").json()["items"]
    assert (dispute["nodes"], dispute["aborted"]) == ([0, 1, 2], True)
    assert [n["removed"] for n in served.get("/nodes").json()["items"]] == [True, True, True, False]
    assert served.get("/epochs/head").json()["epoch"]["removed"] == [0, 1, 2]
    assert served.get("/rounds/1/certificates").json()["items"][0]["void"]


@pytest.fixture
def changed(serve_with_room):
    """A server of a federation in epoch 1: node 1 left, node 2 has another key, a fifth joined."""
    served = serve_with_room
    chain = served.chain
    chain.propose(chain.change(joins=1, leaves=[1], rekeys=[2], committee=(0, 2, 4)))
    chain.run_round()
    served.observer.advance()
    return served


def test_what_is_announced_is_shown_and_due_when_the_round_has_ended(changed) -> None:
    proposal = changed.get("/epochs").json()["proposal"]
    assert proposal == changed.get("").json()["federation"]["proposal"]
    assert (proposal["epoch"], proposal["due"]) == (1, True)
    change = changed.chain.now.change
    assert _bytes(proposal["change"]["change_hash"]) == change.hash()
    assert keccak(_bytes(proposal["change"]["encoded"])) == change.hash()
    assert proposal["change"]["committee"] == [0, 2, 4]
    entries = [(e["node"], e["effect"], e["address"] is None) for e in proposal["change"]["entries"]]
    assert entries == [(1, "leaves", True), (2, "new key", False), (4, "joins", False)]
    until = changed.chain.now.window_end
    deadlines = changed.get("/rounds/head").json()["round"]["deadlines"]
    told = {name: block for name, block in deadlines.items() if block is not None}
    assert told == {"open_epoch_from": until + 1, "abort_from": until + 7}


def test_an_epoch_tells_its_committee_and_what_it_changed(changed) -> None:
    changed.chain.mine(changed.chain.config.windows.challenge)
    changed.chain.open_epoch()
    changed.chain.run_round()
    changed.observer.advance()
    page = changed.get("/epochs").json()
    second, first = page["items"]
    assert page["proposal"] is None
    assert (first["number"], first["committee"], first["change"]) == (0, [0, 1, 2, 3], None)
    assert (second["number"], second["first_round"], second["committee"]) == (1, 2, [0, 2, 4])
    assert (second["quorum"], second["min_updates"], second["removed"]) == (3, 1, [])
    effects = [(e["node"], e["effect"]) for e in second["change"]["entries"]]
    assert effects == [(1, "leaves"), (2, "new key"), (4, "joins")]
    assert changed.get("/epochs/1").json()["epoch"] == second
    assert changed.get("/epochs/head").json()["epoch"] == second
    assert changed.get("").json()["federation"]["epoch"] == second
    assert changed.get("/epochs/2").status_code == 404
    certificates = [changed.get(f"/rounds/{n}/certificate").json()["certificate"] for n in (1, 2)]
    assert [[s["validator"] for s in c["signatures"]] for c in certificates] == [[0, 1, 2], [0, 2, 4]]
    for certificate in certificates:
        for signed in certificate["signatures"]:
            signer = recover_address(_bytes(certificate["digest"]), _bytes(signed["signature"]))
            assert signer == _bytes(signed["address"])


def test_a_node_tells_its_keys_its_seat_and_when_it_joined_and_left(changed) -> None:
    changed.chain.mine(changed.chain.config.windows.challenge)
    changed.chain.open_epoch()
    changed.observer.advance()
    nodes = changed.get("/nodes").json()["items"]
    assert [(n["joined"], n["left"], n["seat"]) for n in nodes] == [
        (0, None, 0),
        (0, 1, None),
        (0, None, 1),
        (0, None, None),
        (1, None, 2),
    ]
    keys = nodes[2]["keys"]
    assert [k["epoch"] for k in keys] == [0, 1]
    assert keys[1]["address"] == nodes[2]["address"]
    for key in keys:
        assert changed.get(f"/nodes/{key['address']}").json()["node"] == nodes[2]
    assert changed.get("/nodes/1").json()["node"]["address"] == "0x" + changed.chain.members[1].hex()


def test_the_owner_and_who_may_take_over(serve_with_room) -> None:
    served = serve_with_room
    heir = b"\x22" * 20
    owner = "0x" + served.chain.owner.hex()
    assert served.get("/owner").json()["owner"]["owner"] == owner
    assert served.get("").json()["federation"]["owner"] == owner
    served.chain.propose_owner(heir)
    served.observer.advance()
    assert served.get("/owner").json()["owner"] == {
        "owner": owner,
        "successor": "0x" + heir.hex(),
        "block": served.chain.head().number,
    }
    served.chain.accept_ownership(heir)
    served.observer.advance()
    told = served.get("/owner").json()["owner"]
    assert (told["owner"], told["successor"]) == ("0x" + heir.hex(), None)


def test_a_federation_without_an_owner_says_so(served) -> None:
    told = served.get("/owner").json()["owner"]
    assert (told["owner"], told["successor"]) == (None, None)


def _next_epoch(served, change) -> None:
    served.chain.propose(change)
    served.chain.run_round()
    served.chain.mine(served.chain.config.windows.challenge)
    served.chain.open_epoch()
    served.observer.advance()


def test_a_certificate_needed_the_quorum_of_its_own_epoch(serve_with_room) -> None:
    served = serve_with_room
    _next_epoch(served, served.chain.change(committee=(0, 3)))
    served.chain.run_round()
    served.observer.advance()
    certificates = [served.get(f"/rounds/{n}/certificate").json()["certificate"] for n in (1, 2)]
    assert [(c["quorum"], len(c["signatures"])) for c in certificates] == [(3, 3), (2, 2)]


def test_a_key_that_two_nodes_had_leads_to_the_one_that_had_it_last(serve_with_room) -> None:
    served = serve_with_room
    chain = served.chain
    _next_epoch(served, chain.change(rekeys=[0]))
    _next_epoch(served, replace(chain.change(joins=1), addresses=(chain.members[0],)))
    assert served.get(f"/nodes/0x{chain.members[0].hex()}").json()["node"]["index"] == 4
    assert served.get(f"/nodes/0x{chain.now.members[0].hex()}").json()["node"]["index"] == 0
