"""The index follows the chain: in step, idempotent, across forks, and never past a lie."""

from __future__ import annotations

import threading
from dataclasses import replace

import pytest
from simulated_federation import FIRST_BLOCK, SimulatedFederation
from sqlalchemy import text

from ledgerfed.errors import ChainUnreachableError, ConflictError, InvalidValueError, VerificationError
from ledgerfed.observer import (
    MAX_REORG,
    Finality,
    Observer,
    check_index,
    follow,
    observe,
    parse_finality,
    reindex,
)
from ledgerfed.protocol.hashing import keccak, to_hex
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.signature import sign_digest
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.typed_data import certificate_digest
from ledgerfed.store import Store, open_store
from ledgerfed.store.chain_log import find_federation
from ledgerfed.store.projections import projection_digest
from ledgerfed.store.reading import (
    count_rounds,
    read_certificate,
    read_genesis,
    read_head,
    read_members,
    read_reputations,
    read_round,
    read_scores,
    read_trail,
    read_updates,
)


@pytest.fixture
def chain(store: Store) -> SimulatedFederation:
    return SimulatedFederation(store.blobs)


def _observer(store: Store, chain: SimulatedFederation, confirmations: int = 0) -> Observer:
    return observe(store, chain, chain.federation, FIRST_BLOCK, Finality(confirmations))


def _digest(store: Store, chain: SimulatedFederation) -> bytes:
    with store.database.read() as connection:
        record = find_federation(connection, chain.federation)
        assert record is not None
        return projection_digest(connection, record.id)


def test_a_round_becomes_rows(store: Store, chain: SimulatedFederation) -> None:
    manifest = chain.run_round(refused={1: Reason.OUTLIER}, absent=[2], forced=[3])
    progress = _observer(store, chain).advance()
    assert progress.waiting == ()
    with store.database.read() as connection:
        start = read_genesis(connection, 1)
        assert start is not None
        assert start.config_hash == chain.config.hash()
        assert [m.address for m in read_members(connection, 1)] == chain.members
        ended = read_round(connection, 1, 1)
        assert ended is not None
        assert (ended.phase, ended.n, ended.forced) == (Phase.CERTIFIED, 2, 1)
        assert (ended.manifest, ended.model) == (manifest.hash(), manifest.model)
        assert ended.transcript == chain.now.t
        verdicts = {u.node: (u.reason, u.forced, u.weight) for u in read_updates(connection, 1, 1)}
        assert verdicts == {
            0: ("admitted", False, 65536),
            1: ("V7:outlier", False, 0),
            2: ("absent", False, 0),
            3: ("admitted", True, 65536),
        }
        assert [s.scores is not None for s in read_scores(connection, 1, 1)] == [True, True, True, False]
        assert [c.validator for c in read_certificate(connection, 1, 1, 0)] == [0, 1, 2]
        assert [r.quarantined_until for r in read_reputations(connection, 1, 0)] == [0] * 4
        after = [[r.a, r.b, r.va, r.vb, 0] for r in read_reputations(connection, 1, 1)]
        assert after == [r.row() for r in manifest.reputations]
        head = read_head(connection, 1)
        assert head is not None
        assert (head.number, head.phase, head.base_model) == (2, Phase.OPEN, manifest.model)


def test_an_aborted_round_leaves_the_model_and_opens_the_next(
    store: Store, chain: SimulatedFederation
) -> None:
    chain.run_round()
    chain.abort()
    chain.seal()
    _observer(store, chain).advance()
    with store.database.read() as connection:
        first, aborted, head = (read_round(connection, 1, n) for n in (1, 2, 3))
        assert first is not None
        assert aborted is not None
        assert head is not None
        assert (aborted.phase, aborted.aborted_in, aborted.model) == (Phase.ABORTED, Phase.OPEN, None)
        assert head.phase == Phase.SEALED
        assert head.base_model == first.model
        assert count_rounds(connection, 1) == (1, 3, 3)


def test_indexing_in_steps_or_at_once_or_again_gives_the_same_rows(
    store: Store, chain: SimulatedFederation
) -> None:
    observer = _observer(store, chain)
    observer.advance()
    for step in (chain.seal, chain.score, chain.certify, chain.abort, chain.run_round):
        step()
        assert observer.advance().entered > 0
        assert observer.advance().entered == 0
    in_steps = _digest(store, chain)
    record_before, record_after = reindex(store, _record(store, chain))
    assert record_before == record_after == in_steps


