from __future__ import annotations

import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ledgerfed.datasets import load_transit
from ledgerfed.datasets.shipped import digest, read_arrays
from ledgerfed.datasets.transit import CHICAGO, GAMES, STATIONS, WEATHER
from ledgerfed.errors import StoreError


def riders(station: str, day: str) -> float:
    panel = next(p for p in load_transit() if p.name == station)
    return float(panel.target[np.searchsorted(panel.times, np.datetime64(day))])


def test_twenty_stations_share_5684_days_without_a_gap() -> None:
    panels = load_transit()
    assert [p.name for p in panels] == sorted(STATIONS)
    assert len(panels) == 20
    for panel in panels:
        assert len(panel) == 5_698 - 14
        assert (str(panel.times[0]), str(panel.times[-1])) == ("2001-01-22T00:00:00", "2016-08-14T00:00:00")
        assert not np.isnan(panel.target).any()
        assert panel.modalities == panels[0].modalities


def test_weather_is_known_after_its_day_and_games_ahead_of_it() -> None:
    weather, games = load_transit()[0].modalities
    assert (weather.name, weather.known_ahead, len(weather.channels)) == ("weather", False, len(WEATHER))
    assert (games.name, games.known_ahead, games.channels) == ("games", True, GAMES)
    assert set(np.unique(games.values)) == {0.0, 1.0}


def test_riders_belong_to_their_own_day() -> None:
    """First three values of the unlagged `ridership` column of the source, and days everybody knows."""
    assert [riders("Clark_Lake", f"2001-01-{day}") for day in (22, 23, 24)] == [15.732, 15.762, 15.872]
    assert riders("Clark_Lake", "2015-12-25") < 0.4 * riders("Clark_Lake", "2015-12-18")
    for station, parade, week_before in (  # of the White Sox and of the Blackhawks, through the Loop
        ("Clark_Lake", "2005-10-28", "2005-10-21"),
        ("Monroe", "2015-06-18", "2015-06-11"),
    ):
        assert riders(station, parade) > 1.4 * riders(station, week_before)


def test_weekends_are_quieter_than_weekdays_at_every_station() -> None:
    for panel in load_transit():
        weekday = (panel.times.astype("datetime64[D]").astype(int) + 3) % 7
        assert panel.target[weekday == 6].mean() < panel.target[weekday == 2].mean()


def test_the_shipped_arrays_are_those_that_the_script_derived() -> None:
    assert digest(read_arrays(CHICAGO)) == CHICAGO.sha256


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    arrays = read_arrays(CHICAGO)
    riders = arrays["riders"].copy()
    riders[17, 3] += 1
    altered, torn = tmp_path / "altered.npz", tmp_path / "torn.npz"
    np.savez_compressed(altered, **(arrays | {"riders": riders}))
    torn.write_bytes(CHICAGO.path.read_bytes()[:100_000])
    for path, message in (
        (altered, "digest"),
        (torn, "cannot be read"),
        (tmp_path / "none", "cannot be read"),
    ):
        with pytest.raises(StoreError, match=message):
            read_arrays(replace(CHICAGO, path=path))


def test_loading_is_quick_and_needs_no_pandas() -> None:
    script = (
        "import sys, time, numpy; from ledgerfed.datasets import load_transit; t = time.perf_counter();"
        "load_transit(); print(time.perf_counter() - t, 'pandas' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True).stdout
    seconds, pandas = out.split()
    assert pandas == "False"
    assert float(seconds) < 0.3
