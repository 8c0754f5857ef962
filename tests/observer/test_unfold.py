"""Documents become rows only if they are what the chain committed to."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from simulated_federation import FIRST_BLOCK, SimulatedFederation

from ledgerfed.errors import NotFoundError, VerificationError
from ledgerfed.observer import Finality, observe
from ledgerfed.observer.unfold import unfold_genesis, unfold_round
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.federation import Federation
from ledgerfed.protocol.manifest import Manifest, Reason
from ledgerfed.protocol.transcript import after_certify, after_seal
from ledgerfed.store import BlobStore, open_store
from ledgerfed.store.reading import read_genesis, read_round
from ledgerfed.store.records import GenesisRecord, RoundRecord, ScoreRecord, UpdateRecord

OTHER = b"\x77" * 32


@pytest.fixture
def unfolded(tmp_path: Path) -> tuple[SimulatedFederation, GenesisRecord, RoundRecord]:
    with open_store(tmp_path) as store:
        chain = SimulatedFederation(store.blobs)
        chain.run_round(refused={1: Reason.OUTLIER}, forced=[3])
        observe(store, chain, chain.federation, FIRST_BLOCK, Finality(0)).advance()
        with store.database.read() as connection:
            start, ended = read_genesis(connection, 1), read_round(connection, 1, 1)
        assert start is not None
        assert ended is not None
        return chain, start, ended


def test_a_round_unfolds_into_one_update_a_node_and_one_vector_a_validator(unfolded) -> None:
    chain, start, ended = unfolded
    evidence, rows = unfold_round(chain.federation, start, ended, chain.blobs)
    assert evidence == ended.evidence
    assert [r.node for r in rows if isinstance(r, UpdateRecord)] == [0, 1, 2, 3]
    assert [r.validator for r in rows if isinstance(r, ScoreRecord)] == [0, 1, 2, 3]


@pytest.mark.parametrize("field", ["root", "n", "score_root", "opened_at"])
def test_evidence_that_contradicts_the_chain_is_refused_by_name(unfolded, field: str) -> None:
    chain, start, ended = unfolded
    told = getattr(ended, field)
    lie = replace(ended, **{field: OTHER if isinstance(told, bytes) else told + 1})
    with pytest.raises(VerificationError, match=f"evidence of round 1 contradicts the chain in {field}"):
        unfold_round(chain.federation, start, lie, chain.blobs)


@pytest.mark.parametrize("field", ["model", "base_model", "reputation_root"])
def test_a_manifest_that_contradicts_the_chain_is_refused(unfolded, field: str) -> None:
    chain, start, ended = unfolded
    with pytest.raises(VerificationError, match="manifest of round 1 contradicts the chain"):
        unfold_round(chain.federation, start, replace(ended, **{field: OTHER}), chain.blobs)


def test_a_manifest_of_another_federation_is_refused(unfolded) -> None:
    chain, start, ended = unfolded
    other = Federation(1, chain.federation.contract)
    with pytest.raises(VerificationError, match="manifest of round 1 contradicts the chain"):
        unfold_round(other, start, ended, chain.blobs)


def _certified_as(chain: SimulatedFederation, ended: RoundRecord) -> RoundRecord:
    """The round with the transcript that its own manifest leads to."""
    manifest = Manifest.from_bytes(chain.blobs.get(ended.manifest))
    evidence = RoundEvidence.from_bytes(chain.blobs.get(manifest.evidence))
    t = after_seal(ended.opened_at, 1, ended.root, ended.n)
    for step in evidence.history:
        t = step.after(t)
    outcome = (ended.manifest, ended.model, ended.reputation_root)
    return replace(ended, transcript=after_certify(t, 1, *outcome))


def test_evidence_with_another_history_is_refused(unfolded) -> None:
    chain, start, ended = unfolded
    assert _certified_as(chain, ended) == ended
    with pytest.raises(VerificationError, match="contradicts the chain in history"):
        unfold_round(chain.federation, start, replace(ended, transcript=OTHER), chain.blobs)


def test_reputations_without_the_certified_root_are_refused(unfolded) -> None:
    chain, start, ended = unfolded
    manifest = Manifest.from_bytes(chain.blobs.get(ended.manifest))
    lie = replace(manifest, reputations=manifest.reputations[::-1])
    told = _certified_as(chain, replace(ended, manifest=chain.blobs.put(lie.to_bytes())))
    with pytest.raises(VerificationError, match="reputations after round 1"):
        unfold_round(chain.federation, start, told, chain.blobs)


def test_a_configuration_that_does_not_lead_to_the_genesis_reputations_is_refused(unfolded) -> None:
    chain, start, _ = unfolded
    assert len(unfold_genesis(start, 4, chain.blobs)) == 4
    with pytest.raises(VerificationError, match="reputations after round 0"):
        unfold_genesis(start, 3, chain.blobs)


def test_a_document_that_is_not_here_is_not_found(unfolded, tmp_path: Path) -> None:
    chain, start, ended = unfolded
    empty = BlobStore(tmp_path / "empty")
    with pytest.raises(NotFoundError):
        unfold_round(chain.federation, start, ended, empty)
    empty.put(chain.blobs.get(ended.manifest))
    with pytest.raises(NotFoundError, match=ended.evidence.hex()):
        unfold_round(chain.federation, start, ended, empty)
