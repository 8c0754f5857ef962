"""The federation file: where a federation stands, its rules, and at which address each member's node listens.

The one who deploys writes it and hands it to all. Nobody has to believe it: a node checks chain, contract,
rules and members on the chain before it starts; a wrong peer URL leads to nobody.
"""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ledgerfed.errors import ConfigurationError, InvalidValueError, NotFoundError
from ledgerfed.network import Peer
from ledgerfed.protocol.canonical import canonical_json, fields, parse_canonical
from ledgerfed.protocol.change import VACANT
from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import from_hex, require_hash, require_range, to_hex

FORMAT = "ledgerfed-federation-1"
MAX_BYTES = 1 << 22
_KEYS = (
    "format",
    "chain_id",
    "contract",
    "deployed_in",
    "genesis_transcript",
    "genesis_model",
    "configuration",
    "members",
)


@dataclass(frozen=True, slots=True)
class FederationFile:
    """A deployed federation as its members know it.

    `deployed_in` is the block of the contract's creation, `genesis` the transcript it began with, `members`
    are the members of its genesis by registry index, with the URLs of their nodes.
    """

    federation: Federation
    deployed_in: int
    genesis: bytes
    config: FederationConfig
    members: tuple[Peer, ...]

    def __post_init__(self) -> None:
        require_range("deployed_in", self.deployed_in, 0, (1 << 53) - 1)
        require_hash("the genesis transcript", self.genesis)
        require_members(self.config, self.members)

    def document(self) -> dict[str, Any]:
        """Return the document, its keys in the order of reading."""
        return {
            "format": FORMAT,
            "chain_id": self.federation.chain_id,
            "contract": to_hex(self.federation.contract),
            "deployed_in": self.deployed_in,
            "genesis_transcript": to_hex(self.genesis),
            "genesis_model": to_hex(self.config.genesis_model().hash()),
            "members": [
                {"index": index, "address": to_hex(peer.address), "url": peer.url}
                for index, peer in enumerate(self.members)
            ],
            "configuration": self.config.document(),
        }

    @staticmethod
    def from_text(text: str) -> FederationFile:
        """Read a document, however it is spaced.

        Raises:
            InvalidValueError: it is not one; the message names what is wrong.
        """
        try:
            loose = json.loads(text)
        except (ValueError, RecursionError) as error:
            raise InvalidValueError(f"not a JSON document: {error}") from error
        record = fields("a federation file", parse_canonical(canonical_json(loose)), _KEYS)
        if record["format"] != FORMAT:
            raise InvalidValueError(f"its format is {record['format']!r}, this program reads {FORMAT!r}")
        config = FederationConfig.from_bytes(canonical_json(record["configuration"]))
        if record["genesis_model"] != to_hex(config.genesis_model().hash()):
            raise InvalidValueError("genesis_model is not the model that its configuration begins with")
        return FederationFile(
            Federation(record["chain_id"], from_hex("contract", record["contract"], 20)),
            record["deployed_in"],
            from_hex("genesis_transcript", record["genesis_transcript"]),
            config,
            _members(record["members"]),
        )


def require_members(config: FederationConfig, members: tuple[Peer, ...]) -> None:
    """Raise InvalidValueError unless these may be the members of a federation with this configuration."""
    fewest = config.committee[-1] + 1
    if not fewest <= len(members) <= config.capacity:
        raise InvalidValueError(
            f"a federation with the committee {list(config.committee)} and trees of depth {config.depth} has "
            f"{fewest} to {config.capacity} members, got {len(members)}"
        )
    present = [peer.address for peer in members if peer.address != VACANT]
    if any(members[index].address == VACANT for index in config.committee):
        raise InvalidValueError("a committee member has left; choose another committee")
    if len(set(present)) != len(present):
        raise InvalidValueError("two members have the same address; each node needs a key of its own")


def read_federation_file(path: Path) -> FederationFile:
    """Return what a federation file says.

    Raises:
        NotFoundError: there is no such file.
        ConfigurationError: it is not a federation file.
    """
    try:
        if path.stat().st_size > MAX_BYTES:
            raise ConfigurationError(f"{path} is too large for a federation file")
        return FederationFile.from_text(path.read_text("utf-8"))
    except FileNotFoundError as error:
        raise NotFoundError(f"there is no federation file {path}; `ledgerfed deploy` writes one") from error
    except (OSError, UnicodeDecodeError, InvalidValueError) as error:
        raise ConfigurationError(f"{path} is no federation file: {error}") from error


def write_federation_file(path: Path, file: FederationFile) -> None:
    """Write a federation file, for people to read, in one step.

    Raises:
        ConfigurationError: it cannot be written.
    """
    draft = path.with_name(f".{path.name}.draft")
    try:
        with draft.open("w", encoding="utf-8") as stream:
            stream.write(json.dumps(file.document(), indent=1) + "\n")
            stream.flush()
            os.fsync(stream.fileno())
        draft.replace(path)
    except OSError as error:
        raise ConfigurationError(f"cannot write {path}: {error.strerror}") from error


def _members(rows: object) -> tuple[Peer, ...]:
    if not isinstance(rows, list):
        raise InvalidValueError("members must be a list")
    members = []
    for index, row in enumerate(rows):
        record = fields(f"member {index}", row, ("index", "address", "url"))
        if record["index"] != index:
            raise InvalidValueError(
                f"member {index} stands at the place of {record['index']}; keep the order"
            )
        url = record["url"]
        if url is not None and not isinstance(url, str):
            raise InvalidValueError(f"the url of member {index} must be text or null")
        members.append(Peer(from_hex(f"the address of member {index}", record["address"], 20), url))
    return tuple(members)