def _record(store: Store, chain: SimulatedFederation):
    with store.database.read() as connection:
        record = find_federation(connection, chain.federation)
        assert record is not None
        return record


def test_both_engines_hold_the_same_rows(tmp_path, postgres_url: str) -> None:
    digests = []
    for name, url in (("a", None), ("b", postgres_url)):
        with open_store(tmp_path / name, url) as store:
            chain = SimulatedFederation(store.blobs)
            chain.run_round(refused={1: Reason.COPY}, withheld=[2])
            chain.abort()
            _observer(store, chain).advance()
            digests.append(_digest(store, chain))
    assert digests[0] == digests[1]


@pytest.mark.threat("C1")
@pytest.mark.parametrize(("depth", "events"), [(1, 0), (2, 1), (3, 2), (6, 3)])
def test_a_fork_is_followed_and_what_it_took_back_is_kept(
    store: Store, chain: SimulatedFederation, depth: int, events: int
) -> None:
    chain.run_round()
    chain.seal()
    chain.score()
    chain.mine()
    observer = _observer(store, chain, confirmations=8)
    observer.advance()
    chain.fork(back=depth, branch=b"other")
    chain.mine(depth)
    progress = observer.advance()
    assert (progress.taken_back, progress.entered) == (depth, depth)
    with store.database.read() as connection:
        trail = read_trail(connection, 1, after=None, limit=100)
        canonical = [(e.block_number, e.kind) for e in trail if e.canonical]
        on_chain = [
            (number, event.kind)
            for number in range(FIRST_BLOCK, chain.head().number + 1)
            for event in chain.events(chain.block(number).hash)
        ]
        assert canonical == on_chain
        assert len([e for e in trail if not e.canonical]) == events
        head = read_head(connection, 1)
        assert head is not None
        assert head.transcript == chain.now.t


def test_a_fork_that_comes_back_restores_the_rows(store: Store, chain: SimulatedFederation) -> None:
    chain.run_round()
    observer = _observer(store, chain, confirmations=8)
    observer.advance()
    before, kept = _digest(store, chain), chain._blocks[-2:]
    chain.fork(back=2, branch=b"other")
    chain.mine(3)
    observer.advance()
    assert _digest(store, chain) != before
    chain.fork(back=3, branch=b"")
    chain._blocks += kept
    observer.advance()
    assert _digest(store, chain) == before


def test_a_chain_that_got_shorter_is_followed(store: Store, chain: SimulatedFederation) -> None:
    chain.run_round()
    observer = _observer(store, chain, confirmations=8)
    observer.advance()
    chain.fork(back=1, branch=b"")
    assert observer.advance().taken_back == 1
    with store.database.read() as connection:
        head = read_head(connection, 1)
        assert head is not None
        assert (head.number, head.phase) == (1, Phase.SCORED)


def test_what_is_final_is_never_taken_back(store: Store, chain: SimulatedFederation) -> None:
    chain.run_round()
    observer = _observer(store, chain, confirmations=1)
    observer.advance()
    before = _digest(store, chain)
    chain.fork(back=2, branch=b"other")
    chain.mine(3)
    with pytest.raises(ConflictError, match="took back block"):
        observer.advance()
    assert _digest(store, chain) == before
    with store.database.read() as connection:
        trouble = connection.execute(text("SELECT trouble FROM checkpoints")).scalar()
    assert "took back block" in trouble


def test_a_fork_deeper_than_allowed_is_never_followed(store: Store, chain: SimulatedFederation) -> None:
    chain.mine(MAX_REORG + 2)
    observer = observe(store, chain, chain.federation, FIRST_BLOCK, Finality(tag="finalized"))
    observer.advance()
    chain.fork(back=MAX_REORG + 1, branch=b"other")
    chain.mine(MAX_REORG + 5)
    with pytest.raises(ConflictError, match=f"more than {MAX_REORG} blocks deep"):
        observer.advance()


def test_a_chain_that_moves_while_it_is_read_is_not_mixed_up(
    store: Store, chain: SimulatedFederation
) -> None:
    chain.mine()
    chain.run_round()
    moves = [FIRST_BLOCK + 3]

    class Moving:
        """Takes another way at the moment when a block is asked for."""

        head = staticmethod(chain.head)
        events = staticmethod(chain.events)

        def block(self, number: int):
            if number in moves:
                moves.remove(number)
                chain.fork(back=3, branch=b"other")
                chain.run_round(refused={1: Reason.COPY})
            return chain.block(number)

    observe(store, Moving(), chain.federation, FIRST_BLOCK, Finality(50)).advance()
    assert moves == []
    with store.database.read() as connection:
        rows = connection.execute(text("SELECT number, hash FROM blocks WHERE canonical ORDER BY 1"))
        blocks = rows.all()
        trail = read_trail(connection, 1, after=None, limit=50)
    assert [row.hash for row in blocks] == [chain.block(row.number).hash for row in blocks]
    assert [e.kind for e in trail if e.canonical][-3:] == ["Sealed", "Scored", "Certified"]


