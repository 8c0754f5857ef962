"""Combining the information of many nodes, and a personal forecaster for each of them."""

from ledgerfed.fusion.choice import no_harm
from ledgerfed.fusion.combine import KAPPA, fuse, personal, predict
from ledgerfed.fusion.forecaster import Personal, personalise, predictive
from ledgerfed.fusion.intervals import Interval, interval
from ledgerfed.fusion.shrinkage import KAPPAS, Shrinkage, shrinkage

__all__ = [
    "KAPPA",
    "KAPPAS",
    "Interval",
    "Personal",
    "Shrinkage",
    "fuse",
    "interval",
    "no_harm",
    "personal",
    "personalise",
    "predict",
    "predictive",
    "shrinkage",
]
