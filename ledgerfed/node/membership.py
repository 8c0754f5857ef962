"""Whether a node takes part in a federation, and by which rules: the chain's word against its own."""

from __future__ import annotations

from ledgerfed.errors import ConfigurationError, InvalidValueError
from ledgerfed.node.chain_view import ChainView
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.hashing import to_hex


def require_member(view: ChainView, index: int, address: bytes) -> None:
    """Check that a key (20-byte address) is that of the member at a registry index.

    Raises:
        ConfigurationError: it is not, not yet, or not any more.
    """
    if index >= len(view.members) or view.members[index] != address:
        raise ConfigurationError(
            f"the key {to_hex(address)} is not that of member {index}; use the member's key"
        )


def require_known(config: FederationConfig, view: ChainView) -> FederationConfig:
    """Return a configuration if it is, or was, that of the federation.

    Raises:
        ConfigurationError: it never was.
    """
    if config.hash() not in view.configs:
        raise ConfigurationError(
            f"the contract was deployed for the configuration {to_hex(view.configs[0])}, this node has "
            f"{to_hex(config.hash())}; ask for the right one"
        )
    return config


def followed(before: FederationConfig, after: FederationConfig, view: ChainView) -> FederationConfig:
    """Return `after`, the configuration of the view's epoch, if a node that knew `before` can follow it.

    Raises:
        ConfigurationError: `after` changes what is fixed, or contradicts what the contract enforces.
    """
    try:
        before.require_successor(after)
    except InvalidValueError as error:
        raise ConfigurationError(
            f"the configuration {to_hex(after.hash())} of epoch {view.epoch} cannot be followed: {error}"
        ) from error
    named = (after.committee, after.min_updates, after.depth, after.windows, after.leaves_on_chain)
    enforced = (view.committee, view.min_updates, view.depth, view.windows, view.leaves_on_chain)
    if enforced != named:
        raise ConfigurationError(
            f"the contract enforces {enforced} as committee, min_updates, depth, windows and "
            f"leaves_on_chain, its configuration says {named}; do not join this federation"
        )
    return after
