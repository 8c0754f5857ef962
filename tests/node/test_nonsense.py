"""Whatever arrives, a node goes on, and its memory stays bounded."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError
from ledgerfed.node.messages import BLOB, EVIDENCE, PROPOSAL, RECEIPT, SIGNATURE, TOPICS, Statement
from ledgerfed.node.notebook import MAX_SUBJECTS, MAX_WAITING
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak, word
from ledgerfed.protocol.transcript import Phase

VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 53) + 1, (1 << 53) - 1),
    st.text(max_size=8),
    st.lists(st.integers(-3, 1 << 40), max_size=4),
    st.dictionaries(st.text(max_size=4), st.integers(0, 3), max_size=3),
    st.just("0x" + "00" * 32),
    st.just("0x" + "ff" * 65),
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    found = [path] if path else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += _paths(item, (*path, key))
    return found


def _changed(document: Any, path: tuple[Any, ...], value: Any) -> bytes:
    copy = json.loads(json.dumps(document))
    at = copy
    for key in path[:-1]:
        at = at[key]
    at[path[-1]] = value
    return canonical_json(copy)


def _bounded(agent: Any) -> None:
    desk = agent._desk
    waiting = desk.notebook._waiting
    assert set(waiting) <= set(range(4))
    assert all(len(fragments) <= MAX_WAITING for fragments in waiting.values())
    assert set(desk.proposals) <= set(range(4))
    assert all(len(subjects) <= MAX_SUBJECTS for subjects in desk.notebook.certificates.values())
    assert set(desk.notebook.leaves) | set(desk.notebook.reveals) <= set(range(4))
    assert len(desk.notebook.receipts) <= 16


@pytest.mark.parametrize("phase", [Phase.OPEN, Phase.SEALED, Phase.SCORED])
def test_nonsense_on_any_topic_stops_no_node(world, phase: Phase) -> None:
    world.run(1, until=lambda: all(a.view.phase is phase and a.view.round for a in world.agents.values()))
    agent, sender = world.agents[0], 2
    document = json.loads(world.agents[1]._desk.notebook.evidence().to_bytes())
    statement = json.loads(Statement(1, 1, 1, bytes(range(32)), bytes(65)).to_bytes())

    def hear(topic: str, data: bytes, claimed: int = sender) -> None:
        world.transport.publish(topic, claimed, data)
        agent._desk.listen()
        _bounded(agent)

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from(TOPICS), st.binary(max_size=64), st.integers(1, 1 << 19))
    def bytes_of_any_kind(topic: str, data: bytes, claimed: int) -> None:
        hear(topic, data, claimed)

    @settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from((EVIDENCE, PROPOSAL)), st.sampled_from(_paths(document)), VALUES)
    def documents_with_one_wrong_value(topic: str, path: tuple[Any, ...], value: Any) -> None:
        hear(topic, _changed(document, path, value))

    @settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.sampled_from((RECEIPT, SIGNATURE)), st.sampled_from(_paths(statement)), VALUES)
    def statements_with_one_wrong_value(topic: str, path: tuple[Any, ...], value: Any) -> None:
        hear(topic, _changed(statement, path, value))

    bytes_of_any_kind()
    documents_with_one_wrong_value()
    statements_with_one_wrong_value()
    world.run(1)
    world.assert_one_history()
    assert world.reasons(1) == ["admitted"] * 4


@pytest.mark.parametrize("index", [4, (1 << 20) - 1])
def test_a_statement_by_nobody_is_dropped(revealed, index: int) -> None:
    world, agent = revealed, revealed.agents[0]
    world.heal()
    notebook = agent._desk.notebook
    evidence = notebook.evidence()
    for kind in ("leaves", "openings", "commitments", "reveals"):
        pieces = getattr(evidence, kind)
        stranger = replace(pieces[-1], index=index)
        forged = replace(evidence, **{kind: (*pieces[:-1], stranger)})
        world.transport.publish(EVIDENCE, 1, forged.to_bytes())
        world.transport.publish(PROPOSAL, 1, forged.to_bytes())
        agent._desk.listen()
        _bounded(agent)
    world.run(1)
    world.assert_one_history()


def test_fragments_of_other_rounds_and_federations_are_dropped(world) -> None:
    agent = world.agents[0]
    agent.step(1)
    honest = agent._desk.notebook.evidence()
    for number in range(2, 40):
        elsewhere = Federation(31337, word(number)[-20:])
        for federation, round_number, opened in (
            (elsewhere, 1, honest.opened_at),
            (honest.federation, number, honest.opened_at),
            (honest.federation, 1, keccak(word(number))),
        ):
            stranger = RoundEvidence(federation, round_number, opened, honest.leaves, (), (), (), ())
            world.transport.publish(PROPOSAL, 1, stranger.to_bytes())
    agent._desk.listen()
    assert agent._desk.notebook._waiting.get(1) is None
    assert [p.opened_at for _, p in agent._desk.proposals.values()] in ([], [honest.opened_at])


def test_one_sender_cannot_crowd_out_the_others(world) -> None:
    agent = world.agents[0]
    agent.step(1)
    leaf = world.agents[1]
    leaf.step(1)
    (true_leaf,) = leaf._trainer._committed().leaves
    notebook = agent._desk.notebook
    notebook.merge(notebook.fragment(leaves=(true_leaf,)), 1)
    waiting = list(notebook._waiting[1])
    opening = leaf._trainer._committed().openings[0]
    for number in range(100):
        fake = type(opening)(1, 3, opening.base_model, keccak(word(number)), 9, opening.schema, word(number))
        notebook.merge(notebook.fragment(openings=(fake,)), 3)
        notebook.merge(notebook.fragment(openings=(fake,)), 77)
    assert list(notebook._waiting[1]) == waiting
    assert len(notebook._waiting[3]) == MAX_WAITING
    assert 77 not in notebook._waiting


def test_a_signature_under_another_name_is_not_taken(world) -> None:
    agent = world.agents[0]
    agent.step(1)
    for signer in (1, 4, (1 << 20) - 1):
        forged = Statement(
            1, signer, signer, bytes(range(32)), agent._desk.ports.signer.sign_digest(bytes(32))
        )
        world.transport.publish(SIGNATURE, 1, forged.to_bytes())
        world.transport.publish(RECEIPT, 1, forged.to_bytes())
    agent._desk.listen()
    assert not any(agent._desk.notebook.certificates.values())
    assert not any(r.signer != 0 for r in agent.receipts())


@pytest.mark.parametrize("request_", [b"", b"short", bytes(31), bytes(32), bytes(33), bytes(4096)])
def test_a_request_for_nonsense_is_answered_with_nothing(world, request_: bytes) -> None:
    assert world.transport.request(0, BLOB, request_, 1) == b""


@pytest.mark.threat("N7")
def test_a_peer_that_answers_with_other_bytes_or_too_many_is_passed_over(world, monkeypatch) -> None:
    world.run(1)
    digest = world.store(2).blobs.put(b"only node 2 has this")
    world.transport.serve(1, BLOB, lambda sender, data: b"something else")
    assert world.agents[0].fetch(digest) == b"only node 2 has this"
    huge = bytes(1 << 24) + b"\x01"
    world.transport.serve(1, BLOB, lambda sender, data: huge)
    assert not world.agents[0]._desk.has(keccak(huge))


def test_a_peer_whose_store_is_damaged_answers_with_nothing(world) -> None:
    world.run(1)
    store = world.store(2)
    store.blobs._path(world.view().model).write_bytes(b"rubbish")
    assert world.transport.request(2, BLOB, world.view().model, 0) == b""


def test_a_statement_of_the_wrong_form_is_refused() -> None:
    for data in (b"", b"[]", b"{}", canonical_json({"round": 1})):
        with pytest.raises(InvalidValueError):
            Statement.from_bytes(data)
