"""The contract's rules over the walked rounds: every deadline on the block, every turn, every order."""

from dataclasses import replace

import pytest

from ledgerfed.audit.events import (
    Aborted,
    Certified,
    Forced,
    Genesis,
    MemberRegistered,
    OwnershipTransferred,
    Scored,
    Sealed,
)
from ledgerfed.audit.rules import Rules, opening_state, replay_rounds
from ledgerfed.errors import VerificationError
from ledgerfed.protocol import transcript
from ledgerfed.protocol.hashing import EMPTY, keccak
from ledgerfed.protocol.transcript import Phase


@pytest.fixture(scope="session")
def rules(walked):
    return Rules(walked.federation, walked.config, walked.members, {})


@pytest.fixture(scope="session")
def start(walked, rules):
    genesis = next(event for event in walked.chain.events if isinstance(event, Genesis))
    return opening_state(rules, genesis, walked.owner)


@pytest.fixture(scope="session")
def events(walked):
    first = (Genesis, MemberRegistered, OwnershipTransferred)
    return [event for event in walked.chain.events if not isinstance(event, first)]


@pytest.fixture
def replay(rules, start):
    def run(events):
        found = replay_rounds(rules, start, events)
        return found.rounds, found.state.transcript

    return run


def at_block(event, number):
    return replace(event, at=replace(event.at, block_number=number))


def names(events):
    return [type(event).__name__ for event in events]


def test_the_walk_is_legal_and_leads_to_its_transcript(replay, events, walked):
    traces, t = replay(events)
    assert t == walked.t
    assert [trace.phase for trace in traces] == [Phase.CERTIFIED, Phase.ABORTED, Phase.CERTIFIED]
    assert [trace.number for trace in traces] == [1, 2, 3]
    assert traces[1].opened_at == traces[0].closed_at
    assert [event.index for event in traces[2].forced] == [3]


BLOCK_RANGES = [
    (0, "the relayer seals", "start", 1, 10),
    (5, "after the challenge window", 2, 3, 12),
    (1, "anyone scores late", 0, 4 + 6, 4 + 10),
    (2, "certified", 1, 0, 10),
    (6, "forced", 5, 0, 4),
    (7, "scores after a force", 5, 4 + 6, 4 + 10),
    (4, "aborted", 3, 4 + 10 + 1, 4 + 10 + 1000),
]


@pytest.mark.parametrize(("position", "what", "after", "first", "last"), BLOCK_RANGES)
def test_an_event_is_legal_exactly_in_its_window(replay, events, start, position, what, after, first, last):
    order = ["Sealed", "Scored", "Certified", "Sealed", "Aborted", "Sealed", "Forced", "Scored", "Certified"]
    assert names(events) == order
    before = events[:position]
    origin = start.end if after == "start" else events[after].at.block_number
    if position == 5:
        origin = events[4].at.block_number - 2  # an abort opens the next window at once
    for block in (origin + first, origin + last):
        replay([*before, at_block(events[position], block)])
    for block in (origin + first - 1, origin + last + 1):
        if position == 4 and block > origin + last:
            continue
        with pytest.raises(
            VerificationError, match=rf"round \d: {type(events[position]).__name__} in block {block}"
        ):
            replay([*before, at_block(events[position], block)])


def test_another_committee_member_may_seal_only_in_the_second_half(replay, events, walked, start):
    first = events[0]
    other = next(member for member in walked.members if member != first.relayer)
    late = start.end + walked.config.windows.commit // 2
    replay([at_block(replace(first, relayer=other), late + 1)])
    with pytest.raises(VerificationError, match="in the turn of"):
        replay([at_block(replace(first, relayer=other), late)])
    with pytest.raises(VerificationError, match="not on the committee"):
        replay([at_block(replace(first, relayer=keccak(b"stranger")[-20:]), late + 1)])


@pytest.mark.parametrize("missing", range(9))
def test_no_event_can_be_left_out(replay, events, walked, missing):
    shorter = events[:missing] + events[missing + 1 :]
    if missing == 8:
        assert replay(shorter)[1] != walked.t
        return
    with pytest.raises(VerificationError):
        replay(shorter)


@pytest.mark.parametrize("position", range(9))
def test_no_event_can_stand_twice(replay, events, position):
    with pytest.raises(VerificationError):
        replay([*events[: position + 1], *events[position:]])


def test_a_node_forces_once_a_round(replay, events):
    forced = events[6]
    again = replace(
        forced, transcript=transcript.after_force(forced.transcript, 3, forced.index, forced.leaf)
    )
    with pytest.raises(VerificationError, match="node 3 forced before"):
        replay([*events[:7], again])


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"n": 1}, "1 leaves, from 2 to 8"),
        ({"n": 9}, "9 leaves, from 2 to 8"),
        ({"root": EMPTY}, "the root is EMPTY"),
    ],
)
def test_a_seal_that_the_contract_refuses_is_refused_with_the_right_transcript_too(
    replay, events, start, change, reason
):
    lie = replace(events[0], **change)
    lie = replace(lie, transcript=transcript.after_seal(start.transcript, 1, lie.root, lie.n))
    with pytest.raises(VerificationError, match=reason):
        replay([lie])


