"""The observer against the real contract on a real chain, through the ledger's gateway."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from simulated_federation import SimulatedFederation

from chain_devnet import DevnetServer
from ledgerfed.ledger import (
    DemoSigner,
    Deployment,
    LedgerGateway,
    Notice,
    TwoStatements,
    demo_key,
    deploy,
)
from ledgerfed.ledger.rpc import JsonRpc
from ledgerfed.observer import Finality, Observer, observe, reindex
from ledgerfed.observer.ledger_source import LedgerSource
from ledgerfed.protocol import transcript as after
from ledgerfed.protocol.change import VACANT, Change
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Fault
from ledgerfed.protocol.typed_data import certificate_digest, receipt_digest
from ledgerfed.store import BlobStore, Store, open_store
from ledgerfed.store.chain_log import find_federation
from ledgerfed.store.reading import (
    read_certificate,
    read_disputes,
    read_epoch,
    read_head,
    read_members,
    read_ownership,
    read_proposal,
    read_round,
    read_trail,
)

NODES = tuple(demo_key(11, index) for index in range(4))
NEW_KEY = demo_key(11, 9)
OUTCOME = (keccak(b"manifest"), keccak(b"model"), keccak(b"reputations"))


@dataclass
class Scene:
    url: str
    gateway: LedgerGateway
    observer: Observer
    store: Store

    def rpc(self, method: str, *params: object):
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return httpx.post(self.url, json=request).json()["result"]

    def relayer(self) -> DemoSigner:
        return next(node for node in NODES if node.address == self.gateway.relayer())

    def seal(self) -> None:
        state = self.gateway.state()
        self.gateway.wait_for_block(state.end)
        self.gateway.seal(self.relayer(), state.round, keccak(b"root"), 3)

    def score(self) -> None:
        state = self.gateway.state()
        self.gateway.wait_for_block(state.end)
        self.gateway.scores(self.relayer(), state.round, keccak(b"scores"))

    def certify(self) -> None:
        number = self.gateway.state().round
        t = after.after_certify(self.gateway.transcript(), number, *OUTCOME)
        digest = certificate_digest(self.gateway.federation, number, t)
        signers = [node for node in NODES if not self.gateway.node(node.address).removed][:3]
        self.gateway.certify(NODES[3], number, *OUTCOME, [node.sign_digest(digest) for node in signers])

    def convict(self, culprit: DemoSigner, round_number: int) -> None:
        """Prove that a node receipted two leaves in a round."""
        t, subjects = keccak(b"t" + culprit.address), (keccak(b"a"), keccak(b"b"))
        digests = [receipt_digest(self.gateway.federation, round_number, 0, s, t) for s in subjects]
        first, second = (culprit.sign_digest(digest) for digest in digests)
        proof = TwoStatements(Fault.TWO_RECEIPTS, round_number, 0, t, subjects, (first, second))
        self.gateway.challenge(NODES[3], proof)

    def agrees(self) -> bool:
        """Whether the index stands where the contract stands."""
        self.observer.advance()
        state = self.gateway.state()
        with self.store.database.read() as connection:
            head, epoch = read_head(connection, 1), read_epoch(connection, 1)
            members, owned = read_members(connection, 1), read_ownership(connection, 1)
            pending = read_proposal(connection, 1)
        assert head is not None
        assert epoch is not None
        assert owned is not None
        notice = Notice.NONE if pending is None else Notice.DUE if pending.due else Notice.ANNOUNCED
        told = (head.number, head.phase, head.window_end, head.attempt, head.transcript)
        told += (epoch.number, epoch.committee, epoch.min_updates, epoch.removed, epoch.config_hash)
        told += (owned.owner, owned.successor, notice, pending and pending.change_hash)
        chain = (state.round, state.phase, state.end, state.attempt, self.gateway.transcript())
        chain += (state.epoch, self.gateway.committee(), state.min_updates, state.removed)
        chain += (self.gateway.config_hash(), self.gateway.owner(), self.gateway.successor())
        chain += (state.notice, self.gateway.proposal())
        assert told == chain
        assert tuple(VACANT if m.left else m.address for m in members) == self.gateway.members()
        return True


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    rich = {f"0x{node.address.hex()}": 10**21 for node in NODES}
    config = SimulatedFederation(BlobStore(tmp_path / "blobs")).config
    with DevnetServer(fund=rich) as server, open_store(tmp_path / "store") as store:
        members = tuple(node.address for node in NODES)
        made: Deployment = deploy(
            server.url, NODES[0], config, members, keccak(b"m"), keccak(b"r"), owner=NODES[0].address
        )
        options = {"mine_on_demand": True, "poll_interval": 0.01}
        gateway = LedgerGateway.connect(server.url, made.federation.contract, store.outbox, **options)
        source = LedgerSource(gateway, JsonRpc(server.url))
        first = made.transaction.block_number
        yield Scene(server.url, gateway, observe(store, source, made.federation, first, Finality(50)), store)


def test_a_round_on_chain_becomes_rows_and_ends_at_the_transcript_of_the_contract(scene: Scene) -> None:
    scene.seal()
    state = scene.gateway.state()
    forced = next(node for node in NODES if node.address != scene.gateway.relayer())
    scene.gateway.force(forced, state.round, keccak(b"leaf"))
    scene.score()
    scene.certify()
    progress = scene.observer.advance()
    assert [w.round for w in progress.waiting] == [0, 1]
    with scene.store.database.read() as connection:
        assert [m.address for m in read_members(connection, 1)] == [n.address for n in NODES]
        ended, head = read_round(connection, 1, 1), read_head(connection, 1)
        assert ended is not None
        assert head is not None
        assert (ended.phase, ended.n, ended.forced, ended.manifest) == (Phase.CERTIFIED, 3, 1, OUTCOME[0])
        assert [c.validator for c in read_certificate(connection, 1, 1, 0)] == [0, 1, 2]
        assert head.transcript == scene.gateway.transcript()
        assert (head.number, head.window_end) == (2, scene.gateway.state().end)
        record = find_federation(connection, scene.gateway.federation)
    assert record is not None
    before, again = reindex(scene.store, record)
    assert before == again


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.SEALED, Phase.SCORED])
def test_a_reorganisation_in_every_phase_is_followed(scene: Scene, phase: Phase) -> None:
    steps = [scene.seal, scene.score, scene.certify]
    for step in steps[:phase]:
        step()
    snapshot = scene.rpc("evm_snapshot")
    steps[phase]()
    scene.observer.advance()
    assert scene.rpc("evm_revert", snapshot) is True
    scene.rpc("evm_increaseTime", 1000)
    scene.rpc("evm_mine")
    assert scene.observer.advance().taken_back > 0
    with scene.store.database.read() as connection:
        head = read_head(connection, 1)
        assert head is not None
        assert (head.number, head.phase) == (1, phase)
        assert head.transcript == scene.gateway.transcript()
        kinds = [e.kind for e in read_trail(connection, 1, after=None, limit=50) if not e.canonical]
        assert kinds == [["Sealed"], ["Scored"], ["Certified"]][phase]


def test_the_index_stands_where_the_contract_stands_through_disputes_and_epochs(scene: Scene) -> None:
    gateway, owner = scene.gateway, NODES[0]
    assert scene.agrees()
    scene.seal()
    scene.score()
    scene.certify()
    assert scene.agrees()
    scene.convict(NODES[1], 1)
    assert gateway.state().phase is Phase.SCORED
    assert scene.agrees()
    change = Change(keccak(b"config"), 2, (0, 2), (1, 3), (VACANT, NEW_KEY.address))
    gateway.propose(owner, 1, change)
    assert scene.agrees()
    snapshot = scene.rpc("evm_snapshot")
    scene.certify()
    assert gateway.state().notice is Notice.DUE
    assert scene.agrees()
    gateway.wait_for_block(gateway.state().end)
    gateway.open_epoch(NODES[2], 1, change)
    assert scene.agrees()
    gateway.propose_owner(owner, NODES[2].address)
    assert scene.agrees()
    gateway.accept_ownership(NODES[2])
    assert scene.agrees()

    assert scene.rpc("evm_revert", snapshot) is True
    scene.rpc("evm_increaseTime", 1000)
    scene.rpc("evm_mine")
    assert scene.agrees()
    assert gateway.state().epoch == 0
    scene.convict(NODES[2], 1)  # two of four are left, which is fewer than three
    assert (gateway.state().round, gateway.state().phase) == (2, Phase.OPEN)
    assert scene.agrees()
    with scene.store.database.read() as connection:
        assert [d.nodes for d in read_disputes(connection, 1)] == [(1,), (2,)]
        assert read_round(connection, 1, 1).aborted_in == Phase.DISPUTED
        record = find_federation(connection, gateway.federation)
    before, again = reindex(scene.store, record)
    assert before == again