def test_who_is_not_of_the_committee_is_not_listed_among_the_signers(store: Store) -> None:
    chain = SimulatedFederation(store.blobs, nodes=5, committee=4)
    chain.run_round()
    (event,) = chain.events(chain.head().hash)
    digest = certificate_digest(chain.federation, 1, chain.now.t)
    outsiders = [to_hex(sign_digest(key, digest)) for key in (chain.keys[4], keccak(b"nobody"))]
    signatures = [*event.arguments["signatures"], *outsiders]
    chain.forge(
        chain.head().number, [replace(event, arguments={**event.arguments, "signatures": signatures})]
    )
    _observer(store, chain).advance()
    with store.database.read() as connection:
        assert [c.validator for c in read_certificate(connection, 1, 1, 0)] == [0, 1, 2]


@pytest.mark.threat("C5")
def test_a_lost_event_stops_the_index(store: Store, chain: SimulatedFederation) -> None:
    chain.seal(forced=[3])
    chain.force(3)
    lost = chain.head().number
    chain.score()
    chain.forge(lost, ())
    observer = _observer(store, chain)
    with pytest.raises(VerificationError, match="an event is missing or was changed"):
        observer.advance()
    with store.database.read() as connection:
        head = read_head(connection, 1)
        assert head is not None
        assert head.phase == Phase.SEALED


@pytest.mark.threat("C5")
def test_a_changed_event_stops_the_index(store: Store, chain: SimulatedFederation) -> None:
    chain.seal()
    number = chain.head().number
    (event,) = chain.events(chain.head().hash)
    chain.forge(number, [replace(event, arguments={**event.arguments, "n": 3})])
    with pytest.raises(VerificationError, match=f"Sealed in block {number} leads to the transcript"):
        _observer(store, chain).advance()


def test_a_round_waits_for_its_documents(store: Store, chain: SimulatedFederation) -> None:
    chain.seal()
    chain.score()
    evidence, now = chain._evidence(), chain.now
    manifest = chain.certify(publish=False)
    observer = _observer(store, chain)
    waiting = observer.advance().waiting
    assert [w.round for w in waiting] == [1]
    assert manifest.hash().hex() in waiting[0].reason
    with store.database.read() as connection:
        assert read_updates(connection, 1, 1) == []
    assert now.round == 1
    chain.publish(manifest, evidence)
    assert observer.advance().waiting == ()
    with store.database.read() as connection:
        assert len(read_updates(connection, 1, 1)) == 4


def test_an_edited_row_shows_in_the_digest_and_is_repaired(store: Store, chain: SimulatedFederation) -> None:
    chain.run_round(refused={1: Reason.OUTLIER})
    _observer(store, chain).advance()
    with store.database.write() as connection:
        connection.execute(text("UPDATE updates SET reason = 'admitted' WHERE node = 1"))
    before, after = reindex(store, _record(store, chain))
    assert before != after
    assert reindex(store, _record(store, chain)) == (after, after)
    with store.database.read() as connection:
        assert read_updates(connection, 1, 1)[1].reason == "V7:outlier"


@pytest.mark.threat("P2")
@pytest.mark.parametrize(
    ("edit", "row"),
    [
        ("UPDATE updates SET reason = 'admitted' WHERE node = 1", "updates round=1 node=1"),
        ("DELETE FROM certificates WHERE validator = 2", "certificates round=1 attempt=0 validator=2"),
        ("UPDATE rounds SET forced = 7 WHERE number = 2", "rounds number=2"),
        ("UPDATE genesis SET committee = '{\"committee\":[1]}'", "genesis"),
        ("UPDATE epochs SET removed = 1", "epochs number=0"),
        ("DELETE FROM ownership", "ownership"),
        (
            "INSERT INTO members (federation, node, address, joined, removed) "
            "SELECT federation, 9, address, 0, removed FROM members WHERE node = 0",
            "members node=9",
        ),
    ],
)
def test_the_check_of_the_index_names_the_row_and_changes_nothing(
    store: Store, chain: SimulatedFederation, edit: str, row: str
) -> None:
    chain.run_round(refused={1: Reason.OUTLIER})
    _observer(store, chain).advance()
    assert check_index(store, _record(store, chain)) == ()
    with store.database.write() as connection:
        connection.execute(text(edit))
    edited = _digest(store, chain)
    assert check_index(store, _record(store, chain)) == (row,)
    assert _digest(store, chain) == edited


