"""Combining the information of many nodes, and a personal forecaster for each of them."""

from ledgerfed.fusion.combine import KAPPA, fuse, personal, predict

__all__ = ["KAPPA", "fuse", "personal", "predict"]
