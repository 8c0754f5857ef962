"""What is wrong with a key, a file, a chain or a table is said in one line, with the remedy."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from command_line import PROGRAM, Ended
from node_processes import Federation, Running, called, federation
from rewriting_proxy import Forward, rewritten

from chain_devnet import DevnetServer
from ledgerfed.evaluation.federation import FederationRecord, write_record
from ledgerfed.ledger import demo_key
from ledgerfed.node import read_federation_file

STRANGER = {"LEDGERFED_PRIVATE_KEY": "0x" + "11" * 32}


@pytest.fixture(scope="module")
def founded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Federation]:
    """A federation that was deployed, and whose nodes do not run."""
    with DevnetServer() as server, federation(server.url, tmp_path_factory.mktemp("founded")) as made:
        deployed = made.deploy("--fund")
        assert deployed.code == 0, deployed.err
        yield made


def _node(made: Federation, *options: str, **environment: str) -> Ended:
    place = ("--rpc", made.url, "--federation", str(made.file), "--dir", str(made.directory / "new"))
    given = {option for option in options if option.startswith("--")}
    station = () if {"--panel", "--demo-station"} & given else ("--demo-station", "Addison")
    chosen = tuple(
        part
        for name, value in zip(place[::2], place[1::2], strict=True)
        if name not in given
        for part in (name, value)
    )
    return called("node", *chosen, *station, *options, **(environment or made.environment(0)))


def _says(ended: Ended, code: int, *words: str) -> None:
    assert ended.code == code, ended.err
    (line,) = ended.err.splitlines()
    for word in words:
        assert word in line


def _altered(made: Federation, tmp_path: Path, change: Callable[[dict], object]) -> Path:
    document = json.loads(made.file.read_text())
    change(document)
    path = tmp_path / "altered.json"
    path.write_text(json.dumps(document))
    return path


# --- node -----------------------------------------------------------------------------------------------


def test_a_key_of_no_member(founded: Federation) -> None:
    _says(_node(founded, **STRANGER), 4, "is no member of the federation", "use the key of a member")


def test_a_key_of_another_member(founded: Federation) -> None:
    _says(_node(founded, "--index", "2"), 2, "is member 0, not 2", "--index 0")


def test_no_key(founded: Federation) -> None:
    _says(_node(founded, LEDGERFED_X="1"), 2, "no key to sign with", "--keystore")


def test_a_key_that_is_none_and_is_not_shown(founded: Federation) -> None:
    ended = _node(founded, LEDGERFED_PRIVATE_KEY="0xsecret")
    _says(ended, 2, "LEDGERFED_PRIVATE_KEY is no private key")
    assert "0xsecret" not in ended.err


def test_no_federation_file(founded: Federation, tmp_path: Path) -> None:
    _says(_node(founded, "--federation", str(tmp_path / "none.json")), 4, "none.json", "ledgerfed deploy")


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        (lambda d: d.update(chain_id=1), 6, ("expected chain 1", "check URL and chain id")),
        (lambda d: d.update(contract="0x" + "12" * 20), 6, ("nothing is deployed", "check both")),
        (lambda d: d["configuration"].update(min_updates=4), 2, ("was deployed for the configuration",)),
        (lambda d: d["members"][3].update(address="0x" + "34" * 20), 2, ("does not list 0x3434",)),
        (lambda d: d["members"][1].update(address=d["members"][0]["address"]), 2, ("the same address",)),
        (lambda d: d["members"][1].update(url="peer"), 2, ("'peer' is no URL of a peer",)),
        (lambda d: d["members"].reverse(), 2, ("keep the order",)),
        (lambda d: d.update(format="2"), 2, ("ledgerfed-federation-1",)),
        (lambda d: d.update(genesis_model="0x" + "00" * 32), 2, ("genesis_model",)),
        (lambda d: d.pop("members"), 2, ("members",)),
        (lambda d: d.update(more=1), 2, ("more",)),
        (lambda d: d["configuration"].update(width=3.5), 2, ("no federation file",)),
    ],
    ids=[
        "chain",
        "nothing",
        "rules",
        "member",
        "twice",
        "url",
        "order",
        "format",
        "model",
        "less",
        "more",
        "float",
    ],
)
def test_a_federation_file_that_does_not_fit(
    founded: Federation, tmp_path: Path, change: Callable[[dict], object], code: int, words: tuple[str, ...]
) -> None:
    _says(_node(founded, "--federation", str(_altered(founded, tmp_path, change))), code, *words)


def test_another_contract_at_the_address(founded: Federation, tmp_path: Path) -> None:
    with DevnetServer() as other:
        account = other.accounts[0]
        code = "0x6001600c60003960016000f300"  # returns one byte of code
        sent = _rpc(other.url, "eth_sendTransaction", {"from": account.checksum_address, "data": code})
        contract = _rpc(other.url, "eth_getTransactionReceipt", sent)["contractAddress"]
        path = _altered(founded, tmp_path, lambda d: d.update(contract=contract))
        _says(
            _node(founded, "--federation", str(path), "--rpc", other.url),
            2,
            "is not this version's RoundLedger",
        )


def test_no_chain_at_the_url(founded: Federation) -> None:
    _says(_node(founded, "--rpc", "http://127.0.0.1:9"), 6, "cannot be reached", "is the chain running")


def test_a_workspace_of_another_federation(founded: Federation, tmp_path: Path) -> None:
    with DevnetServer() as server, federation(server.url, tmp_path) as other:
        assert other.deploy("--fund").code == 0
        home = other.home(0)
        home.mkdir()
        record = {
            "chain_id": 31337,
            "config_hash": "0x" + "00" * 32,
            "contract": "0x" + "56" * 20,
            "deployed_in": 3,
        }
        (home / "federation.json").write_text(json.dumps(record, separators=(",", ":")))
        _says(_node(other, "--dir", str(home)), 2, "belongs to another federation", "--dir")


def test_a_second_process_for_the_same_node(founded: Federation) -> None:
    first = founded.start(0)
    try:
        first.expect(lambda line: line["event"] == "started")
        second = _node(founded, "--dir", str(founded.home(0)))
        _says(second, 2, "another process runs the node", "stop it first")
        taken = _node(founded, "--listen", _listening(first))
        _says(taken, 2, "cannot listen on", "--listen")
    finally:
        assert first.end() == 130


def test_no_data_or_twice(founded: Federation) -> None:
    _says(_node(founded, "--demo-station", "Nowhere"), 4, "no station 'Nowhere'", "Addison")
    _says(
        _node(founded, "--demo-station", "Addison", "--panel", "x.csv"),
        2,
        "give --panel FILE, or --demo-station",
    )
    _says(_node(founded, "--panel", "none.csv"), 4, "there is no table none.csv")
    _says(_node(founded, "--family", "magic"), 4, "no model family 'magic'", "arma")
    _says(_node(founded, "--rows", "1,2"), 2, "holdout,train,test")
    _says(_node(founded, "--rows", "9999,60,1"), 2, "shorten a window")


# --- serve ----------------------------------------------------------------------------------------------


def test_a_finality_that_the_chain_does_not_have(founded: Federation, tmp_path: Path) -> None:
    file = read_federation_file(founded.file)
    write_record(tmp_path, FederationRecord(file.federation, file.deployed_in, file.config.hash()))

    def no_tags(method: str, params: list, forward: Forward) -> dict:
        return {"result": None} if params[:1] == ["finalized"] else forward()

    with rewritten(founded.url, no_tags) as url:
        serve = ("serve", "--dir", str(tmp_path), "--rpc", url, "--port", "0")
        tagged = called(*serve, "--finality", "finalized")
        _says(tagged, 2, "has no 'finalized' block", "give a number of blocks")
        _says(called(*serve, LEDGERFED_FINALITY="soon"), 2, "'soon'", "safe or finalized")


# --- deploy and key -------------------------------------------------------------------------------------


def _deploy(url: str, path: Path, *options: str, members: int = 4, **environment: str) -> Ended:
    told = []
    for index in range(members):
        told += ["--member", f"0x{demo_key(5, index).address.hex()}=http://127.0.0.1:{9100 + index}"]
    key = environment or {"LEDGERFED_PRIVATE_KEY": "0x" + demo_key(5, 0).key.private_key.hex()}
    return called("deploy", "--rpc", url, "--federation", str(path), *told, *options, **key)


def test_deploying_over_a_file_makes_no_second_federation(founded: Federation) -> None:
    before = founded.file.read_bytes()
    _says(_deploy(founded.url, founded.file), 2, "exists", "another federation")
    assert founded.file.read_bytes() == before


def test_a_deployer_without_money(tmp_path: Path) -> None:
    with DevnetServer() as server:
        _says(_deploy(server.url, tmp_path / "f.json", **STRANGER), 2, "cannot pay", "fund the account")
        assert not (tmp_path / "f.json").exists()


@pytest.mark.parametrize(
    ("options", "members", "code", "words"),
    [
        (("--member", "0x12=http://a"), 4, 2, "the address of member 4"),
        (("--member", "0x" + "12" * 20 + "=ftp://a"), 4, 2, "no URL of a peer"),
        (("--member", f"0x{demo_key(5, 0).address.hex()}=http://a"), 4, 2, "the same address"),
        (("--windows", "1,2,3"), 4, 2, "commit,force,score,certify,challenge"),
        (("--windows", "1,2,3,4,5"), 4, 2, "the commit window"),
        (("--config", "none.json"), 4, 2, "cannot read none.json"),
        ((), 2, 2, "min_updates"),
    ],
    ids=["address", "url", "twice", "three", "short", "config", "few"],
)
def test_deploying_nonsense(
    tmp_path: Path, founded: Federation, options: tuple[str, ...], members: int, code: int, words: str
) -> None:
    path = tmp_path / "f.json"
    _says(_deploy(founded.url, path, *options, members=members), code, words)
    assert not path.exists()


def test_paying_members_from_a_chain_that_is_no_development_chain(tmp_path: Path) -> None:
    chain = Running(
        PROGRAM[0], "-m", "chain_devnet", "--in-memory", "--port", "0", "--json", "--chain-id", "2019"
    )
    try:
        url = chain.expect(lambda line: "url" in line)["url"]
        _says(_deploy(url, tmp_path / "f.json", "--fund"), 2, "chain 2019 is no development chain", "--fund")
    finally:
        chain.end()


def test_a_key_is_made_opened_and_never_overwritten(tmp_path: Path) -> None:
    password = tmp_path / "password"
    password.write_text("correct horse\n")
    path = tmp_path / "keys" / "north.json"
    made = called("key", "new", str(path), "--password-file", str(password), "--json")
    assert made.code == 0
    assert path.stat().st_mode & 0o777 == 0o600
    again = called("key", "show", str(path), LEDGERFED_KEY_PASSWORD_FILE=str(password))
    assert again.out.strip() == made.document["address"]
    _says(called("key", "new", str(path), "--password-file", str(password)), 2, "never overwritten")
    _says(called("key", "show", str(path), "--password-file", str(tmp_path / "no")), 2, "password file")
    _says(called("key", "show", str(path)), 2, "--password-file")
    password.write_text("wrong")
    _says(called("key", "show", str(path), "--password-file", str(password)), 3, "does not open")
    shutil.copy(path, tmp_path / "open.json")
    (tmp_path / "open.json").chmod(0o644)
    wide = called("key", "show", str(tmp_path / "open.json"), "--password-file", str(password))
    _says(wide, 2, "chmod 600")


def _listening(node: Running) -> str:
    return str(node.said[0]["listening"]).removeprefix("http://")


def _rpc(url: str, method: str, *params: object):
    import httpx

    request = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
    return httpx.post(url, json=request).json()["result"]
