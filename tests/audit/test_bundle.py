"""One history, one archive; and an archive that is anything else is refused before it is believed."""

import io
import os
import zipfile
from dataclasses import replace

import pytest

from ledgerfed.audit import bundle as bundles
from ledgerfed.audit import read_bundle, verify_bundle, write_bundle
from ledgerfed.audit.bundle import CHAIN, CONFIG, MANIFEST, encode_archive, manifest_bytes, open_archive
from ledgerfed.errors import InvalidValueError, NotFoundError, StoreError, VerificationError
from ledgerfed.protocol.canonical import canonical_json, parse_canonical
from ledgerfed.protocol.hashing import keccak


@pytest.fixture
def files(bundle):
    with zipfile.ZipFile(bundle) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def pack(path, entries, compression=zipfile.ZIP_STORED, **attributes):
    """Write an ordinary zip, as any tool would; `entries` are pairs, so that a name can stand twice."""
    with zipfile.ZipFile(path, "w", compression) as archive:
        for name, data in entries:
            entry = zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0))
            entry.compress_type = compression
            entry.create_system, entry.external_attr = 3, 0o644 << 16
            for attribute, value in attributes.items():
                setattr(entry, attribute, value)
            archive.writestr(entry, data)
    return path


def test_what_is_written_is_read_back(history, bundle):
    assert read_bundle(bundle) == history


def test_the_same_history_is_the_same_archive_whatever_the_order_of_its_blobs(history, bundle, tmp_path):
    reordered = replace(history, blobs=dict(reversed(history.blobs.items())))
    write_bundle(reordered, tmp_path / "again.zip")
    assert (tmp_path / "again.zip").read_bytes() == bundle.read_bytes()


def test_an_archive_that_an_ordinary_tool_packs_from_the_same_files_in_order_is_the_same(
    files, bundle, tmp_path
):
    assert pack(tmp_path / "tool.zip", sorted(files.items())).read_bytes() == bundle.read_bytes()


def test_writing_replaces_the_old_bundle_whole_and_leaves_nothing_beside_it(history, tmp_path):
    (tmp_path / "bundle.zip").write_bytes(b"old")
    write_bundle(history, tmp_path / "bundle.zip")
    assert os.listdir(tmp_path) == ["bundle.zip"]
    assert verify_bundle(tmp_path / "bundle.zip").passed


def test_a_failed_write_leaves_the_old_bundle_alone(history, tmp_path, monkeypatch):
    def full(_):
        raise OSError(28, "No space left on device")

    (tmp_path / "bundle.zip").write_bytes(b"old")
    monkeypatch.setattr(bundles.os, "fsync", full)
    with pytest.raises(StoreError, match="No space left on device"):
        write_bundle(history, tmp_path / "bundle.zip")
    assert os.listdir(tmp_path) == ["bundle.zip"]
    assert (tmp_path / "bundle.zip").read_bytes() == b"old"


def test_a_directory_that_is_not_there_is_one_clear_line(history, tmp_path):
    with pytest.raises(StoreError, match="No such file or directory"):
        write_bundle(history, tmp_path / "nowhere" / "bundle.zip")


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("notes.txt", "'notes.txt', which has no place"),
        ("../chain.json", "has no place"),
        ("/etc/passwd", "has no place"),
        ("blobs/../config.json", "has no place"),
        ("blobs\\" + "0" * 64, "has no place"),
        ("blobs/" + "A" * 64, "has no place"),
        ("blobs/" + "0" * 63, "has no place"),
        ("blobs/" + "0" * 64 + "\n", "has no place"),
        ("blobs/", "has no place"),
        ("Config.json", "has no place"),
    ],
)
def test_a_file_that_does_not_belong_is_refused(files, tmp_path, name, reason):
    path = pack(tmp_path / "odd.zip", [*files.items(), (name, b"{}")])
    with pytest.raises(VerificationError, match=reason.replace("\\", "\\\\")):
        read_bundle(path)


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("name", [CONFIG, CHAIN, MANIFEST])
def test_a_name_that_stands_twice_is_refused(files, tmp_path, name):
    path = pack(tmp_path / "twice.zip", [*files.items(), (name, files[name])])
    with pytest.raises(VerificationError, match=f"holds {name} twice"):
        read_bundle(path)


@pytest.mark.parametrize("name", [CONFIG, CHAIN, MANIFEST])
def test_a_bundle_without_one_of_its_documents_is_refused(files, tmp_path, name):
    del files[name]
    with pytest.raises(VerificationError, match=f"has no {name}"):
        read_bundle(pack(tmp_path / "less.zip", files.items()))


