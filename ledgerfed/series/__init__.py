"""Panels of private data: modalities on their own clocks, one grid, windows in time, local scales."""

from ledgerfed.series.align import AlignedModality, AlignedPanel, align
from ledgerfed.series.drift import DriftMonitor, DriftRule, DriftStatus, drift_status
from ledgerfed.series.panel import Modality, Panel
from ledgerfed.series.split import Split, Window, split
from ledgerfed.series.standardise import TARGET, Standardisation, channel_column, standardisation
from ledgerfed.series.windows import per_period, summarise

__all__ = [
    "TARGET",
    "AlignedModality",
    "AlignedPanel",
    "DriftMonitor",
    "DriftRule",
    "DriftStatus",
    "Modality",
    "Panel",
    "Split",
    "Standardisation",
    "Window",
    "align",
    "channel_column",
    "drift_status",
    "per_period",
    "split",
    "standardisation",
    "summarise",
]
