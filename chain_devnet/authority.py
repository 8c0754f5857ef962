"""Proof of authority: who may seal which block, and the seal itself. Pure.

Source: EIP-225 (Clique), with a fixed list of signers. The rules:

1. Genesis names the signers: extra data is 32 bytes that hold the period, the addresses in ascending order,
   and 65 zero bytes. Equal genesis hashes mean equal rules.
2. Every other block's extra data is 32 bytes and 65 bytes of signature (r, s, y parity) over the hash of the
   header without them. Who signed is the beneficiary, and is on the list.
3. Block n is in turn for signer n mod N and then has difficulty 2, for anyone else 1.
4. Nobody seals more than one of floor(N/2) + 1 blocks in a row.
5. A block comes at least one period after its parent, and one more for each place by which its signer is out
   of turn; so the next one steps in when a signer is silent, and the others wait for it. (Clique leaves that
   delay to chance and to good will; here it is checked.)
6. Of two chains the heavier one holds (sum of difficulties), and of equally heavy ones that with the lower
   head hash.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

from eth_keys.datatypes import PrivateKey

from chain_devnet.block import Block, Header
from chain_devnet.errors import InvalidBlockError
from chain_devnet.transaction import recover_sender
from ledgerfed.errors import InvalidValueError

VANITY_BYTES, SEAL_BYTES, ADDRESS_BYTES = 32, 65, 20
IN_TURN, OUT_OF_TURN = 2, 1
MAX_SIGNERS = 255


@dataclass(frozen=True, slots=True)
class Authority:
    """Who seals: 20-byte addresses in ascending order, and the seconds between blocks."""

    signers: tuple[bytes, ...]
    period: int = 1

    def __post_init__(self) -> None:
        if not 0 < len(self.signers) <= MAX_SIGNERS:
            raise InvalidValueError(f"{len(self.signers)} signers; name 1 to {MAX_SIGNERS}")
        if any(len(signer) != ADDRESS_BYTES for signer in self.signers):
            raise InvalidValueError("a signer is no address of 20 bytes; check the list")
        if any(left >= right for left, right in pairwise(self.signers)):
            raise InvalidValueError("signers must be in ascending order, each once; sort the list")
        if not 0 < self.period <= 86_400:
            raise InvalidValueError(f"period {self.period} s is out of range; use 1 to 86400")

    def genesis_extra(self) -> bytes:
        """Extra data of the genesis block (rule 1)."""
        return self.period.to_bytes(VANITY_BYTES, "big") + b"".join(self.signers) + bytes(SEAL_BYTES)

    def rest(self) -> int:
        """After sealing a block, a signer leaves so many to others (rule 4)."""
        return len(self.signers) // 2

    def place(self, number: int, signer: bytes) -> int:
        """How many places `signer` is away from its turn at block `number`; 0 in turn.

        Raises:
            InvalidBlockError: it is no signer.
        """
        if signer not in self.signers:
            raise InvalidBlockError(f"block {number} is signed by 0x{signer.hex()}, who is no signer")
        return (self.signers.index(signer) - number) % len(self.signers)

    def difficulty(self, number: int, signer: bytes) -> int:
        """Weight of block `number` if `signer` seals it (rule 3)."""
        return OUT_OF_TURN if self.place(number, signer) else IN_TURN

    def earliest(self, parent: Header, signer: bytes) -> int:
        """Unix time before which `signer` may not seal the child of `parent` (rule 5)."""
        return parent.timestamp + self.period * (1 + self.place(parent.number + 1, signer))

    def may_seal(self, signer: bytes, recent: Sequence[bytes]) -> bool:
        """Whether `signer` may seal after blocks by `recent`, newest first (rule 4)."""
        return signer in self.signers and signer not in recent[: self.rest()]

    def sealed(self, block: Block, key: bytes) -> Block:
        """`block` with the difficulty and the seal of the signer with the 32-byte `key`."""
        private = PrivateKey(key)
        signer = private.public_key.to_canonical_address()
        unsealed = replace(
            block.header,
            difficulty=self.difficulty(block.header.number, signer),
            extra_data=bytes(VANITY_BYTES + SEAL_BYTES),
        )
        signature = private.sign_msg_hash(seal_hash(unsealed)).to_bytes()
        header = replace(unsealed, extra_data=bytes(VANITY_BYTES) + signature)
        return replace(block, header=header, hash=header.hash)

    def check(self, header: Header, parent: Header, recent: Sequence[bytes]) -> None:
        """Return if the child of `parent` is sealed by these rules; `recent` signers are newest first.

        Raises:
            InvalidBlockError: with the first rule that it breaks.
        """
        number = header.number
        signer = signer_of(header)
        if header.coinbase != signer:
            raise InvalidBlockError(f"block {number} pays 0x{header.coinbase.hex()}, not its signer")
        expected = self.difficulty(number, signer)
        if header.difficulty != expected:
            raise InvalidBlockError(
                f"block {number} has difficulty {header.difficulty}; its signer's turn makes it {expected}"
            )
        if not self.may_seal(signer, recent):
            raise InvalidBlockError(f"block {number}: 0x{signer.hex()} has sealed too recently")
        earliest = self.earliest(parent, signer)
        if header.timestamp < earliest:
            raise InvalidBlockError(
                f"block {number} has time {header.timestamp}; its signer had to wait until {earliest}"
            )


def seal_hash(header: Header) -> bytes:
    """What a signer signs: the hash of the header without the 65 bytes of the seal (rule 2)."""
    return replace(header, extra_data=header.extra_data[:-SEAL_BYTES]).hash


def signer_of(header: Header) -> bytes:
    """The address whose key sealed `header`.

    Raises:
        InvalidBlockError: there is no such seal.
    """
    if len(header.extra_data) != VANITY_BYTES + SEAL_BYTES:
        raise InvalidBlockError(
            f"block {header.number} has no seal: {len(header.extra_data)} bytes extra data"
        )
    seal = header.extra_data[-SEAL_BYTES:]
    r, s = int.from_bytes(seal[:32], "big"), int.from_bytes(seal[32:64], "big")
    try:
        return recover_sender(seal_hash(header), seal[64], r, s)
    except InvalidValueError as error:
        raise InvalidBlockError(f"block {header.number} has no valid seal: {error}") from error


def heavier(left: Sequence[Header], left_hash: bytes, right: Sequence[Header], right_hash: bytes) -> bool:
    """Whether the branch `left` with head `left_hash` holds against `right` from the same block (rule 6)."""
    weights = [sum(header.difficulty for header in branch) for branch in (left, right)]
    return weights[0] > weights[1] or (weights[0] == weights[1] and left_hash < right_hash)
