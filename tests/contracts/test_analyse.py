"""A finding is fixed or accepted with a reason; `make analyse` runs the analyser itself."""

from analyse import Finding, accepted, objections

OLD, NEW = (Finding("RoundLedger.vy", "weak_randomness", f"Weak source in {name}()") for name in ("f", "g"))


def test_a_finding_that_nobody_accepted_is_an_objection():
    assert objections([], {}) == []
    assert objections([OLD], {OLD: "no money depends on it"}) == []
    assert objections([OLD, NEW], {OLD: "no money depends on it"}) == [
        "RoundLedger.vy: Weak source in g() (weak_randomness)"
    ]


def test_an_accepted_finding_that_is_gone_leaves_the_list():
    (line,) = objections([], {OLD: "no money depends on it"})
    assert "found no more" in line


def test_every_accepted_finding_has_a_reason():
    assert all(len(reason.split()) > 3 for reason in accepted().values())
