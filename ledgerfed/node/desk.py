"""A node's desk: its key and ports, what it knows of the chain and the round, and how it keeps its word.

Rules:
- what will be sent is journalled first; what was journalled is sent again word for word after a restart;
- bytes are fetched by hash, here or from any peer, and checked by their hash: gossip may lose anything;
- the relayer of the turn acts first; every other committee member only in the second half of a window, one
  after the other, so that none of them can stall a round.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ledgerfed.consensus import PastUpdate, RoundInput
from ledgerfed.consensus.history import held_openings, past_updates
from ledgerfed.errors import InvalidValueError, NotFoundError, VerificationError, WaitTimeoutError
from ledgerfed.ledger.keys import Signer
from ledgerfed.ledger.transactions import MinedTransaction
from ledgerfed.node import walk
from ledgerfed.node.chain_view import ChainView
from ledgerfed.node.messages import BLOB, EVIDENCE, PROPOSAL, TOPICS, Statement
from ledgerfed.node.notebook import Notebook
from ledgerfed.node.ports import Blobs, Journal, Ledger, Transport
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.hashing import keccak, to_hex, word
from ledgerfed.protocol.manifest import Manifest
from ledgerfed.protocol.model import GlobalModel, encode_model
from ledgerfed.protocol.reputation import Reputation
from ledgerfed.protocol.transcript import Phase


@dataclass(frozen=True, slots=True)
class Progress:
    """One thing that a node has done, for whoever watches: a step of the walk, and what about it."""

    round: int
    index: int
    step: str
    detail: str = ""
    gas: int = 0


@dataclass(frozen=True, slots=True)
class Ports:
    """Everything outside that one node uses."""

    signer: Signer
    ledger: Ledger
    transport: Transport
    journal: Journal
    blobs: Blobs


class Desk:
    """What the roles of one node share. `head` is the block at the last look."""

    def __init__(
        self,
        config: FederationConfig,
        index: int,
        ports: Ports,
        deployed_in: int,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.config = config
        self.index = index
        self.ports = ports
        self.head = 0
        self.view = ChainView(ports.ledger.federation, config.windows, block=deployed_in - 1)
        self.notebook = Notebook(config, self.view)
        self.proposals: list[RoundEvidence] = []
        self.statements: list[tuple[str, Statement]] = []
        self.deeds = 0
        self._said: set[str] = set()
        self._on_progress = on_progress
        self._evidences: dict[int, RoundEvidence] = {}
        ports.blobs.put(config.to_bytes())
        ports.blobs.put(encode_model(config.genesis_model()))
        for topic in TOPICS:
            ports.transport.subscribe(topic, index)
        ports.transport.serve(index, BLOB, self._serve_blob)

    # --- the ledger -----------------------------------------------------------------------------------

    def follow(self) -> None:
        """Read what the ledger has recorded since the last look.

        Raises:
            VerificationError: the chain contradicts itself, or was deployed for another configuration.
        """
        self.head = self.ports.ledger.block_number()
        view = self.view
        if self.head <= view.block:
            return
        for event in self.ports.ledger.read_events(view.block + 1, self.head):
            view = view.apply(event)
        if view.config_hash != self.config.hash():
            raise VerificationError(
                f"the contract was deployed for the configuration {to_hex(view.config_hash)}, this node has "
                f"{to_hex(self.config.hash())}; ask for the right one"
            )
        moved, opened = view.transcript != self.view.transcript, view.opened_at != self.view.opened_at
        self.view = view.seen(self.head)
        if opened:
            self._turn_page()
        elif moved:
            self.notebook.follow(self.view)

    def rank(self) -> int:
        """Return how many committee members come before this one in the current turn: 0 is the relayer."""
        first = int.from_bytes(self.view.transcript, "big") % self.config.committee
        return (self.index - first) % self.config.committee

    def may_relay(self) -> bool:
        """Return whether it is this member's turn to send the transaction that leaves the phase."""
        if self.index >= self.config.committee or self.head < self.view.end:
            return False
        rank = self.rank()
        return rank == 0 or self.head >= self.view.end + self.view.window // 2 + rank - 1

    def may_speak(self) -> bool:
        """Return whether it is this member's turn to propose and to send the certificate."""
        turn = self.rank() * max(1, self.config.windows.certify // (2 * self.config.committee))
        return self.head >= self._scored_in() + turn

    def patient(self) -> bool:
        """Return whether it is early enough in the phase to wait for those who are slow."""
        if self.view.phase is Phase.SCORED:
            return self.head < self._scored_in() + self.config.windows.certify // 4
        return self.head < self.view.end + self.view.window // 4

    def _scored_in(self) -> int:
        return self.view.end - self.config.windows.certify

    def sent(self, step: str, mined: MinedTransaction) -> None:
        """Report a mined transaction."""
        self.report(step, f"block {mined.block_number}", mined.gas_used)

    # --- keeping one's word ---------------------------------------------------------------------------

    def remembered(self, step: str, make: Callable[[], bytes]) -> bytes:
        """Return what was journalled under `step` of this round; journal what `make` gives the first time."""
        data = self.recalled(step)
        if data is None:
            data = make()
            view = self.view
            self.ports.journal.record(view.federation, self.index, view.round, self._key(step), data)
        return data

    def recalled(self, step: str) -> bytes | None:
        """Return what was journalled under `step` of this round, or None."""
        return self.ports.journal.recall(self.view.federation, self.index, self.view.round, self._key(step))

    def secret_salt(self, purpose: str) -> bytes:
        """Return 32 bytes that only this key can make, the same ones after a restart.

        RFC 6979 makes the signature a deterministic secret; only its hash is ever shown.
        """
        binding = self.view.federation.words() + word(self.view.round) + self.view.opened_at
        return keccak(self.ports.signer.sign_digest(keccak(b"ledgerfed salt " + purpose.encode() + binding)))

    # --- talking --------------------------------------------------------------------------------------

    def say(self, topic: str, key: str, data: bytes) -> bool:
        """Publish once per round and key; return whether it was now."""
        if key in self._said:
            return False
        self._said.add(key)
        self.deeds += 1
        self.ports.transport.publish(topic, self.index, data)
        return True

    def say_evidence(self, key: str, fragment: RoundEvidence) -> bool:
        """Publish a piece of evidence once, and take it into the own notebook too."""
        self.notebook.merge(fragment)
        return self.say(EVIDENCE, key, fragment.to_bytes())

    def listen(self) -> list[RoundEvidence]:
        """Take in what has arrived; return the fragments, for roles that answer them."""
        fragments = []
        for fragment in self._received(EVIDENCE):
            self.notebook.merge(fragment)
            fragments.append(fragment)
        for proposal in self._received(PROPOSAL):
            self.notebook.merge(proposal)
            self.proposals.append(proposal)
        for topic in TOPICS[2:]:
            for message in self.ports.transport.receive(topic, self.index):
                try:
                    self.statements.append((topic, Statement.from_bytes(message.data)))
                except InvalidValueError:
                    continue
        return fragments

    def report(self, step: str, detail: str = "", gas: int = 0) -> None:
        """Tell whoever watches what this node has done."""
        self.deeds += 1
        self._on_progress(Progress(self.view.round, self.index, step, detail, gas))

    def fetch(self, digest: bytes) -> bytes:
        """Return the bytes with this hash, from the own store or from the first peer that has them.

        Raises:
            NotFoundError: nobody has them.
        """
        blobs = self.ports.blobs
        if blobs.has(digest):
            return blobs.get(digest)
        for peer in range(len(self.view.members)):
            data = self._ask(peer, digest) if peer != self.index else b""
            if data and keccak(data) == digest:
                blobs.put(data)
                return data
        raise NotFoundError(f"no peer has the bytes with the hash {to_hex(digest)}; wait for one that does")

    # --- what the certified rounds left ---------------------------------------------------------------

    def base_model(self) -> GlobalModel:
        """Return the global model in force."""
        return walk.adopt_model(self.fetch(self.view.model), self.view.model)

    def reputations(self) -> tuple[Reputation, ...]:
        """Return the reputations in force, in registry order."""
        if not self.view.certified:
            return (self.config.genesis_reputation,) * len(self.view.members)
        return self.manifest(self.view.certified[-1].manifest).reputations

    def manifest(self, digest: bytes) -> Manifest:
        """Return a certified manifest by its hash."""
        return Manifest.from_bytes(self.fetch(digest))

    def history(self) -> tuple[PastUpdate, ...]:
        """Return the updates that gate V6 remembers in this round."""
        held = {
            opening.update_hash
            for evidence in self._evidences.values()
            for opening in held_openings(self.config, evidence)
        }
        payloads = {digest: self.fetch(digest) for digest in held}
        return past_updates(self.config, tuple(self._evidences.values()), payloads, self.view.round)

    def round_input(self, evidence: RoundEvidence, held: Iterable[bytes]) -> RoundInput:
        """Return what the decision on `evidence` is a function of, with the payloads of `held` hashes."""
        return RoundInput(
            self.config,
            self.base_model(),
            self.reputations(),
            evidence,
            {digest: self.fetch(digest) for digest in held},
            self.history(),
        )

    def _key(self, step: str) -> str:
        """A round that a reorganisation opened again with another transcript has a journal of its own."""
        return f"{step}:{self.view.opened_at.hex()[:16]}"

    def _turn_page(self) -> None:
        self.notebook = Notebook(self.config, self.view)
        self.proposals, self.statements = [], []
        self._said = set()
        for done in self.view.certified[-self.config.gates.copy_memory :]:
            if done.round not in self._evidences:
                manifest = self.manifest(done.manifest)
                self._evidences[done.round] = RoundEvidence.from_bytes(self.fetch(manifest.evidence))

    def _received(self, topic: str) -> list[RoundEvidence]:
        found = []
        for message in self.ports.transport.receive(topic, self.index):
            try:
                found.append(RoundEvidence.from_bytes(message.data))
            except InvalidValueError:
                continue
        return found

    def _ask(self, peer: int, digest: bytes) -> bytes:
        try:
            return self.ports.transport.request(peer, BLOB, digest, self.index)
        except (NotFoundError, WaitTimeoutError):
            return b""

    def _serve_blob(self, _sender: int, digest: bytes) -> bytes:
        """Answer a request: what is committed to and not opened yet stays secret."""
        if len(digest) != 32 or not self.ports.blobs.has(digest):
            return b""
        mine = self.notebook.secret
        sealed = self.view.phase is Phase.OPEN or self.head < self.view.end
        return b"" if digest == mine and sealed else self.ports.blobs.get(digest)
