"""Several signers: whose turn it is, what is checked of a block, and which of two branches holds."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import rlp
from eth_account import Account
from web3 import Web3
from web3.middleware import ExtraDataToPOAMiddleware
from web3.providers.base import BaseProvider

from chain_devnet import ChainConfig, dev_accounts, open_chain
from chain_devnet.authority import Authority, heavier, seal_hash, signer_of
from chain_devnet.block import Header, encode_block
from chain_devnet.errors import InvalidBlockError
from chain_devnet.importing import MAX_BLOCK_BYTES, decode_block
from chain_devnet.pyevm import PyEvmBackend
from chain_devnet.rpc.dispatch import answer
from chain_devnet.sealing import MAX_REORGANISATION, SealedChain
from chain_devnet.state import read_slot
from ledgerfed.errors import ConfigurationError, InvalidValueError

KEYS = {account.address: account.key for account in dev_accounts()[:4]}
SIGNERS = tuple(sorted(KEYS))
STRANGER = dev_accounts()[9].key


def node(signers: int = 3, index: int | None = None, directory: Path | None = None) -> SealedChain:
    config = ChainConfig(authority=Authority(SIGNERS[:signers]))
    key = None if index is None else KEYS[SIGNERS[index]]
    opened = open_chain(directory, config, PyEvmBackend(), key=key)
    assert isinstance(opened, SealedChain)
    return opened


@pytest.fixture
def nodes() -> Iterator[Callable[..., list[SealedChain]]]:
    made: list[SealedChain] = []

    def make(count: int) -> list[SealedChain]:
        made.extend(node(count, index) for index in range(count))
        return made[-count:]

    yield make
    for chain in made:
        chain.close()


def raw_blocks(chain: SealedChain, first: int = 1) -> list[bytes]:
    return [raw_block(chain, number) for number in range(first, chain.head.header.number + 1)]


def raw_block(chain: SealedChain, number: int) -> bytes:
    block = chain.store.block(number)
    assert block is not None
    return encode_block(block.header, [stored.transaction for stored in chain.store.transactions(number)])


def spread(source: SealedChain, others: Sequence[SealedChain]) -> None:
    for other in others:
        if other is not source:
            other.adopt(raw_blocks(source))


def seal_in_turn(chains: Sequence[SealedChain], count: int) -> None:
    for _ in range(count):
        sealer = chains[(chains[0].head.header.number + 1) % len(chains)]
        assert sealer.seal()
        spread(sealer, chains)


def transfer(index: int, nonce: int, data: bytes | None = None) -> bytes:
    """A transfer of one wei, or a deployment that runs `data`."""
    fields = {
        "chainId": 31337, "nonce": nonce, "gas": 200_000, "value": 0 if data else 1, "data": data or b"",
        "maxFeePerGas": 10**11, "maxPriorityFeePerGas": 10**9,
    }  # fmt: skip
    fields |= {} if data else {"to": b"\xaa" * 20}
    return bytes(Account.sign_transaction(fields, dev_accounts()[10 + index].key).raw_transaction)


def resealed(raw: bytes, key: bytes | None = None, **changes: object) -> bytes:
    """The block with header fields changed, sealed again by its signer or by `key`, as it is."""
    header, body, *rest = rlp.decode(raw)
    decoded = Header.decode(rlp.encode(header))
    changed = replace(decoded, **changes)
    secret = key or KEYS[signer_of(decoded)]
    unsigned = replace(changed, extra_data=bytes(32) + bytes(65))
    vrs = Account.unsafe_sign_hash(seal_hash(unsigned), secret)
    seal = vrs.r.to_bytes(32, "big") + vrs.s.to_bytes(32, "big") + bytes([vrs.v - 27])
    sealed = replace(unsigned, extra_data=changes.get("extra_data", bytes(32) + seal))
    return rlp.encode([rlp.decode(sealed.encode()), body, *rest])


def test_signers_take_turns_and_all_nodes_agree(nodes: Callable[..., list[SealedChain]]) -> None:
    chains = nodes(4)
    follower = node(4)
    tx_hash = chains[1].submit(transfer(0, 0))
    seal_in_turn(chains, 9)
    spread(chains[0], [follower])
    assert len({chain.head.hash for chain in (*chains, follower)}) == 1
    headers = [chains[2].store.block(number).header for number in range(1, 10)]
    assert [header.coinbase for header in headers] == [SIGNERS[number % 4] for number in range(1, 10)]
    assert [header.difficulty for header in headers] == [2] * 9
    assert follower.store.transaction(tx_hash).block_number == 1
    assert follower.view(follower.head.header).state_root == chains[1].head.header.state_root
    assert not follower.seal()
    follower.close()


def test_a_seal_is_over_the_header_without_it() -> None:
    chain = node(1, 0)
    chain.seal()
    header = chain.head.header
    unsealed = rlp.decode(header.encode())
    unsealed[12] = unsealed[12][:32]
    assert seal_hash(header) == Web3.keccak(rlp.encode(unsealed))
    assert signer_of(header) == SIGNERS[0]
    assert len(header.extra_data) == 97
    assert chain.head.hash == Web3.keccak(header.encode())
    chain.close()


def test_genesis_names_the_signers_and_the_period() -> None:
    extra = Authority(SIGNERS, period=5).genesis_extra()
    assert extra == (5).to_bytes(32, "big") + b"".join(SIGNERS) + bytes(65)
    others = [Authority(SIGNERS[:2]), Authority(SIGNERS[:3]), Authority(SIGNERS[:2], period=2), None]
    genesis = set()
    for authority in others:
        chain = open_chain(None, ChainConfig(authority=authority), PyEvmBackend())
        genesis.add(chain.head.hash)
        chain.close()
    assert len(genesis) == 4


@pytest.mark.parametrize(
    ("signers", "period"),
    [((), 1), (SIGNERS[:1] * 2, 1), (SIGNERS[::-1], 1), ((b"\x01",), 1), (SIGNERS, 0), (SIGNERS, 10**6)],
)
def test_nonsense_rules_are_refused(signers: tuple[bytes, ...], period: int) -> None:
    with pytest.raises(InvalidValueError):
        Authority(signers, period)


def test_a_signer_waits_for_those_before_it_and_rests_after_a_block() -> None:
    authority = Authority(SIGNERS[:3], period=10)
    parent = Header(
        parent_hash=bytes(32), coinbase=bytes(20), state_root=bytes(32), transactions_root=bytes(32),
        receipts_root=bytes(32), bloom=0, number=3, gas_limit=1, gas_used=0, timestamp=100, extra_data=b"",
        mix_hash=bytes(32), base_fee=1,
    )  # fmt: skip
    assert [authority.earliest(parent, signer) for signer in SIGNERS[:3]] == [130, 110, 120]
    assert [authority.difficulty(4, signer) for signer in SIGNERS[:3]] == [1, 2, 1]
    assert authority.may_seal(SIGNERS[1], [SIGNERS[0], SIGNERS[1]])
    assert not authority.may_seal(SIGNERS[1], [SIGNERS[1], SIGNERS[0]])
    assert Authority(SIGNERS[:1]).may_seal(SIGNERS[0], [SIGNERS[0]])


def test_a_silent_signer_is_replaced_by_the_next_ones(nodes: Callable[..., list[SealedChain]]) -> None:
    chains = nodes(3)
    seal_in_turn(chains, 3)
    alive = [chains[0], chains[2]]  # block 4 would be in turn for chains[1]
    for number in range(4, 12):
        in_order = sorted(alive, key=lambda chain: chain.authority.place(number, chain.signer))
        sealed = [chain for chain in in_order if chain.seal()][:1]
        assert sealed
        spread(sealed[0], chains)
    assert chains[1].head.hash == alive[0].head.hash
    sealers = {chains[1].store.block(number).header.coinbase for number in range(4, 12)}
    assert sealers == {SIGNERS[0], SIGNERS[2]}
    assert chains[1].head.header.number == 11


WRONG = [
    ({"key": STRANGER}, "pays"),
    ({"key": STRANGER, "coinbase": dev_accounts()[9].address}, "no signer"),
    ({"key": KEYS[SIGNERS[0]], "coinbase": SIGNERS[0]}, "difficulty 2; its signer's turn makes it 1"),
    ({"key": KEYS[SIGNERS[0]], "coinbase": SIGNERS[0], "difficulty": 1}, "had to wait until"),
    ({"difficulty": 1}, "difficulty 1; its signer's turn makes it 2"),
    ({"timestamp": 1_767_225_600}, "had to wait until"),
    ({"state_root": b"\x01" * 32}, "another state root"),
    ({"receipts_root": b"\x01" * 32}, "another receipts root"),
    ({"transactions_root": b"\x01" * 32}, "another transactions root"),
    ({"gas_used": 21_001}, "another gas used"),
    ({"gas_limit": 29_999_999}, "another gas limit"),
    ({"bloom": 1}, "another bloom"),
    ({"base_fee": 7}, "another base fee"),
    ({"mix_hash": b"\x01" * 32}, "another mix hash"),
    ({"parent_hash": b"\x01" * 32}, "follows no block"),
    ({"number": 2}, "does not follow"),
    ({"extra_data": b""}, "no seal"),
    ({"extra_data": bytes(97)}, "no valid seal"),
]


@pytest.mark.parametrize(("changes", "reason"), WRONG)
def test_a_block_that_breaks_a_rule_is_not_taken(
    nodes: Callable[..., list[SealedChain]], changes: dict[str, object], reason: str
) -> None:
    sealer, follower = nodes(2)[1], node(2)
    sealer.submit(transfer(0, 0))
    sealer.seal()
    with pytest.raises(InvalidBlockError, match=reason):
        follower.adopt([resealed(raw_block(sealer, 1), **changes)])
    assert follower.head.header.number == 0
    assert follower.adopt([resealed(raw_block(sealer, 1))])
    follower.close()


def test_two_blocks_in_a_row_by_one_signer_are_not_taken(nodes: Callable[..., list[SealedChain]]) -> None:
    chains, follower = nodes(2), node(2)
    seal_in_turn(chains, 2)
    first, second = raw_blocks(chains[0])
    late = chains[0].store.block(1).header.timestamp + 2
    greedy = resealed(second, KEYS[SIGNERS[1]], coinbase=SIGNERS[1], difficulty=1, timestamp=late)
    with pytest.raises(InvalidBlockError, match="sealed too recently"):
        follower.adopt([first, greedy])
    assert follower.adopt([first])
    with pytest.raises(InvalidBlockError, match="sealed too recently"):
        follower.adopt([greedy])
    follower.close()


def test_a_block_that_is_too_large_is_not_decoded() -> None:
    with pytest.raises(InvalidBlockError, match="too large"):
        decode_block(bytes(MAX_BLOCK_BYTES + 1))


def test_code_sees_the_hashes_of_blocks_that_come_together(nodes: Callable[..., list[SealedChain]]) -> None:
    chains, follower = nodes(2), node(2)
    store_parent_hash = bytes.fromhex("4360019003405f5500")  # NUMBER - 1, BLOCKHASH, PUSH0, SSTORE
    for nonce in range(3):
        chains[(nonce + 1) % 2].submit(transfer(0, nonce, data=store_parent_hash))
        seal_in_turn(chains, 1)
    assert follower.adopt(raw_blocks(chains[0]))
    created = follower.store.transactions(3)[0].receipt.created
    view = follower.view(follower.head.header)
    assert read_slot(view.nodes, view.state_root, created, 0) == int.from_bytes(
        follower.store.block(2).hash, "big"
    )
    follower.close()


def test_what_comes_in_a_block_waits_no_more(nodes: Callable[..., list[SealedChain]]) -> None:
    chains, follower = nodes(1), node(1)
    for chain in (*chains, follower):
        chain.submit(transfer(0, 0))
    other = follower.submit(transfer(1, 0))
    chains[0].seal()
    follower.adopt(raw_blocks(chains[0]))
    assert [entry.transaction.hash for entry in follower.store.waiting()] == [other]
    follower.close()


def test_a_block_from_the_future_is_not_taken_before_its_time() -> None:
    now = [1_767_225_700]
    maker, follower = (
        open_chain(None, ChainConfig(authority=Authority(SIGNERS[:1])), PyEvmBackend(), clock, key=key)
        for clock, key in ((lambda: now[0] + 9, KEYS[SIGNERS[0]]), (lambda: now[0], None))
    )
    maker.seal()
    with pytest.raises(InvalidBlockError, match="ahead of now"):
        follower.adopt(raw_blocks(maker))
    assert not maker.seal()  # a period has not passed yet
    now[0] += 7
    assert follower.adopt(raw_blocks(maker))
    for chain in (maker, follower):
        chain.close()


def test_a_block_with_transactions_that_cannot_run_is_not_taken(
    nodes: Callable[..., list[SealedChain]],
) -> None:
    sealer, follower = nodes(2)[1], node(2)
    sealer.seal()
    header, _, ommers, withdrawals = rlp.decode(raw_block(sealer, 1))
    for body in ([transfer(0, 5)], [transfer(0, 0), transfer(0, 0)], [b"\x02\xc0"], [[]]):
        with pytest.raises(InvalidBlockError):
            follower.adopt([rlp.encode([header, body, ommers, withdrawals])])
    for raw in (b"", b"\xc0", rlp.encode([header, [], [[]], []]), b"\xf9" * 9, rlp.encode([[], [], [], []])):
        with pytest.raises(InvalidBlockError):
            follower.adopt([raw])
    assert follower.head.header.number == 0
    follower.close()


def test_a_bad_block_in_the_middle_leaves_everything_as_it_was(
    nodes: Callable[..., list[SealedChain]],
) -> None:
    chains = nodes(2)
    follower = node(2)
    kept = follower.submit(transfer(5, 0))
    seal_in_turn(chains, 4)
    raws = raw_blocks(chains[0])
    raws[2] = resealed(raws[2], state_root=b"\x07" * 32)
    with pytest.raises(InvalidBlockError, match="another state root"):
        follower.adopt(raws[:3])
    assert follower.head.header.number == 0
    assert [tx.hash for tx in follower.waiting] == [kept]
    follower.close()


def test_the_heavier_branch_holds_and_what_it_lacks_waits_again(
    nodes: Callable[..., list[SealedChain]],
) -> None:
    chains = nodes(3)
    seal_in_turn(chains, 2)
    light, heavy = chains[1], chains[0]
    both, lost = transfer(0, 0), transfer(1, 0)
    hashes = [light.submit(both), light.submit(lost)]
    blocks, logs = light.watches.blocks(), len(light.waiting)
    assert logs == 2
    assert light.seal()  # block 3 out of turn, weight 1
    assert light.store.has_transaction(hashes[1])
    snapshot = light.snapshot()
    heavy.submit(both)
    assert heavy.seal()  # block 3 in turn, weight 2
    assert not heavy.adopt(raw_blocks(light))
    assert [block.header.number for block in blocks.take()] == [3]
    undone = light.head.header.state_root
    assert light.adopt(raw_blocks(heavy))
    assert light.head.hash == heavy.head.hash
    assert light.store.get(undone) is None
    assert [block.hash for block in blocks.take()] == [heavy.head.hash]
    assert light.store.transaction(hashes[0]).block_hash == heavy.head.hash
    assert not light.store.has_transaction(hashes[1])
    assert not light.revert(snapshot)
    assert [tx.hash for tx in light.waiting] == [hashes[1]]
    assert [entry.transaction.hash for entry in light.store.waiting()] == [hashes[1]]
    assert not light.adopt(raw_blocks(heavy))
    spread(light, chains)
    assert chains[1].seal()  # block 4 is its turn
    assert light.store.has_transaction(hashes[1])


def test_of_equally_heavy_branches_every_node_keeps_the_same(
    nodes: Callable[..., list[SealedChain]],
) -> None:
    chains = nodes(4)
    left, right = chains[0], chains[2]  # block 1 is in turn for chains[1]
    assert left.seal()
    assert right.seal()
    before = {left.head.hash, right.head.hash}
    moved = [left.adopt(raw_blocks(right)), right.adopt(raw_blocks(left))]
    assert sorted(moved) == [False, True]
    assert left.head.hash == right.head.hash == min(before)


def test_a_branch_from_too_far_back_is_refused(nodes: Callable[..., list[SealedChain]]) -> None:
    chains = nodes(2)
    seal_in_turn(chains, 1)
    ahead, other = chains[0], node(2, 0)
    other.adopt(raw_blocks(ahead))
    seal_in_turn(chains, MAX_REORGANISATION + 1)
    assert ahead.finalized_number == 2
    rival = node(2, 0)
    late = node(2, 1)
    for _ in range(MAX_REORGANISATION + 3):
        sealer = [rival, late][(rival.head.header.number + 1) % 2]
        sealer.submit(transfer(3, 0)) if rival.head.header.number == 0 else None
        sealer.seal()
        spread(sealer, [rival, late])
    with pytest.raises(InvalidBlockError, match="at most 64 may be undone"):
        ahead.adopt(raw_blocks(rival))
    for chain in (other, rival, late):
        chain.close()


def test_weights_decide_before_hashes() -> None:
    def header(difficulty: int) -> Header:
        return Header(
            parent_hash=bytes(32), coinbase=bytes(20), state_root=bytes(32), transactions_root=bytes(32),
            receipts_root=bytes(32), bloom=0, number=3, gas_limit=1, gas_used=0, timestamp=100,
            extra_data=b"", mix_hash=bytes(32), base_fee=1, difficulty=difficulty,
        )  # fmt: skip

    assert heavier([header(2)], b"z", [header(1)], b"a")
    assert heavier([header(1), header(1), header(1)], b"z", [header(2)], b"a")
    assert heavier([header(2)], b"a", [header(1), header(1)], b"z")
    assert not heavier([header(2)], b"z", [header(1), header(1)], b"a")
    assert not heavier([header(2)], b"a", [header(2)], b"a")


def test_a_chain_of_signers_survives_a_restart_and_keeps_its_rules(tmp_path: Path) -> None:
    chain = node(1, 0, tmp_path)
    for _ in range(3):
        chain.seal()
    head = chain.head.hash
    chain.close()
    again = open_chain(tmp_path, ChainConfig(), PyEvmBackend(), key=KEYS[SIGNERS[0]])
    assert isinstance(again, SealedChain)
    assert again.head.hash == head
    assert again.seal()
    again.close()
    with pytest.raises(ConfigurationError, match="another authority"):
        node(2, 0, tmp_path)
    with pytest.raises(InvalidValueError, match="is no signer"):
        open_chain(tmp_path, ChainConfig(), PyEvmBackend(), key=STRANGER)
    with pytest.raises(InvalidValueError, match="no signers"):
        open_chain(None, ChainConfig(), PyEvmBackend(), key=STRANGER)


def test_verbs_that_other_signers_would_not_follow_are_refused() -> None:
    chain = node(1, 0)
    for work in (lambda: chain.mine(), lambda: chain.edit(SIGNERS[0], None)):
        with pytest.raises(InvalidValueError, match="signers"):
            work()
    chain.close()


class InProcess(BaseProvider):
    """web3 over `answer`, without HTTP."""

    def __init__(self, chain: SealedChain) -> None:
        super().__init__()
        self._chain = chain

    def make_request(self, method: object, params: object) -> object:
        request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return json.loads(answer(self._chain, Web3.to_json(request).encode()))


def test_web3_reads_sealed_blocks_with_its_middleware() -> None:
    chain = node(2, 1)
    chain.seal()
    web3 = Web3(InProcess(chain))
    web3.middleware_onion.inject(ExtraDataToPOAMiddleware, layer=0)
    block = web3.eth.get_block("latest")
    assert block["number"] == 1
    assert len(block["proofOfAuthorityData"]) == 97
    assert block["difficulty"] == 2
    assert bytes.fromhex(block["miner"][2:]) == SIGNERS[1]
    chain.close()


def test_the_block_that_is_sealed_is_the_one_assembled() -> None:
    chain = node(1, 0)
    chain.submit(transfer(0, 0))
    pending = chain.pending_block()
    chain.seal()
    unsealed = replace(chain.head.header, extra_data=b"", difficulty=0)
    assert pending.header == unsealed
    chain.close()
