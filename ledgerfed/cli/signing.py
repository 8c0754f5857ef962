"""The key that a command signs with: from a keystore or the environment, never from the command line."""

from __future__ import annotations

import os
import sys
from getpass import getpass
from pathlib import Path
from typing import TYPE_CHECKING

from ledgerfed.errors import ConfigurationError, InvalidValueError

if TYPE_CHECKING:
    from ledgerfed.ledger import LocalSigner

KEY_VARIABLE = "LEDGERFED_PRIVATE_KEY"
PASSWORD_VARIABLE = "LEDGERFED_KEY_PASSWORD_FILE"


def open_signer(keystore: Path | None, password_file: Path | None) -> LocalSigner:
    """Return the signer of a keystore, or of the key in LEDGERFED_PRIVATE_KEY.

    Raises:
        ConfigurationError: there is neither, or one that is no key.
        NotFoundError: there is no such file.
        VerificationError: the password is wrong.
    """
    from ledgerfed.ledger import LocalSigner, read_keystore

    if keystore is not None:
        return read_keystore(keystore, read_password(password_file, f"Password of {keystore}"))
    text = os.environ.get(KEY_VARIABLE)
    if text is None:
        raise ConfigurationError(f"no key to sign with; give --keystore, or set {KEY_VARIABLE}")
    try:
        return LocalSigner(bytes.fromhex(text.strip().removeprefix("0x")))
    except (ValueError, InvalidValueError):
        raise ConfigurationError(f"{KEY_VARIABLE} is no private key of 32 bytes in hex") from None


def read_password(password_file: Path | None, prompt: str, *, twice: bool = False) -> str:
    """Return the password: the first line of a file, or what the terminal is asked for.

    Raises:
        ConfigurationError: there is no file that can be read, and no terminal to ask.
    """
    path = password_file or os.environ.get(PASSWORD_VARIABLE)
    if path:
        try:
            return (Path(path).read_text("utf-8").splitlines() or [""])[0]
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(f"cannot read the password file {path}: {error}") from error
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"a password is needed; give --password-file, or set {PASSWORD_VARIABLE} to the path of a file"
        )
    password = getpass(f"{prompt}: ")
    if twice and getpass("Once more: ") != password:
        raise ConfigurationError("the two passwords differ; nothing was written")
    return password
