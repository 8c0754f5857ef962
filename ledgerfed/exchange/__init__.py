"""The door between the float wing and the exact wing: basis, design, information, and their integers."""

from ledgerfed.exchange.basis import ANY, STANDARD, Basis, ChannelTerm
from ledgerfed.exchange.design import Design, design
from ledgerfed.exchange.information import RIDGE, Information, information, noise_about
from ledgerfed.exchange.quantise import (
    dequantise,
    model_to_precision,
    model_to_theta,
    quantise,
)
from ledgerfed.protocol.payload import family_tag

__all__ = [
    "ANY",
    "RIDGE",
    "STANDARD",
    "Basis",
    "ChannelTerm",
    "Design",
    "Information",
    "dequantise",
    "design",
    "family_tag",
    "information",
    "model_to_precision",
    "model_to_theta",
    "noise_about",
    "quantise",
]
