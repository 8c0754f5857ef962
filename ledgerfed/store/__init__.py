"""The store: an index of the chain in SQLite or PostgreSQL, blobs by hash, the outbox and the journal."""

from ledgerfed.store.blobs import BlobStore
from ledgerfed.store.journal import Journal
from ledgerfed.store.outbox import Outbox
from ledgerfed.store.workspace import Store, open_store

__all__ = ["BlobStore", "Journal", "Outbox", "Store", "open_store"]
