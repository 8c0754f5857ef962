"""The agent of one node: it watches the ledger and does what is due, whatever happened before.

What is due follows from the ledger's phase, the notebook and the journal, so an agent that was killed at any
point goes on where the chain stands.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from ledgerfed.errors import ConflictError, NotFoundError, TransactionRevertedError, WaitTimeoutError
from ledgerfed.models import Family
from ledgerfed.node import walk
from ledgerfed.node.chain_view import CertifiedRound, ChainView
from ledgerfed.node.challenger import Challenger
from ledgerfed.node.desk import Desk, Ports, Progress
from ledgerfed.node.messages import Statement
from ledgerfed.node.ports import Ledger
from ledgerfed.node.relayer import Relayer
from ledgerfed.node.trainer import Trainer, UpdateMaker, honest_update
from ledgerfed.node.validator import Validator
from ledgerfed.node.walk import Workbench
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.manifest import Manifest
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.reputation import Reputation
from ledgerfed.protocol.transcript import Phase
from ledgerfed.series.arrays import Floats


class NodeAgent:
    """One node of a federation: trainer, and validator and relayer if its index is on the committee.

    Args:
        config: the federation's configuration, as its contract was deployed for.
        index: the registry index of the node.
        ports: key, ledger, transport, journal and blobs.
        bench: the node's private panel as regression rows.
        family: what it fits.
        deployed_in: number of the block that holds the contract's creation.
        make_update: how the local model becomes an update.
        on_progress: told of everything the node does.
    """

    def __init__(
        self,
        config: FederationConfig,
        index: int,
        ports: Ports,
        bench: Workbench,
        family: Family,
        deployed_in: int,
        make_update: UpdateMaker = honest_update,
        on_progress: Callable[[Progress], None] = lambda _: None,
    ) -> None:
        self._bench = bench
        self._desk = Desk(config, index, ports, deployed_in, on_progress)
        self._trainer = Trainer(self._desk, bench, family, make_update)
        self._validator = Validator(self._desk, bench)
        self._relayer = Relayer(self._desk, self._validator)
        self._challenger = Challenger(self._desk, self._validator)

    @property
    def index(self) -> int:
        """The registry index of the node."""
        return self._desk.index

    @property
    def view(self) -> ChainView:
        """What the ledger says, as of the last step."""
        return self._desk.view

    def step(self, last_round: int | None = None) -> bool:
        """Look at ledger and network, do what is due, and return whether anything was.

        After `last_round` the node only watches.

        Raises:
            VerificationError: the chain endpoint contradicts itself or holds no such federation.
            ConfigurationError: the contract is for another configuration, or the key for another member.
            ChainUnreachableError: the chain does not answer.
        """
        desk = self._desk
        before = (desk.view.transcript, desk.deeds)
        try:
            desk.follow()
            desk.listen()
            self._challenger.look()
            if last_round is None or desk.view.round <= last_round:
                self._act()
        except (TransactionRevertedError, ConflictError, WaitTimeoutError) as error:
            # somebody was faster, a window closed, or it takes longer: the next look at the ledger tells
            desk.note("reverted", str(error))
        except NotFoundError as error:
            desk.note("wait", str(error))
        return before != (desk.view.transcript, desk.deeds)

    def base_model(self) -> GlobalModel:
        """Return the global model in force."""
        return self._desk.archive.base_model(self.view)

    def reputations(self) -> tuple[Reputation, ...]:
        """Return the reputations in force, in registry order."""
        return self._desk.archive.reputations(self._desk.config, self.view)

    def manifests(self) -> tuple[Manifest, ...]:
        """Return the manifests of the certified rounds, in order."""
        return tuple(self._desk.archive.manifest(done.manifest) for done in self.view.certified)

    def config_of(self, done: CertifiedRound) -> FederationConfig:
        """Return the configuration that a round was decided by; raises NotFoundError when nobody has it."""
        return self._desk.archive.config(done.config_hash)

    def fetch(self, digest: bytes) -> bytes:
        """Return bytes by their hash, from this node or a peer; raises NotFoundError when nobody has them."""
        return self._desk.fetch(digest)

    def personal_model(self) -> Floats:
        """Return the node's own coefficients on top of the global model in force, float64 [d]."""
        return walk.personalise(self._bench, self._trainer.local_model(), self.base_model())

    def receipts(self) -> tuple[Statement, ...]:
        """Return the receipts that name this node's leaf, in the current round."""
        receipts = self._desk.notebook.receipts.values()
        return tuple(receipt for receipt in receipts if receipt.index == self._desk.index)

    def _act(self) -> None:
        desk = self._desk
        if desk.head >= desk.view.deadline:
            self._abort()
        elif desk.view.due and desk.view.phase is Phase.OPEN:
            self._open_epoch()
        elif desk.view.phase is Phase.OPEN:
            self._trainer.while_open()
            if desk.sits:
                self._relayer.acknowledge()
                self._relayer.while_open()
        elif desk.view.phase is Phase.SEALED:
            if desk.sits:
                self._validator.while_sealed()
                self._relayer.while_sealed()
            self._trainer.while_sealed()  # last: a leaf that cannot be forced must not silence the others
        else:
            self._trainer.while_scored()
            if desk.sits:
                self._validator.while_scored()
                self._relayer.while_scored()

    def _open_epoch(self) -> None:
        """Begin the epoch that is due, one node after the other; nobody commits before."""
        desk, view = self._desk, self._desk.view
        if view.next_epoch is not None and desk.head >= view.end + desk.index:
            number = view.epoch + 1
            mined = desk.ports.ledger.open_epoch(desk.ports.signer, number, view.next_epoch)
            desk.sent("open epoch", mined)

    def _abort(self) -> None:
        """Give the round up, one node after the other: anyone may, and one is enough."""
        desk = self._desk
        if desk.head >= desk.view.deadline + desk.index:
            desk.sent("abort", desk.ports.ledger.abort(desk.ports.signer, desk.view.round))


def run_rounds(agents: Sequence[NodeAgent], ledger: Ledger, last_round: int) -> None:
    """Let agents of one process take turns until all have seen the end of `last_round`.

    When none has anything to do, it waits for the next block.
    """
    while any(agent.view.round <= last_round for agent in agents):
        busy = False
        for agent in agents:
            busy |= agent.step(last_round)
        if not busy:
            ledger.wait_for_block(ledger.block_number() + 1)
