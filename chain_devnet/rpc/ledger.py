"""Methods that read what is in the blocks: blocks, transactions, receipts, logs, fees."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from chain_devnet.block import Block, block_size
from chain_devnet.chain import Chain
from chain_devnet.errors import LimitExceededError
from chain_devnet.fees import SUGGESTED_TIP, next_base_fee
from chain_devnet.rpc import params as read
from chain_devnet.rpc import views
from chain_devnet.store import StoredTransaction
from ledgerfed.errors import InvalidValueError

MAX_FEE_HISTORY = 1024
MAX_LOGS = 10_000


def eth_block_number(chain: Chain, params: Sequence[object]) -> str:
    """Number of the newest block."""
    read.arguments(params, 0, 0)
    return hex(chain.head.header.number)


def eth_get_block_by_number(chain: Chain, params: Sequence[object]) -> views.Json | None:
    """A block by number or tag, with hashes or whole transactions; null when unknown."""
    wanted, full = read.arguments(params, 1, 2)
    number = read.block_number(chain, wanted)
    if number is None:
        return _pending_block(chain, read.flag(full, "full transactions"))
    return _block(chain, block_at(chain, number), read.flag(full, "full transactions"))


def eth_get_block_by_hash(chain: Chain, params: Sequence[object]) -> views.Json | None:
    """A block by hash; null when unknown."""
    wanted, full = read.arguments(params, 1, 2)
    block = chain.store.block_by_hash(read.block_hash(wanted))
    return _block(chain, block, read.flag(full, "full transactions"))


def eth_get_block_receipts(chain: Chain, params: Sequence[object]) -> list[views.Json] | None:
    """All receipts of a block; null when the block is unknown."""
    (wanted,) = read.arguments(params, 1, 1)
    try:
        header = read.state_header(chain, _hash_as_parameter(wanted))
    except read.BlockNotFoundError:
        return None
    if header is None:
        return []
    return [views.receipt_json(stored) for stored in chain.store.transactions(header.number)]


def eth_get_transaction_by_hash(chain: Chain, params: Sequence[object]) -> views.Json | None:
    """A transaction, mined or waiting; null when unknown."""
    (wanted,) = read.arguments(params, 1, 1)
    return transaction_by_hash(chain, read.block_hash(wanted, "transaction hash"))


def transaction_by_hash(chain: Chain, tx_hash: bytes) -> views.Json | None:
    """A transaction, mined or waiting, as JSON; None when unknown."""
    stored = chain.store.transaction(tx_hash)
    if stored is not None:
        return views.mined_transaction_json(stored)
    waiting = chain.waiting_transaction(tx_hash)
    return None if waiting is None else views.transaction_json(waiting)


def eth_get_raw_transaction_by_hash(chain: Chain, params: Sequence[object]) -> str | None:
    """The signed bytes of a transaction, mined or waiting; null when unknown."""
    (wanted,) = read.arguments(params, 1, 1)
    tx_hash = read.block_hash(wanted, "transaction hash")
    stored = chain.store.transaction(tx_hash)
    found = chain.waiting_transaction(tx_hash) if stored is None else stored.transaction
    return None if found is None else views.hex_data(found.raw)


def eth_get_transaction_by_number_and_index(chain: Chain, params: Sequence[object]) -> views.Json | None:
    """A transaction by its place; null when there is none."""
    wanted, index = read.arguments(params, 2, 2)
    number = read.block_number(chain, wanted)
    return None if number is None else _transaction_at(chain, block_at(chain, number), index)


def eth_get_transaction_by_hash_and_index(chain: Chain, params: Sequence[object]) -> views.Json | None:
    """A transaction by its place; null when there is none."""
    wanted, index = read.arguments(params, 2, 2)
    return _transaction_at(chain, chain.store.block_by_hash(read.block_hash(wanted)), index)


def eth_get_block_transaction_count_by_number(chain: Chain, params: Sequence[object]) -> str | None:
    """How many transactions a block has; null when the block is unknown."""
    (wanted,) = read.arguments(params, 1, 1)
    number = read.block_number(chain, wanted)
    if number is None:
        return hex(len(chain.pending_block().transactions))
    return _count(chain, block_at(chain, number))


def eth_get_block_transaction_count_by_hash(chain: Chain, params: Sequence[object]) -> str | None:
    """How many transactions a block has; null when the block is unknown."""
    (wanted,) = read.arguments(params, 1, 1)
    return _count(chain, chain.store.block_by_hash(read.block_hash(wanted)))


def eth_get_transaction_receipt(chain: Chain, params: Sequence[object]) -> views.Json | None:
    """The receipt of a mined transaction; null until it is mined."""
    (wanted,) = read.arguments(params, 1, 1)
    stored = chain.store.transaction(read.block_hash(wanted, "transaction hash"))
    return None if stored is None else views.receipt_json(stored)


def eth_get_logs(chain: Chain, params: Sequence[object]) -> list[views.Json]:
    """The logs that a filter describes, in chain order."""
    (wanted,) = read.arguments(params, 1, 1)
    found = chain.store.logs(read.log_filter(chain, wanted), MAX_LOGS + 1)
    if len(found) > MAX_LOGS:
        last = found[-1].block_number
        raise LimitExceededError(
            f"the filter describes more than {MAX_LOGS} logs; ask for blocks up to {last - 1} first"
        )
    return [views.log_json(log) for log in found]


def eth_get_uncle_count_by_number(chain: Chain, params: Sequence[object]) -> str | None:
    """Zero, for there are no uncles after the merge; null when the block is unknown."""
    return "0x0" if eth_get_block_transaction_count_by_number(chain, params) else None


def eth_get_uncle_count_by_hash(chain: Chain, params: Sequence[object]) -> str | None:
    """Zero, for there are no uncles after the merge; null when the block is unknown."""
    return "0x0" if eth_get_block_transaction_count_by_hash(chain, params) else None


def eth_get_uncle(_chain: Chain, params: Sequence[object]) -> None:
    """Always null: there are no uncles after the merge."""
    read.arguments(params, 2, 2)


def eth_gas_price(chain: Chain, params: Sequence[object]) -> str:
    """A price per gas, in wei, that the next block takes."""
    read.arguments(params, 0, 0)
    return hex(next_base_fee(chain.head.header) + SUGGESTED_TIP)


def eth_base_fee(chain: Chain, params: Sequence[object]) -> str:
    """Base fee per gas of the next block, in wei."""
    read.arguments(params, 0, 0)
    return hex(next_base_fee(chain.head.header))


def eth_get_header_by_number(chain: Chain, params: Sequence[object]) -> views.Json | None:
    """A block's header by number or tag; null when unknown."""
    (wanted,) = read.arguments(params, 1, 1)
    number = read.block_number(chain, wanted)
    block = chain.pending_block() if number is None else block_at(chain, number)
    return None if block is None else views.header_json(block)


