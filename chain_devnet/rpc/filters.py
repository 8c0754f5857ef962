"""Methods that install, poll and uninstall filters."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chain_devnet.block import Block
from chain_devnet.chain import Chain
from chain_devnet.rpc import params as read
from chain_devnet.rpc import views
from chain_devnet.rpc.ledger import eth_get_logs
from chain_devnet.watches import WatchedLog
from ledgerfed.errors import InvalidValueError


def eth_new_filter(chain: Chain, params: Sequence[object]) -> str:
    """Install a log filter; returns its number."""
    (wanted,) = read.arguments(params, 1, 1)
    watch = chain.watches.logs(read.watched_logs(chain, wanted))
    return hex(chain.filters.install(watch, wanted))


def eth_new_block_filter(chain: Chain, params: Sequence[object]) -> str:
    """Install a filter for block hashes; returns its number."""
    read.arguments(params, 0, 0)
    return hex(chain.filters.install(chain.watches.blocks()))


def eth_new_pending_transaction_filter(chain: Chain, params: Sequence[object]) -> str:
    """Install a filter for hashes of accepted transactions; returns its number."""
    read.arguments(params, 0, 0)
    return hex(chain.filters.install(chain.watches.pending()))


def eth_get_filter_changes(chain: Chain, params: Sequence[object]) -> list[object]:
    """What is new since the filter was last asked: logs (removed ones too), block or transaction hashes."""
    (number,) = read.arguments(params, 1, 1)
    wanted = read.quantity(number, "filter")
    taken = chain.filters.find(wanted).watch.take()
    chain.filters.find(wanted)  # it may have found out only now that it lost track
    return [_shown(entry) for entry in taken]


def eth_get_filter_logs(chain: Chain, params: Sequence[object]) -> list[views.Json]:
    """All logs that a log filter describes, seen before or not."""
    (number,) = read.arguments(params, 1, 1)
    wanted = chain.filters.find(read.quantity(number, "filter")).wanted
    if wanted is None:
        raise InvalidValueError("only log filters have logs; poll this one with eth_getFilterChanges")
    return eth_get_logs(chain, [wanted])


def eth_uninstall_filter(chain: Chain, params: Sequence[object]) -> bool:
    """Forget a filter; false if there is none."""
    (number,) = read.arguments(params, 1, 1)
    return chain.filters.uninstall(read.quantity(number, "filter"))


def _shown(entry: Block | WatchedLog | bytes) -> object:
    if isinstance(entry, bytes):
        return views.hex_data(entry)
    if isinstance(entry, Block):
        return views.hex_data(entry.hash)
    return views.watched_log_json(entry)


METHODS: dict[str, Callable[[Chain, Sequence[object]], object]] = {
    "eth_newFilter": eth_new_filter,
    "eth_newBlockFilter": eth_new_block_filter,
    "eth_newPendingTransactionFilter": eth_new_pending_transaction_filter,
    "eth_getFilterChanges": eth_get_filter_changes,
    "eth_getFilterLogs": eth_get_filter_logs,
    "eth_uninstallFilter": eth_uninstall_filter,
}
