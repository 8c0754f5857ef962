"""Chains where gas is free, chains without a base fee, and chains of authorities."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from node_processes import running_anvil
from rewriting_proxy import Forward, rewritten

from ledgerfed.errors import ConfigurationError, StoreError
from ledgerfed.ledger import DEMO_CHAIN_IDS, LocalSigner, demo_key
from ledgerfed.ledger.chain import read_header
from ledgerfed.ledger.events import Certified
from ledgerfed.ledger.fees import Fees, present_fees, raised, read_signed
from ledgerfed.ledger.rpc import JsonRpc
from ledgerfed.ledger.transactions import next_nonce, receipt_of, sign, transmit
from ledgerfed.observer.ledger_source import LedgerSource
from ledgerfed.protocol.hashing import keccak

OUTCOME = (keccak(b"manifest"), keccak(b"new model"), keccak(b"new reputations"))


def _whole_round(scene) -> None:
    gateway = scene.gateway()
    scene.seal(gateway)
    scene.score(gateway)
    gateway.certify(scene.nodes[3], 1, *OUTCOME, scene.certificate(gateway))
    assert gateway.state().round == 2


def test_a_round_costs_nothing_where_gas_is_free(new_scene: Callable) -> None:
    """Besu and geth networks with gas price zero: no member has money, and none is needed."""
    with running_anvil(None, "--base-fee", "0", "--gas-price", "0") as url:
        scene = new_scene(url)
        _whole_round(scene)
        for node in scene.nodes:
            assert scene.rpc("eth_getBalance", "0x" + node.address.hex(), "latest") == "0x0"
        senders = [node for node in scene.nodes if scene.nonce(node)]
        assert senders
        row = scene.row(scene.nodes[3], "certify")
        assert read_signed(row.raw).fees == Fees(0, 0)


def _before_london(method: str, params: list, forward: Forward) -> dict:
    """A chain without a base fee: none in its blocks, no typed transactions, no suggestion of a tip."""
    if method == "eth_sendRawTransaction" and int(params[0][2:4], 16) < 0x80:
        return {"error": {"code": -32000, "message": "transaction type not supported"}}
    if method in ("eth_maxPriorityFeePerGas", "eth_feeHistory"):
        return {"error": {"code": -32601, "message": f"the method {method} does not exist"}}
    said = forward()
    if method.startswith("eth_getBlockBy") and said.get("result"):
        said["result"].pop("baseFeePerGas", None)
    return said


def test_a_chain_without_base_fee_gets_transactions_with_a_gas_price(chain, new_scene: Callable) -> None:
    with rewritten(chain.url, _before_london) as url:
        old = new_scene(url)
        _whole_round(old)
        row = old.row(old.nodes[3], "certify")
        assert row.raw[0] >= 0xC0
        assert read_signed(row.raw).fees.tip is None


def test_berlin_takes_what_is_signed_for_it_and_its_replacement(new_scene: Callable) -> None:
    signer = demo_key(7, 0)
    with running_anvil(None, "--hardfork", "berlin") as url:
        rpc = JsonRpc(url)
        rpc.call("anvil_setBalance", f"0x{signer.address.hex()}", hex(10**21))
        rpc.call("evm_setAutomine", False)
        fees = present_fees(rpc, signer.address)
        assert fees.tip is None
        versions = []
        for offered in (fees, raised(fees, fees)):
            nonce = next_nonce(rpc, signer.address, "latest")
            versions.append(sign(signer, DEMO_CHAIN_IDS[0], nonce, 30_000, signer.address, b"call", offered))
            transmit(rpc, "a call", signer.address, versions[-1])
        rpc.call("anvil_mine", "0x1")
        assert receipt_of(rpc, keccak(versions[0])) is None
        mined = receipt_of(rpc, keccak(versions[1]))
        assert mined is not None
        assert mined.succeeded
        with pytest.raises(ConfigurationError, match="needs the rules of Cancun or later"):
            new_scene(url)


@pytest.fixture
def authorities(chain) -> Iterator[str]:
    """Blocks as Clique and QBFT seal them: vanity, signers and seal in 97 bytes or more of extra data."""

    def sealed(method: str, params: list, forward: Forward) -> dict:
        said = forward()
        if method.startswith("eth_getBlockBy") and said.get("result"):
            said["result"] |= {"extraData": "0x" + "ab" * 32 + "cd" * 65, "difficulty": "0x2"}
        return said

    with rewritten(chain.url, sealed) as url:
        yield url


def test_the_extra_data_of_authorities_stands_in_nobodys_way(authorities: str, new_scene: Callable) -> None:
    scene = new_scene(authorities)
    _whole_round(scene)
    gateway = scene.gateway()
    source = LedgerSource(gateway, JsonRpc(authorities))
    assert source.head().number == gateway.block_number()
    assert read_header(JsonRpc(authorities), source.head().hash).number == source.head().number
    (event,) = (e for e in gateway.read_events(1, gateway.block_number()) if isinstance(e, Certified))
    assert [e.kind for e in source.events(event.at.block_hash)] == ["Certified"]


def test_bytes_that_are_no_transaction_are_named() -> None:
    for raw in (b"", b"\x02", b"\x02\xc0", b"\xc0", b"text"):
        with pytest.raises(StoreError, match="cannot be read"):
            read_signed(raw)


def test_an_unfunded_account_offers_what_is_asked_where_gas_is_not_free(chain) -> None:
    fees = present_fees(JsonRpc(chain.url), LocalSigner(keccak(b"poor")).address)
    assert fees.most > 0
