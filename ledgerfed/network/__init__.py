"""How nodes reach one another: gossip on topics, requests to a peer; within a process, or over HTTP."""

from ledgerfed.network.http_transport import HttpTransport, Peer
from ledgerfed.network.in_process import Fault, Handler, InProcessTransport, deliver
from ledgerfed.network.message import MAX_MESSAGE_BYTES, Message

__all__ = [
    "MAX_MESSAGE_BYTES",
    "Fault",
    "Handler",
    "HttpTransport",
    "InProcessTransport",
    "Message",
    "Peer",
    "deliver",
]
