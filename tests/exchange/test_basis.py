from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ledgerfed.datasets import TRANSIT_BASIS, TRANSIT_EVENTS_BASIS
from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange import ANY, Basis, ChannelTerm
from ledgerfed.protocol.canonical import canonical_json
from ledgerfed.protocol.hashing import keccak

BASIS = Basis(
    "y",
    "1",
    60,
    (1, 3),
    (ChannelTerm("w", ("x",), 2), ChannelTerm("g", ("a", "b"), 0, ANY)),
    ("weekday:6",),
)


def test_columns_stand_in_the_documented_order() -> None:
    assert BASIS.names == ("y@1", "y@3", "w/x@2", "g/a|b@0", "weekday:6", "intercept")
    assert (BASIS.width, BASIS.reach) == (6, 3)


def test_the_id_is_the_hash_of_the_canonical_document() -> None:
    assert BASIS.basis_id == keccak(canonical_json(BASIS.document()))
    assert TRANSIT_BASIS.basis_id.hex() == "cbd375de0e53de57c727b471a75de1acc4899e3837bbd60fa63754126dcd838e"
    assert (TRANSIT_BASIS.width, TRANSIT_EVENTS_BASIS.width) == (12, 13)


@pytest.mark.parametrize("basis", [BASIS, TRANSIT_BASIS, TRANSIT_EVENTS_BASIS])
def test_a_document_reads_back_as_the_same_basis(basis: Basis) -> None:
    assert Basis.from_document(json.loads(canonical_json(basis.document()))) == basis


@pytest.mark.parametrize(
    "changes",
    [
        {"target": "z"},
        {"unit": "2"},
        {"period": 61},
        {"lags": (1, 4)},
        {"channels": BASIS.channels[:1]},
        {"calendar": ("weekday:5",)},
        {"intercept": False},
    ],
)
def test_whatever_changes_a_column_changes_the_id(changes: dict[str, object]) -> None:
    assert replace(BASIS, **changes).basis_id != BASIS.basis_id  # type: ignore[arg-type]


def test_a_document_with_anything_else_in_it_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="unknown keys"):
        Basis.from_document(BASIS.document() | {"mean": 3})
    with pytest.raises(InvalidValueError, match="not the document of a basis"):
        Basis.from_document({"target": {}})


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lags": (0, 1)}, "a lag of the target"),
        ({"lags": (1, 1)}, "different columns"),
        ({"calendar": ("weekday:7",)}, "no calendar term"),
        ({"period": 0}, "period"),
    ],
)
def test_a_basis_that_makes_no_sense_cannot_be_made(changes: dict[str, object], message: str) -> None:
    with pytest.raises(InvalidValueError, match=message):
        replace(BASIS, **changes)  # type: ignore[arg-type]


def test_a_standard_term_takes_one_channel() -> None:
    with pytest.raises(InvalidValueError, match="cannot take the channels"):
        ChannelTerm("w", ("x", "y"), 1)
    with pytest.raises(InvalidValueError, match="a transform is"):
        ChannelTerm("w", ("x",), 1, "log")
