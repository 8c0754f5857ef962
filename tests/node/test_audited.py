"""What nodes lived through is what an auditor finds: a certificate that fell, and another epoch."""

from __future__ import annotations

from dataclasses import replace

from ledgerfed.audit import TrustInputs, verify_bundle, write_bundle
from ledgerfed.cli.history import gas_by_round, read_history
from ledgerfed.ledger import demo_key
from ledgerfed.node.messages import EVIDENCE
from ledgerfed.protocol.evidence import SignedLeaf
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.typed_data import leaf_digest

OWNER, JOINER = demo_key(11, 5), demo_key(11, 4)


def second_leaf(agent) -> bytes:
    """Another leaf that a node has signed for the round that was sealed last."""
    desk = agent._desk
    seal, leaf = desk.view.seal, keccak(b"another leaf")
    digest = leaf_digest(desk.view.federation, seal.round, desk.index, leaf, seal.opened_at, 10_000)
    item = SignedLeaf(desk.index, leaf, 10_000, desk.ports.signer.sign_digest(digest))
    page = desk.last_notebook if desk.notebook.view.opened_at != seal.opened_at else desk.notebook
    return page.fragment(leaves=(item,)).to_bytes()


def test_a_federation_with_a_void_certificate_and_a_second_epoch_is_verified(new_world, tmp_path) -> None:
    world = new_world(config={"depth": 3}, owner=OWNER.address)
    world.config = replace(world.config, windows=replace(world.config.windows, challenge=10))
    world.found()
    world.start()
    hostile = (world.relayer() + 1) % 4
    world.run(1)
    fell = world.view().certified[-1]
    world.agents[hostile]._desk.ports.transport.publish(EVIDENCE, hostile, second_leaf(world.agents[hostile]))
    world.run(1, until=lambda: bool(world.view().removed))
    world.run(1)
    seats = tuple(index for index in range(5) if index != hostile)
    world.announce(replace(world.config, committee=seats), {4: JOINER.address})
    world.run(2)
    world.run(3, until=lambda: world.view().epoch == 1)
    world.start(4)
    world.run(3)

    ledger, holds_all = world.gateway(), world.store(seats[0])  # who is off the committee asks others
    history = read_history(ledger, world.rpc, world.deployed_in, holds_all.blobs.get)
    write_bundle(history, tmp_path / "bundle.zip")
    trust = TrustInputs(config_hash=world.config.hash(), final_transcript=ledger.transcript())
    report = verify_bundle(tmp_path / "bundle.zip", trust)
    assert report.passed, report.verdict
    assert report.complete
    assert [r.phase for r in report.rounds] == ["certified"] * 3
    assert report.rounds[0].fell == (fell.manifest,)
    assert dict(report.rounds[0].rejected) == {hostile: "V1:proven-fault"}
    assert [(d.fault, d.culprits, d.contested) for d in report.disputes] == [("two leaves", (hostile,), True)]
    assert (report.epochs[1].committee, report.epochs[1].joined) == (seats, (4,))
    assert report.rounds[2].epoch == 1

    gas = gas_by_round(ledger, world.rpc, world.deployed_in)[1]
    assert set(gas) == {1, 2, 3}
    assert len(gas[1]) == len(gas[2]) + 1, "the challenge is one kind of transaction more"
