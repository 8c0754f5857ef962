"""The agent of one node, and the walk that it takes through a round."""

from ledgerfed.node.agent import NodeAgent, run_rounds
from ledgerfed.node.desk import Ports, Progress
from ledgerfed.node.trainer import TrainingContext, UpdateMaker, honest_update

__all__ = [
    "NodeAgent",
    "Ports",
    "Progress",
    "TrainingContext",
    "UpdateMaker",
    "honest_update",
    "run_rounds",
]
