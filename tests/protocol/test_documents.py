"""Documents come back from their bytes, and nothing else passes for one."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest

from ledgerfed.errors import InvalidValueError
from ledgerfed.protocol.canonical import canonical_json, parse_canonical
from ledgerfed.protocol.configuration import FederationConfig, Windows
from ledgerfed.protocol.evidence import RoundEvidence
from ledgerfed.protocol.manifest import Manifest, Reason, Verdict
from ledgerfed.protocol.score import ONE
from ledgerfed.protocol.transition import Force

KINDS = {"configuration": FederationConfig, "evidence": RoundEvidence, "manifest": Manifest}
STRANGERS = (
    None,
    True,
    False,
    0,
    1,
    -1,
    5,
    (1 << 53) - 1,
    -(1 << 53) + 1,
    "",
    "1",
    "0x",
    "0x" + "00" * 20,
    "0x" + "00" * 32,
    "0x" + "ab" * 65,
    "\u0663",
    [],
    [1],
    [None],
    [[1, 2]],
    ["a", {}],
    {},
    {"a": 1},
    {"index": 0},
    {"lags": 3},
)


def nodes(value, path=()):
    """Yield the path of every node below the root."""
    steps = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in steps:
        yield (*path, key)
        yield from nodes(item, (*path, key))


def parent(document, path):
    for key in path[:-1]:
        document = document[key]
    return document


def read_or_refuse(kind, document):
    """Return what `kind` makes of the document: None when refused. What it reads it writes back."""
    data = canonical_json(document)
    try:
        value = kind.from_bytes(data)
    except InvalidValueError:
        return None
    assert value.to_bytes() == data
    return value


@pytest.fixture(params=sorted(KINDS))
def case(request, pinned):
    return KINDS[request.param], pinned("documents")[request.param]["text"].encode()


def test_a_document_comes_back_from_its_bytes(case):
    kind, data = case
    value = kind.from_bytes(data)
    assert value.to_bytes() == data
    assert kind.from_bytes(data) == value
    assert value.hash() == kind.from_bytes(data).hash()


def test_a_document_with_any_node_of_another_kind_is_refused_or_says_what_it_says(case):
    kind, data = case
    document = parse_canonical(data)
    original = kind.from_bytes(data)
    for path in nodes(document):
        for stranger in STRANGERS:
            changed = copy.deepcopy(document)
            old = parent(changed, path)[path[-1]]
            parent(changed, path)[path[-1]] = stranger
            value = read_or_refuse(kind, changed)
            assert value is None or value != original or (old == stranger and type(old) is type(stranger))


def test_a_document_with_any_node_missing_doubled_or_added_is_refused(case):
    kind, data = case
    document = parse_canonical(data)
    for path in nodes(document):
        changed = copy.deepcopy(document)
        del parent(changed, path)[path[-1]]
        free = "basis" in path or "measures" in path[:-1]
        listed = isinstance(path[-1], int)
        assert read_or_refuse(kind, changed) is None or free or listed, path
        node = parent(document, path)[path[-1]]
        changed = copy.deepcopy(document)
        target = parent(changed, path)[path[-1]]
        if isinstance(node, dict) and not {"basis", "measures"} & set(path):
            target["surplus"] = 1
            assert read_or_refuse(kind, changed) is None, path
        elif isinstance(node, list) and node:
            target.append(node[-1])
            assert read_or_refuse(kind, changed) is None or path[-1] in ("scores", "heard"), path


def test_a_document_with_a_surplus_key_is_refused(case):
    kind, data = case
    document = {**parse_canonical(data), "surplus": 1}
    with pytest.raises(InvalidValueError, match="surplus"):
        kind.from_bytes(canonical_json(document))


def test_a_document_with_any_byte_changed_is_another_document_or_none(case):
    kind, data = case
    original = kind.from_bytes(data)
    for position in range(0, len(data), 3):
        for flip in (1, 4, 32):
            changed = data[:position] + bytes([data[position] ^ flip]) + data[position + 1 :]
            try:
                value = kind.from_bytes(changed)
            except InvalidValueError:
                continue
            assert value != original
            assert value.to_bytes() == changed


@pytest.mark.parametrize(
    "prior", ["0", "-1", "+1", "01", "1 ", "1_000", "\u0661", "9" * 5000, str(1 << 62), 5]
)
def test_the_prior_has_one_spelling(golden, prior):
    document = {**golden.configuration().document(), "prior": prior}
    with pytest.raises(InvalidValueError, match="prior"):
        FederationConfig.from_bytes(canonical_json(document))


@pytest.mark.parametrize(
    "basis",
    [
        {},
        {"target": {}},
        {"target": {"lags": 7}},
        {"target": {"lags": [7, 1]}},
        {"target": {"lags": [1, 1]}},
        {"target": {"lags": [0]}},
        {"target": {"lags": [True]}},
        {"target": {"lags": [1, 2, 3, 4]}},
        {"target": {"lags": [(1 << 16) + 1]}},
        {"target": [1]},
    ],
)
def test_a_basis_whose_lags_no_gate_can_read_is_no_configuration(golden, basis):
    with pytest.raises(InvalidValueError, match="lag"):
        replace(golden.configuration(), basis=canonical_json(basis))


def test_a_basis_of_one_column_is_refused_because_all_its_updates_point_one_way(golden):
    with pytest.raises(InvalidValueError, match="width of the basis"):
        replace(golden.configuration(), width=1, basis=canonical_json({"target": {"lags": []}}))


@pytest.mark.parametrize("basis", [[], 5, "text", None])
def test_a_basis_is_an_object(golden, basis):
    document = {**golden.configuration().document(), "basis": basis}
    with pytest.raises(InvalidValueError, match="object"):
        FederationConfig.from_bytes(canonical_json(document))


def test_the_schema_is_the_hash_of_the_basis_document(golden, pinned):
    assert golden.configuration().schema.hex() == pinned("documents")["schema"][2:]


@pytest.mark.parametrize(
    ("committee", "faults", "quorum"),
    [(1, 0, 1), (3, 0, 3), (4, 1, 3), (7, 2, 5), (8, 2, 6), (13, 4, 9), (31, 10, 21)],
)
def test_quorums_are_those_of_the_reference(golden, committee, faults, quorum):
    config = replace(golden.configuration(), depth=5, committee=tuple(range(committee)))
    assert (config.faults, config.quorum) == (faults, quorum)
    assert 2 * config.quorum - committee > faults


@pytest.mark.parametrize(
    "change",
    [
        {"name": ""},
        {"name": "x" * 65},
        {"name": None},
        {"width": 1025},
        {"depth": 21},
        {"committee": ()},
        {"committee": (3, 4)},
        {"committee": (0, 0)},
        {"committee": (1, 0)},
        {"committee": (-1, 0)},
        {"committee": (0, True)},
        {"committee": tuple(range(32)), "depth": 5},
        {"leaves_on_chain": 1},
        {"leaves_on_chain": None},
        {"min_updates": 0},
        {"min_updates": 5},
        {"prior": 0},
        {"prior": 1 << 62},
        {"theta_scale": 63},
        {"precision_scale": -1},
        {"basis": b'{"target": {"lags": []}}'},
    ],
)
def test_a_configuration_out_of_range_cannot_be_made(golden, change):
    with pytest.raises(InvalidValueError):
        replace(golden.configuration(), **change)


@pytest.mark.parametrize(
    "change",
    [
        {"measures": (("b", 1), ("a", 1))},
        {"measures": (("a", 1), ("a", 2))},
        {"measures": (("a", []),)},
        {"measures": (("a", 1 << 53),)},
        {"score": ONE + 1},
        {"score": "1"},
        {"index": True},
        {"weight": -1},
        {"reason": Reason.COPY},
        {"heard": (ONE + 1,)},
        {"heard": (True,)},
        {"score": None, "heard": (5,)},
    ],
)
def test_a_verdict_out_of_range_cannot_be_made(change):
    verdict = Verdict(0, Reason.ADMITTED, 5, 7, (("a", 1),))
    with pytest.raises(InvalidValueError):
        replace(verdict, **change)


def test_evidence_lists_each_index_once_in_order(golden):
    evidence = golden.evidence()
    for name in ("openings", "leaves", "commitments", "reveals"):
        rows = getattr(evidence, name)
        with pytest.raises(InvalidValueError, match=name):
            replace(evidence, **{name: (*rows, rows[0])})
    forced = [step for step in evidence.history if isinstance(step, Force)]
    with pytest.raises(InvalidValueError, match="twice"):
        replace(evidence, history=(*evidence.history, *forced))


@pytest.mark.parametrize(
    "change",
    [
        {"name": "another"},
        {"basis": canonical_json({"target": {"lags": [1]}})},
        {"width": 4},
        {"depth": 3},
        {"windows": Windows(11, 5, 10, 10, 10)},
        {"prior": 1},
        {"theta_scale": 41},
        {"precision_scale": 31},
        {"leaves_on_chain": True},
    ],
)
def test_an_epoch_cannot_change_what_the_contract_or_the_model_holds_fixed(golden, change):
    config = golden.configuration()
    after = replace(config, **change)
    with pytest.raises(InvalidValueError, match=f"an epoch cannot change {next(iter(change))}"):
        config.require_successor(after)


def test_an_epoch_may_change_committee_thresholds_and_gates(golden):
    config = golden.configuration()
    gates = replace(config.gates, score_floor=-1)
    after = replace(config, committee=(0, 2), min_updates=4, gates=gates)
    config.require_successor(after)
    config.require_successor(config)
    assert len({config.hash(), after.hash(), replace(config, committee=(0, 2, 3)).hash()}) == 3
