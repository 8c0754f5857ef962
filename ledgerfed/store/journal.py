"""What a node is about to send, written down before it is sent, so that a restart repeats it word for word.

A node that signed one leaf and after a crash signs another has equivocated; so a step is written once.
"""

from __future__ import annotations

from sqlalchemy import ColumnElement, and_, select

from ledgerfed.errors import ConflictError
from ledgerfed.protocol.federation import Federation
from ledgerfed.store.database import Database, insert_new
from ledgerfed.store.tables import journal


class Journal:
    """The write-once journal of the nodes that share this store."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def record(self, federation: Federation, index: int, round_number: int, step: str, data: bytes) -> None:
        """Write a step down; it is on disk, power failure included, when this returns.

        Raises:
            ConflictError: the step stands there with other bytes.
        """
        key = _key(federation, index, round_number, step)
        with self._database.write(durable=True) as connection:
            if insert_new(connection, journal, key | {"data": data}):
                return
            if connection.execute(select(journal.c.data).where(_where(key))).scalar() != data:
                raise ConflictError(
                    f"node {index} has written {step} of round {round_number} already, with other bytes; "
                    "it repeats what it wrote or sits the round out"
                )

    def recall(self, federation: Federation, index: int, round_number: int, step: str) -> bytes | None:
        """Return what was written down for a step, or None."""
        query = select(journal.c.data).where(_where(_key(federation, index, round_number, step)))
        with self._database.read() as connection:
            return connection.execute(query).scalar()


def _key(federation: Federation, index: int, round_number: int, step: str) -> dict[str, object]:
    return {
        "chain_id": federation.chain_id,
        "contract": federation.contract,
        "node": index,
        "round": round_number,
        "step": step,
    }


def _where(key: dict[str, object]) -> ColumnElement[bool]:
    return and_(*(journal.c[name] == value for name, value in key.items()))
