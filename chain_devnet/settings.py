"""What devnet verbs set about a chain, beside its blocks and its time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Settings:
    """Impersonated accounts and the next blocks' beneficiary; `coinbase` None leaves it to the chain.

    `anyone` lets every address be impersonated without being named first.
    """

    impersonated: frozenset[bytes] = frozenset()
    anyone: bool = False
    coinbase: bytes | None = None

    def impersonates(self, address: bytes) -> bool:
        """Whether `address` may send without a signature."""
        return self.anyone or address in self.impersonated

    def impersonating(self, address: bytes, wanted: bool) -> Settings:
        """The settings in which `address` is impersonated, or is not any more."""
        changed = self.impersonated | {address} if wanted else self.impersonated - {address}
        return replace(self, impersonated=changed)

    def to_meta(self) -> dict[str, str]:
        """What the store keeps of them."""
        return {
            "impersonated": " ".join(sorted(address.hex() for address in self.impersonated)),
            "impersonate_anyone": "1" if self.anyone else "",
            "coinbase": "" if self.coinbase is None else self.coinbase.hex(),
        }

    @classmethod
    def from_meta(cls, meta: Mapping[str, str | None]) -> Settings:
        """The settings that `to_meta` described; fresh ones where nothing was kept."""
        names = (meta["impersonated"] or "").split()
        return cls(
            frozenset(bytes.fromhex(name) for name in names),
            bool(meta["impersonate_anyone"]),
            bytes.fromhex(meta["coinbase"]) if meta["coinbase"] else None,
        )
