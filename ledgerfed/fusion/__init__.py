"""Combining the information of many nodes, and a personal forecaster for each of them."""

from ledgerfed.fusion.combine import KAPPA, fuse, personal, predict
from ledgerfed.fusion.forecaster import Personal, common_kappa, personalise
from ledgerfed.fusion.shrinkage import KAPPAS, Shrinkage, evidence

__all__ = [
    "KAPPA",
    "KAPPAS",
    "Personal",
    "Shrinkage",
    "common_kappa",
    "evidence",
    "fuse",
    "personal",
    "personalise",
    "predict",
]
