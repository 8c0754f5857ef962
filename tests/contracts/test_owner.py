"""The owner announces and hands over; no call of it moves a phase (threat O1)."""

import pytest
from chains import node_key, stranger
from deployed_ledger import OWNER, deploy
from played_rounds import ANYBODY, Play, as_tuple

from ledgerfed.protocol.change import Change
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.signature import address_of

NOBODY = bytes(20)
SUCCESSOR = address_of(stranger(b"challenger"))
CHANGE = as_tuple(Change(keccak(b"configuration of epoch 1"), 1, (0, 1, 2)))
PHASES = {
    "open": lambda play: play,
    "sealed": lambda play: play.seal(),
    "forced": lambda play: play.seal().force(3, keccak(b"forced")),
    "scored": lambda play: play.seal().scores(),
    "certified": lambda play: play.certified(),
    "aborted": lambda play: play.abort(),
}


def hex_of(address):
    return "0x" + address.hex()


@pytest.fixture
def play(ledger):
    return Play(ledger)


@pytest.fixture
def play_alone(local_evm):
    return lambda **terms: Play(deploy(local_evm(), **terms))


@pytest.mark.threat("O1")
@pytest.mark.parametrize("phase", PHASES)
def test_no_call_of_the_owner_moves_a_phase(play_alone, phase):
    play = PHASES[phase](play_alone())
    before, t = play.ledger.state(), play.t
    for name, argument in (
        ("propose_owner", SUCCESSOR),
        ("propose", CHANGE),
        ("propose", CHANGE),
        ("propose_owner", NOBODY),
    ):
        play.ledger.transact(name, argument, sender=OWNER)
        state = play.ledger.state()
        assert {**state, "notice": 0} == before
        assert play.ledger.view("transcript") == t
    assert play.ledger.state()["notice"] == 1


@pytest.mark.threat("O1")
@pytest.mark.parametrize("phase", PHASES)
def test_the_owner_has_no_part_in_a_round(play_alone, phase):
    """Every other call of the owner is refused, or one that anybody may send."""
    play = PHASES[phase](play_alone())
    number = play.round
    play.wait()
    for name, arguments in (
        ("seal", (number, keccak(b"root"), 3)),
        ("force", (number, keccak(b"leaf"))),
        ("scores", (number, keccak(b"scores"))),
        ("open_epoch", (CHANGE,)),
    ):
        assert play.ledger.refusal(name, *arguments, sender=OWNER)
    assert play.ledger.view("transcript") == play.t


@pytest.mark.threat("N13")
def test_only_the_owner_announces_and_names_its_successor(play, reverts):
    for sender in (ANYBODY, SUCCESSOR, play.ledger.members[0]):
        with reverts("the sender is not the owner"):
            play.ledger.transact("propose", CHANGE, sender=sender)
        with reverts("the sender is not the owner"):
            play.ledger.transact("propose_owner", sender, sender=sender)
        with reverts("the sender was not named as the next owner"):
            play.ledger.transact("accept_ownership", sender=sender)
    assert play.ledger.view("owner") == hex_of(OWNER)


def test_ownership_changes_hands_in_two_steps(play, reverts):
    ledger, t = play.ledger, play.t
    (log,) = ledger.transact("propose_owner", SUCCESSOR, sender=OWNER).logs
    numbers = [int.from_bytes(address, "big") for address in (OWNER, SUCCESSOR)]
    assert (log.name, log.values) == (
        "OwnershipProposed",
        {"owner": numbers[0], "successor": numbers[1]},
    )
    assert (ledger.view("owner"), ledger.view("successor")) == (hex_of(OWNER), hex_of(SUCCESSOR))
    with reverts("the sender is not the owner"):
        ledger.transact("propose", CHANGE, sender=SUCCESSOR)
    ledger.transact("propose", CHANGE, sender=OWNER)

    (log,) = ledger.transact("accept_ownership", sender=SUCCESSOR).logs
    assert (log.name, log.values) == (
        "OwnershipTransferred",
        {"previous": numbers[0], "owner": numbers[1]},
    )
    assert (ledger.view("owner"), ledger.view("successor")) == (hex_of(SUCCESSOR), hex_of(NOBODY))
    for name, argument in (("propose", CHANGE), ("propose_owner", OWNER)):
        with reverts("the sender is not the owner"):
            ledger.transact(name, argument, sender=OWNER)
    with reverts("the sender was not named as the next owner"):
        ledger.transact("accept_ownership", sender=SUCCESSOR)
    assert ledger.state()["notice"] == 1  # what the one before announced is still announced
    ledger.transact("propose", CHANGE, sender=SUCCESSOR)
    assert ledger.view("transcript") == t


def test_a_successor_is_replaced_or_taken_back_until_it_accepts(play, reverts):
    ledger = play.ledger
    for named in (SUCCESSOR, ANYBODY):
        ledger.transact("propose_owner", named, sender=OWNER)
    with reverts("the sender was not named as the next owner"):
        ledger.transact("accept_ownership", sender=SUCCESSOR)
    ledger.transact("propose_owner", NOBODY, sender=OWNER)
    for sender in (SUCCESSOR, ANYBODY, OWNER):
        with reverts("the sender was not named as the next owner"):
            ledger.transact("accept_ownership", sender=sender)
    ledger.transact("propose_owner", OWNER, sender=OWNER)
    ledger.transact("accept_ownership", sender=OWNER)
    assert ledger.view("owner") == hex_of(OWNER)


def test_a_federation_without_an_owner_never_changes(deploy_ledger, reverts):
    ledger = deploy_ledger(owner=NOBODY)
    assert ledger.view("owner") == hex_of(NOBODY)
    for sender in (OWNER, ANYBODY, ledger.members[0], address_of(node_key(20))):
        for name, arguments, reason in (
            ("propose", (CHANGE,), "the sender is not the owner"),
            ("propose_owner", (sender,), "the sender is not the owner"),
            ("accept_ownership", (), "the sender was not named as the next owner"),
        ):
            with reverts(reason):
                ledger.transact(name, *arguments, sender=sender)
    Play(ledger).certified()
