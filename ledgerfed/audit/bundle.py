"""The audit bundle: one archive that holds a federation's history, and one spelling of every archive.

Rules of a bundle:
- a zip of stored entries in ascending name: `blobs/<keccak-256>`, chain.json, config.json, manifest.json;
- manifest.json (RFC 8785) names the format, the federation and the SHA-256 of every other file;
- the bytes equal their own re-encoding, so the same history is the same archive, and nothing hides between
  entries, in a second entry of the same name or in a compressed one that grows.
"""

from __future__ import annotations

import hashlib
import io
import os
import re
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from tempfile import NamedTemporaryFile

from ledgerfed.audit.history import FederationHistory, read_history
from ledgerfed.errors import InvalidValueError, NotFoundError, StoreError, VerificationError
from ledgerfed.protocol.canonical import canonical_json, fields, parse_canonical
from ledgerfed.protocol.configuration import PROTOCOL
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.hashing import from_hex, to_hex

FORMAT = "ledgerfed-audit-bundle-1"
MAX_BUNDLE_BYTES = 1 << 30
MANIFEST, CONFIG, CHAIN, BLOBS = "manifest.json", "config.json", "chain.json", "blobs/"
_BLOB_NAME = re.compile(r"blobs/[0-9a-f]{64}")
_EPOCH = (1980, 1, 1, 0, 0, 0)


@dataclass(frozen=True, slots=True)
class Archive:
    """The files of a bundle by name, digests checked, and the SHA-256 of the whole archive.

    `federation` and `software` are what the manifest says; the first is checked against chain.json.
    """

    digest: bytes
    federation: Federation
    software: str
    files: Mapping[str, bytes]

    def history(self) -> FederationHistory:
        """Return the history that the files spell; raises InvalidValueError when they spell none."""
        blobs = {
            bytes.fromhex(name.removeprefix(BLOBS)): data
            for name, data in self.files.items()
            if name.startswith(BLOBS)
        }
        history = read_history(self.files[CONFIG], self.files[CHAIN], blobs)
        if history.federation != self.federation:
            raise InvalidValueError(
                f"{MANIFEST} is about {_name(self.federation)}, {CHAIN} about {_name(history.federation)}"
            )
        return history


def write_bundle(history: FederationHistory, path: Path) -> bytes:
    """Write the bundle of a history and return the SHA-256 of the archive.

    It appears whole or not at all: written beside `path`, synced, then renamed over it.

    Raises:
        VerificationError: the history is larger than a bundle may be.
        StoreError: the file cannot be written.
    """
    files = {CONFIG: history.config, CHAIN: history.chain_bytes()}
    files |= {BLOBS + name.hex(): blob for name, blob in history.blobs.items()}
    manifest = manifest_bytes(files, history.federation, f"ledgerfed {version('ledgerfed')}")
    archive = encode_archive({**files, MANIFEST: manifest})
    _require_size(path, len(archive))
    try:
        _replace(path, archive)
    except OSError as error:
        raise StoreError(f"cannot write the audit bundle {path}: {error.strerror}") from error
    return hashlib.sha256(archive).digest()


def read_bundle(path: Path) -> FederationHistory:
    """Return the history in the bundle at `path`; what it claims is not verified yet.

    Raises:
        NotFoundError: there is no file.
        VerificationError: the archive is torn, a digest differs, or it holds anything but its files.
        InvalidValueError: a document in it is not canonical, or a value is out of range.
    """
    return open_archive(path).history()


def open_archive(path: Path) -> Archive:
    """Return the files of the bundle at `path`, every digest checked.

    Raises:
        NotFoundError: there is no file.
        VerificationError: the archive is torn, a digest differs, or it holds anything but its files.
    """
    try:
        with path.open("rb") as stream:
            _require_size(path, os.fstat(stream.fileno()).st_size)
            data = stream.read(MAX_BUNDLE_BYTES)
    except (FileNotFoundError, IsADirectoryError) as error:
        raise NotFoundError(
            f"there is no audit bundle at {path}; give the path of an exported one"
        ) from error
    files = _entries(path, data)
    if encode_archive(files) != data:
        raise VerificationError(f"{path} carries bytes besides its files; export it again")
    federation, software = _check_manifest(path, files)
    del files[MANIFEST]
    return Archive(hashlib.sha256(data).digest(), federation, software, files)


