"""Epochs as nodes live through them: joining, leaving, new keys, another committee, other rules."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledgerfed.errors import ConfigurationError
from ledgerfed.ledger import demo_key
from ledgerfed.protocol.change import VACANT
from ledgerfed.protocol.reputation import NEWCOMER

NODES = 4
OWNER, JOINER, NEW_KEY = (demo_key(11, index) for index in (NODES + 1, NODES, NODES + 2))


@pytest.fixture
def owned(new_world):
    """A federation with an owner and room for more nodes, after its first round."""
    world = new_world(config={"depth": 3}, owner=OWNER.address)
    world.start()
    world.run(1)
    return world


@pytest.mark.threat("N14", "N13")
def test_who_joins_is_on_the_committee_of_the_next_epoch_and_without_weight_at_first(owned) -> None:
    after = replace(owned.config, committee=(1, 2, 3, 4), min_updates=3)
    owned.announce(after, {4: JOINER.address})
    owned.run(2)
    owned.assert_one_history()
    assert owned.view().config_hash == owned.config.hash(), "an epoch never begins within a round"
    owned.run(3, until=lambda: owned.view().epoch == 1)
    assert owned.steps().count("open epoch") == 1
    owned.start(4)
    owned.run(3)
    owned.assert_one_history()
    view = owned.view()
    assert (view.committee, view.min_updates, view.members[4]) == ((1, 2, 3, 4), 3, JOINER.address)
    assert owned.reasons(3) == ["admitted"] * 5
    weights = [verdict.weight for verdict in owned.verdicts(3)]
    assert weights[4] == 0
    assert all(weights[:4])
    owned.run(4)
    owned.assert_one_history()
    assert owned.agents[4].reputations()[4].trainer.value > NEWCOMER.trainer.value
    signers = {p.index for p in owned.seen if p.step == "certify" and p.round == 4}
    assert 0 not in signers
    assert 4 in signers


@pytest.mark.threat("N14")
def test_a_node_that_leaves_is_absent_and_a_new_key_keeps_index_and_reputation(owned) -> None:
    before = owned.agents[0].reputations()
    after = replace(owned.config, committee=(0, 1, 2))
    owned.announce(after, {2: NEW_KEY.address, 3: VACANT})
    owned.run(2)
    owned.run(3, asleep={2, 3}, until=lambda: owned.view().epoch == 1)
    owned.stop(3)
    with pytest.raises(ConfigurationError, match="is not that of member 2"):
        owned.agents[2].step()
    owned.keys[2] = NEW_KEY
    owned.start(2)
    owned.run(3)
    owned.assert_one_history()
    assert owned.reasons(3) == ["admitted", "admitted", "admitted", "absent"]
    assert owned.agents[0].reputations()[2].trainer.a > before[2].trainer.a


@pytest.mark.parametrize("change", [{"width": 4}, {"windows": "longer"}, {"prior": 7}])
def test_a_configuration_that_changes_what_is_fixed_is_not_followed(owned, change) -> None:
    if "windows" in change:
        change = {"windows": replace(owned.config.windows, certify=40)}
    if "width" in change:
        change = {"width": owned.config.width + 1}
    owned.announce(replace(owned.config, **change), {})
    with pytest.raises(ConfigurationError, match="cannot be followed: an epoch cannot change"):
        owned.run(3)


def test_a_change_that_contradicts_its_configuration_is_not_followed(owned) -> None:
    after = replace(owned.config, committee=(0, 1, 2))
    owned.store(0).blobs.put(after.to_bytes())
    gateway = owned.gateway(owned.store(0))
    change = replace(owned.announce(after, {}), committee=(0, 1, 2, 3))
    gateway.propose(OWNER, 1, change)
    with pytest.raises(ConfigurationError, match="the contract enforces"):
        owned.run(3)


def test_a_configuration_that_nobody_has_stops_the_round_and_nothing_else(owned) -> None:
    after = replace(owned.config, min_updates=3)
    document = after.to_bytes()
    change = owned.announce(after, {})
    for index in range(NODES):
        owned.store(index).blobs._path(change.config_hash).unlink(missing_ok=True)
    owned.run(2)
    heads = owned.gateway().block_number()
    owned.run(3, until=lambda: owned.gateway().block_number() > heads + 5)
    assert "wait" in owned.steps()
    owned.store(3).blobs.put(document)
    owned.run(4)
    owned.assert_one_history()
    assert owned.view().certified[-1].config_hash == after.hash()


def test_a_branch_without_the_epoch_is_followed_too(owned) -> None:
    owned.announce(replace(owned.config, min_updates=3), {})
    owned.run(2)
    snapshot = owned.gateway()._rpc.call("evm_snapshot")
    owned.run(3, until=lambda: all(agent.view.epoch == 1 for agent in owned.agents.values()))
    assert owned.gateway()._rpc.call("evm_revert", snapshot)
    owned.gateway()._rpc.call("evm_mine")
    for agent in owned.agents.values():
        agent.step(0)
        assert agent.view.epoch == 0
    owned.run(3)
    owned.assert_one_history()
    assert owned.view().epoch == 1
