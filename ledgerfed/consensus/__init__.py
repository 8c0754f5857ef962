"""The consensus module: only verified updates enter the aggregation, decided in integers."""

from ledgerfed.consensus.authenticate import authenticate
from ledgerfed.consensus.decide import decide
from ledgerfed.consensus.gates import PastUpdate, RoundInput, pass_gates

__all__ = ["PastUpdate", "RoundInput", "authenticate", "decide", "pass_gates"]
