"""`python -m ledgerfed.ledger.compile [SOURCE]`: compile the contract and write the committed artifact.

Needs the compiler, which only the test extra brings (`pip install 'ledgerfed[test]'`). The settings stand in
the source's pragmas; the artifact repeats them, with the keccak-256 of every source file, the bytecode, the
ABI and the layout of storage and immutables. A test recompiles and compares, byte by byte.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from ledgerfed.errors import ConfigurationError, LedgerFedError
from ledgerfed.ledger.artifact import ARTIFACT_NAME
from ledgerfed.protocol.hashing import keccak, to_hex

_HERE = Path(__file__).resolve().parent
_PACKAGED = _HERE / "contracts" / "RoundLedger.vy"
SOURCE = _PACKAGED if _PACKAGED.exists() else _HERE.parents[1] / "contracts" / "RoundLedger.vy"
TARGET = _HERE / "artifacts" / ARTIFACT_NAME
COMPILER = "0.4.3"


def compile_contract(source: Path) -> dict[str, Any]:
    """Return the artifact document of a Vyper source and the modules beside it.

    Raises:
        ConfigurationError: the compiler is missing or has another version.
    """
    try:
        import vyper
        from vyper.compiler.input_bundle import FilesystemInputBundle
    except ImportError as error:
        raise ConfigurationError("vyper is not installed; pip install 'ledgerfed[test]' brings it") from error
    version = vyper.__version__.split("+")[0]
    if version != COMPILER:
        raise ConfigurationError(f"vyper {version} is installed; the artifact needs {COMPILER}")
    bundle = FilesystemInputBundle([source.parent])
    output = vyper.compiler.compile_from_file_input(
        bundle.load_file(source.name),
        input_bundle=bundle,
        output_formats=["abi", "bytecode", "bytecode_runtime", "layout"],
    )
    return {
        "contract": "RoundLedger",
        "compiler": {"name": "vyper", "version": version, "evm_version": "cancun", "optimize": "gas"},
        "sources": {path.name: to_hex(keccak(path.read_bytes())) for path in sources_of(source)},
        "abi": output["abi"],
        "creation_bytecode": output["bytecode"],
        "runtime_bytecode": output["bytecode_runtime"],
        "layout": output["layout"],
    }


def sources_of(source: Path) -> list[Path]:
    """Return the files that a contract is made of: all Vyper files of its directory, by name."""
    return sorted(source.parent.glob("*.vy"))


def render(document: dict[str, Any]) -> str:
    """Return the text of the artifact file: sorted, indented JSON, so that a change can be read in a diff."""
    return json.dumps(document, indent=1, sort_keys=True) + "\n"


def main(arguments: list[str]) -> None:
    """Compile the source that is named, or the repository's, and write the artifact."""
    source = Path(arguments[0]) if arguments else SOURCE
    TARGET.parent.mkdir(exist_ok=True)
    TARGET.write_text(render(compile_contract(source)), "utf-8")
    sys.stdout.write(f"wrote {TARGET}\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except (LedgerFedError, OSError) as error:
        sys.exit(f"{error}")
