import json
import stat

import pytest
from eth_account import Account

from ledgerfed.errors import ConfigurationError, InvalidValueError, NotFoundError, VerificationError
from ledgerfed.ledger import LocalSigner, demo_key, read_keystore, write_keystore
from ledgerfed.ledger.keys import require_key_fits_chain
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.signature import recover_address

KEY = keccak(b"a private key")
CHEAP = 4096


def transaction(chain_id):
    fields = {"chainId": chain_id, "nonce": 3, "to": bytes([7]) * 20, "value": 1, "gas": 21_000}
    return fields | {"type": 2, "maxFeePerGas": 10**9, "maxPriorityFeePerGas": 1}


def test_a_local_signer_signs_digests_and_transactions_as_its_address():
    signer = LocalSigner(KEY)
    assert signer.address == bytes.fromhex(Account.from_key(KEY).address[2:])
    digest = keccak(b"digest")
    signature = signer.sign_digest(digest)
    assert len(signature) == 65
    assert signature[64] in (27, 28)
    assert recover_address(digest, signature) == signer.address
    raw = signer.sign_transaction(transaction(1))
    assert bytes.fromhex(Account.recover_transaction(raw)[2:]) == signer.address


def test_a_private_key_shows_nowhere():
    for signer in (LocalSigner(KEY), demo_key(1, 0)):
        secret = KEY if isinstance(signer, LocalSigner) else signer.key.private_key
        for text in (repr(signer), str(signer)):
            assert secret.hex() not in text
            assert repr(secret) not in text
    with pytest.raises(InvalidValueError) as caught:
        LocalSigner(b"\xff" * 32)
    assert "ff" * 8 not in str(caught.value)


def test_demo_keys_are_the_same_for_everybody_and_differ_by_seed_and_index():
    keys = {demo_key(seed, index).address for seed in range(3) for index in range(5)}
    assert len(keys) == 15
    assert demo_key(1, 2) == demo_key(1, 2)
    assert demo_key(0, 0).address.hex() == "6cbb7faa20f1b9c612128c52ad8560f20dc4913a"
    for seed, index in ((-1, 0), (0, -1), (1 << 64, 0)):
        with pytest.raises(InvalidValueError):
            demo_key(seed, index)


@pytest.mark.parametrize("chain_id", [1, 5, 31336, 10])
def test_demo_keys_sign_for_development_chains_only(chain_id):
    key = demo_key(1, 0)
    with pytest.raises(ConfigurationError, match=f"31337 and 1337 only, this chain is {chain_id}"):
        key.sign_transaction(transaction(chain_id))
    with pytest.raises(ConfigurationError, match="make a key of your own"):
        require_key_fits_chain(key, chain_id)
    require_key_fits_chain(LocalSigner(KEY), chain_id)
    for development in (31337, 1337):
        require_key_fits_chain(key, development)
        assert key.sign_transaction(transaction(development))


def test_a_keystore_holds_the_key_for_its_owner_only(tmp_path):
    path = tmp_path / "node.json"
    address = write_keystore(path, KEY, "correct horse", CHEAP)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    document = json.loads(path.read_text())
    assert document["version"] == 3
    assert document["crypto"]["kdf"] == "scrypt"
    assert KEY.hex() not in path.read_text()
    assert read_keystore(path, "correct horse") == LocalSigner(KEY)
    assert address == LocalSigner(KEY).address
    with pytest.raises(VerificationError, match="password does not open"):
        read_keystore(path, "wrong")


def test_a_key_file_is_never_overwritten(tmp_path):
    path = tmp_path / "node.json"
    write_keystore(path, KEY, "one", CHEAP)
    before = path.read_bytes()
    with pytest.raises(ConfigurationError, match="never overwritten"):
        write_keystore(path, keccak(b"another"), "two", CHEAP)
    assert path.read_bytes() == before
    with pytest.raises(ConfigurationError, match="cannot write the key file"):
        write_keystore(tmp_path / "missing" / "node.json", KEY, "one", CHEAP)


def test_a_key_file_that_others_may_read_is_refused(tmp_path):
    path = tmp_path / "node.json"
    write_keystore(path, KEY, "one", CHEAP)
    path.chmod(0o644)
    with pytest.raises(ConfigurationError, match=r"mode 0644\); run chmod 600"):
        read_keystore(path, "one")


def test_what_is_no_keystore_says_so(tmp_path):
    with pytest.raises(NotFoundError, match="no key file"):
        read_keystore(tmp_path / "missing.json", "one")
    path = tmp_path / "broken.json"
    path.touch(0o600)
    for content in (b"", b"not json", b"[]", b"{}", b'{"version": 3}', b'{"version": 1}', b"\xff\xfe"):
        path.write_bytes(content)
        with pytest.raises(ConfigurationError, match="key"):
            read_keystore(path, "one")
