"""docs/threats.md: every threat has a test of its own, every marker a threat, and the page says which."""

from __future__ import annotations

import pytest
from threats.catalogue import PAGE, ROOT, Removal, marked, threats, unmarked, written

NAMES = [*(f"N{k}" for k in range(1, 18)), *(f"V{k}" for k in range(1, 7))]
KNOWN = threats()
FURTHER = [threat.name for threat in KNOWN if threat.name not in NAMES]
REMOVALS = [removal for threat in KNOWN for removal in threat.removals]


@pytest.fixture(scope="module")
def found():
    return marked()


def test_the_catalogue_has_every_threat_on_nodes_and_validators_once():
    assert [threat.name for threat in KNOWN] == NAMES + FURTHER
    assert len({*NAMES, *FURTHER}) == len(KNOWN)


@pytest.mark.parametrize("name", NAMES)
def test_a_threat_has_a_test_that_is_named_for_it(found, name):
    named = [t.test for t in found if name in t.threats and t.test.startswith(f"test_{name.lower()}_")]
    assert named, f"no test of {name}: mark one with @pytest.mark.threat({name!r})"


@pytest.mark.parametrize("name", FURTHER)
def test_a_threat_on_others_has_a_test_too(found, name):
    assert any(name in test.threats for test in found)


def test_a_test_that_is_named_for_a_threat_on_nodes_carries_its_marker():
    """Its validators' counterpart cannot be told by name: V1-V6 are gates, too."""
    bare = [place for place, name in unmarked() if name in NAMES]
    assert not bare, f"mark them with @pytest.mark.threat: {bare}"


def test_no_marker_names_an_unknown_threat(found):
    strangers = {(test.path, test.test): set(test.threats) - {*NAMES, *FURTHER} for test in found}
    assert not {place: names for place, names in strangers.items() if names}


def test_the_page_lists_the_tests_that_are_there(found):
    page = PAGE.read_text(encoding="utf-8")
    assert page == written(page, KNOWN, found), "run python tests/threats/catalogue.py"


@pytest.mark.parametrize("threat", KNOWN[: len(NAMES)], ids=NAMES)
def test_a_defence_that_the_page_takes_away_is_there_and_its_tests_are_marked(found, threat):
    places = {f"tests/{test.path}::{test.test}": test.threats for test in found}
    assert threat.removals
    for removal in threat.removals:
        source = (ROOT / removal.file).read_text(encoding="utf-8")
        assert source.count(removal.text) == 1, f"{removal.file} does not hold {removal.text!r} once"
        assert removal.tests
        for test in removal.tests:
            assert threat.name in places[test], test


@pytest.mark.slow
@pytest.mark.parametrize("removal", REMOVALS, ids=lambda removal: f"{removal.threat}-{removal.file}")
def test_a_test_fails_when_its_defence_is_removed(removal: Removal):
    from threats.remove_defences import survivors

    assert survivors(removal) == []
