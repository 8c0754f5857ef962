"""Methods about the node itself, and those that only a devnet has: time, mining, snapshots."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from importlib.metadata import version

from eth_hash.auto import keccak

from chain_devnet.chain import Chain
from chain_devnet.rpc import params as read
from chain_devnet.rpc import views
from ledgerfed.errors import InvalidValueError

MAX_BLOCKS = 100_000


def eth_chain_id(chain: Chain, params: Sequence[object]) -> str:
    """The chain id (EIP-155)."""
    read.arguments(params, 0, 0)
    return hex(chain.config.chain_id)


def net_version(chain: Chain, params: Sequence[object]) -> str:
    """The chain id in decimal."""
    read.arguments(params, 0, 0)
    return str(chain.config.chain_id)


def net_listening(_chain: Chain, params: Sequence[object]) -> bool:
    """Always true: whoever gets the answer has reached the node."""
    read.arguments(params, 0, 0)
    return True


def net_peer_count(_chain: Chain, params: Sequence[object]) -> str:
    """Always zero: there is one producer."""
    read.arguments(params, 0, 0)
    return "0x0"


def eth_syncing(_chain: Chain, params: Sequence[object]) -> bool:
    """Always false: there is nobody to sync from."""
    read.arguments(params, 0, 0)
    return False


def web3_client_version(_chain: Chain, params: Sequence[object]) -> str:
    """Name and version of this program and of its EVM."""
    read.arguments(params, 0, 0)
    return f"chain_devnet/{version('ledgerfed')}/py-evm-{version('py-evm')}/prague"


def web3_sha3(_chain: Chain, params: Sequence[object]) -> str:
    """Keccak-256 of some data."""
    (value,) = read.arguments(params, 1, 1)
    return views.hex_data(keccak(read.data(value, "data")))


def evm_mine(chain: Chain, params: Sequence[object]) -> str:
    """Mine one block, at a timestamp if given, or as many as {"blocks": n} says."""
    (option,) = read.arguments(params, 0, 1)
    options = option if isinstance(option, dict) else {"timestamp": option}
    if options.get("timestamp") is not None:
        chain.set_next_timestamp(read.quantity(options["timestamp"], "timestamp"))
    chain.mine(_block_count(options.get("blocks")))
    return "0x0"


def mine_blocks(chain: Chain, params: Sequence[object]) -> bool:
    """Mine a number of blocks, a number of seconds apart (anvil_mine, hardhat_mine).

    An interval of 0 is none, as for anvil: viem always sends one.
    """
    count, interval = read.arguments(params, 0, 2)
    seconds = 0 if interval is None else read.quantity(interval, "interval")
    if not 0 <= seconds < 2**32:
        raise InvalidValueError(f"interval must be 0 to 2^32 - 1 seconds, got {seconds}")
    chain.mine(_block_count(count), seconds or None)
    return True


def evm_increase_time(chain: Chain, params: Sequence[object]) -> int:
    """Let time run ahead by some seconds; returns the whole lead in seconds."""
    (seconds,) = read.arguments(params, 1, 1)
    return chain.increase_time(read.quantity(seconds, "seconds"))


def evm_set_next_block_timestamp(chain: Chain, params: Sequence[object]) -> str:
    """Give the next block a timestamp."""
    (timestamp,) = read.arguments(params, 1, 1)
    chosen = read.quantity(timestamp, "timestamp")
    chain.set_next_timestamp(chosen)
    return hex(chosen)


def evm_set_automine(chain: Chain, params: Sequence[object]) -> bool:
    """Mine a block for each transaction, or let them wait until blocks are asked for."""
    (wanted,) = read.arguments(params, 1, 1)
    chain.automine = read.flag(wanted, "automine")
    return True


def get_automine(chain: Chain, params: Sequence[object]) -> bool:
    """Whether each transaction gets a block at once."""
    read.arguments(params, 0, 0)
    return chain.automine


def eth_coinbase(chain: Chain, params: Sequence[object]) -> str:
    """The address that earns the tips of the next block."""
    read.arguments(params, 0, 0)
    return views.hex_data(chain.pending_view().environment.coinbase)


def rpc_modules(_chain: Chain, params: Sequence[object]) -> dict[str, str]:
    """The namespaces that are served."""
    read.arguments(params, 0, 0)
    names = ("anvil", "debug", "eth", "evm", "hardhat", "net", "personal", "txpool", "web3")
    return dict.fromkeys(names, "1.0")


def evm_snapshot(chain: Chain, params: Sequence[object]) -> str:
    """Remember the present state under a number."""
    read.arguments(params, 0, 0)
    return hex(chain.snapshot())


def evm_revert(chain: Chain, params: Sequence[object]) -> bool:
    """Go back to a remembered state; false if the number is not known (any more)."""
    (number,) = read.arguments(params, 1, 1)
    return chain.revert(read.quantity(number, "snapshot"))


def _block_count(value: object) -> int:
    count = 1 if value is None else read.quantity(value, "block count")
    if count > MAX_BLOCKS:
        raise InvalidValueError(f"cannot mine {count} blocks at once; at most {MAX_BLOCKS}")
    return count


METHODS: dict[str, Callable[[Chain, Sequence[object]], object]] = {
    "eth_chainId": eth_chain_id,
    "eth_syncing": eth_syncing,
    "net_version": net_version,
    "net_listening": net_listening,
    "net_peerCount": net_peer_count,
    "web3_clientVersion": web3_client_version,
    "web3_sha3": web3_sha3,
    "evm_mine": evm_mine,
    "anvil_mine": mine_blocks,
    "hardhat_mine": mine_blocks,
    "evm_increaseTime": evm_increase_time,
    "evm_setNextBlockTimestamp": evm_set_next_block_timestamp,
    "evm_setAutomine": evm_set_automine,
    "anvil_setAutomine": evm_set_automine,
    "anvil_getAutomine": get_automine,
    "hardhat_getAutomine": get_automine,
    "anvil_increaseTime": evm_increase_time,
    "anvil_setNextBlockTimestamp": evm_set_next_block_timestamp,
    "anvil_snapshot": evm_snapshot,
    "anvil_revert": evm_revert,
    "eth_coinbase": eth_coinbase,
    "rpc_modules": rpc_modules,
    "evm_snapshot": evm_snapshot,
    "evm_revert": evm_revert,
}
