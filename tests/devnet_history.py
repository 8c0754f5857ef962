"""A chain's history computed again from genesis, by its blocks alone: what the store must agree with."""

from __future__ import annotations

from dataclasses import replace

from chain_devnet import Chain, dev_accounts
from chain_devnet.accounts import FUNDS
from chain_devnet.assembly import assemble
from chain_devnet.backend import environment_of
from chain_devnet.block import Block
from chain_devnet.state import Layered
from chain_devnet.store import LogFilter, StoredLog


def replay(chain: Chain) -> None:
    """Execute every block again on a state of its own; headers, receipts and indexes must be the same."""
    balances = {account.address: FUNDS for account in dev_accounts()} | dict(chain.config.fund)
    genesis = chain.backend.genesis(balances)
    nodes = dict(genesis.nodes)
    parent = chain.store.block(0)
    assert parent is not None
    assert parent.header.state_root == genesis.state_root
    hashes = [parent.hash]
    logs: list[StoredLog] = []
    for number in range(1, chain.head.header.number + 1):
        block = chain.store.block(number)
        assert block is not None
        stored = chain.store.transactions(number)
        environment = environment_of(block.header, chain.config.chain_id, lambda: reversed(hashes))
        execution = chain.backend.execute(
            Layered(nodes, {}), parent.header.state_root, environment, [entry.transaction for entry in stored]
        )
        nodes |= execution.nodes
        again = assemble(parent, environment, execution)
        sealed = replace(again.header, extra_data=block.header.extra_data, difficulty=block.header.difficulty)
        assert sealed == block.header
        assert block.hash == sealed.hash
        assert [entry.receipt for entry in stored] == list(again.receipts)
        for entry in stored:
            assert chain.store.transaction(entry.transaction.hash) == entry
        logs += _logs(again, block.hash)
        parent = block
        hashes.append(block.hash)
    assert parent.hash == chain.head.hash
    assert list(chain.store.logs(LogFilter(0, chain.head.header.number))) == logs
    assert all(chain.store.get(key) == value for key, value in nodes.items())
    assert chain.store.block(chain.head.header.number + 1) is None


def _logs(block: Block, block_hash: bytes) -> list[StoredLog]:
    found: list[StoredLog] = []
    for position, (tx, receipt) in enumerate(zip(block.transactions, block.receipts, strict=True)):
        for log in receipt.logs:
            header = block.header
            found.append(
                StoredLog(log, header.number, block_hash, header.timestamp, tx.hash, position, len(found))
            )
    return found
