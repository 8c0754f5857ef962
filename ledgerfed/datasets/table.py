"""A node's own panel from a table: CSV (RFC 4180) with one row a time and one column a channel.

    time,load,weather/temperature,weather/wind,calendar/holiday
    2026-01-01T00:00:00,41.5,3.2,,1

Rules:
- the first column is `time`: ISO 8601 in UTC, `Z` or nothing behind it, increasing, on the grid of the basis;
- the column named as the basis' target holds it, in the basis' unit; a column `modality/channel` holds a
  channel of a modality; any other column is refused;
- an empty cell is a missing reading; a missing row is a missing time; nothing is filled in.
"""

from __future__ import annotations

import csv
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from ledgerfed.errors import InvalidValueError, NotFoundError
from ledgerfed.exchange.basis import Basis
from ledgerfed.series.arrays import Floats, Times
from ledgerfed.series.panel import Modality, Panel

MAX_ROWS = 1 << 20


def read_table(path: Path, basis: Basis, known_ahead: Collection[str] = ()) -> Panel:
    """Return the panel of a table, for a federation with this basis.

    `known_ahead` names the modalities that are known before their time, such as a calendar.

    Raises:
        NotFoundError: there is no such file.
        InvalidValueError: it is not such a table; the message names line and column.
    """
    header, lines = _read(path)
    times = _times(path, lines)
    columns = {name: _column(path, header, lines, name) for name in header[1:]}
    if basis.target not in columns:
        raise InvalidValueError(
            f"{path} has no column {basis.target!r}, the target of the federation's basis"
        )
    grid = _grid(path, times, basis.period)
    target = np.full(len(grid), np.nan)
    target[np.searchsorted(grid, times)] = columns.pop(basis.target)
    modalities = _modalities(path, times, columns, known_ahead)
    return Panel(path.stem, basis.period, grid, target, basis.target, basis.unit, modalities)


def _read(path: Path) -> tuple[list[str], list[list[str]]]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [row for _, row in zip(range(MAX_ROWS + 2), csv.reader(file), strict=False)]
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no table {path}") from error
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidValueError(f"{path} cannot be read as a table: {error}") from error
    if len(rows) > MAX_ROWS + 1:
        raise InvalidValueError(f"{path} has more than {MAX_ROWS} rows; give the newest ones")
    header = [name.strip() for name in rows[0]] if rows else []
    if len(rows) < 2 or header[:1] != ["time"] or len(set(header)) != len(header):
        raise InvalidValueError(f"{path} needs a line of different column names, `time` first, and rows")
    for number, row in enumerate(rows[1:], start=2):
        if len(row) != len(header):
            raise InvalidValueError(f"{path}, line {number}: {len(row)} cells, the header has {len(header)}")
    return header, rows[1:]


def _times(path: Path, lines: Sequence[Sequence[str]]) -> Times:
    times = np.empty(len(lines), dtype="datetime64[s]")
    for place, line in enumerate(lines):
        text = line[0].strip().removesuffix("Z")
        try:
            times[place] = np.datetime64(text, "s")
        except ValueError as error:
            raise InvalidValueError(
                f"{path}, line {place + 2}: {line[0]!r} is no time such as 2026-01-01T00:00:00"
            ) from error
        if np.isnat(times[place]) or (place and times[place] <= times[place - 1]):
            raise InvalidValueError(f"{path}, line {place + 2}: times must increase, {line[0]!r} does not")
    return times


def _column(path: Path, header: Sequence[str], lines: Sequence[Sequence[str]], name: str) -> Floats:
    at = header.index(name)
    values = np.full(len(lines), np.nan)
    for place, line in enumerate(lines):
        cell = line[at].strip()
        try:
            values[place] = float(cell) if cell else np.nan
        except ValueError as error:
            raise InvalidValueError(f"{path}, line {place + 2}, {name}: {cell!r} is no number") from error
        if cell and not np.isfinite(values[place]):
            raise InvalidValueError(
                f"{path}, line {place + 2}, {name}: {cell!r} is not finite; leave a missing cell empty"
            )
    return values


def _grid(path: Path, times: Times, period: int) -> Times:
    steps = (times - times[0]).astype(np.int64)
    off = steps % period != 0
    if off.any():
        line = int(np.argmax(off)) + 2
        raise InvalidValueError(f"{path}, line {line}: the time is not on the basis' grid of {period} s")
    rows = int(steps[-1]) // period + 1
    if rows > MAX_ROWS:
        raise InvalidValueError(f"{path} spans {rows} times of {period} s, more than {MAX_ROWS}")
    return np.asarray(times[0] + period * np.arange(rows), dtype="datetime64[s]")


def _modalities(
    path: Path, times: Times, columns: dict[str, Floats], known_ahead: Collection[str]
) -> tuple[Modality, ...]:
    channels: dict[str, dict[str, Floats]] = {}
    for name, values in columns.items():
        modality, slash, channel = name.partition("/")
        if not (modality and slash and channel):
            raise InvalidValueError(f"{path}: the column {name!r} is neither the target nor modality/channel")
        channels.setdefault(modality, {})[channel] = values
    if unknown := sorted(set(known_ahead) - set(channels)):
        raise InvalidValueError(f"{path} has no modality {unknown[0]!r}, only {sorted(channels)}")
    return tuple(
        Modality(
            name,
            tuple(held),
            ("",) * len(held),
            times,
            np.column_stack(list(held.values())),
            name in known_ahead,
        )
        for name, held in channels.items()
    )
