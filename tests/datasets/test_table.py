"""A node's own table becomes a panel, or is refused with the line and the column."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ledgerfed.datasets import load_transit, read_table
from ledgerfed.datasets.transit import TRANSIT_BASIS
from ledgerfed.errors import InvalidValueError, NotFoundError
from ledgerfed.exchange import Basis
from ledgerfed.node.walk import prepare
from ledgerfed.series import split

BASIS = Basis("load", "MW", 3600, (1, 2))
GOOD = """time,load,weather/wind,weather/sun,calendar/holiday
2026-01-01T00:00:00,41.5,3.2,,1
2026-01-01T01:00:00Z,,2,0.5,0
2026-01-01T03:00:00,40,1,0.25,0
"""


def _table(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "north.csv"
    path.write_text(text)
    return path


def test_a_table_becomes_a_panel_and_nothing_is_filled_in(tmp_path: Path) -> None:
    panel = read_table(_table(tmp_path, GOOD), BASIS, ("calendar",))
    assert (panel.name, panel.target_name, panel.unit, panel.period) == ("north", "load", "MW", 3600)
    assert panel.times[0] == np.datetime64("2026-01-01T00:00:00")
    np.testing.assert_array_equal(panel.target, [41.5, np.nan, np.nan, 40])
    weather, calendar = panel.modalities
    assert (weather.channels, weather.known_ahead) == (("wind", "sun"), False)
    np.testing.assert_array_equal(weather.values, [[3.2, np.nan], [2, 0.5], [1, 0.25]])
    assert len(weather.times) == 3
    assert (calendar.name, calendar.known_ahead) == ("calendar", True)


def test_a_station_written_as_a_table_gives_the_same_rows(tmp_path: Path) -> None:
    station = load_transit()[0].head(400)
    rain = next(m for m in station.modalities if m.name == "weather")
    column = rain.values[: len(station), rain.channels.index("weather_rain")]
    lines = ["time,riders,weather/weather_rain"]
    lines += [
        f"{t},{v!r},{r!r}"
        for t, v, r in zip(station.times, station.target.tolist(), column.tolist(), strict=True)
    ]
    table = read_table(_table(tmp_path, "\n".join(lines)), TRANSIT_BASIS)
    windows = split(station, 60, 60, 30)
    ours, theirs = prepare(table, windows, TRANSIT_BASIS), prepare(station, windows, TRANSIT_BASIS)
    for one, other in zip(ours.train.sample(), theirs.train.sample(), strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "`time` first"),
        ("time,load\n", "and rows"),
        ("when,load\n2026-01-01,1\n", "`time` first"),
        ("time,load,load\n2026-01-01,1,1\n", "different column names"),
        ("time,wind\n2026-01-01,1\n", "no column 'load'"),
        ("time,load,wind\n2026-01-01,1,2\n", "'wind' is neither the target nor modality/channel"),
        ("time,load\n2026-01-01\n", "line 2: 1 cells, the header has 2"),
        ("time,load\nyesterday,1\n", "line 2: 'yesterday' is no time"),
        ("time,load\n2026-01-01,1\n2026-01-01,2\n", "line 3: times must increase"),
        (
            "time,load\n2026-01-01T00:00,1\n2026-01-01T00:30,2\n",
            "line 3: the time is not on the basis' grid of 3600 s",
        ),
        ("time,load\n2026-01-01,many\n", "line 2, load: 'many' is no number"),
        ("time,load\n2026-01-01,inf\n", "line 2, load: 'inf' is not finite"),
        ("time,load\n2026-01-01,nan\n", "leave a missing cell empty"),
        ("time,load\n0001-01-01,1\n2026-01-01,1\n", "more than 1048576"),
        ("time,load\nNaT,1\n", "times must increase"),
    ],
)
def test_what_is_no_table_is_refused_with_its_place(tmp_path: Path, text: str, words: str) -> None:
    with pytest.raises(InvalidValueError, match=r"north\.csv") as refused:
        read_table(_table(tmp_path, text), BASIS)
    assert words in str(refused.value)


def test_a_modality_that_is_not_there_cannot_be_known_ahead(tmp_path: Path) -> None:
    with pytest.raises(InvalidValueError, match=r"no modality 'tide', only \['calendar', 'weather'\]"):
        read_table(_table(tmp_path, GOOD), BASIS, ("tide",))


def test_no_file_and_no_text(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError, match=r"there is no table .*none.csv"):
        read_table(tmp_path / "none.csv", BASIS)
    (tmp_path / "north.csv").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InvalidValueError, match="cannot be read as a table"):
        read_table(tmp_path / "north.csv", BASIS)
