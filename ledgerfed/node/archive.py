"""What the certified rounds left, pulled by hash when it is needed and decoded once."""

from __future__ import annotations

from collections.abc import Callable

from ledgerfed.consensus import PastUpdate
from ledgerfed.consensus.history import held_openings, past_updates
from ledgerfed.node import walk
from ledgerfed.node.chain_view import CertifiedRound, ChainView
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.manifest import Manifest
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.reputation import Reputation


class Archive:
    """Documents and models of certified rounds. Everything is named by its hash, so no fork can confuse it.

    Args:
        config: the federation's configuration.
        fetch: bytes by their hash; it raises NotFoundError when nobody has them, and so does every method.
    """

    def __init__(self, config: FederationConfig, fetch: Callable[[bytes], bytes]) -> None:
        self._config = config
        self._fetch = fetch
        self._manifests: dict[bytes, Manifest] = {}
        self._evidences: dict[bytes, RoundEvidence] = {}
        self._model: tuple[bytes, GlobalModel] | None = None
        self._history: tuple[bytes, tuple[PastUpdate, ...]] | None = None

    def base_model(self, view: ChainView) -> GlobalModel:
        """Return the global model in force."""
        if self._model is None or self._model[0] != view.model:
            self._model = view.model, walk.adopt_model(self._fetch(view.model), view.model)
        return self._model[1]

    def reputations(self, view: ChainView) -> tuple[Reputation, ...]:
        """Return the reputations in force, in registry order."""
        if not view.certified:
            return (self._config.genesis_reputation,) * len(view.members)
        return self._recent(view.certified[-1]).reputations

    def manifest(self, digest: bytes) -> Manifest:
        """Return a certified manifest by its hash."""
        return Manifest.from_bytes(self._fetch(digest))

    def history(self, view: ChainView) -> tuple[PastUpdate, ...]:
        """Return the updates that gate V6 remembers in the current round."""
        if self._history is None or self._history[0] != view.opened_at:
            self._history = view.opened_at, self._remember(view)
        return self._history[1]

    def _remember(self, view: ChainView) -> tuple[PastUpdate, ...]:
        recent = view.certified[-self._config.gates.copy_memory :]
        self._evidences = {done.manifest: self._evidence(done) for done in recent}
        self._manifests = {done.manifest: self._recent(done) for done in recent}
        evidences = tuple(self._evidences.values())
        held = {o.update_hash for evidence in evidences for o in held_openings(self._config, evidence)}
        payloads = {digest: self._fetch(digest) for digest in held}
        return past_updates(self._config, evidences, payloads, view.round)

    def _recent(self, done: CertifiedRound) -> Manifest:
        if done.manifest not in self._manifests:
            self._manifests[done.manifest] = self.manifest(done.manifest)
        return self._manifests[done.manifest]

    def _evidence(self, done: CertifiedRound) -> RoundEvidence:
        known = self._evidences.get(done.manifest)
        return known or RoundEvidence.from_bytes(self._fetch(self._recent(done).evidence))
