import json

import pytest

from ledgerfed.errors import ConfigurationError
from ledgerfed.ledger import compile as compiler
from ledgerfed.ledger.artifact import round_ledger
from ledgerfed.protocol.hashing import keccak


def test_the_committed_artifact_is_what_the_source_compiles_to():
    source = compiler.SOURCE.read_text("utf-8")
    assert compiler.render(compiler.compile_contract(source)) == compiler.TARGET.read_text("utf-8")


def test_the_artifact_names_source_compiler_and_layout():
    document = json.loads(compiler.TARGET.read_text("utf-8"))
    assert document["source_keccak"] == "0x" + keccak(compiler.SOURCE.read_bytes()).hex()
    assert document["compiler"] == {
        "name": "vyper",
        "version": "0.4.3",
        "evm_version": "cancun",
        "optimize": "gas",
    }
    slots = {name: entry["slot"] for name, entry in document["layout"]["storage_layout"].items()}
    assert slots == {"_packed": 0, "_transcript": 1, "_registry": 2, "_members": 3}


def test_a_deployed_contract_is_recognised_whatever_its_immutables(deploy_ledger):
    artifact = round_ledger()
    codes = [deploy_ledger(committee=c).code() for c in (3, 4)]
    assert codes[0] != codes[1]
    for code in codes:
        assert artifact.matches(code)
        assert not artifact.matches(code + b"\0")
        assert not artifact.matches(code[:-1])
        assert not artifact.matches(bytes([code[0] ^ 1]) + code[1:])
    assert not artifact.matches(b"")


def test_every_external_function_is_documented():
    from vyper import compile_code

    natspec = compile_code(compiler.SOURCE.read_text("utf-8"), output_formats=["userdoc", "devdoc"])
    functions = [e for e in round_ledger().abi if e["type"] == "function"]
    documented = {signature.split("(")[0] for signature in natspec["userdoc"]["methods"]}
    assert {f["name"] for f in functions} <= documented
    for signature, entry in natspec["devdoc"]["methods"].items():
        function = next((f for f in functions if f["name"] == signature.split("(")[0]), None)
        if function:
            assert set(entry.get("params", {})) == {i["name"] for i in function["inputs"]}


def test_another_compiler_is_refused(monkeypatch):
    monkeypatch.setattr(compiler, "COMPILER", "0.4.0")
    with pytest.raises(ConfigurationError, match=r"vyper 0\.4\.3 is installed; the artifact needs 0\.4\.0"):
        compiler.compile_contract("")
