"""The funded accounts: derived from a mnemonic that everybody knows, so never worth anything.

The same twenty that anvil and hardhat unlock (BIP-39 and BIP-44, path m/44'/60'/0'/0/i).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

from eth_account import Account as Wallet
from eth_account.hdaccount import key_from_seed, seed_from_mnemonic
from eth_keys.datatypes import PrivateKey

MNEMONIC = "test test test test test test test test test test test junk"
ACCOUNT_COUNT = 20
FUNDS = 10_000 * 10**18


@dataclass(frozen=True, slots=True)
class DevAccount:
    """A publicly known key: 20-byte address and 32-byte private key."""

    address: bytes
    key: bytes

    @property
    def checksum_address(self) -> str:
        """The address as EIP-55 writes it."""
        return str(Wallet.from_key(self.key).address)


@cache
def dev_accounts(count: int = ACCOUNT_COUNT) -> tuple[DevAccount, ...]:
    """The first `count` accounts of the public mnemonic."""
    seed = seed_from_mnemonic(MNEMONIC, passphrase="")
    secrets = (key_from_seed(seed, f"m/44'/60'/0'/0/{index}") for index in range(count))
    return tuple(DevAccount(PrivateKey(key).public_key.to_canonical_address(), key) for key in secrets)
