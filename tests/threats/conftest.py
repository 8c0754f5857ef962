"""Rounds, worlds of nodes and contracts of the other test directories, and a contract on the EVM alone."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from consensus.conftest import Scene, disguised, make_scene, scene, scene_of, small, theta_model, trained
from deployed_ledger import deploy
from local_evm import LocalEvm
from node.conftest import benches, devnet, empty_store, new_world, world
from played_rounds import Play

__all__ = [
    "Scene",
    "benches",
    "devnet",
    "disguised",
    "empty_store",
    "make_scene",
    "new_world",
    "scene",
    "scene_of",
    "small",
    "theta_model",
    "trained",
    "world",
]


@pytest.fixture
def play_of() -> Callable[..., Play]:
    """`play_of(nodes=7, committee=7)`: a federation on the EVM alone, with any block number and chain id."""
    return lambda **terms: Play(deploy(LocalEvm(), **terms))


@pytest.fixture
def play(play_of: Callable[..., Play]) -> Play:
    """Four nodes, all on the committee (q = 3), windows 10, 5, 10, 10, 4."""
    return play_of()
