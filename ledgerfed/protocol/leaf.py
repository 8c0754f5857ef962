"""The leaf: what a node commits to before anybody sees its update.

The leaf binds chain, contract, round, index, base model and a salt, so a copied or replayed leaf never opens
for anybody else (threats N1, N2, N9, N17).
"""

from __future__ import annotations

from dataclasses import dataclass

from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import keccak, require_hash, require_range, word

MAX_SAMPLES = (1 << 40) - 1


@dataclass(frozen=True, slots=True)
class Opening:
    """The preimage of a leaf (without chain and contract, which the federation gives)."""

    round: int
    index: int
    base_model: bytes
    update_hash: bytes
    n_samples: int
    schema: bytes
    salt: bytes

    def __post_init__(self) -> None:
        require_range("the round of an opening", self.round, 1, (1 << 32) - 1)
        require_range("the index of an opening", self.index, 0, (1 << 20) - 1)
        require_range("the sample count of an opening", self.n_samples, 0, MAX_SAMPLES)
        for name in ("base_model", "update_hash", "schema", "salt"):
            require_hash(f"{name} of an opening", getattr(self, name))

    def leaf(self, federation: Federation) -> bytes:
        """Return the 32-byte leaf that this opening is the preimage of."""
        return keccak(
            b"\x00LF1C"
            + federation.words()
            + word(self.round)
            + word(self.index)
            + self.base_model
            + self.update_hash
            + word(self.n_samples)
            + self.schema
            + self.salt
        )
