"""The observer: follows the chain and keeps the store's index in step."""

from ledgerfed.observer.finality import MAX_REORG, Finality, parse_finality
from ledgerfed.observer.observer import Observer, Progress, check_index, follow, observe, reindex
from ledgerfed.observer.projector import Waiting
from ledgerfed.observer.source import EventSource

__all__ = [
    "MAX_REORG",
    "EventSource",
    "Finality",
    "Observer",
    "Progress",
    "Waiting",
    "check_index",
    "follow",
    "observe",
    "parse_finality",
    "reindex",
]
