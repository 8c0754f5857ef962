"""Daily riders of 20 stations of Chicago's elevated railway, with weather and games (`data/chicago.md`).

5,684 days, 2001-01-22 to 2016-08-14. A station is a node; weather and games are shared by all of them.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ledgerfed.datasets.shipped import FOLDER, Shipped, read_arrays
from ledgerfed.exchange.basis import ANY, Basis, ChannelTerm
from ledgerfed.series.panel import Modality, Panel

CHICAGO: Final = Shipped(
    FOLDER / "chicago.npz",
    ("first_day", "riders", "weather", "games"),
    "11c9e18f71baf23bfa59ae4cfc9e22ef557a0ffc16290951fe90d8f584f2c7e9",
)
"""The shipped file; the digest is what `derive_chicago` prints."""
SCALE: Final = 10_000
"""Riders and weather are stored as integers, rounded to four decimals."""
DAY: Final = 86_400

# fmt: off
STATIONS: Final = (
    "Addison", "Archer_35th", "Ashland", "Austin", "Belmont", "California", "Clark_Lake", "Clinton", "Harlem",
    "Irving_Park", "Jefferson_Park", "Kedzie", "Merchandise_Mart", "Monroe", "Montrose", "Oak_Park", "Polk",
    "Quincy_Wells", "Washington_Wells", "Western",
)
WEATHER: Final = {
    "temp_min": "degF", "temp": "degF", "temp_max": "degF", "temp_change": "degF", "dew": "degF",
    "humidity": "percent", "pressure": "inHg", "pressure_change": "inHg", "wind": "mph", "wind_max": "mph",
    "gust": "mph", "gust_max": "mph", "percip": "in", "percip_max": "in", "weather_rain": "share",
    "weather_snow": "share", "weather_cloud": "share", "weather_storm": "share",
}
GAMES: Final = (
    "Blackhawks_Away", "Blackhawks_Home", "Bulls_Away", "Bulls_Home", "Bears_Away", "Bears_Home", "Baseball",
)
# fmt: on

_RAIN_YESTERDAY = ChannelTerm("weather", ("weather_rain",), lag=1)
_HOME_GAME_TODAY = ChannelTerm("games", ("Blackhawks_Home", "Bulls_Home", "Bears_Home"), 0, ANY)
_WEEKEND = ("weekday:5", "weekday:6")
_LAGS = (1, 2, 3, 4, 5, 6, 7, 14)

TRANSIT_BASIS: Final = Basis("riders", "thousand/day", DAY, _LAGS, (_RAIN_YESTERDAY,), _WEEKEND)
"""What a station's next day is explained by: two weeks, the weekend, and yesterday's rain, which held riders
back who may return. Chosen on earlier years only (`python -m ledgerfed.evaluation.basis_study`)."""

TRANSIT_EVENTS_BASIS: Final = Basis(
    "riders", "thousand/day", DAY, _LAGS, (_RAIN_YESTERDAY, _HOME_GAME_TODAY), _WEEKEND
)
"""The same with home games, known ahead: for windows long enough to hold several of them."""


def load_transit() -> tuple[Panel, ...]:
    """Return one panel per station, by name: thousand riders a day, and the shared modalities.

    `weather` is known after its day; `games` (1.0 on a game day) is a fixture list, known ahead.

    Raises:
        StoreError: the shipped file is missing or not the one that this release was made with.
    """
    arrays = read_arrays(CHICAGO)
    riders = arrays["riders"] / SCALE
    days = arrays["first_day"].astype("datetime64[D]") + np.arange(len(riders))
    times = days.astype("datetime64[s]")
    times.setflags(write=False)
    modalities = (
        Modality("weather", tuple(WEATHER), tuple(WEATHER.values()), times, arrays["weather"] / SCALE),
        Modality("games", GAMES, ("flag",) * len(GAMES), times, arrays["games"], known_ahead=True),
    )
    return tuple(
        Panel(station, DAY, times, riders[:, i], "riders", "thousand/day", modalities)
        for i, station in enumerate(STATIONS)
    )
