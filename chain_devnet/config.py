"""What makes one devnet chain differ from another; fixed when the chain is created."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

from chain_devnet.authority import Authority
from ledgerfed.errors import ConfigurationError, InvalidValueError

CHAIN_ID = 31337
GAS_LIMIT = 30_000_000
GENESIS_TIME = 1_767_225_600  # 2026-01-01T00:00:00Z, fixed so that equal chains have equal hashes
MAX_UINT64 = 2**64 - 1


@dataclass(frozen=True, slots=True)
class ChainConfig:
    """Parameters of genesis. `fund` maps 20-byte addresses to wei, beside the public dev accounts.

    With an `authority`, several nodes seal the blocks in turn; without, the one that holds the chain does.
    """

    chain_id: int = CHAIN_ID
    genesis_time: int = GENESIS_TIME
    gas_limit: int = GAS_LIMIT
    fund: Mapping[bytes, int] = field(default_factory=dict)
    authority: Authority | None = None

    def __post_init__(self) -> None:
        if not 0 < self.chain_id <= MAX_UINT64 // 2 - 36:
            raise InvalidValueError(f"chain id {self.chain_id} is out of range; use a positive 62-bit number")
        if not 0 <= self.genesis_time < 2**62:
            raise InvalidValueError(f"genesis time {self.genesis_time} is no Unix time in seconds")
        if not 5_000 <= self.gas_limit < 2**62:
            raise InvalidValueError(f"gas limit {self.gas_limit} is out of range; try {GAS_LIMIT}")
        for address, amount in self.fund.items():
            if len(address) != 20 or not 0 <= amount < 2**255:
                raise InvalidValueError(f"cannot fund 0x{address.hex()} with {amount} wei; address or amount")

    @classmethod
    def from_json(cls, text: str) -> ChainConfig:
        """The parameters that `to_json` wrote."""
        fields = json.loads(text)
        fund = {bytes.fromhex(name[2:]): int(amount) for name, amount in fields.pop("fund").items()}
        signers = tuple(bytes.fromhex(name[2:]) for name in fields.pop("signers", ()))
        period = fields.pop("period", None)
        return cls(**fields, fund=fund, authority=Authority(signers, period) if signers else None)

    def continued(self, stored: ChainConfig) -> ChainConfig:
        """The parameters of the `stored` chain, if it is the one that is asked for here.

        The chain id must be equal; the others only if they were chosen, that is, differ from the default.

        Raises:
            ConfigurationError: it is another chain.
        """
        default = ChainConfig()
        for name in ("chain_id", "genesis_time", "gas_limit", "fund", "authority"):
            wanted, found = getattr(self, name), getattr(stored, name)
            chosen = name == "chain_id" or wanted != getattr(default, name)
            if chosen and wanted != found:
                raise ConfigurationError(
                    f"the directory holds a chain with another {name.replace('_', ' ')} "
                    f"({_shown(found)}, not {_shown(wanted)}); use that one or another directory"
                )
        return stored

    def to_json(self) -> str:
        """Canonical text that the store keeps, to recognise the chain on the next start."""
        fund = {f"0x{address.hex()}": str(amount) for address, amount in sorted(self.fund.items())}
        fields: dict[str, object] = {
            "chain_id": self.chain_id,
            "genesis_time": self.genesis_time,
            "gas_limit": self.gas_limit,
            "fund": fund,
        }
        if self.authority is not None:
            fields["signers"] = [f"0x{signer.hex()}" for signer in self.authority.signers]
            fields["period"] = self.authority.period
        return json.dumps(fields, sort_keys=True)


def _shown(value: object) -> str:
    if isinstance(value, Authority):
        signers = ", ".join(f"0x{signer.hex()}" for signer in value.signers)
        return f"{signers} every {value.period} s"
    if isinstance(value, Mapping):
        return (
            ", ".join(f"0x{address.hex()}: {amount}" for address, amount in sorted(value.items())) or "none"
        )
    return str(value)
