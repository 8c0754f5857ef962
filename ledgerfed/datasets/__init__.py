"""Real data that ships with the package, one reader a file."""

from ledgerfed.datasets.transit import load_transit

__all__ = ["load_transit"]