def eth_get_header_by_hash(chain: Chain, params: Sequence[object]) -> views.Json | None:
    """A block's header by hash; null when unknown."""
    (wanted,) = read.arguments(params, 1, 1)
    block = chain.store.block_by_hash(read.block_hash(wanted))
    return None if block is None else views.header_json(block)


def eth_max_priority_fee_per_gas(_chain: Chain, params: Sequence[object]) -> str:
    """The tip per gas, in wei, to offer."""
    read.arguments(params, 0, 0)
    return hex(SUGGESTED_TIP)


def eth_blob_base_fee(_chain: Chain, params: Sequence[object]) -> str:
    """The price of blob gas, always its minimum: no block carries blobs."""
    read.arguments(params, 0, 0)
    return "0x1"


def eth_fee_history(chain: Chain, params: Sequence[object]) -> views.Json:
    """Base fees, fullness and tips of recent blocks (execution-apis, eth_feeHistory)."""
    count, newest, percentiles = read.arguments(params, 2, 3)
    wanted = _percentiles(percentiles)
    blocks = min(max(read.quantity(count, "block count"), 1), MAX_FEE_HISTORY)
    last = read.state_header(chain, newest) or chain.head.header
    found = [block_at(chain, number) for number in range(max(0, last.number - blocks + 1), last.number + 1)]
    headers = [block.header for block in found if block is not None]
    history: views.Json = {
        "oldestBlock": hex(headers[0].number),
        "baseFeePerGas": [*(hex(header.base_fee) for header in headers), hex(next_base_fee(last))],
        "gasUsedRatio": [header.gas_used / header.gas_limit for header in headers],
        "baseFeePerBlobGas": ["0x1"] * (len(headers) + 1),
        "blobGasUsedRatio": [0.0] * len(headers),
    }
    if wanted is not None:
        history["reward"] = [
            _tips(chain.store.transactions(header.number), header.base_fee, header.gas_used, wanted)
            for header in headers
        ]
    return history


