"""A node's desk: its key and ports, what it knows of the chain and the round, and how it keeps its word.

Rules:
- what will be sent is journalled first; what was journalled is sent again word for word after a restart;
- gossip may lose anything: what a node says it says again after 1, 2, 4, ... blocks while the phase lasts,
  and bytes are fetched by hash, here or from any peer, and checked by their hash;
- whatever is in the blob store may be shown to anybody: a secret stays in the journal until it is opened;
- the relayer of the turn acts first; every other committee member only in the second half of a window, one
  after the other, so that none of them can stall a round;
- a chain that has changed branch is read again from the federation's first block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from ledgerfed.consensus import RoundInput
from ledgerfed.errors import InvalidValueError, LedgerFedError, NotFoundError, StoreError
from ledgerfed.ledger.keys import Signer
from ledgerfed.ledger.transactions import MinedTransaction
from ledgerfed.node.archive import Archive
from ledgerfed.node.chain_view import ChainView
from ledgerfed.node.lookout import Lookout
from ledgerfed.node.membership import followed, require_known, require_member
from ledgerfed.node.messages import BLOB, EVIDENCE, PROPOSAL, RECEIPT, SIGNATURE, TOPICS, Statement
from ledgerfed.node.notebook import Notebook
from ledgerfed.node.ports import Blobs, Journal, Ledger, Message, Transport
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.hashing import keccak, to_hex, word
from ledgerfed.protocol.model import encode_model
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Certify

MAX_FETCHED_BYTES = 1 << 24
"""What a transport carries in one message; a payload beyond it cannot be held by anybody."""


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
    """What the roles of one node share. `head` is the block at the last look.

    `proposals` holds the newest proposal of each committee member by its hash.
    """

    def __init__(
        self,
        config: FederationConfig,
        index: int,
        ports: Ports,
        deployed_in: int,
        on_progress: Callable[[Progress], None],
    ) -> None:
        self.config = self._founding_config = config
        self.index = index
        self.ports = ports
        self.head = 0
        self._lookout = Lookout(ports.ledger, deployed_in)
        self.view = self._lookout.unread
        self.notebook = Notebook(config, self.view)
        self.last_notebook: Notebook | None = None
        self.archive = Archive(self.fetch)
        self.proposals: dict[int, tuple[bytes, RoundEvidence]] = {}
        self.deeds = 0
        self._said: dict[str, tuple[int, int]] = {}
        self._noted: dict[tuple[str, str], int] = {}
        self._missed: dict[bytes, int] = {}
        self._written: dict[tuple[int, str], bytes] = {}
        self._on_progress = on_progress
        self._peers = 0
        ports.blobs.put(config.to_bytes())
        ports.blobs.put(encode_model(config.genesis_model()))
        for topic in TOPICS:
            ports.transport.subscribe(topic, index)
        ports.transport.serve(index, BLOB, self._serve_blob)

    # --- the ledger -----------------------------------------------------------------------------------

    def follow(self) -> None:
        """Read what the ledger has recorded since the last look; all of it when the chain changed branch.

        Raises:
            NotFoundError: the chain changed branch meanwhile, or nobody has the configuration of a new epoch
                yet; look again.
            VerificationError: the chain contradicts itself, or holds no federation where it should.
            ConfigurationError: the contract was deployed for another configuration, or for another key.
        """
        view, rewound = self._lookout.look(self.view)
        require_member(view, self.index, self.ports.signer.address)
        if view.config_hash != self.view.config_hash:
            self._peers = len(view.members)
            known = self.config if self.config.hash() in view.configs else self._founding_config
            self.config = followed(require_known(known, view), self._config(view), view)
        self.head = view.block
        before, self.view = self.view, view
        if rewound:
            self._said = {}
        if view.opened_at != before.opened_at:
            self._turn_page(view)
            self.proposals, self._written = {}, {}
            self._said, self._noted, self._missed = {}, {}, {}
            self._recall_fallen()
        elif rewound or view.transcript != before.transcript:
            self.notebook.follow(view)

    def _turn_page(self, view: ChainView) -> None:
        """Begin the notebook of another round; that of the round before stays, since it can be contested."""
        page, self.last_notebook = self.last_notebook, self.notebook
        if page is not None and page.view.opened_at == view.opened_at:
            self.notebook = page
            page.follow(view)
        else:
            self.notebook = Notebook(self.config, view)

    def _config(self, view: ChainView) -> FederationConfig:
        known = self.config.hash() == view.config_hash
        return self.config if known else self.archive.config(view.config_hash)

    @property
    def sits(self) -> bool:
        """Whether this node is on the committee and was not removed."""
        return self.index in self.view.sits

    def rank(self, index: int | None = None) -> int:
        """Return how many committee members come before `index` (this node) in the turn: 0 is the relayer."""
        committee = self.config.committee
        first = int.from_bytes(self.view.transcript, "big") % len(committee)
        return (committee.index(self.index if index is None else index) - first) % len(committee)

    def may_relay(self) -> bool:
        """Return whether it is this member's turn to send the transaction that leaves the phase.

        What is sent now stands in the next block at the earliest. When the second half of the window has
        fewer blocks than the committee has members, the last ones share its last block.
        """
        end, window = self.view.end, self.view.window
        rank = self.rank()
        wait = 0 if rank == 0 else min(window // 2 + rank - 1, window - 1)
        return end + wait <= self.head < end + window

    def may_speak(self, index: int | None = None) -> bool:
        """Return whether `index` (this node) may propose and send the certificate by now.

        The relayer of the turn may at once; the others one after the other when patience with it is over, so
        that two proposals seldom compete.
        """
        window, rank = self.config.windows.certify, self.rank(index)
        patience = window // 4
        turn = max(1, (window - patience) // (2 * len(self.config.committee)))
        return self.head >= self._scored_in() + min(rank and patience + rank * turn, window - 1)

    def patient(self, eighths: int = 2) -> bool:
        """Return whether so little of the phase's window is over that one waits for those who are slow."""
        if self.view.phase is Phase.SCORED:
            return self.head < self._scored_in() + self.config.windows.certify * eighths // 8
        return self.head < self.view.end + self.view.window * eighths // 8

    def sent(self, step: str, mined: MinedTransaction) -> None:
        """Report a mined transaction."""
        self.report(step, f"block {mined.block_number}", mined.gas_used)

    # --- keeping one's word ---------------------------------------------------------------------------

    def remembered(self, step: str, about: bytes, make: Callable[[], bytes]) -> bytes:
        """Return what was journalled under `step`; journal what `make` gives the first time.

        `about` is the transcript that it speaks about: a reorganisation that leads to another one makes
        another statement.
        """
        data = self.recalled(step, about)
        if data is None:
            data = make()
            key = self._key(step, about)
            self.ports.journal.record(self.view.federation, self.index, *key, data)
            self._written[key] = data
        return data

    def recalled(self, step: str, about: bytes) -> bytes | None:
        """Return what was journalled under `step` of this round about a transcript, or None."""
        key = self._key(step, about)
        if key not in self._written:
            data = self.ports.journal.recall(self.view.federation, self.index, *key)
            if data is None:
                return None
            self._written[key] = data
        return self._written[key]

    def secret_salt(self, purpose: str) -> bytes:
        """Return 32 bytes that only this key can make, the same ones after a restart.

        RFC 6979 makes the signature a deterministic secret; only its hash is ever shown.
        """
        binding = self.view.federation.words() + word(self.view.round) + self.view.opened_at
        return keccak(self.ports.signer.sign_digest(keccak(b"ledgerfed salt " + purpose.encode() + binding)))

    # --- talking --------------------------------------------------------------------------------------

    def is_due(self, key: str) -> bool:
        """Return whether something is to be said now: for the first time, or again since it may be lost."""
        return self.head >= self._said.get(key, (self.head, 1))[0]

    def say(self, topic: str, key: str, data: bytes) -> bool:
        """Publish if it is due; return whether it was the first time in this round."""
        if not self.is_due(key):
            return False
        first = key not in self._said
        _, pause = self._said.get(key, (0, 1))
        self._said[key] = (self.head + pause, 2 * pause)
        self.deeds += 1
        self.ports.transport.publish(topic, self.index, data)
        return first

    def say_evidence(self, key: str, fragment: RoundEvidence) -> bool:
        """Publish a piece of evidence if it is due, and take it into the own notebook too."""
        if not self.is_due(key):
            return False
        self.notebook.merge(fragment, self.index)
        return self.say(EVIDENCE, key, fragment.to_bytes())

    def listen(self) -> None:
        """Take in what has arrived; what is nonsense, or not of this round, is dropped."""
        take = {
            EVIDENCE: self._take_evidence,
            PROPOSAL: self._take_proposal,
            RECEIPT: self._take_receipt,
            SIGNATURE: self._take_signature,
        }
        for topic in TOPICS:
            for message in self.ports.transport.receive(topic, self.index):
                if len(message.data) > self._max_bytes():
                    continue
                try:
                    take[topic](message)
                except InvalidValueError:
                    continue

    def propose(self, proposal: RoundEvidence) -> bool:
        """Publish a proposal and put it among those to be judged; return whether it is a new one."""
        digest = proposal.hash()
        self.proposals[self.index] = digest, proposal
        return self.say(PROPOSAL, f"proposal {to_hex(digest)}", proposal.to_bytes())

    def report(self, step: str, detail: str = "", gas: int = 0) -> None:
        """Tell whoever watches what this node has done."""
        self.deeds += 1
        self._on_progress(Progress(self.view.round, self.index, step, detail, gas))

    def note(self, step: str, detail: str) -> None:
        """Report what stands in the way, once a block: waiting is no deed that others wait for."""
        if self._noted.get((step, detail)) != self.head:
            self._noted[step, detail] = self.head
            self.report(step, detail)

    def fetch(self, digest: bytes) -> bytes:
        """Return the bytes with this hash, from the own store or from the first peer that has them.

        Raises:
            NotFoundError: nobody has them, or they are more than a message may hold.
        """
        blobs = self.ports.blobs
        try:
            return blobs.get(digest)
        except (NotFoundError, StoreError):  # a damaged file is replaced by what a peer has
            pass
        for peer in range(max(self._peers, len(self.view.members))):
            data = self._ask(peer, digest) if peer != self.index else b""
            if 0 < len(data) <= MAX_FETCHED_BYTES and keccak(data) == digest:
                blobs.put(data)
                return data
        raise NotFoundError(f"no peer has the bytes with the hash {to_hex(digest)}; wait for one that does")

    def has(self, digest: bytes) -> bool:
        """Return whether the bytes with this hash are here; peers are asked for them once a block."""
        if self._missed.get(digest) == self.head:
            return False
        try:
            self.fetch(digest)
        except NotFoundError:
            self._missed[digest] = self.head
            return False
        return True

    def round_input(self, evidence: RoundEvidence, held: Iterable[bytes]) -> RoundInput:
        """Return what the decision on `evidence` is a function of, with the payloads of `held` hashes.

        Raises:
            NotFoundError: some of it has not come through yet.
        """
        return RoundInput(
            self.config,
            self.archive.base_model(self.view),
            self.archive.reputations(self.config, self.view),
            evidence,
            {digest: self.fetch(digest) for digest in held},
            self.archive.history(self.config, self.view),
            self.view.faulted,
            self.archive.earlier_models(self.config, self.view),
        )

    def _recall_fallen(self) -> None:
        """Take what a certificate that fell had as evidence into the notebook: it proves itself again."""
        for step in self.view.history if self.view.phase is Phase.SCORED else ():
            if isinstance(step, Certify):
                try:
                    self.notebook.merge(self.archive.evidence(step.manifest), self.index)
                except (InvalidValueError, NotFoundError) as error:
                    self.note("wait", str(error))

    # --- what arrives ---------------------------------------------------------------------------------

    def _take_evidence(self, message: Message) -> None:
        fragment = RoundEvidence.from_bytes(message.data)
        self.notebook.merge(fragment, message.sender)
        if self.last_notebook is not None:
            self.last_notebook.merge(fragment, message.sender)

    def _take_proposal(self, message: Message) -> None:
        proposal = RoundEvidence.from_bytes(message.data)
        self.notebook.merge(proposal, message.sender)
        if message.sender in self.view.sits and proposal.opened_at == self.view.opened_at:
            self.proposals[message.sender] = keccak(message.data), proposal

    def _take_receipt(self, message: Message) -> None:
        self.notebook.take_receipt(Statement.from_bytes(message.data))

    def _take_signature(self, message: Message) -> None:
        self.notebook.take_certificate(Statement.from_bytes(message.data))

    def _max_bytes(self) -> int:
        """The largest evidence that this federation can have, with room to spare."""
        members, scores = self.config.capacity, len(self.config.committee) * self.config.capacity
        return 4096 + 2048 * members + 16 * scores

    def _scored_in(self) -> int:
        return self.view.end - self.config.windows.certify

    def _key(self, step: str, about: bytes) -> tuple[int, str]:
        return self.view.round, f"{step}:{about.hex()[:16]}"

    def _ask(self, peer: int, digest: bytes) -> bytes:
        try:
            return self.ports.transport.request(peer, BLOB, digest, self.index)
        except LedgerFedError:  # whatever troubles that peer, another one may have them
            return b""

    def _serve_blob(self, _sender: int, digest: bytes) -> bytes:
        try:
            return self.ports.blobs.get(digest)
        except LedgerFedError:
            return b""
