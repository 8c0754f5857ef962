"""Work in pieces, each in a process of its own and kept in a file, so that a run can stop and go on.

What an earlier run of the same program left is not computed again; a changed line of code makes another
program.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from functools import lru_cache
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from ledgerfed import errors
from ledgerfed.errors import ConfigurationError
from ledgerfed.evaluation import worker


@dataclass(frozen=True, slots=True)
class Piece:
    """One piece: `do(part)` gives its document, which has the keys `needs`; both can be pickled.

    `name` is the name of its file, without suffix.
    """

    name: str
    part: Any
    do: Callable[[Any], dict[str, Any]]
    needs: frozenset[str]


def compute(
    wanted: Sequence[Piece], directory: Path, workers: int, on_done: Callable[[Piece], None]
) -> dict[Piece, dict[str, Any]]:
    """Return the documents of the pieces, in their order, computing those that `directory` does not hold.

    Raises:
        ConfigurationError: a file of an earlier run cannot be read, or a worker process was killed.
    """
    directory.mkdir(parents=True, exist_ok=True)
    found = {piece: kept for piece in wanted if (kept := _read(directory, piece)) is not None}
    for piece in found:
        on_done(piece)
    missing = [piece for piece in wanted if piece not in found]
    for piece, document in _compute(missing, workers):
        _write(directory, piece, document)
        found[piece] = document
        on_done(piece)
    return {piece: found[piece] for piece in wanted}


def _compute(missing: Sequence[Piece], workers: int) -> Iterator[tuple[Piece, dict[str, Any]]]:
    if not missing:
        return
    with ProcessPoolExecutor(workers, get_context("spawn"), worker.begin) as pool:
        waiting: dict[Future[dict[str, Any]], Piece] = {
            pool.submit(piece.do, piece.part): piece for piece in missing
        }
        try:
            for done in as_completed(waiting):
                yield waiting[done], done.result()
        except BrokenProcessPool as error:
            raise ConfigurationError(
                "a worker process was killed (too little memory?); run again with fewer --workers, "
                "what is done is kept"
            ) from error
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


@lru_cache(maxsize=1)
def _program() -> str:
    """Return what names the code of the package, so that no other code's results are taken for its own."""
    home = Path(errors.__file__).parent
    digest = hashlib.sha256()
    for path in sorted(home.rglob("*.py")):
        digest.update(f"{path.relative_to(home)}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:8]


def _file(directory: Path, piece: Piece) -> Path:
    return directory / f"{piece.name}-{_program()}.json"


def _read(directory: Path, piece: Piece) -> dict[str, Any] | None:
    path = _file(directory, piece)
    try:
        document: dict[str, Any] = json.loads(path.read_text("utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{path} cannot be read ({error}); delete it, or give --fresh") from error
    if not isinstance(document, dict) or not piece.needs <= document.keys():
        raise ConfigurationError(f"{path} holds no results; delete it, or give --fresh")
    return document


def _write(directory: Path, piece: Piece, document: dict[str, Any]) -> None:
    path = _file(directory, piece)
    fresh = path.with_suffix(".tmp")
    fresh.write_text(json.dumps(document), "utf-8")
    fresh.replace(path)
