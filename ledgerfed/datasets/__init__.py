"""Real data that ships with the package, and tables of one's own; one reader a file."""

from ledgerfed.datasets.table import read_table
from ledgerfed.datasets.transit import TRANSIT_BASIS, TRANSIT_EVENTS_BASIS, load_transit

__all__ = ["TRANSIT_BASIS", "TRANSIT_EVENTS_BASIS", "load_transit", "read_table"]
