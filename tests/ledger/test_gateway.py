from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from ledgerfed.errors import ConfigurationError, NotFoundError, TransactionRevertedError, WaitTimeoutError
from ledgerfed.ledger import (
    NOBODY,
    LedgerGateway,
    LedgerState,
    Notice,
    RegisteredNode,
    TransactionKind,
    demo_key,
)
from ledgerfed.ledger.events import (
    Aborted,
    Certified,
    Forced,
    Genesis,
    MemberRegistered,
    OwnershipTransferred,
    Scored,
    Sealed,
    decode_events,
)
from ledgerfed.protocol import transcript as reference
from ledgerfed.protocol.configuration import Windows
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.transcript import Phase, registry_hash

ROOT, LEAF, SCORES = keccak(b"root"), keccak(b"leaf"), keccak(b"scores")
OUTCOME = (keccak(b"manifest"), keccak(b"new model"), keccak(b"new reputations"))


def test_a_fresh_federation_reads_as_it_was_deployed(scene):
    gateway = scene.gateway()
    deployed = scene.deployment.transaction
    assert deployed.kind is TransactionKind.DEPLOY
    block = deployed.block_number
    assert gateway.state() == LedgerState(1, Phase.OPEN, block, 0, 0, 0, 0, 4, 2, Notice.NONE, 0, 0, 0)
    assert gateway.state().quorum == 3
    assert gateway.members() == tuple(node.address for node in scene.nodes)
    assert gateway.terms.windows == Windows(6, 3, 6, 6, 2)
    assert (gateway.terms.depth, gateway.terms.leaves_on_chain) == (3, False)
    assert gateway.committee() == (0, 1, 2, 3)
    assert gateway.config_hash() == scene.config.hash()
    assert (gateway.owner(), gateway.successor(), gateway.proposal()) == (NOBODY, NOBODY, None)
    assert gateway.node(scene.nodes[2].address) == RegisteredNode(2, 0, 0, 2, False)
    with pytest.raises(NotFoundError, match="is not a member"):
        gateway.node(demo_key(7, 100).address)


def test_a_round_through_the_gateway_is_seen_in_state_events_and_transcript(scene):
    gateway = scene.gateway()
    t = gateway.transcript()
    sealed = scene.seal(gateway)
    t = reference.after_seal(t, 1, ROOT, 3)
    assert gateway.transcript() == t
    assert sealed.kind is TransactionKind.SEAL
    assert sealed.round == 1
    assert 30_000 < sealed.gas_used < 60_000
    assert gateway.state().phase is Phase.SEALED
    assert gateway.state(at=sealed.block_number - 1).phase is Phase.OPEN

    forced = gateway.force(scene.nodes[1], 1, LEAF)
    t = reference.after_force(t, 1, 1, LEAF)
    assert gateway.node(scene.nodes[1].address).last_forced == 1
    assert gateway.transcript(at=sealed.block_number) != gateway.transcript() == t

    scored = scene.score(gateway)
    t = reference.after_scores(t, 1, SCORES)
    certified = gateway.certify(scene.nodes[3], 1, *OUTCOME, scene.certificate(gateway))
    t = reference.after_certify(t, 1, *OUTCOME)
    assert gateway.transcript() == t
    assert gateway.state().round == 2

    events = gateway.read_events(scene.deployment.transaction.block_number, gateway.block_number())
    assert [type(event) for event in events] == [
        *[MemberRegistered] * 4,
        Genesis,
        OwnershipTransferred,
        Sealed,
        Forced,
        Scored,
        Certified,
    ]
    assert [event.member for event in events[:4]] == list(gateway.members())
    assert [event.index for event in events[:4]] == [0, 1, 2, 3]
    assert events[4].registry_hash == registry_hash(gateway.members())
    assert events[4].config_hash == gateway.config_hash()
    assert events[4].windows == (6, 3, 6, 6, 2)
    assert (events[4].committee, events[4].leaves_on_chain) == ((0, 1, 2, 3), False)
    assert (events[5].previous, events[5].owner) == (NOBODY, NOBODY)
    events = (*events[:5], *events[6:])
    assert (events[5].root, events[5].n, events[5].relayer) == (ROOT, 3, sealed.sender)
    assert (events[6].index, events[6].leaf) == (1, LEAF)
    assert (events[7].root, events[7].relayer) == (SCORES, scored.sender)
    assert (events[8].manifest, events[8].model, events[8].reputations) == OUTCOME
    assert events[8].transcript == t
    for event, transaction in zip(events[5:], (sealed, forced, scored, certified), strict=True):
        assert event.at.block_number == transaction.block_number
        assert event.at.block_hash == transaction.block_hash
        assert event.at.tx_hash == transaction.hash
        assert event.round == 1
        header = gateway.header(transaction.block_number)
        assert header == gateway.header(transaction.block_hash)
        assert header.timestamp == event.at.timestamp
        assert gateway.read_events_of(transaction.block_hash) == (event,)
        assert gateway.header(header.number - 1).hash == header.parent_hash


