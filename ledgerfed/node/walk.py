"""The walk of one node through one round, in the order in which it happens.

    panel -> local model -> update -> leaf -> seal -> opening -> verdict -> outcome -> certificate
          -> global model -> forecast

Each arrow is one public function here; values in, values out. What waits, sends or stores is `agent`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from ledgerfed.consensus import RoundInput, decide, pass_gates
from ledgerfed.consensus.gates import SAMPLES_PER_COLUMN
from ledgerfed.consensus.standing import information_caps
from ledgerfed.errors import InvalidValueError, VerificationError
from ledgerfed.exchange import (
    Basis,
    Design,
    Information,
    design,
    family_tag,
    information,
    model_to_theta,
    noise_about,
    quantise,
)
from ledgerfed.exchange.distillation import Probe, as_information, coefficients, quantise_predictions
from ledgerfed.exchange.forgetting import age_weights, weighted_information
from ledgerfed.fusion import personalise as forecaster_of
from ledgerfed.fusion import predict, predictive
from ledgerfed.models import Family, Fitted
from ledgerfed.models.state_space import restarts
from ledgerfed.protocol import transcript
from ledgerfed.protocol.evidence import SignedLeaf
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.manifest import Outcome
from ledgerfed.protocol.merkle import PositionalTree, build_tree
from ledgerfed.protocol.model import GlobalModel, decode_model
from ledgerfed.protocol.payload import update_hash
from ledgerfed.protocol.predictions import PredictionsUpdate
from ledgerfed.protocol.score import GATED, NOT_HELD, ONE, clip_score
from ledgerfed.protocol.typed_data import certificate_digest, leaf_digest
from ledgerfed.protocol.update import Update, payload_of
from ledgerfed.series import Panel, Split, Standardisation, align, standardisation
from ledgerfed.series.arrays import Floats
from ledgerfed.series.drift import drift_status

FORGET: Final = 0.99
"""What a row still counts for one grid step later, once a drift is known (ADR 15)."""


@dataclass(frozen=True, slots=True, eq=False)
class Workbench:
    """A node's panel as regression rows: all that its private data is used for.

    `train` is what it fits on, `holdout` what it scores others on, `whole` the design over all rows. `probe`
    is the public one where the federation exchanges predictions.
    """

    whole: Design
    train: Design
    holdout: Design
    scale: Standardisation
    probe: Probe | None = None


@dataclass(frozen=True, slots=True, eq=False)
class LocalModel:
    """A fitted native model and its one-step predictions on the training rows, float64 [n]."""

    family: Family
    fitted: Fitted
    predictions: Floats


@dataclass(frozen=True, slots=True)
class Commitment:
    """What a node has decided to send: the opening it will show later, the payload, and its leaf."""

    opening: Opening
    payload: bytes
    leaf: bytes


def prepare(panel: Panel, windows: Split, basis: Basis, probe: Probe | None = None) -> Workbench:
    """Return the panel as regression rows on the shared basis, in the node's own units.

    Raises:
        InvalidValueError: the panel does not fit the basis, or a window holds no complete row.
    """
    aligned = align(panel)
    scale = standardisation(aligned, windows.train)
    whole = design(aligned, basis, scale)
    return Workbench(whole, whole.within(windows.train), whole.within(windows.holdout), scale, probe)


def fit_local(bench: Workbench, family: Family) -> LocalModel:
    """Return the node's own model, fitted on its training rows.

    Raises:
        FitError: the fit did not converge or gives no prediction for a training row.
    """
    fitted = family.fit(bench.train)
    return LocalModel(family, fitted, fitted.one_step(bench.train)[bench.train.rows])


def notices_drift(bench: Workbench, base: GlobalModel) -> bool:
    """Return whether the base model's one-step errors grew on the node's rows, from the holdout on (ADR 15).

    The genesis model knows nothing, so nothing can have changed since. Of stays and batches one after another
    only the last is looked at: another patient is not a drift.
    """
    if not base.contributors:
        return False
    stop, gap = len(bench.train.rows), bench.whole.basis.reach
    first = int(np.flatnonzero(restarts(bench.whole.y[:stop], gap))[-1])
    start = max(first, int(np.argmax(bench.holdout.rows)))
    rows = bench.whole.rows[start:stop]
    X, y = bench.whole.X[start:stop][rows], bench.whole.y[start:stop][rows]
    return drift_status(y - X @ coefficients(base, bench.probe)[0]).alarm


def inform(bench: Workbench, local: LocalModel, base: GlobalModel, *, forgets: bool = False) -> Information:
    """Return what the node's training rows and its local model say about the shared coefficients.

    A node that `forgets` weighs its rows by FORGET^age, unless too little would be left to be admitted.

    Once there is a base model, exact statistics measure their noise about it (feasible generalised least
    squares). A projected native model keeps the noise about its own fit: that is the error it really makes.
    """
    X, y = bench.train.sample()
    weight = local.family.exchange_weight
    refined = base.contributors and weight == 1 and bench.probe is None
    s2 = noise_about(X, y, model_to_theta(base)) if refined else None
    weights = age_weights(bench.train.rows, FORGET)
    if forgets and weights.sum() >= SAMPLES_PER_COLUMN * X.shape[1]:
        return weighted_information(X, y, local.predictions, weight, weights, s2)
    return information(X, y, local.predictions, weight, s2)


def distil(
    bench: Workbench, local: LocalModel, base: GlobalModel, probe: Probe, drift: bool = False
) -> PredictionsUpdate:
    """Return what the node's native model predicts on the public probe, in integers.

    Their precision is n / (d s²): the inverse of the average variance that d coefficients fitted to n rows
    with noise s² leave on such rows.

    Raises:
        InvalidValueError: the model gives no finite prediction of a row, or of one that is too large.
    """
    X, y = bench.train.sample()
    whole = probe.design()
    n, noise = len(y), float(np.mean((y - local.predictions) ** 2))
    if not noise > 0:
        raise InvalidValueError("the native model reproduces its target exactly; no noise to scale by")
    return quantise_predictions(
        local.fitted.one_step(whole)[whole.rows],
        n / (X.shape[1] * noise),
        n=n,
        schema=probe.schema,
        base_model=base.hash(),
        family=family_tag(local.fitted.family),
        drift=drift,
    )


def make_update(
    bench: Workbench,
    local: LocalModel,
    base: GlobalModel,
    drift: bool = False,
    *,
    forgets: bool = False,
) -> Update:
    """Return what the node contributes, in integers, relative to the base model: information on the basis, or
    predictions on the federation's probe.

    `drift` says that the node's detector fired; for `forgets` see `inform`.

    Raises:
        InvalidValueError: a value is not finite or does not fit its integers.
    """
    if bench.probe is not None:
        return distil(bench, local, base, bench.probe, drift)
    return quantise(
        inform(bench, local, base, forgets=forgets),
        schema=bench.train.basis.basis_id,
        base_model=base.hash(),
        family=family_tag(local.fitted.family),
        drift=drift,
    )


def make_leaf(
    federation: Federation, round_number: int, index: int, update: Update, salt: bytes
) -> Commitment:
    """Return the commitment to an update: it binds node, round, base model and salt."""
    payload = payload_of(update)
    opening = Opening(
        round_number,
        index,
        update.base_model,
        update_hash(payload),
        update.n_samples,
        update.schema,
        salt,
    )
    return Commitment(opening, payload, opening.leaf(federation))


def leaf_statement(federation: Federation, commitment: Commitment, opened_at: bytes, deadline: int) -> bytes:
    """Return the digest that the node signs to hand its leaf over; `deadline` is a block number."""
    opening = commitment.opening
    return leaf_digest(federation, opening.round, opening.index, commitment.leaf, opened_at, deadline)


def make_seal(leaves: Sequence[SignedLeaf], depth: int) -> PositionalTree:
    """Return the tree whose root the relayer anchors."""
    return build_tree({item.index: item.leaf for item in leaves}, depth)


def open_update(opening: Opening, federation: Federation, sealed_leaf: bytes) -> Opening:
    """Return the opening, once the ledger holds the leaf.

    Raises:
        VerificationError: the leaf on the ledger is not the one committed to; opening it would show nothing.
    """
    if opening.leaf(federation) != sealed_leaf:
        raise VerificationError(
            f"round {opening.round}: the ledger holds 0x{sealed_leaf.hex()} for node {opening.index}, "
            f"which committed to 0x{opening.leaf(federation).hex()}"
        )
    return opening


def give_verdicts(bench: Workbench, index: int, given: RoundInput, held: frozenset[int]) -> tuple[int, ...]:
    """Return validator `index`'s score for every registry position, in Q16.

    An update that fails a gate is GATED, one whose opening never came is NOT_HELD. A survivor's score is the
    relative improvement of the hold-out error when its capped information joins the base model with the
    say of one contributor (predictions are judged by their student on the basis): beside the whole model one
    of many would hardly be felt. The validator does not score itself: its own entry is 0 if its update
    survives the gates.
    """
    candidates = pass_gates(given, held)
    survivors = [c for c in candidates if c.reason is None and c.update and c.information]
    caps = information_caps(given, survivors)
    scores = [NOT_HELD] * given.config.capacity
    for candidate in candidates:
        if candidate.opening is not None and candidate.reason is not None:
            scores[candidate.index] = GATED
    for candidate in survivors:
        scores[candidate.index] = (
            0
            if candidate.index == index
            else _improvement(bench, given.base, candidate.update, caps[candidate.index])
        )
    return tuple(scores)


def decide_outcome(given: RoundInput) -> Outcome:
    """Return what the round decides; the same integers for every honest validator.

    Raises:
        RoundAbortedError: too few reveals or verified updates.
    """
    return decide(given)


def certified_transcript(outcome: Outcome, scored_at: bytes) -> bytes:
    """Return the transcript t' that the outcome leads to from the scored transcript."""
    return transcript.after_certify(
        scored_at,
        outcome.round,
        outcome.manifest().hash(),
        outcome.model.hash(),
        outcome.reputation_root,
    )