def test_events_cannot_be_edited(store: Store, chain: SimulatedFederation) -> None:
    _observer(store, chain).advance()
    for change in ("UPDATE chain_events SET round = 9", "DELETE FROM chain_events"):
        with pytest.raises(Exception, match="chain_events is append-only"), store.database.write() as c:
            c.execute(text(change))


def test_the_chains_own_word_makes_blocks_final_and_no_fork_is_followed_below_it(
    store: Store, chain: SimulatedFederation
) -> None:
    chain.mine(10)
    observer = observe(store, chain, chain.federation, FIRST_BLOCK, Finality(tag="safe"))
    assert observer.advance().checkpoint.finalized == -1
    chain.tags["safe"] = FIRST_BLOCK + 4
    assert observer.advance().checkpoint.finalized == FIRST_BLOCK + 4
    chain.fork(back=5, branch=b"above")
    chain.mine(6)
    assert observer.advance().taken_back == 5
    chain.fork(back=8, branch=b"below")
    chain.mine(9)
    with pytest.raises(ConflictError, match="which is final"):
        observer.advance()


@pytest.mark.parametrize("text", ["-1", "257", "latest", "", "1.5", "9" * 9])
def test_finality_is_a_depth_or_a_tag(text: str) -> None:
    assert parse_finality("12") == Finality(12)
    assert parse_finality("finalized") == Finality(tag="finalized")
    with pytest.raises(InvalidValueError):
        parse_finality(text)


def test_blocks_become_final_behind_the_confirmations(store: Store, chain: SimulatedFederation) -> None:
    observer = _observer(store, chain, confirmations=2)
    chain.mine(3)
    reached = observer.advance().checkpoint
    assert reached is not None
    assert (reached.number, reached.finalized) == (FIRST_BLOCK + 3, FIRST_BLOCK + 1)
    chain.mine()
    reached = observer.advance().checkpoint
    assert reached is not None
    assert reached.finalized == FIRST_BLOCK + 2


def test_two_observers_of_one_store_do_no_harm(store: Store, chain: SimulatedFederation) -> None:
    for _ in range(3):
        chain.run_round()
    observers = [_observer(store, chain) for _ in range(3)]
    failures: list[BaseException] = []

    def advance(observer: Observer) -> None:
        try:
            observer.advance()
        except BaseException as error:  # noqa: BLE001 - carried to the main thread
            failures.append(error)

    threads = [threading.Thread(target=advance, args=(o,)) for o in observers]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    before, after = reindex(store, _record(store, chain))
    assert before == after


def test_the_same_federation_from_another_block_is_a_conflict(
    store: Store, chain: SimulatedFederation
) -> None:
    _observer(store, chain)
    with pytest.raises(ConflictError, match=f"indexed from block {FIRST_BLOCK}, not 1"):
        observe(store, chain, chain.federation, 1, Finality(0))


def test_following_ends_where_the_chain_takes_back_what_was_final(
    store: Store, chain: SimulatedFederation, caplog: pytest.LogCaptureFixture
) -> None:
    observer = _observer(store, chain)
    chain.run_round()
    observer.advance()
    chain.fork(back=2, branch=b"other")
    chain.mine(3)
    follow(observer, threading.Event(), seconds=0.01)
    assert "the index stands still: the chain took back block" in caplog.text


def test_following_survives_a_chain_that_is_away_for_a_while(
    store: Store, chain: SimulatedFederation
) -> None:
    stop, away = threading.Event(), [True]

    class Shaky:
        def head(self):
            if away:
                away.pop()
                raise ChainUnreachableError("nobody answers")
            stop.set()
            return chain.head()

        block = staticmethod(chain.block)
        events = staticmethod(chain.events)

    chain.run_round()
    follow(observe(store, Shaky(), chain.federation, FIRST_BLOCK, Finality(0)), stop, seconds=0.01)
    with store.database.read() as connection:
        assert count_rounds(connection, 1) == (1, 2, 2)
