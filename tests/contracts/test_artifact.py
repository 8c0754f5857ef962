import json

import pytest

from ledgerfed.errors import ConfigurationError
from ledgerfed.ledger import compile as compiler
from ledgerfed.ledger.artifact import round_ledger
from ledgerfed.protocol.hashing import keccak


def test_the_committed_artifact_is_what_the_source_compiles_to():
    assert compiler.render(compiler.compile_contract(compiler.SOURCE)) == compiler.TARGET.read_text("utf-8")


def test_the_artifact_names_sources_compiler_and_layout():
    document = json.loads(compiler.TARGET.read_text("utf-8"))
    sources = {path.name: path for path in compiler.SOURCE.parent.glob("*.vy")}
    assert set(sources) == {"RoundLedger.vy", "registry.vy", "statements.vy", "tree.vy"}
    assert document["sources"] == {
        name: "0x" + keccak(path.read_bytes()).hex() for name, path in sources.items()
    }
    assert document["compiler"] == {
        "name": "vyper",
        "version": "0.4.3",
        "evm_version": "cancun",
        "optimize": "gas",
    }
    layout = document["layout"]["storage_layout"]
    assert {name: layout[name]["slot"] for name in ("_packed", "_transcript")} == {
        "_packed": 0,
        "_transcript": 1,
    }
    assert set(layout["registry"]) == {"words", "members", "committee", "vacant"}


def test_the_contract_fits_the_limits_of_a_chain(deploy_ledger):
    """EIP-170 caps the code of a contract, EIP-3860 what is sent to deploy it."""
    assert len(deploy_ledger().code()) <= 24_576
    assert len(round_ledger().creation_code) <= 49_152


def test_a_deployed_contract_is_recognised_whatever_its_immutables(deploy_ledger):
    artifact = round_ledger()
    codes = [deploy_ledger(depth=depth).code() for depth in (2, 3)]
    assert codes[0] != codes[1]
    for code in codes:
        assert artifact.matches(code)
        assert not artifact.matches(code + b"\0")
        assert not artifact.matches(code[:-1])
        assert not artifact.matches(bytes([code[0] ^ 1]) + code[1:])
    assert not artifact.matches(b"")


def test_every_external_function_is_documented():
    from vyper.compiler import compile_from_file_input
    from vyper.compiler.input_bundle import FilesystemInputBundle

    bundle = FilesystemInputBundle([compiler.SOURCE.parent])
    natspec = compile_from_file_input(
        bundle.load_file(compiler.SOURCE.name), input_bundle=bundle, output_formats=["userdoc", "devdoc"]
    )
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
        compiler.compile_contract(compiler.SOURCE)
