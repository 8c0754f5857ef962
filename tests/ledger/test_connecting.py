"""What a person reads who points at the wrong thing: one clear line each."""

import socket
import subprocess
import sys
from http.server import BaseHTTPRequestHandler, HTTPServer
from threading import Thread

import pytest

from chain_devnet import DevnetServer
from ledgerfed.errors import (
    ChainUnreachableError,
    ConfigurationError,
    InvalidValueError,
    LedgerFedError,
    TransactionRevertedError,
)
from ledgerfed.ledger import LedgerGateway, demo_key, deploy
from ledgerfed.ledger.rpc import JsonRpc, RpcError
from ledgerfed.protocol.hashing import keccak

ADDRESS = keccak(b"somewhere")[-20:]


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def one_line(error):
    assert isinstance(error, LedgerFedError)
    assert "\n" not in str(error)
    return str(error)


def test_no_server_at_the_url():
    pauses = []
    rpc = JsonRpc(f"http://127.0.0.1:{free_port()}", sleep=pauses.append)
    with pytest.raises(ChainUnreachableError, match=r"cannot be reached \(5 attempts\); is"):
        rpc.call("eth_chainId")
    assert pauses == [0.1, 0.2, 0.4, 0.8]


def test_connecting_to_nowhere_names_the_url():
    url = f"http://127.0.0.1:{free_port()}"
    with pytest.raises(ChainUnreachableError, match=url) as caught:
        LedgerGateway.connect(url, ADDRESS)
    assert one_line(caught.value)
    assert caught.value.exit_code == 6


def test_a_server_that_is_no_chain():
    class Page(BaseHTTPRequestHandler):
        def do_POST(self):
            self.send_response(200 if self.path == "/page" else 404)
            self.end_headers()
            self.wfile.write(b"<html>hello</html>" if self.path == "/page" else b"[]")

        def log_message(self, *arguments):
            """Say nothing."""

    server = HTTPServer(("127.0.0.1", 0), Page)
    Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_address[1]}"
        with pytest.raises(ChainUnreachableError, match="answers, but not in JSON-RPC"):
            LedgerGateway.connect(f"{url}/page", ADDRESS)
        with pytest.raises(ChainUnreachableError, match="HTTP status 404"):
            LedgerGateway.connect(f"{url}/nothing", ADDRESS)
    finally:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("url", ["", "localhost:8545", "ftp://localhost", "http://"])
def test_a_url_that_is_none(url):
    with pytest.raises((ChainUnreachableError, ConfigurationError)) as caught:
        LedgerGateway.connect(url, ADDRESS)
    assert one_line(caught.value)
    assert url in str(caught.value)


def test_another_chain(scene):
    with pytest.raises(ChainUnreachableError, match="is chain 31337, expected chain 5"):
        LedgerGateway.connect(scene.url, scene.deployment.federation.contract, chain_id=5)
    with pytest.raises(ChainUnreachableError, match="is chain 31337, expected chain 5"):
        deploy_again(scene, chain_id=5)


def test_nothing_at_the_address(scene):
    with pytest.raises(ChainUnreachableError, match=f"nothing is deployed at 0x{ADDRESS.hex()}"):
        LedgerGateway.connect(scene.url, ADDRESS)


def test_another_contract_at_the_address(scene):
    key = demo_key(7, 100)
    code = bytes.fromhex("600160005260206000f3")  # returns the runtime code 0x00…01
    fields = {"chainId": 31337, "nonce": scene.nonce(key), "data": code, "value": 0, "gas": 100_000}
    raw = key.sign_transaction(fields | {"gasPrice": 10**11})
    receipt = scene.rpc("eth_getTransactionReceipt", scene.rpc("eth_sendRawTransaction", "0x" + raw.hex()))
    with pytest.raises(ConfigurationError, match="is not this version's RoundLedger") as caught:
        LedgerGateway.connect(scene.url, bytes.fromhex(receipt["contractAddress"][2:]))
    assert caught.value.exit_code == 2


def test_an_address_that_is_none(scene):
    with pytest.raises(InvalidValueError, match="20-byte address"):
        LedgerGateway.connect(scene.url, b"short")


def test_a_busy_server_is_asked_again(scene, proxy):
    proxy.busy = 2
    gateway = LedgerGateway.connect(proxy.url, scene.deployment.federation.contract)
    assert gateway.state().round == 1


def test_an_error_object_is_raised_with_code_and_message(scene):
    with pytest.raises(RpcError, match=r"eth_nonsense: .* \(code -32601\)"):
        JsonRpc(scene.url).call("eth_nonsense")


def test_mining_on_demand_is_for_development_chains(new_federation):
    nodes = tuple(demo_key(7, i) for i in range(4))
    with DevnetServer(chain_id=1337, fund={f"0x{demo_key(7, 100).address.hex()}": 10**18}) as server:
        federation = new_federation(url=server.url, nodes=nodes).federation
        assert federation.chain_id == 1337
        gateway = LedgerGateway.connect(server.url, federation.contract, mine_on_demand=True)
        assert gateway.wait_for_block(9) == 9
    with DevnetServer(chain_id=5) as server:
        rpc = JsonRpc(server.url)
        with pytest.raises(ConfigurationError, match="chain 5 mines by itself"):
            LedgerGateway(rpc, type(federation)(5, ADDRESS), gateway.terms, mine_on_demand=True)


def deploy_again(scene, **changes):
    from dataclasses import replace

    config = scene.config
    arguments = {"url": scene.url, "signer": demo_key(7, 100), "model": ADDRESS.rjust(32), "chain_id": 31337}
    arguments |= {"reputations": ADDRESS.rjust(32), "members": tuple(node.address for node in scene.nodes)}
    if "min_updates" in changes:
        config = replace(config, min_updates=changes.pop("min_updates"))
    return deploy(config=config, **(arguments | changes))


def test_a_deployment_that_the_contract_refuses_says_why(scene):
    with pytest.raises(TransactionRevertedError, match=r"RoundLedger was refused: .*min_updates must be"):
        deploy_again(scene, min_updates=7)
    twice = (scene.nodes[0].address,) * 4
    with pytest.raises(TransactionRevertedError, match="a member is registered twice"):
        deploy_again(scene, members=twice)


def test_a_deployer_without_funds_is_named(scene):
    poor = demo_key(8, 0)
    with pytest.raises(ConfigurationError, match=f"0x{poor.address.hex()} cannot pay for the deployment"):
        deploy_again(scene, signer=poor)


def test_a_model_hash_of_another_length_is_refused(scene):
    with pytest.raises(InvalidValueError, match="the model hash must be 32 bytes"):
        deploy_again(scene, model=b"short")


def test_a_call_with_values_that_do_not_fit_is_refused_here(scene):
    gateway = scene.gateway()
    for root, n in ((b"\x01" * 33, 3), (bytes(32), -1)):
        with pytest.raises(InvalidValueError, match="seal cannot be called with these arguments"):
            gateway.seal(scene.nodes[0], 1, root, n)


def test_importing_the_ledger_imports_no_web3():
    program = (
        "import sys, ledgerfed.ledger; "
        "print([m for m in ('web3', 'eth_abi', 'eth_account', 'requests', 'vyper') if m in sys.modules])"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.strip() == "[]"
