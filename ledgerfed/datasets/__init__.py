"""Real data that ships with the package, and tables of one's own; one reader a file."""

from ledgerfed.datasets.episodes import episodes
from ledgerfed.datasets.health import load_health_patients, load_health_wards
from ledgerfed.datasets.industry import load_industry
from ledgerfed.datasets.table import read_table
from ledgerfed.datasets.transit import TRANSIT_BASIS, TRANSIT_EVENTS_BASIS, load_transit

__all__ = [
    "TRANSIT_BASIS",
    "TRANSIT_EVENTS_BASIS",
    "episodes",
    "load_health_patients",
    "load_health_wards",
    "load_industry",
    "load_transit",
    "read_table",
]