def manifest_bytes(files: Mapping[str, bytes], federation: Federation, software: str) -> bytes:
    """Return manifest.json for the other files of a bundle."""
    return canonical_json(
        {
            "format": FORMAT,
            "protocol": PROTOCOL,
            "software": software,
            "chain_id": federation.chain_id,
            "contract": to_hex(federation.contract),
            "files": {name: to_hex(hashlib.sha256(data).digest()) for name, data in files.items()},
        }
    )


def encode_archive(files: Mapping[str, bytes]) -> bytes:
    """Return the one archive of `files`: ascending names, stored, the same times and modes everywhere."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_STORED) as archive:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name, _EPOCH)
            entry.create_system = 3
            entry.external_attr = 0o644 << 16
            archive.writestr(entry, files[name])
    return stream.getvalue()


def _entries(path: Path, data: bytes) -> dict[str, bytes]:
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            _require_names(path, archive.infolist())
            return {entry.filename: archive.read(entry) for entry in archive.infolist()}
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError, RuntimeError) as error:
        raise VerificationError(
            f"{path} is not a whole audit bundle ({error}); fetch or export it again"
        ) from error


def _require_names(path: Path, entries: list[zipfile.ZipInfo]) -> None:
    seen: set[str] = set()
    for entry in entries:
        name = entry.filename
        if name not in (MANIFEST, CONFIG, CHAIN) and not _BLOB_NAME.fullmatch(name):
            raise VerificationError(f"{path} holds {name!r}, which has no place in an audit bundle")
        if name in seen:
            raise VerificationError(f"{path} holds {name} twice; export it again")
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise VerificationError(f"{path} holds {name} compressed; a bundle stores its files as they are")
        seen.add(name)
    if missing := {MANIFEST, CONFIG, CHAIN} - seen:
        raise VerificationError(f"{path} has no {', '.join(sorted(missing))}; it is not an audit bundle")


def _check_manifest(path: Path, files: Mapping[str, bytes]) -> tuple[Federation, str]:
    """Check every digest; return the federation and the software that the manifest names."""
    try:
        record = fields(MANIFEST, parse_canonical(files[MANIFEST]), _MANIFEST_KEYS)
        listed = fields("files", record["files"], sorted(set(files) - {MANIFEST}))
        digests = {name: from_hex(f"the digest of {name}", digest) for name, digest in listed.items()}
        federation = Federation(record["chain_id"], from_hex("contract", record["contract"], 20))
    except InvalidValueError as error:
        raise VerificationError(f"{MANIFEST} of {path} does not hold: {error}") from error
    if (record["format"], record["protocol"]) != (FORMAT, PROTOCOL):
        raise VerificationError(
            f"{path} is {record['format']!r} of {record['protocol']!r}; "
            f"this program reads {FORMAT} of {PROTOCOL}"
        )
    for name, digest in digests.items():
        found = hashlib.sha256(files[name]).digest()
        if found != digest:
            raise VerificationError(
                f"{name} has the SHA-256 {to_hex(found)}, {MANIFEST} says {to_hex(digest)}"
            )
    software = record["software"]
    if not isinstance(software, str):
        raise VerificationError(
            f"{MANIFEST} of {path} does not hold: software must be a text, got {software!r}"
        )
    return federation, software


_MANIFEST_KEYS = ("format", "protocol", "software", "chain_id", "contract", "files")


def _replace(path: Path, data: bytes) -> None:
    with NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as beside:
        try:
            beside.write(data)
            beside.flush()
            os.fchmod(beside.fileno(), 0o644)
            os.fsync(beside.fileno())
            os.replace(beside.name, path)
        except BaseException:
            os.unlink(beside.name)
            raise
    _sync_directory(path.parent)


def _require_size(path: Path, size: int) -> None:
    if size > MAX_BUNDLE_BYTES:
        raise VerificationError(f"{path} has {size} bytes; an audit bundle has at most {MAX_BUNDLE_BYTES}")


def _sync_directory(directory: Path) -> None:
    handle = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _name(federation: Federation) -> str:
    return f"{to_hex(federation.contract)} on chain {federation.chain_id}"
