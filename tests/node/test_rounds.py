"""Whole rounds: what honest nodes get, who may be missing, and what a node refuses to begin with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

from ledgerfed.errors import ConfigurationError, FitError, VerificationError
from ledgerfed.exchange import dequantise, model_to_precision, model_to_theta
from ledgerfed.ledger import demo_key
from ledgerfed.models import load_family
from ledgerfed.node import NodeAgent, honest_update
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.manifest import Drift
from ledgerfed.protocol.payload import decode_update
from ledgerfed.protocol.score import ONE
from ledgerfed.protocol.transcript import Phase


def test_honest_nodes_share_one_history_and_nobody_waits_for_a_deadline(world) -> None:
    mined = world.run(3)
    world.assert_one_history()
    assert [done.round for done in world.view().certified] == [1, 2, 3]
    assert all(world.reasons(number) == ["admitted"] * 4 for number in (1, 2, 3))
    waited_for = 3 * (world.config.windows.challenge + world.config.windows.force)
    assert mined <= waited_for, "only the challenge and force windows are waited for"
    kinds = [step for step in world.steps() if step in ("seal", "scores", "force", "abort")]
    assert kinds == ["seal", "scores"] * 3


def test_the_model_is_the_exact_pooled_fit_of_what_was_admitted(world) -> None:
    world.run(1)
    agent = world.agents[0]
    (manifest,) = agent.manifests()
    evidence = RoundEvidence.from_bytes(agent.fetch(manifest.evidence))
    precision = model_to_precision(world.config.genesis_model())
    moment = np.zeros(world.config.width)
    for opening, verdict in zip(evidence.openings, manifest.verdicts, strict=True):
        own = dequantise(decode_update(agent.fetch(opening.update_hash), opening))
        precision = precision + verdict.weight / ONE * own.precision()
        moment = moment + verdict.weight / ONE * own.eta()
    model = agent.base_model()
    assert model.contributors == 4
    assert model_to_theta(model) == pytest.approx(np.linalg.solve(precision, moment), abs=1e-8)
    assert model_to_precision(model) == pytest.approx(precision, rel=1e-4, abs=1e-2)
    X, y = (np.concatenate(part) for part in zip(*(b.train.sample() for b in world.benches[:4]), strict=True))
    pooled = np.linalg.lstsq(X, y)[0]
    assert model_to_theta(model) == pytest.approx(pooled, abs=0.02), "equal noise: close to the plain fit"


def test_the_same_inputs_give_the_same_models_in_another_federation(new_world) -> None:
    models = []
    for _ in range(2):
        world = new_world()
        world.start()
        world.run(2)
        models.append([done.model for done in world.view().certified])
    assert models[0] == models[1]
    assert len(set(models[0])) == 2


def test_a_node_that_was_away_for_rounds_catches_up_and_takes_part_again(world) -> None:
    world.run(2, asleep={3})
    assert world.reasons(1) == ["admitted", "admitted", "admitted", "absent"]
    assert world.reasons(2)[3] == "absent"
    world.run(3)
    world.assert_one_history()
    assert world.reasons(3) == ["admitted"] * 4


@pytest.mark.threat("V3")
def test_f_silent_validators_do_not_stop_a_round(world) -> None:
    silent = 2
    world.run(1, asleep=lambda index: index == silent and world.phase() is not Phase.OPEN)
    world.run(1)
    world.assert_one_history()
    reasons = world.reasons(1)
    assert reasons.pop(silent) == "V3:withheld"
    assert reasons == ["admitted"] * 3


@pytest.mark.threat("V3")
@pytest.mark.parametrize("phase", [Phase.SEALED, Phase.SCORED])
def test_more_than_f_silent_validators_abort_the_round_and_nothing_is_lost(world, phase: Phase) -> None:
    world.run(1)
    before = world.agents[0].base_model().hash(), world.agents[0].reputations()
    world.run(2, asleep=lambda index: index in (1, 2) and world.phase() is phase)
    world.run(2)
    world.assert_one_history()
    assert [done.round for done in world.view().certified] == [1]
    assert (world.agents[0].base_model().hash(), world.agents[0].reputations()) == before
    assert world.steps(round_number=2).count("abort") == 1
    world.run(3)
    assert [done.round for done in world.view().certified] == [1, 3]
    assert world.reasons(3) == ["admitted"] * 4


def test_too_few_leaves_abort_the_round(world) -> None:
    world.run(1, asleep={1, 2, 3})
    world.run(2)
    assert [done.round for done in world.view().certified] == [2]


@dataclass(frozen=True, slots=True)
class FailsAtFirst:
    """A family that cannot fit until it is told to."""

    ready: list[bool]
    name = "fails at first"
    exchange_weight = 1.0

    def fit(self, design):
        if not self.ready:
            raise FitError("the optimiser did not converge; use more rows")
        return load_family("ar").fit(design)


def test_a_node_that_cannot_fit_sits_out_and_validates_all_the_same(new_world) -> None:
    ready: list[bool] = []
    world = new_world(families=("ar", FailsAtFirst(ready), "ar", "ar"))
    world.start()
    world.run(1)
    assert world.reasons(1) == ["admitted", "absent", "admitted", "admitted"]
    assert world.steps(1, 1).count("sit out") == 1
    assert {"score", "reveal", "certify"} <= set(world.steps(1, 1))
    ready.append(True)
    world.run(2)
    assert world.reasons(2) == ["admitted"] * 4


def test_an_update_that_no_payload_can_hold_makes_the_node_sit_out(new_world) -> None:
    def overflow(context):
        return replace(honest_update(context), z=(1 << 40,) * 3)

    world = new_world(updates={2: overflow})
    world.start()
    world.run(1)
    assert world.reasons(1) == ["admitted", "admitted", "absent", "admitted"]
    assert world.steps(2, 1).count("sit out") == 1


def test_another_configuration_than_the_contracts_is_refused_in_one_line(world) -> None:
    world.config = replace(world.config, min_updates=3)
    world.start(0)
    with pytest.raises(ConfigurationError, match="deployed for the configuration 0x") as refusal:
        world.agents[0].step()
    assert "\n" not in str(refusal.value)


def test_a_contract_with_other_terms_than_its_configuration_is_refused(new_world, monkeypatch) -> None:
    world = new_world()
    promised = replace(world.config, windows=replace(world.config.windows, certify=30))
    monkeypatch.setattr(type(world.config), "hash", lambda config: promised_hash)
    promised_hash = bytes(range(32))
    deceived = world.found()
    deceived.config = promised
    deceived.start(0)
    with pytest.raises(ConfigurationError, match="the contract enforces"):
        deceived.agents[0].step()


def test_a_key_of_nobody_is_refused_in_one_line(world) -> None:
    world.wrap = lambda index, ports: replace(ports, signer=demo_key(99, 0))
    world.start(0)
    with pytest.raises(ConfigurationError, match="is not that of member 0; use the member's key"):
        world.agents[0].step()


def test_a_block_range_without_the_federation_is_refused(world) -> None:
    world.gateway().wait_for_block(world.deployed_in + 2)
    world.deployed_in += 1
    world.start(0)
    with pytest.raises(VerificationError, match="no federation was founded"):
        world.agents[0].step()


def test_an_agent_has_the_receipts_of_its_leaf_and_a_model_of_its_own(world) -> None:
    world.run(1, until=lambda: any(a.view.phase is Phase.SEALED for a in world.agents.values()))
    relayer = world.seen[[p.step for p in world.seen].index("seal")].index
    for index, agent in world.agents.items():
        assert [(r.signer, r.index) for r in agent.receipts()] == [(relayer, index)]
    world.run(1)
    agent: NodeAgent = world.agents[1]
    assert agent.personal_model().shape == (3,)
    assert not np.allclose(agent.personal_model(), model_to_theta(agent.base_model()))


def test_a_node_that_cannot_have_the_newest_model_trains_on_the_one_before(new_world):
    """Node 3 sleeps through round 1, and nobody shows it the model that came out of it."""
    hidden: set[bytes] = set()
    world = new_world(
        lambda message, _: () if message.sender == 3 and message.data in hidden else (0,),
        config={"committee": (0, 1, 2, 3)},
    )
    world.start()
    world.run(1, asleep={3})
    hidden.add(world.agents[0].base_model().hash())
    world.run(2, until=lambda: world.agents[0].view.round > 2)
    verdicts = world.verdicts(2)
    assert [v.admitted for v in verdicts] == [True] * 4
    assert [dict(v.measures)["staleness"] for v in verdicts] == [0, 0, 0, 1]
    hidden.clear()
    world.run(3)
    assert [dict(v.measures)["staleness"] for v in world.verdicts(3)] == [0] * 4
    world.assert_one_history()


def test_the_drift_that_nodes_report_stands_in_the_manifest(new_world):
    def drifting(context):
        return honest_update(replace(context, drift=True))

    world = new_world(updates={1: drifting, 2: drifting})
    world.start()
    world.run(1)
    assert world.agents[0].manifests()[0].drift == Drift(2, 4, True)
