"""What is hashed stays what it was, and is what docs/protocol.md says, computed here a second time."""

from __future__ import annotations

import json
import struct
from pathlib import Path

import pytest
from Crypto.Hash import keccak as pycryptodome_keccak
from eth_abi.abi import encode
from eth_abi.packed import encode_packed
from eth_account import Account
from eth_account.messages import _hash_eip191_message, encode_typed_data

from ledgerfed.protocol.configuration import FederationConfig
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.leaf import Opening
from ledgerfed.protocol.manifest import Manifest
from ledgerfed.protocol.model import decode_model
from ledgerfed.protocol.payload import decode_update
from ledgerfed.protocol.signature import recover_address

VECTORS = Path(__file__).parents[1] / "vectors"
NAMES = sorted(path.stem for path in VECTORS.glob("*.json"))


def h(*parts: bytes) -> bytes:
    return pycryptodome_keccak.new(digest_bits=256, data=b"".join(parts)).digest()


def word(value: int) -> bytes:
    return value.to_bytes(32, "big")


def raw(text: str) -> bytes:
    return bytes.fromhex(text[2:])


def address_word(text: str) -> bytes:
    return bytes(12) + raw(text)


def test_every_vector_file_is_written_by_the_script(golden):
    assert sorted(golden.VECTORS) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_the_code_still_computes_the_pinned_vectors(name, golden, pinned):
    assert json.loads(json.dumps(golden.VECTORS[name]())) == pinned(name)


def test_leaves_follow_the_table_of_hashes(pinned):
    vector = pinned("leaf")
    for row in vector["leaves"]:
        preimage = (
            b"\x00LF1C"
            + word(vector["chain_id"])
            + address_word(vector["contract"])
            + word(row["round"])
            + word(row["index"])
            + raw(row["base_model"])
            + raw(row["update_hash"])
            + word(row["n_samples"])
            + raw(row["schema"])
            + raw(row["salt"])
        )
        assert h(preimage) == raw(row["leaf"])


def test_score_commitments_follow_the_table_of_hashes(pinned):
    v = pinned("score_commitment")
    scores = struct.pack(f"<{len(v['scores'])}i", *v["scores"])
    where = word(v["chain_id"]) + address_word(v["contract"]) + word(v["round"]) + word(v["index"])
    assert raw(v["bytes"]) == scores
    assert h(b"\x02LF1S", where, h(scores), raw(v["salt"])) == raw(v["commitment"])


def test_reputation_leaves_and_values_follow_the_documents(pinned):
    v = pinned("reputation")
    for index, (row, leaf, values) in enumerate(zip(v["rows"], v["leaves"], v["values"], strict=True)):
        assert h(b"\x00LF1R", word(index), *map(word, row), bytes(32)) == raw(leaf)
        a, b, va, vb, _ = row
        assert values[0] == (a + 65536) * 65536 // (a + b + 4 * 65536)
        assert values[1] == (va + 65536) * 65536 // (va + vb + 4 * 65536)
    leaves = [raw(leaf) for leaf in v["leaves"]]
    assert h(b"\x01", h(b"\x01", *leaves[:2]), h(b"\x01", *leaves[2:])) == raw(v["root"])