def _tips(
    mined: Sequence[StoredTransaction], base_fee: int, gas_used: int, percentiles: list[float]
) -> list[str]:
    tips = sorted(
        (stored.receipt.effective_gas_price - base_fee, stored.receipt.gas_used) for stored in mined
    )
    rewards = []
    for percentile in percentiles:
        threshold, reached, tip = gas_used * percentile / 100, 0, 0
        for tip, gas in tips:  # noqa: B007  # the last tip counts when the threshold is all gas
            reached += gas
            if reached >= threshold:
                break
        rewards.append(hex(tip))
    return rewards


def _percentiles(value: object) -> list[float] | None:
    if value is None:
        return None
    if not isinstance(value, list) or not all(isinstance(entry, (int, float)) for entry in value):
        raise InvalidValueError("reward percentiles must be a list of numbers")
    if any(not 0 <= entry <= 100 for entry in value) or value != sorted(value):
        raise InvalidValueError("reward percentiles must rise from 0 to 100")
    return value


def _hash_as_parameter(value: object) -> object:
    return {"blockHash": value} if isinstance(value, str) and len(value) == 66 else value


def block_at(chain: Chain, number: int) -> Block | None:
    """The block `number`, or None when the chain has not come that far."""
    return chain.store.block(number) if 0 <= number <= chain.head.header.number else None


def _block(chain: Chain, block: Block | None, full: bool) -> views.Json | None:
    if block is None:
        return None
    mined = chain.store.transactions(block.header.number)
    size = block_size(block.header, [stored.transaction for stored in mined])
    entries: list[object] = (
        [views.mined_transaction_json(stored) for stored in mined]
        if full
        else [views.hex_data(stored.transaction.hash) for stored in mined]
    )
    return views.block_json(block.header, block.hash, size, entries)


def _pending_block(chain: Chain, full: bool) -> views.Json:
    block = chain.pending_block()
    entries: list[object] = [
        views.transaction_json(tx) if full else views.hex_data(tx.hash) for tx in block.transactions
    ]
    return {**views.block_json(block.header, None, block.size, entries), "nonce": None}


def _transaction_at(chain: Chain, block: Block | None, index: object) -> views.Json | None:
    position = read.quantity(index, "transaction index")
    if block is None or position >= 2**32:
        return None
    stored = chain.store.transaction_at(block.header.number, position)
    return None if stored is None else views.mined_transaction_json(stored)


def _count(chain: Chain, block: Block | None) -> str | None:
    return None if block is None else hex(len(chain.store.transaction_hashes(block.header.number)))


METHODS: dict[str, Callable[[Chain, Sequence[object]], object]] = {
    "eth_blockNumber": eth_block_number,
    "eth_getBlockByNumber": eth_get_block_by_number,
    "eth_getBlockByHash": eth_get_block_by_hash,
    "eth_getBlockReceipts": eth_get_block_receipts,
    "eth_getTransactionByHash": eth_get_transaction_by_hash,
    "eth_getRawTransactionByHash": eth_get_raw_transaction_by_hash,
    "eth_getTransactionByBlockNumberAndIndex": eth_get_transaction_by_number_and_index,
    "eth_getTransactionByBlockHashAndIndex": eth_get_transaction_by_hash_and_index,
    "eth_getBlockTransactionCountByNumber": eth_get_block_transaction_count_by_number,
    "eth_getBlockTransactionCountByHash": eth_get_block_transaction_count_by_hash,
    "eth_getTransactionReceipt": eth_get_transaction_receipt,
    "eth_getLogs": eth_get_logs,
    "eth_getUncleCountByBlockNumber": eth_get_uncle_count_by_number,
    "eth_getUncleCountByBlockHash": eth_get_uncle_count_by_hash,
    "eth_getUncleByBlockNumberAndIndex": eth_get_uncle,
    "eth_getUncleByBlockHashAndIndex": eth_get_uncle,
    "eth_gasPrice": eth_gas_price,
    "eth_baseFee": eth_base_fee,
    "eth_getHeaderByNumber": eth_get_header_by_number,
    "eth_getHeaderByHash": eth_get_header_by_hash,
    "eth_maxPriorityFeePerGas": eth_max_priority_fee_per_gas,
    "eth_blobBaseFee": eth_blob_base_fee,
    "eth_feeHistory": eth_fee_history,
}
