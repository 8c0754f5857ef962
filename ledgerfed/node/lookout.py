"""Watching the chain: what it has recorded since the last look, on the branch that it follows now."""

from __future__ import annotations

from ledgerfed.errors import NotFoundError, VerificationError
from ledgerfed.ledger.chain import BlockHeader
from ledgerfed.node.chain_view import ChainView
from ledgerfed.node.ports import Ledger
from ledgerfed.protocol.hashing import EMPTY, to_hex


class Lookout:
    """Reads a federation's events.

    Args:
        ledger: the contract as this node sees it.
        deployed_in: number of the block that holds the contract's creation.
    """

    def __init__(self, ledger: Ledger, deployed_in: int) -> None:
        self._ledger = ledger
        self.unread = ChainView(ledger.federation, block=deployed_in - 1)

    def look(self, view: ChainView) -> tuple[ChainView, bool]:
        """Return the view up to the newest block, and whether the chain has changed branch since `view`.

        Then everything is read again from the federation's first block.

        Raises:
            NotFoundError: the chain changed branch meanwhile; look again.
            VerificationError: the chain contradicts itself, or holds no federation where it should.
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
        if not view.round:
            raise VerificationError(
                f"no federation was founded at {to_hex(view.federation.contract)} in the blocks "
                f"{self.unread.block + 1} to {head}; check the address, the block and the chain"
            )
        return view