def test_an_aborted_round_is_an_event_with_its_phase(scene):
    gateway = scene.gateway()
    scene.seal(gateway)
    gateway.wait_for_block(gateway.state().end + gateway.terms.windows.score)
    aborted = gateway.abort(scene.nodes[0], 1)
    (event,) = gateway.read_events_of(aborted.block_hash)
    assert isinstance(event, Aborted)
    assert (event.round, event.phase, event.transcript) == (1, Phase.SEALED, gateway.transcript())


def test_events_are_read_in_ranges_and_empty_ranges_are_empty(scene, monkeypatch):
    monkeypatch.setattr("ledgerfed.ledger.reader.LOG_RANGE", 2)
    gateway = scene.gateway()
    scene.seal(gateway)
    scene.score(gateway)
    start = scene.deployment.transaction.block_number
    events = gateway.read_events(start, gateway.block_number())
    assert [type(event) for event in events[4:]] == [Genesis, OwnershipTransferred, Sealed, Scored]
    sealed, scored = events[-2:]
    assert gateway.read_events(sealed.at.block_number, scored.at.block_number - 1) == (sealed,)
    assert gateway.read_events(sealed.at.block_number, sealed.at.block_number) == (sealed,)
    assert gateway.read_events(0, start - 1) == ()
    assert gateway.read_events(5, 4) == ()


def test_events_come_in_chain_order_whatever_the_order_of_the_logs(scene):
    gateway = scene.gateway()
    scene.seal(gateway)
    start, contract = scene.deployment.transaction.block_number, scene.deployment.federation.contract
    block_filter = {"fromBlock": hex(start), "toBlock": "latest", "address": "0x" + contract.hex()}
    logs = scene.rpc("eth_getLogs", block_filter)
    in_order = gateway.read_events(start, gateway.block_number())
    timestamps = {event.at.block_hash: event.at.timestamp for event in in_order}
    assert decode_events(reversed(logs), timestamps) == in_order
    with pytest.raises(ConfigurationError, match="is no event of RoundLedger"):
        decode_events([logs[0] | {"topics": ["0x" + "11" * 32]}], timestamps)


def test_an_unknown_block_is_not_found(scene):
    gateway = scene.gateway()
    with pytest.raises(NotFoundError, match="no block 1000000"):
        gateway.header(1_000_000)
    with pytest.raises(NotFoundError, match="no block 0x"):
        gateway.header(bytes([1]) * 32)
    with pytest.raises(NotFoundError, match="no block 0x"):
        gateway.read_events_of(bytes([1]) * 32)


def test_a_refusal_carries_the_contract_s_reason_and_nothing_is_sent(scene):
    gateway = scene.gateway()
    node = scene.relayer(gateway)
    before = gateway.block_number()
    with pytest.raises(TransactionRevertedError, match="fewer leaves than min_updates"):
        gateway.seal(node, 1, ROOT, 1)
    with pytest.raises(TransactionRevertedError, match=r"scores of round 1 was refused: .*another phase"):
        gateway.scores(node, 1, SCORES)
    assert gateway.block_number() == before


def test_a_call_is_judged_by_the_block_that_it_would_stand_in(scene):
    gateway = scene.gateway()
    end = gateway.state().end
    assert gateway.wait_for_block(end) == end  # the contract refuses at block `end`; the next one is right
    assert gateway.seal(scene.relayer(gateway), 1, ROOT, 2).block_number == end + 1


def test_waiting_mines_only_what_is_missing(scene):
    gateway = scene.gateway()
    head = gateway.block_number()
    assert gateway.wait_for_block(head + 3) == head + 3
    assert gateway.wait_for_block(head + 2) == head + 3


def test_waiting_without_mining_ends_with_a_timeout(scene):
    gateway = scene.gateway(mine_on_demand=False)
    head = gateway.block_number()
    with pytest.raises(WaitTimeoutError, match=rf"block {head + 1} did not come in 0\.05 s"):
        gateway.wait_for_block(head + 1, timeout=0.05)
    assert gateway.block_number() == head


def test_nodes_that_wait_together_do_not_mine_twice(scene):
    gateways = [scene.gateway() for _ in range(6)]
    together = Barrier(6)
    for _ in range(3):
        target = gateways[0].block_number() + 5

        def wait(gateway, target=target):
            together.wait()
            return gateway.wait_for_block(target)

        with ThreadPoolExecutor(6) as pool:
            assert list(pool.map(wait, gateways)) == [target] * 6


def test_a_gateway_without_a_store_reads_and_refuses_to_send(scene):
    gateway = LedgerGateway.connect(scene.url, scene.deployment.federation.contract)
    assert gateway.state().round == 1
    with pytest.raises(ConfigurationError, match="only reads"):
        gateway.abort(scene.nodes[0], 1)
