"""Change any one byte of a bundle and the verification must fail, whatever the attacker repairs afterwards.

Three attackers: the clumsy one changes a file and nothing else; the careful one also recomputes the digests
of the archive; the clever one also gives a changed blob its new name. The bundle of the demonstration is
mutated too; LEDGERFED_BUNDLE=path runs the same on another one.
"""

from __future__ import annotations

import json
import os
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from random import Random

import pytest

from ledgerfed.audit import Status, verify_bundle
from ledgerfed.audit.bundle import (
    BLOBS,
    CHAIN,
    CONFIG,
    MANIFEST,
    encode_archive,
    manifest_bytes,
    open_archive,
)
from ledgerfed.audit.documents import standing, unfold
from ledgerfed.audit.events import EpochOpened, Genesis
from ledgerfed.audit.verify import STEPS
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import from_hex, keccak

PER_CLASS = 2
BYTES = 16
SEED = 20261123

UNPROVEN = {"block_number", "block_hash", "tx_hash", "log_index", "timestamp"}
"""Places on the chain: their canonical fields bind nothing until block headers are part of a bundle."""
UNPROVEN_KINDS = (
    "chain.head.number",
    "chain.head.hash",
    "chain.events.OwnershipProposed",
    "chain.events.OwnershipTransferred.owner",
    "chain.events.EpochProposed.change",
)
"""Nor does the transcript bind who owns the federation, or an announcement that another one replaced."""

REPAIRED = {
    "config": {2, 3},
    "epoch": {2},
    "chain.chain_id": {5},
    "chain.contract": {5},
    "chain.code_hash": {3},
    "chain.events.MemberRegistered": {4, 6},
    "chain.events.OwnershipTransferred.previous": {4, 6},
    "chain.events.Disputed.contested": {2, 6},
    "chain.events.Disputed.round": {2, 6},
    "chain.events.EpochOpened.config_hash": {2},
    "chain.events.Genesis.config_hash": {3},
    "chain.events.Genesis.registry_hash": {4},
    "chain.events.Genesis.model": {2},
    "chain.events.Genesis.reputations": {5},
    "chain.events.Genesis.transcript": {5},
    "chain.events.Genesis": {3},
    "chain.events.Certified.manifest": {2, 6},  # 6: of a certificate that fell
    "chain.events.Certified.model": {2, 6},
    "chain.events.Certified.round": {2, 6},  # 2: a certificate that fell seems to stand
    "chain.events": {6},
    "chain.certificates.round": {2, 6},
    "chain.certificates.signatures": {9},
    "chain.head.transcript": {12},
    "manifest": {2},
    "evidence": {2},
    "model": {2},
    "payload": {8},
}
"""Which step refuses what the clever attacker changed; the longest prefix counts."""


@dataclass(frozen=True)
class Mutation:
    """One changed byte or value: `kind` is the class of the field, `data` the changed file."""

    kind: str
    name: str
    data: bytes

    @property
    def step(self) -> set[int]:
        if self.kind.endswith(".name") and self.kind.startswith("chain.events."):
            return {2}
        parts = self.kind.split(".")
        prefixes = [".".join(parts[:n]) for n in range(len(parts), 0, -1)]
        return next(REPAIRED[prefix] for prefix in prefixes if prefix in REPAIRED)

    @property
    def unproven(self) -> bool:
        leaf = self.kind.rsplit(".", 1)[-1]
        place = self.kind.startswith("chain.events.") and leaf in UNPROVEN
        return place or (self.kind.startswith(UNPROVEN_KINDS) and leaf != "name")


def kinds_of_blobs(path: Path) -> dict[str, str]:
    """Return what each blob of a bundle is."""
    history = open_archive(path).history()
    genesis = next(event for event in history.events if isinstance(event, Genesis))
    kinds = {genesis.model: "model"}
    for event in standing(history.events):
        found = unfold(event, history.blobs)
        kinds |= {opening.update_hash: "payload" for opening in found.evidence.openings}
        kinds |= {event.manifest: "manifest", event.model: "model", found.manifest.evidence: "evidence"}
    kinds |= {event.config_hash: "epoch" for event in history.events if isinstance(event, EpochOpened)}
    return {BLOBS + digest.hex(): kind for digest, kind in kinds.items() if digest in history.blobs}


