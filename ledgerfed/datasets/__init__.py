"""Real data that ships with the package, one reader a file."""

from ledgerfed.datasets.transit import TRANSIT_BASIS, TRANSIT_EVENTS_BASIS, load_transit

__all__ = ["TRANSIT_BASIS", "TRANSIT_EVENTS_BASIS", "load_transit"]
