"""An auditor knows which models were in force before, in order: that decides what a late update weighs."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ledgerfed.audit import verify_bundle, write_bundle
from ledgerfed.protocol.manifest import Manifest

LATE = 2


@pytest.mark.parametrize("age", [1, 2])
def test_a_late_update_replays_with_the_weight_that_was_certified(begun, walk_one, tmp_path, age) -> None:
    walk = begun()
    for _ in range(3):
        walk_one(walk)
    payloads = {index: walk.payload(index) for index in range(4)}
    openings = walk.commit(payloads)
    openings[LATE] = replace(openings[LATE], base_model=walk.earlier[age - 1])
    evidence = walk.score(walk.seal(list(openings.values())), list(openings.values()), silent=3)
    walk.certify(evidence, payloads, (0, 1, 3))

    write_bundle(walk.history(), tmp_path / "bundle.zip")
    report = verify_bundle(tmp_path / "bundle.zip")
    assert report.passed, report.verdict
    manifest = Manifest.from_bytes(walk.blobs[report.rounds[-1].manifest_hash])
    ages = [dict(verdict.measures)["staleness"] for verdict in manifest.verdicts[:4]]
    assert ages == [0, 0, age, 0]