def make_certificate(outcome: Outcome, scored_at: bytes) -> bytes:
    """Return the digest that a validator signs when the outcome is its own result too."""
    return certificate_digest(outcome.federation, outcome.round, certified_transcript(outcome, scored_at))


def adopt_model(data: bytes, certified: bytes) -> GlobalModel:
    """Return the certified global model from its bytes.

    Raises:
        VerificationError: the bytes are not the model that the ledger certified.
    """
    model = decode_model(data)
    if model.hash() != certified:
        raise VerificationError(
            f"the model hashes to 0x{model.hash().hex()}, the ledger certified 0x{certified.hex()}"
        )
    return model


def personalise(bench: Workbench, local: LocalModel, model: GlobalModel) -> Floats:
    """Return the node's own coefficients, float64 [d]: the global model as a prior for what it knows itself.

    How strong a prior, the holdout says besides the training rows: no forecaster was fitted on it.

    Raises:
        InvalidValueError: the model is the genesis model, which knows nothing.
    """
    if not model.contributors:
        raise InvalidValueError("the genesis model knows nothing; certify a round first")
    theta, precision = coefficients(model, bench.probe)
    own, mean_precision = inform(bench, local, model), precision / model.contributors
    proven = predictive(own, theta, mean_precision, *bench.holdout.sample())
    return forecaster_of(own, theta, mean_precision, proven).theta


