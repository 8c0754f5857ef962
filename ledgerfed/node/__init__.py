"""The agent of one node, and the walk that it takes through a round."""

from ledgerfed.node.agent import NodeAgent, run_rounds
from ledgerfed.node.desk import Ports, Progress
from ledgerfed.node.federation_file import FederationFile, read_federation_file, write_federation_file
from ledgerfed.node.service import NodeService
from ledgerfed.node.trainer import TrainingContext, UpdateMaker, honest_update

__all__ = [
    "FederationFile",
    "NodeAgent",
    "NodeService",
    "Ports",
    "Progress",
    "TrainingContext",
    "UpdateMaker",
    "honest_update",
    "read_federation_file",
    "run_rounds",
    "write_federation_file",
]
