"""A durable one-producer Ethereum chain for development: py-evm behind JSON-RPC over HTTP.

Embed it with `DevnetServer`, or run it with `python -m chain_devnet`.
"""

from chain_devnet.accounts import DevAccount, dev_accounts
from chain_devnet.chain import Chain
from chain_devnet.config import CHAIN_ID, GENESIS_TIME, ChainConfig
from chain_devnet.opening import open_chain
from chain_devnet.server import DevnetServer

__all__ = [
    "CHAIN_ID",
    "GENESIS_TIME",
    "Chain",
    "ChainConfig",
    "DevAccount",
    "DevnetServer",
    "dev_accounts",
    "open_chain",
]
