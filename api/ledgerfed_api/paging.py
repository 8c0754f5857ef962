"""Lists, a page at a time, by key."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Annotated, Generic, TypeVar
from urllib.parse import urlencode

from fastapi import Depends, Query, Request

from ledgerfed.store.chain_log import canonical_block
from ledgerfed_api.cursors import CursorKey, Position
from ledgerfed_api.problems import CursorStaleError
from ledgerfed_api.view import View

DEFAULT_LIMIT = 50
MAX_LIMIT = 200
_T = TypeVar("_T")
Key = tuple[int | str, ...]


@dataclass(frozen=True, slots=True)
class PageRequest:
    """What a client asks of a list."""

    path: str
    filters: str
    limit: int
    cursor: str | None

    @property
    def scope(self) -> str:
        """The list that a cursor belongs to: its path and filters."""
        return f"{self.path}?{self.filters}"

    @property
    def plain(self) -> bool:
        """Whether this is the first page of the unfiltered list, at the usual size."""
        return self.limit == DEFAULT_LIMIT and self.cursor is None and not self.filters


@dataclass(frozen=True, slots=True)
class Cut(Generic[_T]):
    """One page of items, with the cursor and the path of the next."""

    items: Sequence[_T]
    next_cursor: str | None
    next: str | None


def page_request(
    request: Request,
    limit: Annotated[int, Query(ge=1, le=MAX_LIMIT, description="Items on a page")] = DEFAULT_LIMIT,
    cursor: Annotated[str | None, Query(max_length=512, description="next_cursor of the page before")] = None,
) -> PageRequest:
    """Read `limit` and `cursor`; every other parameter is a filter."""
    filters = [(k, v) for k, v in request.query_params.multi_items() if k not in ("limit", "cursor")]
    return PageRequest(request.url.path, urlencode(sorted(filters)), limit, cursor)


PageAsked = Annotated[PageRequest, Depends(page_request)]


def cut(
    view: View,
    key: CursorKey,
    asked: PageRequest,
    read: Callable[[Key | None, int], Sequence[_T]],
    key_of: Callable[[_T], Key],
) -> Cut[_T]:
    """Return the page that was asked for; `read` gives so many items behind a key.

    Raises:
        CursorError: the cursor is of another list; CursorStaleError: a fork took back what it stood on.
    """
    after = None
    if asked.cursor is not None:
        position = key.read(asked.scope, asked.cursor)
        _require_fresh(view, position)
        after = position.key
    items = read(after, asked.limit + 1)
    if len(items) <= asked.limit:
        return Cut(items, None, None)
    items = items[: asked.limit]
    reached = view.reached
    number, block_hash = (-1, "") if reached is None else (reached.number, reached.hash.hex())
    cursor = key.write(asked.scope, Position(key_of(items[-1]), number, block_hash))
    query = "&".join(filter(None, (asked.filters, urlencode({"limit": asked.limit, "cursor": cursor}))))
    return Cut(items, cursor, f"{asked.path}?{query}")


def _require_fresh(view: View, position: Position) -> None:
    if position.block_number < 0:
        return
    block = canonical_block(view.connection, view.id, position.block_number)
    if block is None or block.hash.hex() != position.block_hash:
        raise CursorStaleError(
            f"block {position.block_number} was taken back since the cursor was made; start again without it"
        )
