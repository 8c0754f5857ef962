"""A round of a small federation with a knob for every lie; data, keys, signatures and hashes are real.

`Scene` is what everybody did in a round; `scene.evidence()` is what that leaves behind, `scene.given()` what
`decide` looks at. A test changes one thing: `replace(scene, silent=frozenset({3}))`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pytest
from hypothesis import settings

from ledgerfed.consensus import PastUpdate, RoundInput, authenticate, decide
from ledgerfed.consensus.authenticate import score_root, sealed_transcript
from ledgerfed.exchange import Information, dequantise, information, quantise
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.configuration import FederationConfig, Gates, Windows
from ledgerfed.protocol.evidence import RoundEvidence, SignedLeaf, SignedScoreCommitment
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.fixedpoint import FixedVector
from ledgerfed.protocol.hashing import keccak, word
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.manifest import Outcome
from ledgerfed.protocol.model import GlobalModel, genesis_model
from ledgerfed.protocol.payload import InformationUpdate, encode_update, family_tag
from ledgerfed.protocol.reputation import Evidence, Reputation
from ledgerfed.protocol.score import NOT_HELD, ONE, ScoreVector
from ledgerfed.protocol.signature import address_of, sign_digest
from ledgerfed.protocol.transition import Dispute, Force, Scores, Transition
from ledgerfed.protocol.typed_data import leaf_digest, score_commitment_digest
from ledgerfed.protocol.update import Update, payload_of, read_payload

settings.register_profile("shared machine", deadline=None)
settings.load_profile("shared machine")

FEDERATION = Federation(31337, keccak(b"contract")[-20:])
TRUTH = (0.5, 0.2, 0.1)
LAGS = (1, 2)
SEALED_IN = 100
BASIS = canonical_json({"target": {"name": "y", "lags": list(LAGS)}, "intercept": True})
FAMILY = family_tag("ar")
SCORE = ONE // 4
ESTABLISHED = Reputation(Evidence(8 * ONE, 0), Evidence(0, 0))
"""Trainer reputation 0.75: full influence."""


def gates() -> Gates:
    return Gates(
        max_payload_bytes=4096,
        stale_rounds=2,
        stale_discount=ONE // 2,
        root_bound=ONE + ONE // 64,
        noise_band=4 * ONE,
        norm_bound=8 * ONE,
        base_distance=ONE // 16,
        copy_alignment_bits=20,
        copy_memory=4,
        moment_band=64 * ONE,
        lag_spread=4 * ONE,
        twin_alignment_bits=20,
        twin_distance=0,
        ring_distance=0,
        outlier_factor=12 * ONE,
        score_floor=-ONE // 8,
        regret_limit=4 * ONE,
        regret_scale=4 * ONE,
        trace_cap=4 * ONE,
        sample_cap=2 * ONE,
        model_root_bound=ONE + ONE // 64,
        drift_share=ONE // 4,
    )


def configuration(committee: int = 8, depth: int = 3) -> FederationConfig:
    return FederationConfig(
        name="scene",
        basis=BASIS,
        width=3,
        depth=depth,
        committee=tuple(range(committee)),
        min_updates=3,
        windows=Windows(commit=10, force=5, score=10, certify=10, challenge=10),
        gates=gates(),
        genesis_reputation=ESTABLISHED,
        prior=1 << 10,
        theta_scale=40,
        precision_scale=20,
    )


def private_key(index: int) -> bytes:
    return keccak(b"node" + word(index))


def rows(seed: int, n: int = 120, truth: tuple[float, ...] = TRUTH) -> tuple[np.ndarray, np.ndarray]:
    """Return X [n, 3] (two lags, intercept) and y [n] of an AR(2) series with mean."""
    rng = np.random.default_rng([7, seed])
    x = list(rng.standard_normal(2))
    for shock in rng.standard_normal(n + 50):
        x.append(truth[0] * x[-1] + truth[1] * x[-2] + truth[2] + shock)
    series = np.array(x[-n - 2 :])
    return np.column_stack([series[1:-1], series[:-2], np.ones(n)]), series[2:]


def fitted(X: np.ndarray, y: np.ndarray) -> Information:
    return information(X, y, y, 1.0)


def as_update(info: Information, base: GlobalModel) -> InformationUpdate:
    return quantise(info, schema=keccak(BASIS), base_model=base.hash(), family=FAMILY)


@dataclass(frozen=True)
class Scene:
    """One round. `payloads[i]` is what node i committed to; missing: it sat the round out.

    forced: nodes whose leaf is not in the seal but forced, in the order of the chain. silent: validators that
    commit and never reveal. absent: validators that do not even commit. shut: nodes that never open.
    scores: (validator, node) -> score where it is not `SCORE`. claimed: sample counts other than the
    payload's in the leaf. bound: schema, base model and sample count in the leaf where they are not the
    scene's. earlier: models in force before the base, newest first. early and late: transitions of the
    ledger after the last forced leaf and before the scores, and after the scores; whoever they convict is
    not heard. faulted: culprits of disputes before the seal, in earlier rounds too. removed: those of them
    in this epoch.
    """

    config: FederationConfig
    base: GlobalModel
    reputations: tuple[Reputation, ...]
    payloads: Mapping[int, bytes]
    history: tuple[PastUpdate, ...] = ()
    round: int = 5
    opened_at: bytes = keccak(b"opened")
    forced: tuple[int, ...] = ()
    second_leaf: frozenset[int] = frozenset()
    shut: frozenset[int] = frozenset()
    silent: frozenset[int] = frozenset()
    absent: frozenset[int] = frozenset()
    scores: Mapping[tuple[int, int], int] = field(default_factory=dict)
    openings: Mapping[int, Opening] = field(default_factory=dict)
    bound: Mapping[int, tuple[bytes, bytes, int]] = field(default_factory=dict)
    samples: int = 120
    earlier: tuple[bytes, ...] = ()
    deadline: int = SEALED_IN + 5
    early: tuple[Transition, ...] = ()
    late: tuple[Transition, ...] = ()
    faulted: frozenset[int] = frozenset()
    removed: frozenset[int] = frozenset()

    @property
    def convicted(self) -> frozenset[int]:
        """Who the disputes since the seal convict."""
        disputes = (step for step in (*self.early, *self.late) if isinstance(step, Dispute))
        return frozenset().union(*(dispute.indices(self.config.committee) for dispute in disputes))

    @property
    def members(self) -> tuple[bytes, ...]:
        return tuple(address_of(private_key(i)) for i in range(len(self.reputations)))

    def opening(self, index: int) -> Opening:
        if index in self.openings:
            return self.openings[index]
        salt = keccak(b"salt" + word(self.round) + word(index))
        usual = self.config.schema, self.base.hash(), self.samples
        schema, base, samples = self.bound.get(index, usual)
        return Opening(self.round, index, base, keccak(self.payloads[index]), samples, schema, salt)

    def signed_leaf(self, index: int, leaf: bytes) -> SignedLeaf:
        digest = leaf_digest(FEDERATION, self.round, index, leaf, self.opened_at, self.deadline)
        return SignedLeaf(index, leaf, self.deadline, sign_digest(private_key(index), digest))

    def score_vector(self, validator: int) -> ScoreVector:
        held = {i for i in self.payloads if i not in self.shut}
        row = (
            self.scores.get((validator, i), SCORE if i in held else NOT_HELD)
            for i in range(self.config.capacity)
        )
        return ScoreVector(self.round, validator, tuple(row), keccak(b"score salt" + word(validator)))

    def evidence(self) -> RoundEvidence:
        leaves = {i: self.opening(i).leaf(FEDERATION) for i in sorted(self.payloads)}
        sealed = {i: leaf for i, leaf in leaves.items() if i not in self.forced}
        sealed |= {i: keccak(b"another leaf") for i in self.second_leaf}
        draft = RoundEvidence(
            federation=FEDERATION,
            round=self.round,
            opened_at=self.opened_at,
            leaves=tuple(self.signed_leaf(i, leaf) for i, leaf in sorted(sealed.items())),
            history=(*(Force(self.round, i, leaves[i]) for i in self.forced), *self.early),
            openings=tuple(self.opening(i) for i in leaves if i not in self.shut),
            commitments=(),
            reveals=(),
        )
        return self.with_scores(draft)

    def with_scores(self, draft: RoundEvidence) -> RoundEvidence:
        """Return the draft with this scene's commitments and reveals, signed over what the draft seals."""
        validators = [j for j in self.config.committee if j not in self.absent]
        vectors = {j: self.score_vector(j) for j in validators}
        sealed_at = sealed_transcript(self.config, draft)
        commitments = []
        for j, vector in vectors.items():
            commitment = vector.commitment(FEDERATION)
            digest = score_commitment_digest(FEDERATION, self.round, j, commitment, sealed_at)
            commitments.append(SignedScoreCommitment(j, commitment, sign_digest(private_key(j), digest)))
        unheard = self.silent | self.removed | self.convicted
        reveals = tuple(vector for j, vector in vectors.items() if j not in unheard)
        scored = replace(draft, commitments=tuple(commitments), reveals=reveals)
        anchored = Scores(self.round, score_root(self.config, scored))
        return replace(scored, history=(*draft.history, anchored, *self.late))

    def given(self) -> RoundInput:
        payloads = {keccak(p): p for i, p in self.payloads.items() if i not in self.shut}
        faulted = self.faulted | self.convicted
        evidence = self.evidence()
        return RoundInput(
            self.config,
            self.base,
            self.reputations,
            evidence,
            payloads,
            self.history,
            faulted,
            self.earlier,
        )

    def authenticate(self) -> bytes:
        return authenticate(self.config, self.members, self.evidence(), SEALED_IN, self.removed)

    def outcome(self) -> Outcome:
        """Return what the round decides, after its evidence was authenticated."""
        self.authenticate()
        return decide(self.given())

    def send(self, index: int, update: Update | bytes) -> Scene:
        """Return the scene in which node `index` committed to this instead."""
        bound = {i: row for i, row in self.bound.items() if i != index}
        if isinstance(update, bytes):
            return replace(self, payloads={**self.payloads, index: update}, bound=bound)
        bound[index] = update.schema, update.base_model, update.n_samples
        return replace(self, payloads={**self.payloads, index: payload_of(update)}, bound=bound)

    def update(self, index: int) -> Any:
        """Return what node `index` committed to: an update of the kind that the federation exchanges."""
        return read_payload(self.payloads[index], self.opening(index), self.config.exchange)


