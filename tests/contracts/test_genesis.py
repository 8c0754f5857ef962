import pytest
from deployed_ledger import FIRST_STATE, OWNER, deploy
from eth_utils import to_checksum_address

from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.transcript import genesis, registry_hash
from ledgerfed.protocol.typed_data import certificate_digest, domain_separator


def test_the_first_transcript_is_the_python_genesis(ledger):
    expected = genesis(
        ledger.federation,
        ledger.config_hash,
        registry_hash(ledger.members),
        ledger.model,
        ledger.reputations,
    )
    assert ledger.view("transcript") == expected
    event, ownership = ledger.genesis.logs[-2:]
    assert event.name == "Genesis"
    assert event.values["config_hash"] == ledger.config_hash
    assert event.values["model"] == ledger.model
    assert event.values["reputations"] == ledger.reputations
    assert event.values["transcript"] == expected
    assert event.values["registry_hash"] == registry_hash(ledger.members)
    assert event.values["windows"] == ledger.windows
    assert event.values["committee"] == (0, 1, 2, 3)
    assert event.values["depth"] == 3
    assert event.values["min_updates"] == 2
    assert event.values["leaves_on_chain"] is False
    assert ownership.name == "OwnershipTransferred"
    assert ownership.values == {"previous": 0, "owner": int.from_bytes(OWNER, "big")}


def test_genesis_logs_every_member_with_its_index(ledger):
    logs = [log.values for log in ledger.genesis.logs if log.name == "MemberRegistered"]
    assert [(v["index"], v["member"].to_bytes(20, "big"), v["epoch"]) for v in logs] == [
        (i, member, 0) for i, member in enumerate(ledger.members)
    ]


def test_the_first_round_is_open_from_the_block_of_deployment(ledger):
    assert ledger.state() == FIRST_STATE | {"end": ledger.genesis.block}


def test_views_say_what_the_constructor_was_given(deploy_ledger, reverts):
    seats = (0, 2, 3, 4, 6, 7, 8)
    ledger = deploy_ledger(
        nodes=9,
        committee=seats,
        depth=4,
        windows=(11, 12, 13, 14, 0),
        min_updates=3,
        leaves_on_chain=True,
    )
    assert ledger.view("member_count") == 9
    assert ledger.view("committee") == seats
    assert ledger.state()["committee"] == 7
    assert ledger.state()["min_updates"] == 3
    assert ledger.view("quorum") == 5
    assert ledger.view("leaves_on_chain") is True
    assert ledger.view("owner") == "0x" + OWNER.hex()
    assert ledger.view("successor") == "0x" + bytes(20).hex()
    assert ledger.view("proposal") == bytes(32)
    assert ledger.view("depth") == 4
    assert ledger.view("windows") == (11, 12, 13, 14, 0)
    assert ledger.view("config_hash") == ledger.config_hash
    for index, member in enumerate(ledger.members):
        assert ledger.view("member", index) == to_checksum_address(member).lower()
        seat = seats.index(index) + 1 if index in seats else 0
        assert ledger.node(member) == {
            "index": index,
            "joined": 0,
            "last_forced": 0,
            "seat": seat,
            "removed": False,
        }
    with reverts("no member has this index"):
        ledger.view("member", 9)
    with reverts("not a registered node"):
        ledger.node(bytes(20))


@pytest.mark.parametrize(
    ("committee", "quorum"), [(1, 1), (2, 2), (3, 3), (4, 3), (7, 5), (8, 6), (13, 9), (31, 21)]
)
def test_the_quorum_is_two_thirds_and_one(deploy_ledger, committee, quorum):
    ledger = deploy_ledger(nodes=committee, committee=committee, depth=5, min_updates=1)
    assert ledger.view("quorum") == quorum


def test_the_typed_data_domain_binds_chain_and_contract(evm, local_evm):
    digests = set()
    for where, times in ((evm, 2), (local_evm(chain_id=1), 1)):
        for _ in range(times):
            ledger = deploy(where)
            federation = Federation(where.chain_id, ledger.address)
            assert ledger.view("domain_separator") == domain_separator(federation)
            digest = ledger.view("certificate_digest", 5, bytes([7]) * 32)
            assert digest == certificate_digest(federation, 5, bytes([7]) * 32)
            digests.add(digest)
    assert len(digests) == 3


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"committee": 0}, "the committee is empty"),
        ({"nodes": 40, "committee": 32, "depth": 6}, "no reason"),  # the ABI has no list of 32
        ({"nodes": 4, "committee": 5}, "a committee member is not registered"),
        ({"nodes": 4, "committee": (0, 1, 4)}, "a committee member is not registered"),
        ({"nodes": 4, "committee": (0, 2**256 - 1)}, "a committee member is not registered"),
        ({"nodes": 4, "committee": (0, 2, 1)}, "not ascending"),
        ({"nodes": 4, "committee": (0, 1, 1)}, "not ascending"),
        ({"nodes": 4, "depth": 1}, "do not fit a tree of this depth"),
        ({"depth": 21}, "the depth is more than 20"),
        ({"min_updates": 0}, "min_updates must be from 1"),
        ({"min_updates": 5}, "min_updates must be from 1"),
        ({"windows": (0, 5, 10, 10, 4)}, "a window has no blocks"),
        ({"windows": (10, 5, 0, 10, 4)}, "a window has no blocks"),
        ({"windows": (10, 5, 10, 0, 4)}, "a window has no blocks"),
        ({"windows": (10, 5, 10, 10, 2**24)}, "longer than 2^24 - 1 blocks"),
        ({"members": (bytes([1]) * 20, bytes(20)), "committee": 2}, "the zero address"),
        ({"members": (bytes([1]) * 20, bytes([1]) * 20), "committee": 2}, "registered twice"),
    ],
)
def test_a_federation_that_cannot_work_is_not_deployed(deploy_ledger, reverts, settings, reason):
    with reverts(reason):
        deploy_ledger(**settings)


def test_the_widest_federation_deploys(deploy_ledger):
    ledger = deploy_ledger(nodes=200, committee=31, depth=20, windows=(2**24 - 1,) * 5, min_updates=200)
    assert ledger.node(ledger.members[199])["index"] == 199
    assert ledger.genesis.gas_used < 1 << 24  # EIP-7825 caps a transaction