def leaves(value: object, path: tuple = ()) -> Iterator[tuple]:
    """Yield the path of every number, string, boolean and null."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from leaves(item, (*path, key))
    elif isinstance(value, list):
        for position, item in enumerate(value):
            yield from leaves(item, (*path, position))
    else:
        yield path


def at(document: object, path: tuple) -> object:
    for key in path:
        document = document[key]
    return document


def field_class(kind: str, document: dict, path: tuple) -> str:
    """Return the class of a field: its path without positions, events by name."""
    names = [key for key in path if isinstance(key, str)]
    if kind == "chain" and path[0] == "events":
        names.insert(1, document["events"][path[1]]["name"])
    return ".".join([kind, *names])


def changed(value: object, random: Random) -> object:
    """Return another value of the same shape: one bit of a number, one digit of a hash, one letter."""
    if value is None or isinstance(value, bool):
        return 0 if value is None else not value
    if isinstance(value, int):
        return value ^ (1 << random.randrange(4))
    if value.startswith("0x"):
        position = random.randrange(2, len(value))
        digit = int(value[position], 16) ^ (1 << random.randrange(4))
        return f"{value[:position]}{digit:x}{value[position + 1 :]}"
    position = random.randrange(len(value))
    return value[:position] + chr(ord(value[position]) ^ 1) + value[position + 1 :]


def json_mutations(kind: str, name: str, data: bytes, random: Random) -> Iterator[Mutation]:
    """Yield changed values: `PER_CLASS` of every class of field in the document."""
    document = json.loads(data)
    by_class = defaultdict(list)
    for path in leaves(document):
        by_class[field_class(kind, document, path)].append(path)
    for cls, paths in by_class.items():
        for path in random.sample(paths, min(PER_CLASS, len(paths))):
            copy = json.loads(data)
            at(copy, path[:-1])[path[-1]] = changed(at(copy, path), random)
            yield Mutation(cls, name, canonical_json(copy))


def byte_mutations(kind: str, name: str, data: bytes, random: Random) -> Iterator[Mutation]:
    """Yield files with one flipped bit: every byte of a short file, `BYTES` of a long one."""
    for position in random.sample(range(len(data)), min(BYTES, len(data))):
        flipped = bytearray(data)
        flipped[position] ^= 1 << random.randrange(8)
        yield Mutation(kind, name, bytes(flipped))


@cache
def mutations(path: Path) -> tuple[Mutation, ...]:
    random = Random(SEED)
    files = open_archive(path).files
    kinds = kinds_of_blobs(path) | {CONFIG: "config", CHAIN: "chain"}
    found: list[Mutation] = []
    for name, kind in sorted(kinds.items()):
        if kind in ("payload", "model"):
            found += byte_mutations(kind, name, files[name], random)
        else:
            found += json_mutations(kind, name, files[name], random)
            found += byte_mutations(kind, name, files[name], random)
    return tuple(mutation for mutation in found if mutation.data != files[mutation.name])


def written(files: dict[str, bytes], target: Path) -> Path:
    target.write_bytes(encode_archive(files))
    return target


def redigested(files: dict[str, bytes]) -> dict[str, bytes]:
    """Return the files with a manifest that fits them, the federation as chain.json names it."""
    rest = {name: data for name, data in files.items() if name != MANIFEST}
    chain = json.loads(files[CHAIN])
    federation = Federation(chain["chain_id"], from_hex("contract", chain["contract"], 20))
    return {**rest, MANIFEST: manifest_bytes(rest, federation, "ledgerfed 0.1.0")}


def failed_step(path: Path) -> int | None:
    report = verify_bundle(path)
    failure = report.failure
    assert report.passed is (failure is None)
    if failure is not None:
        after = [step for step in report.steps if failure.number in STEPS[step.number - 1].needs]
        assert all(step.status is Status.SKIPPED for step in after)
    return failure.number if failure else None


@pytest.fixture(
    scope="module",
    params=["walked", "eventful", "demonstration", *(["given"] if "LEDGERFED_BUNDLE" in os.environ else [])],
)
def path(request: pytest.FixtureRequest, bundle: Path) -> Path:
    if request.param == "given":
        return Path(os.environ["LEDGERFED_BUNDLE"])
    if request.param == "walked":
        return bundle
    if request.param == "eventful":
        return Path(request.getfixturevalue("eventful_bundle"))
    return Path(request.getfixturevalue("demonstration")[1]["bundle"])


@pytest.fixture
def all_files(path: Path) -> dict[str, bytes]:
    return {**open_archive(path).files}


def test_the_bundle_itself_passes(path):
    assert verify_bundle(path).passed


def test_every_kind_of_file_and_field_is_mutated(eventful_bundle):
    kinds = {mutation.kind.split(".")[0] for mutation in mutations(eventful_bundle)}
    assert kinds == {"config", "chain", "epoch", "manifest", "evidence", "model", "payload"}
    unused = set(REPAIRED) - {
        ".".join(parts[:n])
        for mutation in mutations(eventful_bundle)
        for parts in [mutation.kind.split(".")]
        for n in range(1, 9)
    }
    assert not unused


def test_one_changed_byte_fails_the_digests(path, all_files, tmp_path):
    manifest = {**redigested(all_files)}[MANIFEST]
    for mutation in mutations(path):
        torn = written({**all_files, MANIFEST: manifest, mutation.name: mutation.data}, tmp_path / "torn.zip")
        assert failed_step(torn) == 1, mutation


def test_one_changed_byte_fails_when_the_digests_are_recomputed(path, all_files, tmp_path):
    for mutation in mutations(path):
        if mutation.name.startswith(BLOBS):
            repaired = redigested({**all_files, mutation.name: mutation.data})
            assert failed_step(written(repaired, tmp_path / "torn.zip")) == 2, mutation


@pytest.mark.threat("P2")
def test_one_changed_byte_fails_when_blobs_are_renamed_too(path, all_files, tmp_path):
    for mutation in mutations(path):
        files = {**all_files}
        del files[mutation.name]
        if mutation.name.startswith(BLOBS):
            files[BLOBS + keccak(mutation.data).hex()] = mutation.data
        else:
            files[mutation.name] = mutation.data
        if mutation.unproven or mutation.kind == "chain":
            continue
        found = failed_step(written(redigested(files), tmp_path / "torn.zip"))
        assert found in mutation.step, mutation


def test_a_flipped_byte_of_the_archive_itself_fails(path, tmp_path):
    random = Random(SEED)
    data = path.read_bytes()
    target = tmp_path / "torn.zip"
    for position in random.sample(range(len(data)), 300):
        flipped = bytearray(data)
        flipped[position] ^= 1 << random.randrange(8)
        target.write_bytes(flipped)
        assert failed_step(target) == 1, position


def test_a_truncated_archive_fails_in_one_line(path, tmp_path):
    random = Random(SEED)
    data = path.read_bytes()
    target = tmp_path / "torn.zip"
    for length in [0, 1, 21, len(data) - 1, *random.sample(range(len(data)), 30)]:
        target.write_bytes(data[:length])
        report = verify_bundle(target)
        assert report.failure.number == 1
        assert "not a whole audit bundle" in report.failure.found
        assert "\n" not in report.verdict
