"""What an auditor knows from elsewhere; without it a bundle can only be consistent with itself."""

from __future__ import annotations

from dataclasses import dataclass

from ledgerfed.protocol.federation import require_address
from ledgerfed.protocol.hashing import require_hash


@dataclass(frozen=True, slots=True)
class TrustInputs:
    """Facts from outside the bundle; a step that meets one fails unless the bundle says the same.

    `genesis_transcript` alone names a federation: it covers chain, contract, configuration, members, genesis
    model and reputations. `final_transcript`, read from the chain, shows that nothing was cut off.
    """

    genesis_transcript: bytes | None = None
    config_hash: bytes | None = None
    members: tuple[bytes, ...] | None = None
    contract_code_hash: bytes | None = None
    final_transcript: bytes | None = None

    def __post_init__(self) -> None:
        for name in ("genesis_transcript", "config_hash", "contract_code_hash", "final_transcript"):
            value = getattr(self, name)
            if value is not None:
                require_hash(name, value)
        for member in self.members or ():
            require_address("a member", member)

    @property
    def pins_origin(self) -> bool:
        """Whether the federation itself is known: by its genesis, or by its rules and its members."""
        return self.genesis_transcript is not None or None not in (self.config_hash, self.members)
