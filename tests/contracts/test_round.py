import pytest
from chains import stranger
from deployed_ledger import FIRST_STATE

from ledgerfed.protocol import transcript as reference
from ledgerfed.protocol.hashing import EMPTY, keccak
from ledgerfed.protocol.signature import address_of, sign_digest
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.typed_data import certificate_digest

ROOT, LEAF, SCORES = keccak(b"root"), keccak(b"leaf"), keccak(b"scores")
OUTCOME = (keccak(b"manifest"), keccak(b"new model"), keccak(b"new reputations"))
OUTSIDER = address_of(stranger(b"outsider"))


def certificate(ledger, keys=None, round_number=None):
    state = ledger.state()
    t = reference.after_certify(ledger.view("transcript"), round_number or state["round"], *OUTCOME)
    digest = certificate_digest(ledger.federation, round_number or state["round"], t)
    signing = keys if keys is not None else ledger.keys[: ledger.view("quorum")]
    return b"".join(sign_digest(key, digest) for key in signing)


def other(ledger, relayer):
    return next(m for m in ledger.members[: ledger.committee] if m != relayer)


def sealed(ledger):
    ledger.evm.block = ledger.state()["end"] + 1
    ledger.transact("seal", ledger.state()["round"], ROOT, 3, sender=ledger.relayer())
    return ledger


def scored(ledger):
    sealed(ledger)
    ledger.evm.block = ledger.state()["end"] + 1
    ledger.transact("scores", ledger.state()["round"], SCORES, sender=ledger.relayer())
    return ledger


def certified(ledger):
    scored(ledger)
    ledger.transact("certify", ledger.state()["round"], *OUTCOME, certificate(ledger), sender=OUTSIDER)
    return ledger


BRING = {"open": lambda ledger: ledger, "sealed": sealed, "scored": scored}


def test_a_whole_round_keeps_the_python_transcript_and_opens_the_next(ledger):
    t = ledger.view("transcript")
    block = ledger.evm.block = ledger.state()["end"] + 1
    relayer = ledger.relayer()
    assert relayer == ledger.members[int.from_bytes(t, "big") % 4]
    receipt = ledger.transact("seal", 1, ROOT, 3, sender=relayer)
    t = reference.after_seal(t, 1, ROOT, 3)
    assert ledger.view("transcript") == t
    sealed_state = {"phase": Phase.SEALED, "end": block + 5, "n": 3, "sealer": ledger.members.index(relayer)}
    assert ledger.state() == FIRST_STATE | sealed_state
    (log,) = receipt.logs
    assert log.name == "Sealed"
    assert log.values == {
        "round": 1,
        "root": ROOT,
        "n": 3,
        "relayer": "0x" + relayer.hex(),
        "transcript": t,
    }

    (log,) = ledger.transact("force", 1, LEAF, sender=ledger.members[2]).logs
    t = reference.after_force(t, 1, 2, LEAF)
    assert ledger.view("transcript") == t
    assert ledger.state()["forced"] == 1
    assert ledger.node(ledger.members[2])["last_forced"] == 1
    assert log.values == {"round": 1, "index": 2, "leaf": LEAF, "transcript": t}

    block = ledger.evm.block = ledger.state()["end"] + 1
    relayer = ledger.relayer()
    assert relayer == ledger.members[int.from_bytes(t, "big") % 4]
    (log,) = ledger.transact("scores", 1, SCORES, sender=relayer).logs
    t = reference.after_scores(t, 1, SCORES)
    assert ledger.view("transcript") == t
    scored_state = sealed_state | {"phase": Phase.SCORED, "end": block + 10, "forced": 1}
    assert ledger.state() == FIRST_STATE | scored_state
    assert log.values == {"round": 1, "root": SCORES, "relayer": "0x" + relayer.hex(), "transcript": t}

    receipt = ledger.transact("certify", 1, *OUTCOME, certificate(ledger), sender=OUTSIDER)
    (log,) = receipt.logs
    t = reference.after_certify(t, 1, *OUTCOME)
    assert ledger.view("transcript") == t
    ended = {"round": 2, "phase": Phase.OPEN, "end": receipt.block + 4, "signers": 0b0111}
    assert ledger.state() == FIRST_STATE | scored_state | ended
    manifest, model, reputations = OUTCOME
    assert log.values == {
        "round": 1,
        "manifest": manifest,
        "model": model,
        "reputations": reputations,
        "transcript": t,
    }


def test_the_shortest_windows_still_make_a_round(deploy_ledger, reverts):
    ledger = deploy_ledger(windows=(1, 0, 1, 1, 0))
    certified(ledger)
    ledger.evm.block = ledger.state()["end"] + 1
    relayer = ledger.relayer()
    forcing, late = [member for member in ledger.members if member != relayer][:2]
    # A leaf is forced in the block of the seal, no later.
    ledger.together(("seal", (2, ROOT, 3), relayer), ("force", (2, LEAF), forcing))
    with reverts("the force window has ended"):
        ledger.transact("force", 2, LEAF, sender=late)
    ledger.transact("scores", 2, SCORES, sender=ledger.relayer())


