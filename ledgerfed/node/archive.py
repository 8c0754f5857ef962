"""What the certified rounds left, pulled by hash when it is needed and decoded once."""

from __future__ import annotations

from collections.abc import Callable

from ledgerfed.consensus import PastUpdate
from ledgerfed.consensus.history import authors_of_copies, held_openings, past_updates
from ledgerfed.node import walk
from ledgerfed.node.chain_view import CertifiedRound, ChainView
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.manifest import Manifest
from ledgerfed.protocol.model import GlobalModel
from ledgerfed.protocol.reputation import NEWCOMER, Reputation


class Archive:
    """Documents and models of certified rounds. Everything is named by its hash, so no fork can confuse it.

    Args:
        fetch: bytes by their hash; it raises NotFoundError when nobody has them, and so does every method.
    """

    def __init__(self, fetch: Callable[[bytes], bytes]) -> None:
        self._fetch = fetch
        self._manifests: dict[bytes, Manifest] = {}
        self._evidences: dict[bytes, RoundEvidence] = {}
        self._model: tuple[bytes, GlobalModel] | None = None
        self._configs: dict[bytes, FederationConfig] = {}
        self._history: tuple[bytes, tuple[PastUpdate, ...]] | None = None

    def base_model(self, view: ChainView) -> GlobalModel:
        """Return the global model in force."""
        if self._model is None or self._model[0] != view.model:
            self._model = view.model, walk.adopt_model(self._fetch(view.model), view.model)
        return self._model[1]

    def earlier_models(self, config: FederationConfig, view: ChainView) -> tuple[bytes, ...]:
        """Return the hashes of the models in force before the present one, newest first, as gate V4 wants
        them: the last `stale_rounds`, the genesis model among them."""
        every = (*(done.model for done in reversed(view.certified)), config.genesis_model().hash())
        return every[1 : 1 + config.gates.stale_rounds]

    def model(self, digest: bytes) -> GlobalModel:
        """Return a model that was in force, by its hash."""
        return walk.adopt_model(self._fetch(digest), digest)

    def reputations(self, config: FederationConfig, view: ChainView) -> tuple[Reputation, ...]:
        """Return the reputations in force, in registry order; who has joined since has no evidence yet."""
        if view.certified:
            rows = self._recent(view.certified[-1]).reputations
        else:
            rows = (config.genesis_reputation,) * view.founders
        return (*rows, *(NEWCOMER,) * (len(view.members) - len(rows)))

    def drift_declared(self, view: ChainView) -> bool:
        """Return whether the last certified round declared a drift of the federation."""
        return bool(view.certified) and self._recent(view.certified[-1]).drift.declared

    def config(self, digest: bytes) -> FederationConfig:
        """Return the configuration with this hash."""
        if digest not in self._configs:
            self._configs[digest] = FederationConfig.from_bytes(self._fetch(digest))
        return self._configs[digest]

    def manifest(self, digest: bytes) -> Manifest:
        """Return a certified manifest by its hash."""
        return Manifest.from_bytes(self._fetch(digest))

    def evidence(self, manifest: bytes) -> RoundEvidence:
        """Return the evidence of the round whose manifest has this hash."""
        return RoundEvidence.from_bytes(self._fetch(self.manifest(manifest).evidence))

    def history(self, config: FederationConfig, view: ChainView) -> tuple[PastUpdate, ...]:
        """Return the updates that gate V6 remembers in the current round."""
        if self._history is None or self._history[0] != view.opened_at:
            self._history = view.opened_at, self._remember(config, view)
        return self._history[1]

    def _remember(self, config: FederationConfig, view: ChainView) -> tuple[PastUpdate, ...]:
        recent = view.certified[-config.gates.copy_memory :]
        self._evidences = {done.manifest: self._evidence(done) for done in recent}
        self._manifests = {done.manifest: self._recent(done) for done in recent}
        rounds = [(self.config(done.config_hash), self._evidences[done.manifest]) for done in recent]
        held = {o.update_hash for then, evidence in rounds for o in held_openings(then, evidence)}
        payloads = {digest: self._fetch(digest) for digest in held}
        copies = {m.round: authors_of_copies(m.verdicts) for m in self._manifests.values()}
        return past_updates(config, rounds, payloads, view.round, copies)

    def _recent(self, done: CertifiedRound) -> Manifest:
        if done.manifest not in self._manifests:
            self._manifests[done.manifest] = self.manifest(done.manifest)
        return self._manifests[done.manifest]

    def _evidence(self, done: CertifiedRound) -> RoundEvidence:
        known = self._evidences.get(done.manifest)
        return known or RoundEvidence.from_bytes(self._fetch(self._recent(done).evidence))