def forecast(design_rows: Design, theta: Floats) -> Floats:
    """Return one-step forecasts of the rows that count, float64 [n], in the node's standardised units."""
    X, _ = design_rows.sample()
    return predict(X, theta)


def _improvement(bench: Workbench, base: GlobalModel, update: Update | None, cap: int) -> int:
    if update is None:
        raise InvalidValueError("a survivor without an update")
    X, y = bench.holdout.sample()
    theta, precision = coefficients(base, bench.probe)
    precision = precision / max(1, base.contributors)
    before = float(np.mean((y - X @ theta) ** 2))
    try:
        joined = _join(theta, precision, as_information(update, bench.probe), cap / ONE)
    except np.linalg.LinAlgError:  # what it claims drowns everything else in rounding
        return -ONE
    with np.errstate(over="ignore", invalid="ignore"):
        after = float(np.mean((y - X @ joined) ** 2))
    if not np.isfinite(after) or before <= 0:
        return -ONE
    return clip_score(round(ONE * max(-2.0, (before - after) / before)))


def _join(theta: Floats, precision: Floats, own: Information, weight: float) -> Floats:
    left = precision + weight * own.precision()
    right = precision @ theta + weight * own.eta()
    return np.asarray(np.linalg.solve(left, right), dtype=np.float64)
