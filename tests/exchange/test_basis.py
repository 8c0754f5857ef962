from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ledgerfed.datasets import TRANSIT_BASIS, TRANSIT_EVENTS_BASIS
from ledgerfed.errors import InvalidValueError
from ledgerfed.exchange import ANY, Basis, ChannelTerm, fourier, masked
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

SPARSE = Basis(
    "y",
    "1",
    60,
    (1, 3),
    (*masked("w", "x", 2), ChannelTerm("w", ("x",), 1, "mean:4"), ChannelTerm("w", ("x",), 1, "sd:4")),
    ("weekday:6", *fourier("day", 2)),
    hold=2,
)


def test_columns_stand_in_the_documented_order() -> None:
    assert BASIS.names == ("y@1", "y@3", "w/x@2", "g/a|b@0", "weekday:6", "intercept")
    assert (BASIS.width, BASIS.reach) == (6, 3)


def test_columns_of_one_channel_are_told_apart_by_their_transform() -> None:
    assert SPARSE.names[2:7] == ("w/x:held@2", "w/x:observed@2", "w/x:age@2", "w/x:mean:4@1", "w/x:sd:4@1")
    assert SPARSE.names[7:] == ("weekday:6", "sin:day:1", "cos:day:1", "sin:day:2", "cos:day:2", "intercept")


def test_a_row_reaches_back_over_windows_and_held_lags() -> None:
    assert SPARSE.reach == 5
    assert replace(SPARSE, hold=0).reach == 4
    assert replace(SPARSE, hold=0, channels=()).reach == 3


def test_a_basis_without_hold_has_the_document_it_always_had() -> None:
    assert BASIS.document()["target"] == {"lags": [1, 3], "name": "y", "unit": "1"}
    assert SPARSE.document()["target"]["hold"] == 2


def test_at_a_horizon_all_lags_move_back_but_what_is_known_ahead_stays() -> None:
    assert BASIS.at_horizon(1) == BASIS
    assert BASIS.at_horizon(4).names == ("y@4", "y@6", "w/x@5", "g/a|b@0", "weekday:6", "intercept")
    assert SPARSE.at_horizon(3).hold == 2
    with pytest.raises(InvalidValueError, match="steps of a horizon"):
        BASIS.at_horizon(0)


def test_the_id_is_the_hash_of_the_canonical_document() -> None:
    assert BASIS.basis_id == keccak(canonical_json(BASIS.document()))
    assert TRANSIT_BASIS.basis_id.hex() == "cbd375de0e53de57c727b471a75de1acc4899e3837bbd60fa63754126dcd838e"
    assert (TRANSIT_BASIS.width, TRANSIT_EVENTS_BASIS.width) == (12, 13)


@pytest.mark.parametrize("basis", [BASIS, SPARSE, TRANSIT_BASIS, TRANSIT_EVENTS_BASIS])
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
        {"hold": 1},
    ],
)
def test_whatever_changes_a_column_changes_the_id(changes: dict[str, object]) -> None:
    assert replace(BASIS, **changes).basis_id != BASIS.basis_id  # type: ignore[arg-type]


def test_a_document_with_anything_else_in_it_is_refused() -> None:
    with pytest.raises(InvalidValueError, match="unknown keys"):
        Basis.from_document(BASIS.document() | {"mean": 3})
    for document in ({"target": {}}, {"target": 3}):
        with pytest.raises(InvalidValueError, match="not the document of a basis"):
            Basis.from_document(document)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"lags": (0, 1)}, "a lag of the target"),
        ({"lags": (1, 1)}, "different columns"),
        ({"calendar": ("weekday:7",)}, "no calendar term"),
        ({"calendar": ("sin:month:1",)}, "no calendar term"),
        ({"calendar": ("sin:day:13",)}, "no calendar term"),
        ({"hold": -1}, "the hold of a basis"),
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


def test_only_any_takes_several_channels() -> None:
    for transform in ("held", "observed", "age", "mean:3"):
        with pytest.raises(InvalidValueError, match="cannot take the channels"):
            ChannelTerm("w", ("x", "y"), 1, transform)


@pytest.mark.parametrize(
    "transform", ["mean", "sd:", "mean:1", "mean:03", "mean:1025", "sd:-2", "held:2", "mean:²"]
)
def test_a_window_needs_a_plain_number_of_steps(transform: str) -> None:
    with pytest.raises(InvalidValueError, match=transform):
        ChannelTerm("w", ("x",), 1, transform)


def test_there_are_waves_of_day_week_and_year_only() -> None:
    assert fourier("week") == ("sin:week:1", "cos:week:1")
    with pytest.raises(InvalidValueError, match="no cycle 'month'"):
        fourier("month")
    with pytest.raises(InvalidValueError, match="harmonics"):
        fourier("day", 13)
