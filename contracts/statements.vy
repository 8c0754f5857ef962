# pragma version 0.4.3
# pragma evm-version cancun
# pragma optimize gas
# SPDX-License-Identifier: Apache-2.0
"""
@title What nodes sign: EIP-712 digests of a federation, and who signed them
@license Apache-2.0
@notice Types and bytes: docs/protocol.md. A signature is 65 bytes r, s, v with a low s (EIP-2).
"""

SIGNATURE_BYTES: constant(uint256) = 65

# Upper bound of s in a signature that counts: half the order of secp256k1 (EIP-2).
HALF_ORDER: constant(uint256) = 57896044618658097711785492504343953926418782139537452191302581570759080747168

DOMAIN_TYPE_HASH: constant(bytes32) = keccak256(
    "EIP712Domain(string name,string version,uint256 chainId,address verifyingContract)"
)
NAME_HASH: constant(bytes32) = keccak256("ledgerfed")
VERSION_HASH: constant(bytes32) = keccak256("1")
CERTIFICATE_TYPE_HASH: constant(bytes32) = keccak256("Certificate(uint32 round,bytes32 transcript)")
LEAF_TYPE_HASH: constant(bytes32) = keccak256(
    "Leaf(uint32 round,uint32 index,bytes32 leaf,bytes32 transcript,uint64 deadline)"
)
RECEIPT_TYPE_HASH: constant(bytes32) = keccak256(
    "Receipt(uint32 round,uint32 index,bytes32 leaf,bytes32 transcript)"
)
COMMITMENT_TYPE_HASH: constant(bytes32) = keccak256(
    "ScoreCommitment(uint32 round,uint32 index,bytes32 commitment,bytes32 transcript)"
)


@internal
@view
def domain_separator() -> bytes32:
    # Not an immutable: after a fork of the chain the same contract must not accept the other branch's signatures.
    return keccak256(abi_encode(DOMAIN_TYPE_HASH, NAME_HASH, VERSION_HASH, chain.id, self))


@internal
@view
def certificate_digest(round: uint256, t: bytes32) -> bytes32:
    return self._digest(keccak256(abi_encode(CERTIFICATE_TYPE_HASH, round, t)))


@internal
@view
def leaf_digest(round: uint256, index: uint256, leaf: bytes32, t: bytes32, deadline: uint256) -> bytes32:
    return self._digest(keccak256(abi_encode(LEAF_TYPE_HASH, round, index, leaf, t, deadline)))


@internal
@view
def receipt_digest(round: uint256, index: uint256, leaf: bytes32, t: bytes32) -> bytes32:
    return self._digest(keccak256(abi_encode(RECEIPT_TYPE_HASH, round, index, leaf, t)))


@internal
@view
def commitment_digest(round: uint256, index: uint256, commitment: bytes32, t: bytes32) -> bytes32:
    return self._digest(keccak256(abi_encode(COMMITMENT_TYPE_HASH, round, index, commitment, t)))


@internal
@view
def _digest(struct_hash: bytes32) -> bytes32:
    return keccak256(concat(b"\x19\x01", self.domain_separator(), struct_hash))


@internal
@pure
def recover(digest: bytes32, r: uint256, s: uint256, v: uint256) -> address:
    """The signer of a digest."""
    assert s <= HALF_ORDER, "a signature has a high s"
    signer: address = ecrecover(digest, v, r, s)
    assert signer != empty(address), "a signature recovers to nobody"
    return signer


@internal
@pure
def signer_of(digest: bytes32, signature: Bytes[SIGNATURE_BYTES]) -> address:
    """The signer of a digest."""
    assert len(signature) == SIGNATURE_BYTES, "a signature is not 65 bytes long"
    return self.recover(
        digest,
        extract32(signature, 0, output_type=uint256),
        extract32(signature, 32, output_type=uint256),
        extract32(signature, 33, output_type=uint256) & 255,
    )
