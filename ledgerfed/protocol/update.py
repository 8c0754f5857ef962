"""Updates of every kind: what a federation exchanges, by the kind that its configuration names."""

from __future__ import annotations

from enum import StrEnum

from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.payload import InformationUpdate, decode_update, encode_update
from ledgerfed.protocol.predictions import PredictionsUpdate, decode_predictions, encode_predictions

Update = InformationUpdate | PredictionsUpdate


class Exchange(StrEnum):
    """What nodes exchange: information on a shared basis, or predictions on a shared probe."""

    INFORMATION = "information"
    PREDICTIONS = "predictions"


def payload_of(update: Update) -> bytes:
    """Return the canonical bytes of an update, without what its opening says."""
    return encode_update(update) if isinstance(update, InformationUpdate) else encode_predictions(update)


def read_payload(payload: bytes, opening: Opening, exchange: Exchange) -> Update:
    """Read a payload of the one kind that a federation exchanges.

    Raises:
        InvalidValueError: another kind, or not canonical bytes of this one.
    """
    if exchange is Exchange.INFORMATION:
        return decode_update(payload, opening)
    return decode_predictions(payload, opening)