# seal


@pytest.mark.threat("R3")
def test_a_round_is_sealed_from_the_block_after_the_challenge_window(ledger, reverts):
    certified(ledger)
    end = ledger.state()["end"]
    ledger.evm.block = end
    with reverts("the window has not begun"):
        ledger.transact("seal", 2, ROOT, 3, sender=ledger.relayer())
    ledger.evm.block = end + 1
    ledger.transact("seal", 2, ROOT, 3, sender=ledger.relayer())


@pytest.mark.threat("R3")
def test_another_committee_member_may_seal_only_in_the_second_half_of_the_window(ledger, reverts):
    end, late = ledger.state()["end"], other(ledger, ledger.relayer())
    ledger.evm.block = end + 5
    with reverts("another relayer's turn"):
        ledger.transact("seal", 1, ROOT, 3, sender=late)
    ledger.evm.block = end + 6
    ledger.transact("seal", 1, ROOT, 3, sender=late)


def test_half_of_an_odd_window_is_rounded_down(deploy_ledger, reverts):
    ledger = deploy_ledger(windows=(5, 5, 5, 5, 5))
    end, late = ledger.state()["end"], other(ledger, ledger.relayer())
    ledger.evm.block = end + 2
    with reverts("another relayer's turn"):
        ledger.transact("seal", 1, ROOT, 3, sender=late)
    ledger.evm.block = end + 3
    ledger.transact("seal", 1, ROOT, 3, sender=late)


@pytest.mark.threat("N8")
def test_a_round_is_not_sealed_after_the_commit_window(ledger, reverts):
    end = ledger.state()["end"]
    ledger.evm.block = end + 11
    with reverts("the window has ended"):
        ledger.transact("seal", 1, ROOT, 3, sender=ledger.relayer())
    ledger.evm.block = end + 10
    ledger.transact("seal", 1, ROOT, 3, sender=ledger.relayer())


@pytest.mark.parametrize("sender", ["outsider", "node"])
def test_only_the_committee_seals_and_scores(deploy_ledger, reverts, sender):
    ledger = deploy_ledger(nodes=6)
    wrong = OUTSIDER if sender == "outsider" else ledger.members[4]
    ledger.evm.block = ledger.state()["end"] + 9
    with reverts("not on the committee"):
        ledger.transact("seal", 1, ROOT, 3, sender=wrong)
    sealed(ledger)
    ledger.evm.block = ledger.state()["end"] + 9
    with reverts("not on the committee"):
        ledger.transact("scores", 1, SCORES, sender=wrong)


@pytest.mark.parametrize(
    ("root", "n", "reason"),
    [
        (ROOT, 1, "fewer leaves than min_updates"),
        (ROOT, 9, "more leaves than the tree"),
        (EMPTY, 2, "root is empty"),
    ],
)
def test_a_seal_that_cannot_be_true_is_refused(ledger, reverts, root, n, reason):
    ledger.evm.block = ledger.state()["end"] + 1
    with reverts(reason):
        ledger.transact("seal", 1, root, n, sender=ledger.relayer())


@pytest.mark.parametrize("n", [2, 8])
def test_the_fewest_and_the_most_leaves_are_sealed(ledger, n):
    ledger.evm.block = ledger.state()["end"] + 1
    ledger.transact("seal", 1, ROOT, n, sender=ledger.relayer())
    assert ledger.state()["n"] == n


# force


@pytest.mark.threat("N2", "N8")
def test_a_leaf_is_forced_until_the_force_window_ends(ledger, reverts):
    end = sealed(ledger).state()["end"]
    ledger.evm.block = end + 1
    with reverts("the force window has ended"):
        ledger.transact("force", 1, LEAF, sender=ledger.members[0])
    ledger.evm.block = end
    ledger.transact("force", 1, LEAF, sender=ledger.members[0])


def test_a_node_forces_once_a_round_and_again_in_the_next(ledger, reverts):
    sealed(ledger)
    ledger.transact("force", 1, LEAF, sender=ledger.members[1])
    with reverts("forced a leaf in this round already"):
        ledger.transact("force", 1, keccak(b"second leaf"), sender=ledger.members[1])
    ledger.transact("force", 1, LEAF, sender=ledger.members[3])
    ledger.evm.block = ledger.state()["end"] + 11
    ledger.transact("abort", 1, sender=OUTSIDER)
    sealed(ledger)
    ledger.transact("force", 2, LEAF, sender=ledger.members[1])
    forced = {"index": 1, "joined": 0, "last_forced": 2, "seat": 2, "removed": False}
    assert ledger.node(ledger.members[1]) == forced


