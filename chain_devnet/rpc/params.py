"""From JSON to values: what the methods accept, and a clear refusal of everything else.

Source: ethereum/execution-apis (quantities, data, block parameters), EIP-1898 (block by hash).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from chain_devnet.backend import Environment
from chain_devnet.block import Header
from chain_devnet.chain import Chain
from chain_devnet.config import MAX_UINT64
from chain_devnet.errors import LimitExceededError
from chain_devnet.state import StateEdit
from chain_devnet.store import LogFilter
from chain_devnet.transaction import AccessList
from ledgerfed.errors import InvalidValueError, NotFoundError

ADDRESS_BYTES = 20
HASH_BYTES = 32
MAX_QUANTITY = 2**256
MAX_LOG_RANGE = 100_000
MAX_ALTERNATIVES = 1_000
NO_BLOCK = 2**63 - 1  # the largest number that the store can compare with
MAX_OVERRIDDEN_SLOTS = 10_000
TAGS = ("latest", "safe", "finalized", "pending", "earliest")

_BLOCK_FIELDS = {
    "number": "number",
    "time": "timestamp",
    "gasLimit": "gas_limit",
    "coinbase": "coinbase",
    "feeRecipient": "coinbase",
    "random": "mix_hash",
    "prevRandao": "mix_hash",
    "baseFee": "base_fee",
    "baseFeePerGas": "base_fee",
}
_HEX_NUMBER = re.compile(r"0x[0-9a-fA-F]{1,66}")
_HEX_DATA = re.compile(r"0x([0-9a-fA-F]{2})*")


class BlockNotFoundError(NotFoundError):
    """The block whose state or logs are asked for is not in the chain."""


def arguments(params: Sequence[object], least: int, most: int) -> list[object]:
    """`params` filled with None up to `most`.

    Raises:
        InvalidValueError: too few or too many.
    """
    if not least <= len(params) <= most:
        expected = str(least) if least == most else f"{least} to {most}"
        raise InvalidValueError(f"expected {expected} parameters, got {len(params)}")
    return [*params, *[None] * (most - len(params))]


def quantity(value: object, name: str) -> int:
    """A non-negative integer below 2^256 from a hex string (or a plain JSON integer)."""
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MAX_QUANTITY:
        return value
    if isinstance(value, str) and _HEX_NUMBER.fullmatch(value) and int(value, 16) < MAX_QUANTITY:
        return int(value, 16)
    raise InvalidValueError(f"{name} must be a hex quantity such as 0x1f, got {_shown(value)}")


def data(value: object, name: str, length: int | None = None) -> bytes:
    """Bytes from a 0x string; exactly `length` of them if given."""
    if not isinstance(value, str) or not _HEX_DATA.fullmatch(value):
        raise InvalidValueError(f"{name} must be hex data such as 0xc0de, got {_shown(value)}")
    decoded = bytes.fromhex(value[2:])
    if length is not None and len(decoded) != length:
        raise InvalidValueError(f"{name} must have {length} bytes, got {len(decoded)}")
    return decoded


def address(value: object, name: str = "address") -> bytes:
    """A 20-byte address."""
    return data(value, name, ADDRESS_BYTES)


def block_hash(value: object, name: str = "hash") -> bytes:
    """A 32-byte hash."""
    return data(value, name, HASH_BYTES)


def slot(value: object) -> int:
    """A storage slot, as 32-byte data or as a quantity."""
    return quantity(value, "storage slot")


def flag(value: object, name: str) -> bool:
    """A boolean; absent means false."""
    if value is None or isinstance(value, bool):
        return bool(value)
    raise InvalidValueError(f"{name} must be true or false, got {_shown(value)}")


def mapping(value: object, name: str) -> dict[str, object]:
    """A JSON object."""
    if not isinstance(value, dict):
        raise InvalidValueError(f"{name} must be an object, got {_shown(value)}")
    return value


def block_number(chain: Chain, value: object) -> int | None:
    """The number that a block parameter means, or None for the pending block; it may lie in the future.

    `safe` and `finalized` are the newest block that nothing but `evm_revert` can take away.
    """
    if value is None or value == "latest":
        return chain.head.header.number
    if value in ("safe", "finalized"):
        return chain.finalized_number
    if value == "pending":
        return None
    if value == "earliest":
        return 0
    if isinstance(value, str) and not value.startswith("0x"):
        raise InvalidValueError(f"unknown block {_shown(value)}; use {', '.join(TAGS)} or a hex number")
    return quantity(value, "block number")


def state_header(chain: Chain, value: object) -> Header | None:
    """The header whose state a block parameter (EIP-1898 too) means; None for the pending state.

    Raises:
        BlockNotFoundError: no such block.
    """
    if isinstance(value, dict):
        if "blockHash" in value:
            wanted = block_hash(value["blockHash"], "blockHash")
            block = chain.store.block_by_hash(wanted)
            return _found(block.header if block else None, f"0x{wanted.hex()}")
        value = value.get("blockNumber")
    number = block_number(chain, value)
    if number is None:
        return None
    head = chain.head.header
    if number == head.number:
        return head
    block = chain.store.block(number) if number < head.number else None
    return _found(block.header if block else None, str(number))


def access_list(value: object) -> AccessList:
    """An EIP-2930 access list; absent means empty."""
    entries = [mapping(entry, "access list entry") for entry in _sequence(value, "accessList")]
    return tuple((address(entry.get("address")), _storage_keys(entry)) for entry in entries)


def state_overrides(value: object) -> dict[bytes, StateEdit]:
    """The accounts that a call is to see changed (geth's state overrides); absent means none."""
    if value is None:
        return {}
    return {
        address(name, "overridden address"): _account_override(mapping(entry, "account override"))
        for name, entry in mapping(value, "state overrides").items()
    }


def block_overrides(environment: Environment, value: object) -> Environment:
    """`environment` with the fields that a call is to see changed (geth's block overrides)."""
    if value is None:
        return environment
    changes: dict[str, object] = {}
    for name, given in mapping(value, "block overrides").items():
        if name not in _BLOCK_FIELDS:
            raise InvalidValueError(f"unknown block override {_shown(name)}; use {', '.join(_BLOCK_FIELDS)}")
        field = _BLOCK_FIELDS[name]
        if field == "coinbase":
            changes[field] = address(given, name)
        elif field == "mix_hash":
            changes[field] = quantity(given, name).to_bytes(32, "big")
        else:
            changes[field] = bounded(given, name, MAX_UINT64)
    return replace(environment, **changes)  # type: ignore[arg-type]  # each field has the type of its kind


def bounded(value: object, name: str, most: int) -> int:
    """A quantity of at most `most`."""
    number = quantity(value, name)
    if number > most:
        raise InvalidValueError(f"{name} must be at most {most}, got {number}")
    return number


def _account_override(entry: dict[str, object]) -> StateEdit:
    unknown = entry.keys() - {"balance", "nonce", "code", "state", "stateDiff"}
    if unknown:
        raise InvalidValueError(f"unknown account override {_shown(min(unknown))}")
    balance, nonce, code, state, diff = (
        entry.get(name) for name in ("balance", "nonce", "code", "state", "stateDiff")
    )
    if state is not None and diff is not None:
        raise InvalidValueError("an account override has either state or stateDiff, not both")
    words = mapping(diff if state is None else state, "storage") if state or diff else {}
    if len(words) > MAX_OVERRIDDEN_SLOTS:
        raise LimitExceededError(f"an account override has at most {MAX_OVERRIDDEN_SLOTS} slots")
    return StateEdit(
        balance=None if balance is None else quantity(balance, "balance"),
        nonce=None if nonce is None else bounded(nonce, "nonce", MAX_UINT64),
        code=None if code is None else data(code, "code"),
        slots={slot(key): quantity(word, "storage word") for key, word in words.items()},
        wipe=state is not None,
    )


def log_filter(chain: Chain, value: object) -> LogFilter:
    """The filter of eth_getLogs: a block range or a block hash, addresses, and topics with alternatives.

    Raises:
        LimitExceededError: the range or a list of alternatives is too long.
    """
    wanted = mapping(value, "filter")
    first, last = _block_range(chain, wanted)
    if last - first >= MAX_LOG_RANGE:
        raise LimitExceededError(
            f"blocks {first} to {last} are more than {MAX_LOG_RANGE}; ask for smaller ranges"
        )
    return _criteria(wanted, first, last)


def watched_logs(chain: Chain, value: object) -> LogFilter:
    """The same filter for logs of blocks to come: tags in its range mean no bound."""
    wanted = mapping(value, "filter")
    if wanted.get("blockHash") is not None:
        first, last = _block_range(chain, wanted)
        return _criteria(wanted, first, last)
    bounds = (wanted.get("fromBlock"), wanted.get("toBlock"))
    numbers = [None if bound is None or bound in TAGS else block_number(chain, bound) for bound in bounds]
    first, last = numbers[0] or 0, NO_BLOCK if numbers[1] is None else numbers[1]
    if first > last:
        raise InvalidValueError(f"fromBlock {first} is after toBlock {last}")
    return _criteria(wanted, min(first, NO_BLOCK), min(last, NO_BLOCK))


def _criteria(wanted: dict[str, object], first: int, last: int) -> LogFilter:
    addresses = wanted.get("address")
    listed = addresses if isinstance(addresses, list) else [] if addresses is None else [addresses]
    topics = _sequence(wanted.get("topics"), "topics")
    if len(topics) > 4:
        raise InvalidValueError(f"a log has at most 4 topics, the filter has {len(topics)}")
    if max(map(len, [listed, *(topic for topic in topics if isinstance(topic, list))])) > MAX_ALTERNATIVES:
        raise LimitExceededError(f"a filter has at most {MAX_ALTERNATIVES} alternatives in a place")
    return LogFilter(
        first,
        last,
        tuple(address(entry) for entry in listed),
        tuple(_alternatives(topic) for topic in topics),
    )


def _block_range(chain: Chain, wanted: dict[str, object]) -> tuple[int, int]:
    if wanted.get("blockHash") is not None:
        if wanted.get("fromBlock") is not None or wanted.get("toBlock") is not None:
            raise InvalidValueError("a log filter has either blockHash or fromBlock and toBlock, not both")
        header = state_header(chain, {"blockHash": wanted["blockHash"]})
        number = header.number if header else 0
        return number, number
    after_head = chain.head.header.number + 1
    bounds = [block_number(chain, wanted.get(name)) for name in ("fromBlock", "toBlock")]
    first, last = (after_head if bound is None else bound for bound in bounds)
    # A range that begins after the head is empty, not wrong: that is how an indexer asks for what is new.
    if last < first < after_head:
        raise InvalidValueError(f"fromBlock {first} is after toBlock {last}")
    return min(first, after_head), min(last, after_head)


def _storage_keys(entry: dict[str, object]) -> tuple[bytes, ...]:
    keys = _sequence(entry.get("storageKeys"), "storageKeys")
    return tuple(data(key, "storage key", HASH_BYTES) for key in keys)


def _alternatives(topic: object) -> tuple[bytes, ...]:
    options = topic if isinstance(topic, list) else [] if topic is None else [topic]
    if any(option is None for option in options):
        return ()
    return tuple(data(option, "topic", HASH_BYTES) for option in options)


def _sequence(value: object, name: str) -> list[object]:
    if value is None:
        return []
    if not isinstance(value, list):
        raise InvalidValueError(f"{name} must be a list, got {_shown(value)}")
    return value


def _found(header: Header | None, name: str) -> Header:
    if header is None:
        raise BlockNotFoundError(f"block {name} is not in this chain")
    return header


def _shown(value: object) -> str:
    text = repr(value)
    return text if len(text) <= 70 else f"{text[:67]}..."
