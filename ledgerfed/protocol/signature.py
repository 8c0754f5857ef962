"""Recoverable secp256k1 signatures: 65 bytes r ‖ s ‖ v, v in {27, 28}, low s only (EIP-2)."""

from __future__ import annotations

from coincurve import PrivateKey, PublicKey

from ledgerfed.errors import InvalidValueError, VerificationError
from ledgerfed.protocol.hashing import keccak, require_hash

_ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
SIGNATURE_BYTES = 65


def address_of(private_key: bytes) -> bytes:
    """Return the 20-byte address of a 32-byte private key; raises InvalidValueError when it is not one."""
    return _address(_private_key(private_key).public_key)


def sign_digest(private_key: bytes, digest: bytes) -> bytes:
    """Return the deterministic (RFC 6979) signature of a 32-byte digest; InvalidValueError for a bad key."""
    raw = _private_key(private_key).sign_recoverable(require_hash("the digest", digest), hasher=None)
    return raw[:64] + bytes([27 + raw[64]])


def recover_address(digest: bytes, signature: bytes) -> bytes:
    """Return the 20-byte address that signed `digest`.

    Raises:
        VerificationError: the signature is malformed, malleated (high s) or recovers to nobody.
    """
    require_hash("the digest", digest)
    if len(signature) != SIGNATURE_BYTES or signature[64] not in (27, 28):
        raise VerificationError(f"a signature is 65 bytes ending in 27 or 28, got 0x{signature.hex()}")
    if int.from_bytes(signature[32:64], "big") > _ORDER >> 1:
        raise VerificationError(f"the signature 0x{signature.hex()} has a high s; only the low form counts")
    try:
        key = PublicKey.from_signature_and_message(
            signature[:64] + bytes([signature[64] - 27]), digest, hasher=None
        )
    except Exception as error:  # coincurve raises bare Exception for an unrecoverable point
        raise VerificationError(f"the signature 0x{signature.hex()} recovers to no key") from error
    return _address(key)


def require_signer(digest: bytes, signature: bytes, expected: bytes, what: str) -> None:
    """Check that `expected` (20 bytes) signed `digest`; `what` names the statement in the error.

    Raises:
        VerificationError: somebody else signed, or the signature is malformed.
    """
    signer = recover_address(digest, signature)
    if signer != expected:
        raise VerificationError(f"{what}: signed by 0x{signer.hex()}, expected 0x{expected.hex()}")


def _address(key: PublicKey) -> bytes:
    return keccak(key.format(compressed=False)[1:])[-20:]


def _private_key(private_key: bytes) -> PrivateKey:
    if not isinstance(private_key, bytes) or len(private_key) != 32:
        raise InvalidValueError("a private key must be 32 bytes; its value is not shown")
    try:
        return PrivateKey(private_key)
    except ValueError as error:
        raise InvalidValueError("the private key is not a number from 1 to the group order") from error
