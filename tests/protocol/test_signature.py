"""One signature per statement and signer, and no second spelling of it."""

from __future__ import annotations

import pytest
from eth_account import Account
from eth_keys import keys
from hypothesis import given
from hypothesis import strategies as st

from ledgerfed.errors import InvalidValueError, VerificationError
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.signature import address_of, recover_address, require_signer, sign_digest

ORDER = 0xFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFFEBAAEDCE6AF48A03BBFD25E8CD0364141
KEY = keccak(b"a key")
DIGEST = keccak(b"a statement")
private_keys = st.integers(1, ORDER - 1).map(lambda number: number.to_bytes(32, "big"))
digests = st.binary(min_size=32, max_size=32)


@given(private_keys, digests)
def test_the_signer_is_recovered(key, digest):
    assert recover_address(digest, sign_digest(key, digest)) == address_of(key)


@given(private_keys, digests)
def test_addresses_and_signatures_are_those_of_eth_account(key, digest):
    account = Account.from_key(key)
    assert address_of(key) == bytes.fromhex(account.address[2:])
    assert sign_digest(key, digest) == bytes(account.unsafe_sign_hash(digest).signature)


@given(private_keys, digests)
def test_every_signature_has_a_low_s_and_recovers_elsewhere_too(key, digest):
    signature = sign_digest(key, digest)
    assert int.from_bytes(signature[32:64], "big") <= ORDER // 2
    elsewhere = keys.Signature(signature[:64] + bytes([signature[64] - 27]))
    assert elsewhere.recover_public_key_from_msg_hash(digest).to_canonical_address() == address_of(key)


@given(private_keys, digests)
def test_the_malleated_twin_with_a_high_s_is_refused(key, digest):
    signature = sign_digest(key, digest)
    s = ORDER - int.from_bytes(signature[32:64], "big")
    twin = signature[:32] + s.to_bytes(32, "big") + bytes([55 - signature[64]])
    raw = keys.Signature(twin[:64] + bytes([twin[64] - 27]))
    assert raw.recover_public_key_from_msg_hash(digest).to_canonical_address() == address_of(key)
    with pytest.raises(VerificationError, match="high s"):
        recover_address(digest, twin)


@pytest.mark.parametrize("v", [0, 1, 2, 26, 29, 30, 255])
def test_another_v_is_refused(v):
    with pytest.raises(VerificationError, match="27 or 28"):
        recover_address(DIGEST, sign_digest(KEY, DIGEST)[:64] + bytes([v]))


def test_the_other_v_recovers_to_somebody_else():
    signature = sign_digest(KEY, DIGEST)
    with pytest.raises(VerificationError):
        require_signer(DIGEST, signature[:64] + bytes([55 - signature[64]]), address_of(KEY), "the twin")


@pytest.mark.parametrize("length", [0, 64, 66])
def test_another_length_is_refused(length):
    with pytest.raises(VerificationError, match="65 bytes"):
        recover_address(DIGEST, (sign_digest(KEY, DIGEST) + b"\x1b")[:length])


@pytest.mark.parametrize(
    "numbers",
    [
        (0, 1),
        (1, 0),
        (0, 0),
        (ORDER, 1),
        (ORDER + 1, 1),
        ((1 << 256) - 1, 1),
        (5, 1),
    ],
)
def test_numbers_that_recover_to_no_key_are_refused(numbers):
    r, s = numbers
    signature = r.to_bytes(32, "big") + s.to_bytes(32, "big") + b"\x1b"
    with pytest.raises(VerificationError, match="recovers to no key"):
        recover_address(DIGEST, signature)


@given(st.binary(min_size=65, max_size=65))
def test_any_bytes_recover_to_an_address_or_are_refused(signature):
    try:
        assert len(recover_address(DIGEST, signature)) == 20
    except VerificationError:
        return


def test_another_signer_is_named():
    with pytest.raises(VerificationError) as caught:
        require_signer(DIGEST, sign_digest(KEY, DIGEST), bytes(20), "round 3: leaf 4")
    assert str(caught.value).startswith("round 3: leaf 4: signed by 0x" + address_of(KEY).hex())


@pytest.mark.parametrize(
    "key",
    [bytes(32), ORDER.to_bytes(32, "big"), b"\xff" * 32, b"short", "0x"],
    ids=["zero", "order", "largest", "short", "text"],
)
def test_a_key_that_is_no_key_is_refused(key):
    with pytest.raises(InvalidValueError, match="private key"):
        address_of(key)
    with pytest.raises(InvalidValueError, match="private key"):
        sign_digest(key, DIGEST)


def test_a_private_key_never_reaches_a_message():
    with pytest.raises(InvalidValueError) as caught:
        address_of(b"secret" * 5)
    assert "secret" not in str(caught.value)
