"""`ledgerfed key`: make a key, and say whose it is."""

from __future__ import annotations

import os
from pathlib import Path

from ledgerfed.cli.output import emit
from ledgerfed.cli.signing import open_signer, read_password


def run_new(keystore: Path, password_file: Path | None, *, as_json: bool) -> int:
    """Write a new key, encrypted, and print its address; return the exit code."""
    from ledgerfed.errors import ConfigurationError
    from ledgerfed.ledger import write_keystore

    if keystore.exists():
        raise ConfigurationError(f"{keystore} exists; a key file is never overwritten, choose another")
    password = read_password(password_file, f"Password for {keystore}", twice=True)
    keystore.parent.mkdir(parents=True, exist_ok=True)
    address = "0x" + write_keystore(keystore, _new_key(), password).hex()
    emit({"keystore": str(keystore), "address": address}, as_json=as_json, lines=[address])
    return 0


def run_show(keystore: Path | None, password_file: Path | None, *, as_json: bool) -> int:
    """Open a key and print its address; return the exit code."""
    address = "0x" + open_signer(keystore, password_file).address.hex()
    emit({"address": address}, as_json=as_json, lines=[address])
    return 0


def _new_key() -> bytes:
    """Return 32 random bytes that are a private key; all but one in 2^127 are."""
    from ledgerfed.errors import InvalidValueError
    from ledgerfed.ledger import LocalSigner

    while True:
        try:
            return LocalSigner(os.urandom(32)).private_key
        except InvalidValueError:
            continue
