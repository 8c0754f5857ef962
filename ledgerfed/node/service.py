"""A node as a long-running process: it acts when a block or a message comes, and outlives what fails.

Rules:
- whatever the chain endpoint does wrong after the first good look is waited out and reported: nodes restart;
- what makes the endpoint or the store untrustworthy ends the node: it must not go on signing;
- the documents of every certified round are pulled, so that each node can show and export the whole history.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from typing import Protocol

from ledgerfed.consensus.history import held_openings
from ledgerfed.errors import (
    ChainUnreachableError,
    LedgerFedError,
    NotFoundError,
    StoreError,
    VerificationError,
)
from ledgerfed.node.agent import NodeAgent
from ledgerfed.node.chain_view import CertifiedRound
from ledgerfed.node.desk import Progress
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.manifest import Manifest

MAX_PAUSE = 30.0
STALL_SECONDS = 60.0
_FATAL = (VerificationError, StoreError)


class Mail(Protocol):
    """What wakes a node between blocks."""

    def wait(self, seconds: float) -> bool:
        """Wait until a message has arrived, but no longer; return whether one has."""
        ...


class NodeService:
    """Runs one agent until it is told to stop, or a round is over.

    Args:
        agent: the node.
        mail: what wakes it between blocks.
        stop: set when the node is to end.
        poll_seconds: how often it looks at the chain when nothing else happens.
        on_progress: told of rounds that ended, and of troubles.
        on_members: told of the members (addresses by index) when an epoch has changed them.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        agent: NodeAgent,
        mail: Mail,
        stop: threading.Event,
        poll_seconds: float,
        on_progress: Callable[[Progress], None],
        on_members: Callable[[tuple[bytes, ...]], None] = lambda _: None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._agent = agent
        self._mail = mail
        self._stop = stop
        self._poll_seconds = poll_seconds
        self._on_progress = on_progress
        self._on_members = on_members
        self._members: tuple[bytes, ...] = ()
        self._clock = clock
        self._moved = (-1, clock())
        self._kept: set[bytes] = set()
        self._asked_at = -1
        self._failures = 0

    def run(self, last_round: int | None = None) -> None:
        """Run until `stop` is set, or `last_round` is over and its documents are here.

        Raises:
            ConfigurationError: this is not the federation, or not the member; nothing was sent.
            VerificationError: the chain endpoint contradicts itself.
            StoreError: the disk or the database does not work.
        """
        self._agent.step(last_round=0)  # a first look; what is wrong with it is for whoever has started this
        while not self._stop.is_set():
            busy = self._step(last_round)
            self._keep_documents()
            over = last_round is not None and self._agent.view.round > last_round
            if over and not self._missing():
                return
            if not busy:
                self._mail.wait(self._poll_seconds)

    def linger(self, seconds: float) -> None:
        """Go on answering peers, who may still need what this node holds."""
        self._stop.wait(seconds)

    def _step(self, last_round: int | None) -> bool:
        try:
            busy = self._agent.step(last_round)
            self._meet()
        except _FATAL:
            raise
        except LedgerFedError as error:
            kind = "chain away" if isinstance(error, ChainUnreachableError) else "trouble"
            self._report(kind, str(error))
            self._stop.wait(min(self._poll_seconds * 2**self._failures, MAX_PAUSE))
            self._failures = min(self._failures + 1, 16)
            return False
        self._failures = 0
        self._watch_blocks()
        return busy

    def _meet(self) -> None:
        """Say who the members are when an epoch has changed them."""
        members = self._agent.view.members
        if members != self._members:
            self._on_members(members)
            self._members = members

    def _watch_blocks(self) -> None:
        """Say so when the chain stands still: nothing can happen then, and nothing else would show why."""
        block, now = self._agent.view.block, self._clock()
        if block != self._moved[0]:
            self._moved = block, now
        elif now - self._moved[1] >= STALL_SECONDS:
            self._moved = block, now
            self._report(
                "stall",
                f"no block after {block} for {STALL_SECONDS:g} s; a development chain needs a block time",
            )

    def _missing(self) -> list[CertifiedRound]:
        return [done for done in self._agent.view.certified if done.manifest not in self._kept]

    def _keep_documents(self) -> None:
        """Pull what newly certified rounds refer to; what nobody has is asked for again next block."""
        missing, block = self._missing(), self._agent.view.block
        if self._asked_at == block:
            return
        for done in missing:
            try:
                manifest = self._keep(done)
            except NotFoundError:
                self._asked_at = block
                return
            self._kept.add(done.manifest)
            self._tell(manifest)

    def _keep(self, done: CertifiedRound) -> Manifest:
        manifest = Manifest.from_bytes(self._agent.fetch(done.manifest))
        for digest in documents_of(self._agent.config_of(done), manifest, self._agent.fetch):
            self._agent.fetch(digest)
        return manifest

    def _tell(self, manifest: Manifest) -> None:
        admitted = sum(verdict.admitted for verdict in manifest.verdicts)
        out = [f"{v.index} {v.reason.value}" for v in manifest.verdicts if not v.admitted]
        detail = f"{admitted} admitted" + (f"; not {', '.join(out)}" if out else "")
        self._on_progress(Progress(manifest.round, self._agent.index, "certified", detail))

    def _report(self, step: str, detail: str) -> None:
        view = self._agent.view
        self._on_progress(Progress(view.round, self._agent.index, step, detail))


def documents_of(
    config: FederationConfig, manifest: Manifest, fetch: Callable[[bytes], bytes]
) -> Iterator[bytes]:
    """Yield the hashes of all that a certified manifest refers to; raises what `fetch` raises."""
    yield manifest.model
    yield manifest.evidence
    evidence = RoundEvidence.from_bytes(fetch(manifest.evidence))
    for opening in held_openings(config, evidence):
        yield opening.update_hash
