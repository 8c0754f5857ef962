"""From a directory to the chain in it, of the kind that its configuration asks for."""

from __future__ import annotations

from pathlib import Path

from chain_devnet.backend import ExecutionBackend
from chain_devnet.chain import Chain, Clock
from chain_devnet.config import ChainConfig
from chain_devnet.pool import PoolLimits
from chain_devnet.sealing import SealedChain
from chain_devnet.store import ChainStore
from ledgerfed.errors import ConfigurationError, InvalidValueError


def open_chain(
    directory: Path | None,
    config: ChainConfig,
    backend: ExecutionBackend,
    clock: Clock | None = None,
    limits: PoolLimits | None = None,
    key: bytes | None = None,
) -> Chain:
    """The chain in `directory` (None: in memory), created with `config` when there is none.

    A chain with signers is a `SealedChain`; `key` is this node's secret if it is one of them.

    Raises:
        StoreError: the directory is in use, unreadable or of another version.
        ConfigurationError: the directory holds a chain with other parameters.
        InvalidValueError: the key belongs to no signer.
    """
    store = ChainStore(directory)
    try:
        stored = store.meta("config")
        effective = config if stored is None else config.continued(ChainConfig.from_json(stored))
        if effective.authority is not None:
            return SealedChain(config, store, backend, clock, limits, key)
        if key is not None:
            raise InvalidValueError("this chain has no signers; start it without a key, or name its signers")
        return Chain(config, store, backend, clock, limits)
    except (ConfigurationError, InvalidValueError):
        store.close()
        raise
