"""Keys that sign for a node: raw, from an encrypted file, or derived for a demonstration.

Digests are signed with coincurve (RFC 6979 nonces, low s); transactions and the Web3 Secret Storage file
(keystore v3, the format of geth) are eth-account's, imported when first used.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ledgerfed.errors import ConfigurationError, NotFoundError, VerificationError
from ledgerfed.protocol.hashing import keccak, require_range, word
from ledgerfed.protocol.signature import address_of, sign_digest

DEMO_CHAIN_IDS = (31337, 1337)
_GROUP_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SCRYPT_WORK = 262_144


class Signer(Protocol):
    """Whoever holds a node's key. It may be a file, a hardware token or a remote signer."""

    @property
    def address(self) -> bytes:
        """The 20-byte address."""

    def sign_digest(self, digest: bytes) -> bytes:
        """Return r ‖ s ‖ v (65 bytes, low s, v 27 or 28) over a 32-byte digest."""

    def sign_transaction(self, transaction: dict[str, Any]) -> bytes:
        """Return the raw signed bytes of a transaction with integer fields, `to` and `data` as bytes."""


@dataclass(frozen=True, slots=True)
class LocalSigner:
    """A private key in this process's memory; it never shows in repr or in an error.

    Raises:
        InvalidValueError: the key is not 32 bytes, or not a number from 1 to the group order.
    """

    private_key: bytes = field(repr=False)
    address: bytes = field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "address", address_of(self.private_key))

    def sign_digest(self, digest: bytes) -> bytes:
        """Return r ‖ s ‖ v over a 32-byte digest."""
        return sign_digest(self.private_key, digest)

    def sign_transaction(self, transaction: dict[str, Any]) -> bytes:
        """Return the raw signed bytes of a transaction."""
        from eth_account import Account

        return bytes(Account.sign_transaction(transaction, self.private_key).raw_transaction)


@dataclass(frozen=True, slots=True)
class DemoSigner:
    """A key that anybody can derive, so that it works on development chains only."""

    key: LocalSigner

    @property
    def address(self) -> bytes:
        """The 20-byte address."""
        return self.key.address

    def sign_digest(self, digest: bytes) -> bytes:
        """Return r ‖ s ‖ v over a 32-byte digest."""
        return self.key.sign_digest(digest)

    def sign_transaction(self, transaction: dict[str, Any]) -> bytes:
        """Return the raw signed bytes of a transaction for a development chain.

        Raises:
            ConfigurationError: the transaction is for any other chain.
        """
        require_key_fits_chain(self, transaction["chainId"])
        return self.key.sign_transaction(transaction)


def demo_key(seed: int, index: int) -> DemoSigner:
    """Return the key of node `index` of the demonstration with this seed; everybody can compute it."""
    require_range("the seed of demo keys", seed, 0, (1 << 64) - 1)
    require_range("the index of a demo key", index, 0, (1 << 32) - 1)
    digest = keccak(b"ledgerfed demo key" + word(seed) + word(index))
    return DemoSigner(LocalSigner(word(int.from_bytes(digest, "big") % (_GROUP_ORDER - 1) + 1)))


def require_key_fits_chain(signer: Signer, chain_id: int) -> None:
    """Refuse a demo key on a chain where it could hold anything of worth.

    Raises:
        ConfigurationError: the signer is a demo key and the chain is no development chain.
    """
    if isinstance(signer, DemoSigner) and chain_id not in DEMO_CHAIN_IDS:
        raise ConfigurationError(
            f"0x{signer.address.hex()} is a demo key that everybody can derive; it is for the chain ids "
            f"{' and '.join(map(str, DEMO_CHAIN_IDS))} only, this chain is {chain_id}: make a key of your own"
        )


def write_keystore(path: Path, private_key: bytes, password: str, work: int = SCRYPT_WORK) -> bytes:
    """Write a key encrypted (scrypt, `work` iterations) to a new file of mode 0600; return its address.

    Raises:
        ConfigurationError: the file exists or cannot be made; a key is never overwritten.
    """
    from eth_account import Account

    address = address_of(private_key)
    document = json.dumps(Account.encrypt(private_key, password, kdf="scrypt", iterations=work))
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError as error:
        raise ConfigurationError(f"{path} exists; a key file is never overwritten, choose another") from error
    except OSError as error:
        raise ConfigurationError(f"cannot write the key file {path}: {error.strerror}") from error
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(document)
        file.flush()
        os.fsync(file.fileno())
    return address


def read_keystore(path: Path, password: str) -> LocalSigner:
    """Return the signer of an encrypted key file.

    Raises:
        NotFoundError: there is no such file.
        ConfigurationError: it is no keystore, or others may read it.
        VerificationError: the password is wrong.
    """
    from eth_account import Account

    document = _keystore_document(path)
    try:
        return LocalSigner(bytes(Account.decrypt(document, password)))
    except ValueError as error:
        if "MAC" in str(error):
            raise VerificationError(f"the password does not open the key file {path}") from error
        raise ConfigurationError(f"{path} is no keystore of version 3: {error}") from error
    except (KeyError, TypeError) as error:
        raise ConfigurationError(f"{path} is no keystore of version 3: {error!r}") from error


def _keystore_document(path: Path) -> dict[str, Any]:
    try:
        mode = path.stat().st_mode & 0o777
        text = path.read_text("utf-8")
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no key file {path}") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the key file {path}: {error}") from error
    if mode & 0o077:
        raise ConfigurationError(
            f"others may read the key file {path} (mode {mode:04o}); run chmod 600 on it"
        )
    try:
        document = json.loads(text)
    except ValueError as error:
        raise ConfigurationError(f"{path} is no keystore of version 3: it is not JSON") from error
    if not isinstance(document, dict) or document.get("version") != 3:
        raise ConfigurationError(
            f"{path} is no keystore of version 3; convert it with the program that made it"
        )
    return document
