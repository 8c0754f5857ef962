"""What a node checks on the chain before it takes part: rules, place and members are those of its file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from ledgerfed.errors import ConfigurationError, NotFoundError
from ledgerfed.ledger.views import LedgerState
from ledgerfed.network import Peer
from ledgerfed.node.federation_file import FederationFile
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import to_hex


class Registry(Protocol):
    """The contract, as far as it says who belongs to it (`ledgerfed.ledger.LedgerGateway`)."""

    federation: Federation

    def config_hash(self) -> bytes:
        """Return the hash of the configuration of the epoch."""
        ...

    def state(self) -> LedgerState:
        """Return where the federation stands."""
        ...

    def members(self) -> tuple[bytes, ...]:
        """Return the addresses of all nodes by registry index."""
        ...


def peers_on_chain(
    ledger: Registry, file: FederationFile, urls: Mapping[bytes, str | None]
) -> tuple[Peer, ...]:
    """Return the members as the contract lists them, with the URLs that are known of their addresses.

    After the first epoch the contract may well have other rules and members than the file; the node compares
    them with the history then (`membership`). A node that has left is listed without an address.

    Raises:
        ConfigurationError: the contract was deployed for other rules, or does not list a member of the file.
    """
    addresses, found = ledger.members(), ledger.config_hash()
    if ledger.state().epoch:
        return tuple(Peer(address, urls.get(address)) for address in addresses)
    if found != file.config.hash():
        raise ConfigurationError(
            f"the contract {to_hex(ledger.federation.contract)} was deployed for the configuration "
            f"{to_hex(found)}, the federation file holds {to_hex(file.config.hash())}; "
            "ask whoever deployed it for the right file"
        )
    for index, address in enumerate(peer.address for peer in file.members):
        if address not in addresses:
            raise ConfigurationError(
                f"the contract does not list {to_hex(address)}, member {index} of the federation file; ask "
                "whoever deployed it for the right file"
            )
    return tuple(Peer(address, urls.get(address)) for address in addresses)


def own_index(peers: tuple[Peer, ...], address: bytes, claimed: int | None) -> int:
    """Return the registry index of a key.

    Raises:
        NotFoundError: it is no member's.
        ConfigurationError: it is another member's than `claimed`.
    """
    found = next((index for index, peer in enumerate(peers) if peer.address == address), None)
    if found is None:
        raise NotFoundError(f"{to_hex(address)} is no member of the federation; use the key of a member")
    if claimed is not None and claimed != found:
        raise ConfigurationError(
            f"{to_hex(address)} is member {found}, not {claimed}; give --index {found}, or another key"
        )
    return found