def test_certified_reputation_leaves_bind_the_scores_that_were_heard(pinned):
    v = pinned("reputation")
    rows, certified = v["rows"], pinned("reputation")["certified"]
    leaves = []
    for index, (median, heard) in enumerate(zip(certified["medians"], certified["heard"], strict=True)):
        kinds, values = ["int256"] + ["int32"] * len(heard), [median, *heard]
        result = h(b"\x02LF1M", encode_packed(kinds, values)) if heard else bytes(32)
        assert result == raw(certified["results"][index])
        assert median == (sorted(heard)[(len(heard) - 1) // 2] if heard else None)
        leaves.append(h(b"\x00LF1R", word(index), *map(word, rows[index]), result))
    assert leaves == [raw(leaf) for leaf in certified["leaves"]]
    assert h(b"\x01", h(b"\x01", *leaves[:2]), h(b"\x01", *leaves[2:])) == raw(certified["root"])


def test_changes_are_what_eth_abi_encodes(pinned):
    names = ("config_hash", "min_updates", "committee", "indices", "addresses")
    for v in pinned("change")["changes"]:
        values = [raw(v[name]) if name == "config_hash" else v[name] for name in names]
        data = encode(["(bytes32,uint256,uint256[],uint256[],address[])"], [tuple(values)])
        assert data == raw(v["bytes"])
        assert h(data) == raw(v["change_hash"])


def test_merkle_proofs_lead_to_the_roots(pinned):
    for tree in pinned("merkle")["trees"]:
        for proof in tree["proofs"]:
            node = raw(proof["leaf"])
            for level, sibling in enumerate(proof["siblings"]):
                pair = (raw(sibling), node) if proof["index"] >> level & 1 else (node, raw(sibling))
                node = h(b"\x01", *pair)
            assert node == raw(tree["root"])


def test_transcripts_follow_the_table_of_transitions(pinned):
    v = pinned("transcript")
    members = b"".join(address_word(m) for m in v["members"])
    assert raw(v["registry"]) == h(b"LF1N", word(len(v["members"])), members)
    where = word(v["chain_id"]) + address_word(v["contract"])
    parts = [raw(v[name]) for name in ("config", "registry", "model", "reputations")]
    t = h(b"LF1G", where, *parts)
    assert t == raw(v["genesis"])
    kinds = {name: number for number, (name, *_) in TRANSITIONS.items()}
    assert {step["kind"] for step in v["steps"]} == set(kinds)
    for step in v["steps"]:
        number = kinds[step["kind"]]
        t = h(t, word(number), word(step["round"]), *fields_of(number, step))
        assert t == raw(step["transcript"])


def test_a_tail_is_the_table_of_transitions_line_by_line(pinned):
    v = pinned("tail")
    t, tail = raw(v["before"]), b""
    assert {step["kind"] for step in v["steps"]} == set(TRANSITIONS)
    for step in v["steps"]:
        line = b"".join((word(step["kind"]), word(step["round"]), *fields_of(step["kind"], step)))
        t, tail = h(t, line), tail + line
    assert tail == raw(v["tail"])
    assert t == raw(v["after"])


TRANSITIONS = {  # kind: name and fields, as docs/protocol.md lists them
    1: ("seal", "root", "n"),
    2: ("force", "index", "leaf"),
    3: ("scores", "root"),
    4: ("certify", "manifest", "model", "reputations"),
    5: ("dispute", "fault", "culprits", "proof"),
    6: ("abort", "phase"),
    7: ("epoch", "epoch", "change"),
}


def fields_of(kind: int, step: dict[str, object]) -> list[bytes]:
    values = [step[name] for name in TRANSITIONS[kind][1:]]
    return [raw(value) if isinstance(value, str) else word(value) for value in values]


FIELDS = {  # in the order in which docs/protocol.md lists them
    "round": "uint32",
    "index": "uint32",
    "leaf": "bytes32",
    "commitment": "bytes32",
    "transcript": "bytes32",
    "deadline": "uint64",
}


def test_digests_are_those_of_eth_account(pinned):
    v = pinned("typed_data")
    assert [s["type"] for s in v["statements"]] == ["Leaf", "Receipt", "ScoreCommitment", "Certificate"]
    contract = "0x" + v["contract"][2:]
    domain = {"name": "ledgerfed", "version": "1", "chainId": v["chain_id"], "verifyingContract": contract}
    for statement in v["statements"]:
        names = [name for name in FIELDS if name in statement["message"]]
        types = {statement["type"]: [{"name": name, "type": FIELDS[name]} for name in names]}
        message = {k: raw(x) if isinstance(x, str) else x for k, x in statement["message"].items()}
        signable = encode_typed_data(domain, types, message)
        assert signable.header == raw(v["domain_separator"])
        assert _hash_eip191_message(signable) == raw(statement["digest"])
        signed = Account.sign_message(signable, raw(v["key"]))
        assert bytes(signed.signature) == raw(statement["signature"])
        assert Account.recover_message(signable, signature=signed.signature).lower() == v["address"]
        assert recover_address(raw(statement["digest"]), signed.signature) == raw(v["address"])


def test_the_payload_follows_the_table_of_fields(pinned):
    v = pinned("payload")
    d, bits = len(v["exponents"]), v["bits"]
    payload = struct.pack("<4sBBBH", b"LFU2", 1, int(v["drift"]), bits, d) + raw(v["family"])
    for value in (v["s2"], v["residual"]):
        shift = max(0, value.bit_length() - 24)
        payload += bytes([*(value >> shift).to_bytes(3, "little"), shift])
    total, width = 0, 0
    fields = [(e + 24, 7) for e in v["exponents"]]
    fields += [(m % 2**bits, bits) for m in v["upper"]] + [(m % 2**16, 16) for m in v["z"]]
    for value, size in fields:
        total, width = total << size | value, width + size
    whole = -(-width // 8)
    payload += (total << 8 * whole - width).to_bytes(whole, "big")
    assert payload == raw(v["payload"])
    assert h(payload) == raw(v["update_hash"])
    opening = Opening(
        7, 0, raw(v["base_model"]), raw(v["update_hash"]), v["n_samples"], raw(v["schema"]), bytes(32)
    )
    assert decode_update(payload, opening).upper == tuple(v["upper"])


def test_predictions_follow_the_table_of_fields(pinned):
    v = pinned("predictions")
    m, bits, precision = len(v["values"]), v["bits"], v["precision"]
    shift = max(0, precision.bit_length() - 24)
    payload = struct.pack("<4sBBBH", b"LFU2", 2, int(v["drift"]), bits, m) + raw(v["family"])
    payload += bytes([*(precision >> shift).to_bytes(3, "little"), shift]) + struct.pack("b", v["exponent"])
    whole = -(-m * bits // 8)
    total = sum(value % 2**bits << bits * (m - 1 - k) for k, value in enumerate(v["values"]))
    payload += (total << 8 * whole - m * bits).to_bytes(whole, "big")
    assert payload == raw(v["payload"])
    assert h(payload) == raw(v["update_hash"])


def test_models_follow_the_table_of_fields(pinned):
    for v in pinned("model")["models"]:
        theta, precision = [int(x) for x in v["theta"]], [int(x) for x in v["precision"]]
        data = struct.pack("<4sBBH", b"LFM1", v["kind"], 0, len(theta)) + raw(v["schema"])
        data += struct.pack("<IBBH", v["contributors"], v["theta_scale"], v["precision_scale"], 0)
        data += struct.pack(f"<{len(theta)}q", *theta) + struct.pack(f"<{len(precision)}q", *precision)
        assert data == raw(v["bytes"])
        assert h(data) == raw(v["model_hash"])
        assert decode_model(data).theta.values == tuple(theta)


@pytest.mark.parametrize(
    ("name", "kind"),
    [("configuration", FederationConfig), ("evidence", RoundEvidence), ("manifest", Manifest)],
)
def test_documents_hash_as_sorted_compact_json(name, kind, pinned):
    v = pinned("documents")[name]
    data = v["text"].encode()
    assert json.dumps(json.loads(data), sort_keys=True, separators=(",", ":")).encode() == data
    assert h(data) == raw(v["hash"])
    assert kind.from_bytes(data).to_bytes() == data
