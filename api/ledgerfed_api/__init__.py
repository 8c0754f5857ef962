"""The HTTP face of ledgerfed: read-only, and nothing in it has to be believed."""

from ledgerfed_api.application import create_app
from ledgerfed_api.settings import Settings

__all__ = ["Settings", "create_app"]