def test_a_compressed_entry_is_refused_before_it_is_unpacked(files, tmp_path):
    name = "blobs/" + "0" * 64
    bomb = {name: bytes(1 << 24), **files}
    path = pack(tmp_path / "bomb.zip", bomb.items(), zipfile.ZIP_DEFLATED)
    with pytest.raises(VerificationError, match=f"holds {name} compressed; a bundle"):
        read_bundle(path)


def test_a_bundle_larger_than_the_limit_is_refused_unread(bundle, monkeypatch):
    monkeypatch.setattr(bundles, "MAX_BUNDLE_BYTES", 100)
    with pytest.raises(VerificationError, match="has at most 100"):
        read_bundle(bundle)


def test_a_history_larger_than_the_limit_is_not_written(history, tmp_path, monkeypatch):
    monkeypatch.setattr(bundles, "MAX_BUNDLE_BYTES", 100)
    with pytest.raises(VerificationError, match="has at most 100"):
        write_bundle(history, tmp_path / "large.zip")
    assert os.listdir(tmp_path) == []


def test_a_file_with_another_digest_is_refused(files, tmp_path):
    path = tmp_path / "odd.zip"
    path.write_bytes(encode_archive({**files, CONFIG: files[CONFIG] + b" "}))
    with pytest.raises(VerificationError, match=r"^config\.json has the SHA-256 0x"):
        read_bundle(path)


@pytest.mark.parametrize(
    "disguise",
    [
        lambda data: b"#!/bin/sh\n" + data,
        lambda data: data + b"\n",
        lambda data: data[:-2] + b"\x05\x00hello",
    ],
)
def test_bytes_around_the_files_are_refused(bundle, tmp_path, disguise):
    (tmp_path / "more.zip").write_bytes(disguise(bundle.read_bytes()))
    with pytest.raises(VerificationError, match=r"besides its files|not a whole audit bundle"):
        read_bundle(tmp_path / "more.zip")


@pytest.mark.parametrize(
    "attribute", [{"comment": b"hello"}, {"date_time": (2026, 1, 1, 0, 0, 0)}, {"extra": b"\x99\x99\x00\x00"}]
)
def test_bytes_about_the_files_are_refused(files, tmp_path, attribute):
    path = pack(tmp_path / "about.zip", sorted(files.items()), **attribute)
    with pytest.raises(VerificationError, match="besides its files"):
        read_bundle(path)


def test_entries_out_of_order_are_refused(files, tmp_path):
    path = pack(tmp_path / "order.zip", sorted(files.items(), reverse=True))
    with pytest.raises(VerificationError, match="besides its files"):
        read_bundle(path)


@pytest.mark.parametrize(
    ("key", "value", "reason"),
    [
        ("format", "ledgerfed-audit-bundle-2", "this program reads ledgerfed-audit-bundle-1"),
        ("protocol", "LFR-3", "of LFR-2"),
        ("software", 7, "software"),
        ("chain_id", 1, "is about"),
        ("files", [], "files must be an object"),
        ("surprise", True, "unknown keys"),
    ],
)
def test_a_manifest_that_says_otherwise_is_refused(files, tmp_path, key, value, reason):
    record = {**parse_canonical(files[MANIFEST]), key: value}
    path = tmp_path / "odd.zip"
    path.write_bytes(encode_archive({**files, MANIFEST: canonical_json(record)}))
    with pytest.raises((VerificationError, InvalidValueError), match=reason):
        read_bundle(path)


def test_a_blob_under_another_hash_is_refused_though_the_digests_fit(files, history, tmp_path):
    del files[MANIFEST]
    files["blobs/" + keccak(b"name").hex()] = b"content"
    manifest = manifest_bytes(files, history.federation, "ledgerfed 0.1.0")
    path = tmp_path / "odd.zip"
    path.write_bytes(encode_archive({**files, MANIFEST: manifest}))
    with pytest.raises(InvalidValueError, match=keccak(b"content").hex()):
        read_bundle(path)


def test_what_is_no_archive_is_refused_in_one_line(tmp_path):
    path = tmp_path / "not.zip"
    path.write_bytes(b"this is not a zip file")
    with pytest.raises(VerificationError, match="not a whole audit bundle") as caught:
        read_bundle(path)
    assert "\n" not in str(caught.value)


def test_a_missing_bundle_or_a_directory_is_not_found(tmp_path):
    for path in (tmp_path / "nowhere.zip", tmp_path):
        with pytest.raises(NotFoundError, match="there is no audit bundle"):
            open_archive(path)


def test_an_empty_archive_is_not_a_bundle(tmp_path):
    stream = io.BytesIO()
    zipfile.ZipFile(stream, "w").close()
    (tmp_path / "empty.zip").write_bytes(stream.getvalue())
    with pytest.raises(VerificationError, match=r"has no chain.json, config.json, manifest.json"):
        read_bundle(tmp_path / "empty.zip")
