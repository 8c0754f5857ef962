"""What hostile nodes send instead of an honest update: one makers' module for each kind of payload."""

from ledgerfed.evaluation.attacks.information import FreeRider, SignFlip

__all__ = ["FreeRider", "SignFlip"]
