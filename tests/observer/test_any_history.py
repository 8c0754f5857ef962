"""Whatever the chain does and wherever the observer is stopped, the rows are those of the chain."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from simulated_federation import FIRST_BLOCK, SimulatedFederation
from sqlalchemy import event

from ledgerfed.observer import Finality, observe
from ledgerfed.protocol.change import VACANT
from ledgerfed.protocol.manifest import Reason
from ledgerfed.protocol.transcript import Phase
from ledgerfed.store import Store, open_store
from ledgerfed.store.chain_log import find_federation
from ledgerfed.store.projections import projection_digest

ACTIONS = st.one_of(
    st.just("step"),
    st.sampled_from(["abort", "mine", "propose", "open", "hand over"]),
    st.tuples(st.just("dispute"), st.integers(0, 4), st.integers(0, 2)),
    st.integers(1, 6),
)


def _digest(store: Store, chain: SimulatedFederation) -> bytes:
    with store.database.read() as connection:
        record = find_federation(connection, chain.federation)
        assert record is not None
        return projection_digest(connection, record.id)


def _fresh(chain: SimulatedFederation, directory: Path) -> bytes:
    """The digest of an index that knows only the chain as it is now."""
    with open_store(directory) as store:
        for digest in chain.blobs.digests():
            store.blobs.put(chain.blobs.get(digest))
        observe(store, chain, chain.federation, FIRST_BLOCK, Finality(100)).advance()
        return _digest(store, chain)


def _step(chain: SimulatedFederation) -> None:
    """The next transition of the round, whichever is due."""
    now = chain.now
    if now.phase is Phase.SCORED:
        chain.certify()
    elif now.phase is Phase.SEALED:
        chain.score()
    else:
        chain.seal(refused={1: Reason.COPY}, absent=[2])


def _dispute(chain: SimulatedFederation, node: int, back: int) -> None:
    """Prove a fault of a round up to two before the current one, against somebody who has a part."""
    now = chain.now
    if node < len(now.members) and node not in now.removed and now.members[node] != VACANT:
        chain.dispute(node, round_number=max(1, now.round - back))


def _propose(chain: SimulatedFederation) -> None:
    """Announce that somebody joins, somebody has another key, and somebody leaves."""
    now = chain.now
    there = [node for node, address in enumerate(now.members) if address != VACANT]
    if now.due or len(there) < 3:
        return
    joins = int(len(now.members) < 1 << chain.config.depth)
    committee = tuple(there[:-1]) + (len(now.members),) * joins
    chain.propose(chain.change(joins=joins, rekeys=there[:1], leaves=there[-1:], committee=committee))


def _act(chain: SimulatedFederation, action: str | int | tuple[str, int, int], branch: bytes) -> None:
    now = chain.now
    match action:
        case "step" if now.phase is not Phase.OPEN or not now.due:
            _step(chain)
        case "abort":
            chain.abort()
        case "mine":
            chain.mine()
        case "propose":
            _propose(chain)
        case "open" if now.due and now.phase is Phase.OPEN and chain.head().number >= now.window_end:
            chain.open_epoch()
        case "hand over":
            chain.propose_owner(chain.members[0])
            chain.accept_ownership(chain.members[0])
        case ("dispute", node, back):
            _dispute(chain, node, back)
        case int():
            chain.fork(min(action, chain.head().number - FIRST_BLOCK), branch)
            chain.mine()


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(history=st.lists(ACTIONS, max_size=18))
@example(
    history=[
        *["propose", "step", "step", "step", ("dispute", 1, 1), "step", ("dispute", 3, 0), "mine", "mine"],
        *["open", "step", ("dispute", 0, 0), 2, "mine", "open", "step", "step", "step", ("dispute", 1, 1), 1],
    ]
)
def test_after_any_history_the_rows_are_those_of_a_fresh_index(history: list) -> None:
    with tempfile.TemporaryDirectory() as directory, open_store(Path(directory) / "a") as store:
        chain = SimulatedFederation(store.blobs, room=2)
        observer = observe(store, chain, chain.federation, FIRST_BLOCK, Finality(100))
        for number, action in enumerate(history):
            _act(chain, action, branch=bytes([number]))
            observer.advance()
        observer.advance()
        assert _digest(store, chain) == _fresh(chain, Path(directory) / "b")


class PowerCutError(Exception):
    """The process ends here."""


@contextmanager
def _cut_after(store: Store, statements: int) -> Iterator[None]:
    """Let the process end at the statement after so many."""
    left = [statements]

    def count(*_: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            raise PowerCutError

    event.listen(store.database.engine, "before_cursor_execute", count)
    try:
        yield
    finally:
        event.remove(store.database.engine, "before_cursor_execute", count)


def test_an_observer_that_is_stopped_anywhere_goes_on_to_the_same_rows(tmp_path: Path) -> None:
    with open_store(tmp_path / "a") as store:
        chain = SimulatedFederation(store.blobs)
        chain.run_round(refused={1: Reason.OUTLIER}, forced=[3])
        chain.dispute(1, round_number=1)
        observer = observe(store, chain, chain.federation, FIRST_BLOCK, Finality(100))
        observer.advance()
        chain.fork(back=3, branch=b"other")
        chain.score()
        chain.certify()
        chain.dispute(0, round_number=1)
        expected = _fresh(chain, tmp_path / "b")
        statements = 0
        while True:  # die one statement later each time, and look again as a new process would
            with _cut_after(store, statements):
                try:
                    observe(store, chain, chain.federation, FIRST_BLOCK, Finality(100)).advance()
                    break
                except PowerCutError:
                    statements += 1
        assert statements > 20
        assert _digest(store, chain) == expected


@pytest.mark.parametrize("statements", range(3, 95, 8))
def test_a_first_index_that_is_stopped_anywhere_goes_on_to_the_same_rows(
    tmp_path: Path, statements: int
) -> None:
    with open_store(tmp_path / "a") as store:
        chain = SimulatedFederation(store.blobs)
        chain.run_round(refused={1: Reason.OUTLIER}, forced=[3])
        with _cut_after(store, statements), pytest.raises(PowerCutError):
            observe(store, chain, chain.federation, FIRST_BLOCK, Finality(100)).advance()
        observe(store, chain, chain.federation, FIRST_BLOCK, Finality(100)).advance()
        assert _digest(store, chain) == _fresh(chain, tmp_path / "b")
