import pytest
from deployed_ledger import deploy
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
    event = ledger.genesis.logs[-1]
    assert event.name == "Genesis"
    assert event.values["transcript"] == expected
    assert event.values["registry_hash"] == registry_hash(ledger.members)
    assert event.values["windows"] == ledger.windows


def test_genesis_logs_every_member_with_its_index(ledger):
    logs = [log.values for log in ledger.genesis.logs if log.name == "MemberRegistered"]
    assert [(v["index"], v["member"].to_bytes(20, "big"), v["epoch"]) for v in logs] == [
        (i, member, 0) for i, member in enumerate(ledger.members)
    ]


def test_the_first_round_is_open_from_the_block_of_deployment(ledger):
    block = ledger.genesis.block
    assert ledger.state() == {
        "round": 1,
        "phase": 0,
        "end": block,
        "n": 0,
        "forced": 0,
        "epoch": 0,
        "attempt": 0,
    }


def test_views_say_what_the_constructor_was_given(deploy_ledger, reverts):
    ledger = deploy_ledger(nodes=9, committee=7, depth=4, windows=(11, 12, 13, 14, 0), min_updates=3)
    assert ledger.view("member_count") == 9
    assert ledger.view("committee_size") == 7
    assert ledger.view("quorum") == 5
    assert ledger.view("depth") == 4
    assert ledger.view("windows") == (11, 12, 13, 14, 0)
    assert ledger.view("min_updates") == 3
    assert ledger.view("config_hash") == ledger.config_hash
    for index, member in enumerate(ledger.members):
        assert ledger.view("member", index) == to_checksum_address(member).lower()
        assert ledger.view("index_of", member) == index
        assert ledger.view("last_forced", member) == 0
    with reverts("no member has this index"):
        ledger.view("member", 9)
    for view in ("index_of", "last_forced"):
        with reverts("not a registered node"):
            ledger.view(view, bytes(20))


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
        ({"nodes": 40, "committee": 32, "depth": 6}, "more than 31"),
        ({"nodes": 4, "committee": 5}, "larger than the registry"),
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
    ledger = deploy_ledger(nodes=300, committee=31, depth=20, windows=(2**24 - 1,) * 5, min_updates=300)
    assert ledger.view("index_of", ledger.members[299]) == 299
    assert ledger.genesis.gas_used < 1 << 24  # EIP-7825 caps a transaction
