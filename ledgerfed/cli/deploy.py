"""`ledgerfed deploy`: found a federation on a chain, and write the file that its members need."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from ledgerfed.cli.output import emit
from ledgerfed.cli.signing import open_signer
from ledgerfed.errors import ConfigurationError, InvalidValueError, WaitTimeoutError

if TYPE_CHECKING:
    from ledgerfed.ledger.rpc import JsonRpc
    from ledgerfed.network import Peer
    from ledgerfed.protocol.configuration import FederationConfig, Windows

FUNDING_SECONDS = 60.0
MAX_MEMBERS_DEPTH = 10
"""The contract registers at most 1,024 members."""


@dataclass(frozen=True, slots=True)
class DeployOptions:
    """What the command line says about a federation to be; `members` are ADDRESS=URL each."""

    rpc: str
    path: Path
    members: tuple[str, ...]
    config_file: Path | None
    windows: str | None
    owner: str | None
    leaves_on_chain: bool
    keystore: Path | None
    password_file: Path | None


def run_deploy(options: DeployOptions, *, fund: bool, as_json: bool) -> int:
    """Deploy a federation and write its file; return the exit code."""
    rpc, path = options.rpc, options.path
    if path.exists():
        raise ConfigurationError(f"{path} exists; deploying again makes another federation, so name another")
    from ledgerfed.node.federation_file import FederationFile, require_members, write_federation_file
    from ledgerfed.protocol.hashing import from_hex

    peers = tuple(_peer(index, text) for index, text in enumerate(options.members))
    config = _configuration(options, len(peers))
    require_members(config, peers)
    owner = None if options.owner is None else from_hex("the owner", options.owner.lower(), 20)
    signer = open_signer(options.keystore, options.password_file)

    from ledgerfed.ledger import LedgerGateway, deploy
    from ledgerfed.ledger.rpc import JsonRpc
    from ledgerfed.protocol.reputation import reputation_tree

    _require_writable(path)
    addresses = tuple(peer.address for peer in peers)
    if fund:
        _fund(JsonRpc(rpc), [*addresses, signer.address])
    reputations = reputation_tree((config.genesis_reputation,) * len(peers), config.depth)
    model = config.genesis_model().hash()
    deployed = deploy(rpc, signer, config, addresses, model, reputations.root, owner=owner)
    federation, transaction = deployed.federation, deployed.transaction
    ledger = LedgerGateway.connect(rpc, federation.contract, chain_id=federation.chain_id)
    genesis = ledger.transcript(transaction.block_number)
    file = FederationFile(federation, transaction.block_number, genesis, config, peers)
    write_federation_file(path, file)
    document = {
        "federation": str(path),
        "chain_id": federation.chain_id,
        "contract": "0x" + federation.contract.hex(),
        "transaction": "0x" + transaction.hash.hex(),
        "block": transaction.block_number,
        "gas": transaction.gas_used,
        "config_hash": "0x" + config.hash().hex(),
        "genesis_transcript": "0x" + genesis.hex(),
    }
    lines = [
        f"federation of {len(peers)} at {document['contract']} on chain {federation.chain_id}, "
        f"block {transaction.block_number}, {transaction.gas_used:,} gas",
        f"wrote {path}: give it to every member",
    ]
    emit(document, as_json=as_json, lines=lines)
    return 0


def _peer(index: int, text: str) -> Peer:
    from ledgerfed.network import Peer
    from ledgerfed.protocol.hashing import from_hex

    address, _, url = text.partition("=")
    return Peer(from_hex(f"the address of member {index}", address.lower(), 20), url or None)


def _configuration(options: DeployOptions, nodes: int) -> FederationConfig:
    """Return the configuration of a file, or the demonstration's for so many nodes."""
    from ledgerfed.protocol.canonical import canonical_json
    from ledgerfed.protocol.configuration import FederationConfig

    path, windows = options.config_file, options.windows
    if path is None:
        from ledgerfed.evaluation.demo import demo_config

        config = demo_config(nodes)
        if options.owner is not None:  # trees never grow: leave room for joiners
            config = replace(config, depth=min(config.depth + 2, MAX_MEMBERS_DEPTH))
    else:
        try:
            config = FederationConfig.from_bytes(canonical_json(json.loads(path.read_text("utf-8"))))
        except OSError as error:
            raise ConfigurationError(f"cannot read {path}: {error.strerror}") from error
        except (ValueError, RecursionError) as error:
            raise ConfigurationError(f"{path} is no configuration: {error}") from error
    if options.leaves_on_chain:
        config = replace(config, leaves_on_chain=True)
    return config if windows is None else replace(config, windows=_windows(windows))


def _windows(text: str) -> Windows:
    from ledgerfed.protocol.configuration import Windows

    try:
        commit, force, score, certify, challenge = (int(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidValueError(
            f"windows are five numbers of blocks, commit,force,score,certify,challenge, got {text!r}"
        ) from error
    return Windows(commit, force, score, certify, challenge)


def _require_writable(path: Path) -> None:
    """Learn before anything is paid for whether the file can be written."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch(exist_ok=False)
        path.unlink()
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error


def _fund(chain: JsonRpc, addresses: list[bytes]) -> None:
    """Give each address money of a development chain, and wait until it has it."""
    from ledgerfed.evaluation.federation import grant
    from ledgerfed.ledger.chain import connected_chain_id
    from ledgerfed.ledger.keys import DEMO_CHAIN_IDS
    from ledgerfed.ledger.rpc import quantity
    from ledgerfed.protocol.hashing import to_hex

    found = connected_chain_id(chain, None)
    if found not in DEMO_CHAIN_IDS:
        raise ConfigurationError(
            f"chain {found} is no development chain (chain ids {' and '.join(map(str, DEMO_CHAIN_IDS))}); "
            "leave --fund out and pay the members yourself"
        )
    grant(chain, addresses)
    deadline = time.monotonic() + FUNDING_SECONDS
    while not all(quantity(chain.call("eth_getBalance", to_hex(a), "latest")) for a in addresses):
        if time.monotonic() >= deadline:
            raise WaitTimeoutError(
                f"the members were not paid within {FUNDING_SECONDS:g} s; does the chain mine?"
            )
        time.sleep(0.1)
