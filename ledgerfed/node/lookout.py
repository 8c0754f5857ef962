"""Watching the chain: what it has recorded since the last look, on the branch that it follows now."""

from __future__ import annotations

from ledgerfed.errors import ConfigurationError, NotFoundError, VerificationError
from ledgerfed.ledger.chain import BlockHeader
from ledgerfed.ledger.events import Genesis
from ledgerfed.node.chain_view import ChainView
from ledgerfed.node.ports import Ledger
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.hashing import EMPTY, to_hex


class Lookout:
    """Reads a federation's events for one member.

    Args:
        ledger: the contract as this node sees it.
        config: what the contract must have been deployed for.
        index: registry index of the member.
        address: its address, 20 bytes.
        deployed_in: number of the block that holds the contract's creation.
    """

    def __init__(
        self, ledger: Ledger, config: FederationConfig, index: int, address: bytes, deployed_in: int
    ) -> None:
        self._ledger = ledger
        self._config = config
        self._index = index
        self._address = address
        self.unread = ChainView(ledger.federation, config.windows, block=deployed_in - 1)

    def look(self, view: ChainView) -> tuple[ChainView, bool]:
        """Return the view up to the newest block, and whether the chain has changed branch since `view`.

        Then everything is read again from the federation's first block.

        Raises:
            NotFoundError: the chain changed branch meanwhile; look again.
            VerificationError: the chain contradicts itself, or holds no federation where it should.
            ConfigurationError: the contract was deployed for another configuration, or for another key.
        """
        tip = self._ledger.header(self._ledger.block_number())
        if tip.hash == view.block_hash:
            return view, False
        stands = self._stands(view, tip)
        try:
            seen = self._read(view if stands else self.unread, tip.number)
        except VerificationError:
            if self._ledger.header(tip.number).hash == tip.hash:
                raise
            raise NotFoundError(f"block {tip.number} left the chain while it was read; read again") from None
        return seen.seen(tip.number, tip.hash), not stands

    def _stands(self, view: ChainView, tip: BlockHeader) -> bool:
        """Whether the branch that the view was read from is still the chain's.

        A change of branch while events were read shows here at the next look at the latest.
        """
        if view.block_hash == EMPTY or tip.parent_hash == view.block_hash:
            return True
        return view.block < tip.number and self._ledger.header(view.block).hash == view.block_hash

    def _read(self, view: ChainView, head: int) -> ChainView:
        for event in self._ledger.read_events(view.block + 1, head):
            view = view.apply(event)
            if isinstance(event, Genesis):
                self._require_own(event, view)
        if not view.round:
            raise VerificationError(
                f"no federation was founded at {to_hex(view.federation.contract)} in the blocks "
                f"{self.unread.block + 1} to {head}; check the address, the block and the chain"
            )
        return view

    def _require_own(self, event: Genesis, view: ChainView) -> None:
        config, windows = self._config, self._config.windows
        if view.config_hash != config.hash():
            raise ConfigurationError(
                f"the contract was deployed for the configuration {to_hex(view.config_hash)}, this node has "
                f"{to_hex(config.hash())}; ask for the right one"
            )
        blocks = (windows.commit, windows.force, windows.score, windows.certify, windows.challenge)
        named = (config.committee, config.depth, config.min_updates, blocks)
        enforced = (event.committee, event.depth, event.min_updates, tuple(event.windows))
        if enforced != named:
            raise ConfigurationError(
                f"the contract enforces {enforced} as committee, depth, min_updates and windows, its "
                f"configuration says {named}; do not join this federation"
            )
        if self._index >= len(view.members) or view.members[self._index] != self._address:
            raise ConfigurationError(
                f"the key {to_hex(self._address)} is not that of member {self._index}; use the member's key"
            )
