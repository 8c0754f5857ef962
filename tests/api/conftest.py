"""A served federation: three certified rounds, an aborted one, and the next one under way."""

from __future__ import annotations

import copy
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import pytest
from fastapi.testclient import TestClient
from ledgerfed_api import Settings, create_app
from simulated_federation import FIRST_BLOCK, SimulatedFederation

from ledgerfed.observer import Finality, Observer, observe
from ledgerfed.protocol.manifest import Reason
from ledgerfed.store import Store, open_store


@dataclass
class Served:
    """A server over a workspace, and the chain behind it."""

    workspace: Path
    store: Store
    chain: SimulatedFederation
    observer: Observer
    client: TestClient

    @property
    def path(self) -> str:
        return f"/v1/federations/0x{self.chain.federation.contract.hex()}"

    def get(self, path: str, **options):
        return self.client.get(self.path + path, **options)


def fill(chain: SimulatedFederation) -> None:
    """Walk the rounds that the tests know."""
    chain.run_round(refused={1: Reason.OUTLIER})
    chain.run_round(refused={1: Reason.COPY}, forced=[3], absent=[2])
    chain.abort()
    chain.run_round(refused={1: Reason.LOW_SCORE}, withheld=[0])
    chain.seal()


@pytest.fixture(scope="session")
def filled(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, SimulatedFederation]:
    """A workspace that has walked the rounds but not indexed them; copied by whoever serves it."""
    workspace = tmp_path_factory.mktemp("filled")
    with open_store(workspace) as store:
        chain = SimulatedFederation(store.blobs)
    fill(chain)
    return workspace, chain


@pytest.fixture
def serve(tmp_path: Path, filled: tuple[Path, SimulatedFederation]) -> Iterator[Callable[..., Served]]:
    opened: list[Served] = []

    def start(
        confirmations: int = 0, empty: bool = False, chain_options: dict | None = None, **settings: object
    ) -> Served:
        workspace = tmp_path / f"workspace{len(opened)}"
        if not empty:
            shutil.copytree(filled[0], workspace)
        store = open_store(workspace)
        fresh = partial(SimulatedFederation, store.blobs, **(chain_options or {}))
        chain = fresh() if empty else copy.deepcopy(filled[1])
        chain.blobs = store.blobs
        observer = observe(store, chain, chain.federation, FIRST_BLOCK, Finality(confirmations))
        observer.advance()
        app = create_app(Settings(workspace=workspace, **settings))
        client = TestClient(app, raise_server_exceptions=False)
        client.__enter__()
        opened.append(Served(workspace, store, chain, observer, client))
        return opened[-1]

    yield start
    for served in opened:
        served.client.__exit__(None, None, None)
        served.store.close()


@pytest.fixture
def served(serve: Callable[..., Served]) -> Served:
    return serve()


@pytest.fixture
def serve_with_room(serve: Callable[..., Served]) -> Served:
    """A server of a new federation that has an owner and room for more nodes."""
    return serve(empty=True, chain_options={"room": 2, "owner": b"\x11" * 20})
