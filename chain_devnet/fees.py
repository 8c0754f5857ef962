"""EIP-1559: the base fee of a block follows from its parent."""

from __future__ import annotations

from chain_devnet.block import Header

INITIAL_BASE_FEE = 1_000_000_000
SUGGESTED_TIP = 1_000_000_000
ELASTICITY = 2
MAX_CHANGE_DENOMINATOR = 8


def next_base_fee(parent: Header) -> int:
    """Base fee per gas, in wei, that the child of `parent` must carry (EIP-1559)."""
    target = parent.gas_limit // ELASTICITY
    if parent.gas_used == target:
        return parent.base_fee
    if parent.gas_used > target:
        rise = parent.base_fee * (parent.gas_used - target) // target // MAX_CHANGE_DENOMINATOR
        return parent.base_fee + max(rise, 1)
    fall = parent.base_fee * (target - parent.gas_used) // target // MAX_CHANGE_DENOMINATOR
    return parent.base_fee - fall
