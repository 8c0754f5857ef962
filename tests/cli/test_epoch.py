"""Epochs and ownership from the command line: a fifth process joins four, on the devnet, by files alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from node_processes import Federation, called, federation, free_port, running_devnet

from ledgerfed.evaluation.federation import grant
from ledgerfed.ledger import demo_key
from ledgerfed.ledger.rpc import JsonRpc

BLOCK_TIME = 0.6
ZERO = "0x" + "00" * 20


@pytest.fixture
def members(tmp_path: Path):
    with running_devnet(BLOCK_TIME) as url, federation(url, tmp_path) as members:
        yield members


def address(members: Federation, index: int) -> str:
    return f"0x{members.keys[index].address.hex()}"


def owned(members: Federation) -> tuple[str, ...]:
    """Deploy with member 0 as the owner; return the options that every command takes."""
    deployed = members.deploy("--fund", "--owner", address(members, 0))
    assert deployed.code == 0, deployed.err
    return "--rpc", members.url, "--federation", str(members.file)


def test_ownership_changes_hands_in_two_steps(members: Federation, tmp_path: Path) -> None:
    place = owned(members)
    sender = ("--dir", str(tmp_path / "owner"), "--json")

    def call(*arguments: str, index: int):
        return called("owner", *arguments, *place, *sender, **members.environment(index))

    assert call("accept", index=1).code == 5, "nobody was named"
    assert call("propose", address(members, 1), index=1).code == 5, "only the owner names"
    assert call("propose", address(members, 1), index=0).code == 0
    shown = called("epoch", "show", *place, "--json").document
    assert (shown["owner"], shown["successor"]) == (address(members, 0), address(members, 1))
    taken = call("accept", index=1)
    assert (taken.code, taken.document["owner"]) == (0, address(members, 1))
    refused = call("propose", address(members, 0), index=0)
    assert refused.code == 5
    assert "the sender is not the owner" in refused.err


def test_an_epoch_that_cannot_be_is_refused_before_anything_is_sent(
    members: Federation, tmp_path: Path
) -> None:
    place = owned(members)
    document = json.loads(members.file.read_text())
    following = tmp_path / "next.json"

    def propose(change):
        after = json.loads(json.dumps(document))
        change(after)
        following.write_text(json.dumps(after))
        return called(
            "epoch", "propose", str(following), *place, "--dir", str(tmp_path / "owner"), "--json",
            **members.environment(0),
        )  # fmt: skip

    fewer = propose(lambda after: after["members"].pop())
    assert fewer.code == 2
    clock = propose(lambda after: after["configuration"]["windows"].update(certify=99))
    assert (clock.code, "an epoch cannot change windows" in clock.err) == (2, True)
    other = propose(lambda after: after.update(contract="0x" + "11" * 20))
    assert (other.code, "for another federation" in other.err) == (2, True)
    seat = propose(lambda after: after["members"][0].update(address=ZERO))
    assert (seat.code, "a committee member has left" in seat.err) == (2, True)
    for refused in (fewer, clock, other, seat):
        assert refused.err.count("\n") == 1


@pytest.mark.slow
def test_a_node_joins_a_running_federation(members: Federation, tmp_path: Path) -> None:
    place = owned(members)
    document = json.loads(members.file.read_text())
    members.keys.append(demo_key(5, 4).key)
    url = f"http://127.0.0.1:{free_port()}"
    document["members"].append({"index": 4, "address": address(members, 4), "url": url})
    document["configuration"]["min_updates"] = 3
    following = tmp_path / "next.json"
    following.write_text(json.dumps(document))
    for index in range(4):
        members.start(index, "--next", str(following))
    members.certified(0, 1)
    proposed = called(
        "epoch", "propose", str(following), *place, "--dir", str(tmp_path / "owner"), "--json",
        **members.environment(0),
    )  # fmt: skip
    assert (proposed.code, proposed.document["indices"]) == (0, [4]), proposed.err
    members.nodes[0].expect(lambda line: line["event"] == "open epoch" or line.get("round", 0) > 4, 120)
    grant(JsonRpc(members.url), [members.keys[4].address])
    members.file = following
    members.start(4)
    five = {"event": "certified", "detail": "5 admitted"}
    members.nodes[4].expect(lambda line: line.items() >= five.items(), 120)
    shown = called("epoch", "show", *place, "--json").document
    assert (shown["epoch"], len(shown["members"]), shown["min_updates"]) == (1, 5, 3)
