"""A chain whose blocks several nodes seal in turn (`authority`): sealing, importing, and which branch holds.

What a peer sends is decoded and weighed before anything is executed, and executed before anything is written;
then the branch replaces this chain's in one write. Transactions of the blocks that it gives up wait again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain, takewhile

from eth_keys.datatypes import PrivateKey

from chain_devnet.authority import Authority, heavier
from chain_devnet.backend import Environment, ExecutionBackend, NodeSource
from chain_devnet.block import Block, Header
from chain_devnet.chain import Chain, Clock
from chain_devnet.config import ChainConfig
from chain_devnet.errors import InvalidBlockError
from chain_devnet.importing import AHEAD_SECONDS, Imported, check_block, decode_block
from chain_devnet.pool import PoolLimits
from chain_devnet.settings import Settings
from chain_devnet.state import Layered, StateEdit
from chain_devnet.store import ChainStore
from chain_devnet.transaction import Transaction
from ledgerfed.errors import InvalidValueError, LedgerFedError

MAX_REORGANISATION = 64
Received = tuple[Header, tuple[Transaction, ...], bytes]  # header, transactions, block hash

_log = logging.getLogger(__name__)


class SealedChain(Chain):
    """A chain with signers. Without a key of its own it only follows."""

    def __init__(
        self,
        config: ChainConfig,
        store: ChainStore,
        backend: ExecutionBackend,
        clock: Clock | None = None,
        limits: PoolLimits | None = None,
        key: bytes | None = None,
    ) -> None:
        """Continue the chain in `store`, or create it; `key` is the signer's secret of 32 bytes.

        Raises:
            InvalidValueError: the configuration names no signers, or the key is none of theirs.
            ConfigurationError: the store holds a chain with other parameters.
        """
        super().__init__(config, store, backend, clock, limits)
        self.automine = False
        self._key = key
        self.signer = None if key is None else PrivateKey(key).public_key.to_canonical_address()
        if self.signer is not None and self.signer not in self.authority.signers:
            raise InvalidValueError(f"0x{self.signer.hex()} is no signer of this chain; use a signer's key")

    @property
    def authority(self) -> Authority:
        """The rules by which blocks are sealed."""
        if self.config.authority is None:
            raise InvalidValueError("this chain has no signers; use Chain")
        return self.config.authority

    @property
    def finalized_number(self) -> int:
        """The newest block that no other branch can replace any more."""
        with self.lock:
            return max(0, self._head.header.number - MAX_REORGANISATION)

    # Sealing

    def seal(self) -> bool:
        """Seal the next block if that is for this node to do now; whether it did."""
        with self.lock:
            parent = self._head.header
            if self.signer is None or not self.authority.may_seal(self.signer, self._recent(parent.number)):
                return False
            if self._clock is not None and self._clock() < self.authority.earliest(parent, self.signer):
                return False
            environment = self._environment_after(self._head)
            self._mine_waiting(self._executable(environment.base_fee))
            self._save_waiting()
            return True

    def mine(self, count: int = 1, interval: int | None = None) -> None:
        """Refused: blocks come when it is their signer's turn."""
        spaced = "" if interval is None else f" {interval} s apart"
        raise InvalidValueError(
            f"cannot mine {count} blocks{spaced}: this chain's signers seal in turn; wait"
        )

    def edit(self, address: bytes, _edit: StateEdit) -> None:
        """Refused: the other nodes would not agree."""
        raise InvalidValueError(
            f"cannot edit 0x{address.hex()}: this chain has other signers; send a transaction"
        )

    def change_settings(self, _settings: Settings) -> None:
        """Refused: the other nodes would not agree."""
        raise InvalidValueError(
            "cannot impersonate an account or choose who earns: this chain has other signers"
        )

    def _mine_executable(self) -> dict[bytes, LedgerFedError]:
        return {}

    def _finished(self, block: Block) -> Block:
        return block if self._key is None else self.authority.sealed(block, self._key)

    def _environment_after(self, parent: Block, timestamp: int | None = None) -> Environment:
        authority, number = self.authority, parent.header.number + 1
        sealing = self.signer or authority.signers[number % len(authority.signers)]
        chosen = self._next_timestamp(parent.header) if timestamp is None else timestamp
        environment = super()._environment_after(
            parent, max(chosen, authority.earliest(parent.header, sealing))
        )
        return replace(environment, coinbase=sealing)

    def _recent(self, number: int) -> list[bytes]:
        """Who sealed block `number` and those before it, as far as the rules ask, newest first."""
        first = max(1, number - self.authority.rest() + 1)
        return [self._stored_block(found).header.coinbase for found in range(number, first - 1, -1)]

    # Following

    def knows(self, block_hash: bytes) -> bool:
        """Whether a block is part of this chain."""
        with self.lock:
            return self.store.block_by_hash(block_hash) is not None

    def adopt(self, raws: Sequence[bytes]) -> bool:
        """Take a branch of RLP blocks that begins after a block of this chain, if it holds against this one.

        Returns:
            Whether the head moved; False also when all was known.

        Raises:
            InvalidBlockError: a block breaks a rule, or the branch begins too far back; nothing was taken.
        """
        received = [(header, body, header.hash) for header, body in map(decode_block, raws)]
        with self.lock:
            branch = _after_known(received, self.knows)
            if not branch:
                return False
            ancestor = self.store.block_by_hash(branch[0][0].parent_hash)
            if ancestor is None:
                raise InvalidBlockError(f"block {branch[0][0].number} follows no block of this chain")
            own = self._branch_after(ancestor.header.number)
            if len(own) > MAX_REORGANISATION:
                raise InvalidBlockError(
                    f"a branch from block {ancestor.header.number} would undo {len(own)} blocks; "
                    f"at most {MAX_REORGANISATION} may be undone"
                )
            headers = [header for header, _, _ in branch]
            if own and not heavier(headers, branch[-1][2], [block.header for block in own], own[-1].hash):
                return False
            self._switch(ancestor, own, self._checked(ancestor, branch))
            return True

    def _branch_after(self, number: int) -> list[Block]:
        return [self._stored_block(found) for found in range(number + 1, self._head.header.number + 1)]

    def _checked(self, ancestor: Block, branch: Sequence[Received]) -> list[Imported]:
        written: dict[bytes, bytes] = {}
        nodes: NodeSource = Layered(written, self.store)
        recent = self._recent(ancestor.header.number)
        parent, root = ancestor, self.state_root(ancestor.header)
        checked: list[Imported] = []
        for header, transactions, _ in branch:
            if self._clock is not None and header.timestamp > self._clock() + AHEAD_SECONDS:
                raise InvalidBlockError(
                    f"block {header.number} has time {header.timestamp}, which is ahead of now"
                )
            ancestors = _hashes([ancestor, *(found.block for found in checked)], self.store)
            imported = check_block(
                header,
                transactions,
                parent,
                root,
                recent,
                self.config,
                self.authority,
                self.backend,
                nodes,
                ancestors,
            )
            checked.append(imported)
            written |= imported.nodes
            parent, root = imported.block, imported.block.header.state_root
            recent = [header.coinbase, *recent]
        return checked

    def _switch(self, ancestor: Block, own: Sequence[Block], branch: Sequence[Imported]) -> None:
        number, last = ancestor.header.number, branch[-1].block
        before = self._pool.snapshot()
        given_up = [
            stored.transaction for block in own for stored in self.store.transactions(block.header.number)
        ]
        if own:
            _log.info("giving up %d blocks after block %d for a heavier branch", len(own), number)
            self.watches.reverting(number)
        included = [tx.hash for found in branch for tx in found.block.transactions]
        self._pool.drop(included)
        for tx in given_up:
            if tx.hash not in included:
                self._pool.reinstate(tx)
        timeline = self._timeline.after(
            last.header.timestamp, self._now(last.header.number), anchored=self._clock is None
        )
        branch_nodes: list[tuple[Block, Mapping[bytes, bytes]]] = [
            (found.block, found.nodes) for found in branch
        ]
        try:
            self.store.replace_after(number, branch_nodes, timeline.to_meta(), self._pool.delta())
        except BaseException:
            self._pool.keep(before)
            raise
        self._pool.mark_saved()
        self._timeline = timeline
        self._head = Block(last.header, last.hash)
        self._head_root = last.header.state_root
        self._snapshots = {key: kept for key, kept in self._snapshots.items() if kept.number <= number}
        self._drop_hopeless()
        self.watches.extended()


def _after_known(received: Sequence[Received], knows: Callable[[bytes], bool]) -> list[Received]:
    known = sum(1 for _ in takewhile(lambda found: knows(found[2]), received))
    return list(received[known:])


def _hashes(newer: Sequence[Block], store: ChainStore) -> Callable[[], Iterator[bytes]]:
    """Block hashes from the last of `newer` downwards; the first of them is in the store."""
    hashes = [block.hash for block in reversed(newer[1:])]
    return lambda: chain(hashes, store.ancestors(newer[0].header.number))