@pytest.mark.parametrize(
    ("change", "reason"), [({"index": 4}, "index of no member"), ({"leaf": EMPTY}, "the leaf is EMPTY")]
)
def test_a_force_that_the_contract_refuses_is_refused_with_the_right_transcript_too(
    replay, events, change, reason
):
    lie = replace(events[6], **change)
    lie = replace(lie, transcript=transcript.after_force(events[5].transcript, 3, lie.index, lie.leaf))
    with pytest.raises(VerificationError, match=reason):
        replay([*events[:6], lie])


def test_an_abort_names_the_phase_that_it_found(replay, events):
    lie = replace(events[4], phase=int(Phase.OPEN))
    lie = replace(lie, transcript=transcript.after_abort(events[3].transcript, 2, Phase.OPEN))
    with pytest.raises(VerificationError, match="it says phase 0, the round is SEALED"):
        replay([*events[:4], lie])


def test_rounds_abort_from_every_phase_after_the_deadline_of_that_phase(replay, events, start):
    def abort(before, t, number, phase, block):
        place = replace(events[0].at, block_number=block, log_index=0)
        return [*before, Aborted(place, number, int(phase), transcript.after_abort(t, number, phase))]

    scored = events[1]
    for before, t, number, phase, deadline in [
        ([], start.transcript, 1, Phase.OPEN, start.end + 10),
        (events[:1], events[0].transcript, 1, Phase.SEALED, events[0].at.block_number + 4 + 10),
        (events[:2], scored.transcript, 1, Phase.SCORED, scored.at.block_number + 10),
    ]:
        traces, _ = replay(abort(before, t, number, phase, deadline + 1))
        assert traces[0].phase is Phase.ABORTED
        with pytest.raises(VerificationError, match=f"the deadline is block {deadline}"):
            replay(abort(before, t, number, phase, deadline))


@pytest.mark.parametrize("position", range(9))
def test_a_transcript_that_does_not_follow_names_both(replay, events, position):
    lie = replace(events[position], transcript=keccak(b"another"))
    with pytest.raises(VerificationError, match=keccak(b"another").hex()):
        replay([*events[:position], lie])


def test_every_kind_of_event_is_walked(events):
    assert {type(event) for event in events} == {Sealed, Forced, Scored, Certified, Aborted}


def follow(t, event):
    """Return the event with the transcript that the contract would give it after `t`."""
    fields = {
        Sealed: lambda e: transcript.after_seal(t, e.round, e.root, e.n),
        Forced: lambda e: transcript.after_force(t, e.round, e.index, e.leaf),
        Scored: lambda e: transcript.after_scores(t, e.round, e.root),
        Certified: lambda e: transcript.after_certify(t, e.round, e.manifest, e.model, e.reputations),
        Aborted: lambda e: transcript.after_abort(t, e.round, Phase(e.phase)),
    }
    return replace(event, transcript=fields[type(event)](event))


# After the first `before` events, event `of` of the walk in the round that is current, so many blocks later.
OUT_OF_PHASE = [
    ("a second seal", 1, 0, 5, "the round is SEALED, it needs OPEN"),
    ("a force before the seal", 0, 6, 0, "the round is OPEN, it needs SEALED"),
    ("a force after the scores", 2, 6, 1, "the round is SCORED, it needs SEALED"),
    ("scores before the seal", 0, 1, 6, "the round is OPEN, it needs SEALED"),
    ("a certificate before the seal", 0, 2, 0, "the round is OPEN, it needs SCORED"),
    ("a certificate before the scores", 1, 2, 1, "the round is SEALED, it needs SCORED"),
]


@pytest.mark.parametrize(("what", "before", "of", "later", "reason"), OUT_OF_PHASE)
def test_an_event_out_of_phase_is_refused_with_the_right_block_relayer_and_transcript(
    replay, events, start, walked, what, before, of, later, reason
):
    t = events[before - 1].transcript if before else start.transcript
    block = events[before - 1].at.block_number if before else start.end
    lie = at_block(replace(events[of], round=1), block + later)
    if isinstance(lie, Sealed | Scored):
        lie = replace(lie, relayer=walked.members[int.from_bytes(t, "big") % 4])
    with pytest.raises(VerificationError, match=reason):
        replay([*events[:before], follow(t, lie)])


def test_an_event_of_another_round_is_refused_with_the_right_transcript(replay, events, start):
    with pytest.raises(VerificationError, match="round 2: Sealed in block 8: round 1 is current"):
        replay([follow(start.transcript, replace(events[0], round=2))])


def test_scores_under_an_empty_root_are_refused_with_the_right_transcript(replay, events):
    lie = follow(events[0].transcript, replace(events[1], root=EMPTY))
    with pytest.raises(VerificationError, match="the root is EMPTY"):
        replay([events[0], lie])