@pytest.mark.threat("N13")
def test_only_a_registered_node_forces_a_leaf_that_is_not_empty(deploy_ledger, reverts):
    ledger = sealed(deploy_ledger(nodes=6))
    with reverts("not a registered node"):
        ledger.transact("force", 1, LEAF, sender=OUTSIDER)
    with reverts("the leaf is empty"):
        ledger.transact("force", 1, EMPTY, sender=ledger.members[5])
    ledger.transact("force", 1, LEAF, sender=ledger.members[5])  # a node need not be on the committee


# scores


@pytest.mark.threat("N8")
def test_scores_wait_for_the_force_window_and_end_with_their_own(ledger, reverts):
    end = sealed(ledger).state()["end"]
    for block, reason in ((end, "the window has not begun"), (end + 11, "the window has ended")):
        ledger.evm.block = block
        with reverts(reason):
            ledger.transact("scores", 1, SCORES, sender=ledger.relayer())
    ledger.evm.block = end + 10
    ledger.transact("scores", 1, SCORES, sender=ledger.relayer())


@pytest.mark.threat("R3")
def test_another_committee_member_may_score_only_in_the_second_half_of_the_window(ledger, reverts):
    end, late = sealed(ledger).state()["end"], other(ledger, ledger.relayer())
    ledger.evm.block = end + 5
    with reverts("another relayer's turn"):
        ledger.transact("scores", 1, SCORES, sender=late)
    with reverts("root is empty"):
        ledger.transact("scores", 1, EMPTY, sender=ledger.relayer())
    ledger.evm.block = end + 6
    ledger.transact("scores", 1, SCORES, sender=late)


# phases


@pytest.mark.parametrize("phase", ["open", "sealed", "scored"])
def test_a_call_of_another_phase_or_round_is_refused(ledger, reverts, phase):
    BRING[phase](ledger)
    signatures = certificate(ledger)
    calls = {
        "open": ("seal", (ROOT, 3)),
        "sealed": ("scores", (SCORES,)),
        "scored": ("certify", (*OUTCOME, signatures)),
    }
    for name, (function, arguments) in (calls | {"sealed too": ("force", (LEAF,))}).items():
        for wrong_round in (0, 2, 1 + 2**32):
            with reverts("another round is current"):
                ledger.transact(function, wrong_round, *arguments, sender=ledger.relayer())
        if not name.startswith(phase):
            with reverts("the round is in another phase"):
                ledger.transact(function, 1, *arguments, sender=ledger.relayer())
    with reverts("another round is current"):
        ledger.transact("abort", 2, sender=OUTSIDER)


# abort


@pytest.mark.threat("R3")
@pytest.mark.parametrize(("phase", "grace"), [("open", 10), ("sealed", 10), ("scored", 0)])
def test_anybody_aborts_a_round_after_its_deadline_and_not_before(ledger, reverts, phase, grace):
    BRING[phase](ledger)
    before, t = ledger.state(), ledger.view("transcript")
    ledger.evm.block = before["end"] + grace
    with reverts("the deadline of the phase has not passed"):
        ledger.transact("abort", 1, sender=OUTSIDER)
    ledger.evm.block += 1
    receipt = ledger.transact("abort", 1, sender=OUTSIDER)
    (log,) = receipt.logs
    t = reference.after_abort(t, 1, Phase(before["phase"]))
    assert ledger.view("transcript") == t
    assert log.values == {"round": 1, "phase": before["phase"], "transcript": t}
    assert ledger.state() == before | {"round": 2, "phase": Phase.OPEN, "end": receipt.block}
    certified(ledger)  # and the federation goes on


# certify


@pytest.mark.threat("N8")
def test_an_outcome_is_certified_until_the_certify_window_ends(ledger, reverts):
    end, signatures = scored(ledger).state()["end"], certificate(ledger)
    ledger.evm.block = end + 1
    with reverts("the certify window has ended"):
        ledger.transact("certify", 1, *OUTCOME, signatures, sender=OUTSIDER)
    ledger.evm.block = end
    ledger.transact("certify", 1, *OUTCOME, signatures, sender=OUTSIDER)


def test_the_next_round_may_follow_at_once_without_a_challenge_window(deploy_ledger):
    ledger = deploy_ledger(windows=(10, 5, 10, 10, 0))
    certified(ledger)
    assert ledger.state()["end"] == ledger.evm.block - 1  # the block of the certificate
    sealed(ledger)


@pytest.mark.threat("N9")
def test_a_certificate_is_not_replayed(ledger, reverts):
    scored(ledger)
    signatures = certificate(ledger)
    ledger.transact("certify", 1, *OUTCOME, signatures, sender=OUTSIDER)
    with reverts("another round is current"):
        ledger.transact("certify", 1, *OUTCOME, signatures, sender=OUTSIDER)
    scored(ledger)
    with reverts("not on the committee"):
        ledger.transact("certify", 2, *OUTCOME, signatures, sender=OUTSIDER)