def make_scene(nodes: int = 8, committee: int = 8, depth: int = 3, samples: int = 120) -> Scene:
    """Return a round in which everybody is honest."""
    config = configuration(committee, depth)
    base = genesis_model(
        config.schema, config.width, config.prior, config.theta_scale, config.precision_scale
    )
    payloads = {i: encode_update(as_update(fitted(*rows(i, samples)), base)) for i in range(nodes)}
    return Scene(config, base, (ESTABLISHED,) * nodes, payloads, samples=samples)


@pytest.fixture(scope="session")
def scene() -> Scene:
    """Eight honest nodes, all of them validators: f = 2, q = 6."""
    return make_scene()


@pytest.fixture(scope="session")
def small() -> Scene:
    """Four honest nodes, all of them validators: f = 1, q = 3."""
    return make_scene(nodes=4, committee=4, depth=2)


@pytest.fixture(scope="session")
def scene_of() -> Callable[..., Scene]:
    """`scene_of(nodes, committee, depth, samples)`."""
    return make_scene


@pytest.fixture(scope="session")
def trained() -> Callable[..., InformationUpdate]:
    """`trained(seed, base, n=, truth=)`: an update honestly trained on rows of that truth."""

    def train(
        seed: int, base: GlobalModel, n: int = 120, truth: tuple[float, ...] = TRUTH
    ) -> InformationUpdate:
        return as_update(fitted(*rows(seed, n, truth)), base)

    return train


@pytest.fixture(scope="session")
def disguised() -> Callable[..., InformationUpdate]:
    """`disguised(update, theta, noise=, seed=)`: the shape of an update, about other coefficients."""

    def disguise(
        update: InformationUpdate, theta: tuple[float, ...], noise: float = 0.0, seed: int = 0
    ) -> InformationUpdate:
        info = dequantise(update)
        shift = noise * np.random.default_rng(seed).standard_normal(len(theta))
        z = info.R @ np.array(theta) + shift
        about = Information(info.n, info.s2, info.R, z, info.residual)
        return quantise(about, schema=update.schema, base_model=update.base_model, family=update.family)

    return disguise


@pytest.fixture(scope="session")
def theta_model() -> Callable[..., GlobalModel]:
    """`theta_model(scene, theta)`: the scene's base model with other coefficients (floats)."""

    def model(scene: Scene, theta: tuple[float, ...]) -> GlobalModel:
        scale = scene.base.theta.scale
        return replace(scene.base, theta=FixedVector(tuple(round(t * 2**scale) for t in theta), scale))

    return model
