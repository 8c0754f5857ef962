"""txpool_*: what waits for a block, by sender and nonce.

Source: ethereum/execution-apis (txpool namespace).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from chain_devnet.chain import Chain
from chain_devnet.rpc import params as read
from chain_devnet.rpc import views
from chain_devnet.transaction import Transaction

Waiting = Mapping[bytes, tuple[Transaction, ...]]


def txpool_status(chain: Chain, params: Sequence[object]) -> views.Json:
    """How many transactions can go into blocks, and how many are behind a gap of nonces."""
    read.arguments(params, 0, 0)
    content = chain.pool_content()
    return {
        name: hex(sum(map(len, waiting.values())))
        for name, waiting in (("pending", content.pending), ("queued", content.queued))
    }


def txpool_content(chain: Chain, params: Sequence[object]) -> views.Json:
    """The waiting transactions."""
    read.arguments(params, 0, 0)
    content = chain.pool_content()
    return {"pending": _by_sender(content.pending), "queued": _by_sender(content.queued)}


def txpool_content_from(chain: Chain, params: Sequence[object]) -> views.Json:
    """The waiting transactions of one sender."""
    (address,) = read.arguments(params, 1, 1)
    sender, content = read.address(address), chain.pool_content()
    return {
        "pending": _by_nonce(content.pending.get(sender, ())),
        "queued": _by_nonce(content.queued.get(sender, ())),
    }


def txpool_inspect(chain: Chain, params: Sequence[object]) -> views.Json:
    """The waiting transactions, one line each."""
    read.arguments(params, 0, 0)
    content = chain.pool_content()
    return {"pending": _summaries(content.pending), "queued": _summaries(content.queued)}


def _by_sender(waiting: Waiting) -> views.Json:
    return {views.hex_data(sender): _by_nonce(own) for sender, own in waiting.items()}


def _by_nonce(own: Sequence[Transaction]) -> views.Json:
    return {str(tx.nonce): views.transaction_json(tx) for tx in own}


def _summaries(waiting: Waiting) -> views.Json:
    return {
        views.hex_data(sender): {str(tx.nonce): _summary(tx) for tx in own} for sender, own in waiting.items()
    }


def _summary(tx: Transaction) -> str:
    to = "contract creation" if tx.to is None else views.hex_data(tx.to)
    return f"{to}: {tx.value} wei + {tx.gas} gas × {tx.max_fee} wei"


METHODS: dict[str, Callable[[Chain, Sequence[object]], object]] = {
    "txpool_status": txpool_status,
    "txpool_content": txpool_content,
    "txpool_contentFrom": txpool_content_from,
    "txpool_inspect": txpool_inspect,
}
