from __future__ import annotations

import pytest
from sqlalchemy import text

from ledgerfed.errors import ConflictError, StoreError
from ledgerfed.protocol.federation import Federation
from ledgerfed.store import Store

FEDERATION = Federation(31337, b"\x11" * 20)


def test_a_step_is_recalled_as_it_was_recorded(store: Store) -> None:
    store.journal.record(FEDERATION, 3, 1, "leaf", b"signed")
    assert store.journal.recall(FEDERATION, 3, 1, "leaf") == b"signed"


def test_the_same_bytes_again_are_fine_and_others_conflict(store: Store) -> None:
    store.journal.record(FEDERATION, 3, 1, "leaf", b"signed")
    store.journal.record(FEDERATION, 3, 1, "leaf", b"signed")
    with pytest.raises(ConflictError, match="node 3 has written leaf of round 1 already"):
        store.journal.record(FEDERATION, 3, 1, "leaf", b"another")
    assert store.journal.recall(FEDERATION, 3, 1, "leaf") == b"signed"


@pytest.mark.parametrize(
    "other",
    [(Federation(1, b"\x11" * 20), 3, 1, "leaf"), (FEDERATION, 4, 1, "leaf"), (FEDERATION, 3, 2, "leaf")],
)
def test_steps_of_other_federations_nodes_and_rounds_are_apart(
    store: Store, other: tuple[Federation, int, int, str]
) -> None:
    store.journal.record(FEDERATION, 3, 1, "leaf", b"signed")
    assert store.journal.recall(*other) is None


@pytest.mark.parametrize("change", ["UPDATE journal SET data = NULL", "DELETE FROM journal"])
def test_nobody_can_change_the_journal(store: Store, change: str) -> None:
    store.journal.record(FEDERATION, 3, 1, "leaf", b"signed")
    with pytest.raises(StoreError, match="journal is append-only"), store.database.write() as connection:
        connection.execute(text(change))
    assert store.journal.recall(FEDERATION, 3, 1, "leaf") == b"signed"
