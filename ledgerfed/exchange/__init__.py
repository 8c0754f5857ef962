"""The door between the float wing and the exact wing: basis, design, information, and their integers."""

from ledgerfed.exchange.basis import (
    AGE,
    ANY,
    HELD,
    OBSERVED,
    STANDARD,
    Basis,
    ChannelTerm,
    fourier,
    masked,
)
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
    "AGE",
    "ANY",
    "HELD",
    "OBSERVED",
    "RIDGE",
    "STANDARD",
    "Basis",
    "ChannelTerm",
    "Design",
    "Information",
    "dequantise",
    "design",
    "family_tag",
    "fourier",
    "information",
    "masked",
    "model_to_precision",
    "model_to_theta",
    "noise_about",
    "quantise",
]
