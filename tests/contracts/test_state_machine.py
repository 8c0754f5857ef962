"""The contract against `contract_model`, by random walks over all its calls and states."""

from collections import Counter

import pytest
from chains import node_key, stranger
from contract_model import ANNOUNCED, DUE, Model
from contract_values import RevertedError
from deployed_ledger import OWNER, deploy
from faults import REPUTATION, SUBJECTS, Scored, scored_outcome, statement_digest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from played_rounds import as_tuple, leaf_of

from ledgerfed.protocol.change import VACANT, Change
from ledgerfed.protocol.hashing import EMPTY, keccak
from ledgerfed.protocol.merkle import build_tree
from ledgerfed.protocol.score import lower_median
from ledgerfed.protocol.signature import address_of, sign_digest
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Certify, Fault, Seal, tail_of
from ledgerfed.protocol.typed_data import certificate_digest, leaf_digest, receipt_digest

NODES, COMMITTEE, MIN_UPDATES, DEPTH = 7, (0, 1, 3, 4, 6), 2, 4
WINDOWS = (6, 4, 5, 4, 6)
SCORE_ROOT = keccak(b"scores")
HEARD = (3, -1, 7, 2)

# Keys of everybody: the members, those who may join, and an outsider. Actors are places in it.
KEYS = (*(node_key(index) for index in range(NODES + 5)), stranger(b"outsider"))
ADDRESSES = tuple(address_of(key) for key in KEYS)
KEY_OF = dict(zip(ADDRESSES, KEYS, strict=True))
OWNERS = (OWNER, address_of(stranger(b"challenger")), ADDRESSES[0])

EVERYTHING = (
    *("seal", "seal_leaves", "force", "scores", "certify", "abort"),
    *(f"challenge_{name}" for name in ("statements", "certificates", "receipt", "doubled", "median")),
    *("propose", "open_epoch", "propose_owner", "accept_ownership"),
    *("a round that ended CERTIFIED", "a round that ended ABORTED", "a certificate that fell"),
)

# Mostly the present round, sometimes one before or after it; mostly one block on, sometimes a long silence.
offsets = st.sampled_from([0, 0, 0, 0, 0, 0, 1, -1])
steps = st.sampled_from([0, 1, 1, 1, 2, 3, 4, 7])
actors = st.integers(0, len(KEYS) - 1)
relayers = st.one_of(st.none(), st.none(), actors)  # None is whoever has the turn
rarely = st.sampled_from([False] * 5 + [True])
leaves = st.integers(1, 5).map(leaf_of)


@st.composite
def changes(draw, model):
    """A change for a federation: mostly one that can be applied."""
    count = len(model.members)
    present = [i for i, address in enumerate(model.members) if address != VACANT]
    committee = draw(st.sets(st.sampled_from([*present, *present, count, count + 1]), min_size=1, max_size=6))
    fresh = st.sampled_from([a for a in ADDRESSES if a not in model.nodes] or [VACANT])
    addresses = st.one_of(fresh, fresh, st.just(VACANT), st.sampled_from(ADDRESSES))
    indices = draw(st.sets(st.integers(0, count + 1), max_size=3))
    entries = {index: draw(addresses) for index in sorted(indices)}
    return Change(
        keccak(b"configuration %d" % model.epoch),
        draw(st.integers(1, 4)),
        tuple(sorted(committee)),
        tuple(entries),
        tuple(entries.values()),
    )


class Walk(RuleBasedStateMachine):
    """A walk; `deploy` makes its contract, `met` counts what all walks have met."""

    deploy = None
    met = None
    moved = ()  # the last call, if it was accepted: what is refused changes nothing

    @initialize(leaves_on_chain=st.booleans())
    def start(self, leaves_on_chain):
        terms = {"windows": WINDOWS, "min_updates": MIN_UPDATES, "depth": DEPTH}
        make = type(self).deploy
        self.ledger = make(nodes=NODES, committee=COMMITTEE, leaves_on_chain=leaves_on_chain, **terms)
        self.model = Model(
            t=self.ledger.view("transcript"),
            end=self.ledger.genesis.block,
            members=list(self.ledger.members),
            committee=COMMITTEE,
            leaves_on_chain=leaves_on_chain,
            owner=OWNER,
            config_hash=self.ledger.config_hash,
            **terms,
        )
        self.tree = None
        self.certificates = []  # (place in the history, what was certified)
        self.moved = ("deployed",)

    @property
    def block(self):
        return self.ledger.evm.block

    def agree(self, allowed, name, *arguments, sender):
        """Send what the model allows or forbids."""
        reason = self.ledger.refusal(name, *arguments, sender=sender)
        self.moved = (name,) if allowed else ()
        if allowed:
            assert reason is None, f"{name} was refused: {reason}"
            self.met[name] += 1
        else:
            assert reason, f"{name} was accepted, or refused without words"
            assert not reason.startswith("no reason"), f"{name} reverts without a reason"

    def who(self, actor):
        return self.model.relayer() if actor is None else ADDRESSES[actor]

    # blocks

    @rule(step=steps)
    def mine(self, step):
        self.moved = ()
        self.ledger.evm.block += step

    @rule()
    def mine_to_the_deadline(self):
        self.moved = ()
        self.ledger.evm.block = max(self.block, self.model.end)

    # rounds

    @precondition(lambda self: self.model.phase is Phase.OPEN)
    @rule(actor=relayers, offset=offsets, count=st.sampled_from([1, 2, 3, 3, 16]), other_way=rarely)
    def seal(self, actor, offset, count, other_way):
        sender, number = self.who(actor), self.model.round + offset
        held = {index: leaf_of(index % 8) for index in range(0, min(2 * count, 16), 2)}
        tree = build_tree(held, DEPTH)
        on_chain = self.model.leaves_on_chain != other_way
        allowed = self.model.seal(sender, self.block, number, tree.root, len(held), on_chain)
        if on_chain:
            shown = [held.get(index, EMPTY) for index in range(max(held) + 1)]
            self.agree(allowed, "seal_leaves", number, shown, sender=sender)
        else:
            self.agree(allowed, "seal", number, tree.root, len(held), sender=sender)
        self.tree = tree if allowed else self.tree

    @precondition(lambda self: self.model.phase is Phase.SEALED)
    @rule(actor=st.integers(0, NODES - 1) | actors, offset=offsets, leaf=leaves)
    def force(self, actor, offset, leaf):
        sender, number = ADDRESSES[actor], self.model.round + offset
        allowed = self.model.force(sender, self.block, number, leaf)
        self.agree(allowed, "force", number, leaf, sender=sender)

    @precondition(lambda self: self.model.phase is Phase.SEALED)
    @rule(actor=relayers, offset=offsets)
    def scores(self, actor, offset):
        sender, number = self.who(actor), self.model.round + offset
        allowed = self.model.scores(sender, self.block, number, SCORE_ROOT)
        self.agree(allowed, "scores", number, SCORE_ROOT, sender=sender)

    @precondition(lambda self: self.model.phase is Phase.SCORED)
    @rule(offset=offsets, signers=st.lists(actors, max_size=5))
    def certify_by_somebody(self, offset, signers):
        self.certify(self.model.round + offset, [ADDRESSES[actor] for actor in signers], lie=0)

    @precondition(lambda self: self.model.phase is Phase.SCORED)
    @rule(data=st.data(), lie=st.sampled_from([0, 0, 0, 1, -1]))
    def certify_by_members(self, data, lie):
        """Mostly enough of them, sometimes removed ones."""
        seats = range(len(self.model.committee))
        signing = data.draw(st.sets(st.sampled_from(seats), min_size=min(len(seats), self.model.quorum)))
        self.certify(self.model.round, self.seated(sorted(signing)), lie)

    def seated(self, seats):
        return [self.model.members[self.model.committee[seat]] for seat in seats]

    def certify(self, number, signers, lie):
        scored = scored_outcome(2, lower_median(HEARD) + lie, HEARD, DEPTH)
        t = Certify(max(number, 1), *scored.outcome).after(self.model.t)
        digest = certificate_digest(self.ledger.federation, number, t)
        signatures = b"".join(sign_digest(KEY_OF[address], digest) for address in signers)
        place = len(self.model.steps)
        allowed = self.model.certify(self.block, number, scored.outcome, signers)
        self.agree(allowed, "certify", number, *scored.outcome, signatures, sender=ADDRESSES[-1])
        if allowed:
            self.certificates.append((place, scored))

    @rule(actor=actors, offset=offsets)
    def abort(self, actor, offset):
        number = self.model.round + offset
        allowed = self.model.abort(self.block, number)
        self.agree(allowed, "abort", number, sender=ADDRESSES[actor])

    @rule(times=st.integers(1, 4), lie=st.sampled_from([0, 0, 1]))
    def go_on_as_meant(self, times, lie):
        """Without this a walk hardly ever gets past a seal."""
        for _ in range(times):
            self.go_on(lie)
            self.check()

    def go_on(self, lie):
        model = self.model
        standing = [seat for seat in range(len(model.committee)) if seat not in model.removed]
        if model.phase is Phase.SCORED:
            return self.certify(model.round, self.seated(standing), lie)
        self.ledger.evm.block = max(self.block, model.end + 1)
        if model.phase is Phase.OPEN and model.notice == DUE:
            return self.open_epoch(0, False)
        actor = None
        if model.is_removed(model.relayer()) and standing:
            self.ledger.evm.block = max(self.block, model.end + 4)
            actor = ADDRESSES.index(self.seated(standing)[0])
        return self.seal(actor, 0, 3, False) if model.phase is Phase.OPEN else self.scores(actor, 0)

    @rule(data=st.data())
    def out_of_place(self, data):
        """Any call, whatever the phase: the other rules ask for theirs."""
        actor, sealed = data.draw(actors), self.tree is not None
        calls = [
            lambda: self.seal(None, 0, 3, False),
            lambda: self.force(actor, 0, leaf_of(1)),
            lambda: self.scores(None, 0),
            lambda: self.certify(self.model.round, self.seated(range(len(self.model.committee))), 0),
            lambda: self.open_epoch(actor, False),
            lambda: sealed and self.challenge_receipt(None, 1, True, False),
            lambda: sealed and self.challenge_doubled(actor, leaf_of(1), data),
            lambda: self.certificates and self.challenge_median(1),
        ]
        data.draw(st.sampled_from(calls))()

    # challenges

    @rule(
        fault=st.sampled_from([Fault.TWO_LEAVES, Fault.TWO_RECEIPTS, Fault.TWO_COMMITMENTS]),
        actor=actors,
        offset=st.sampled_from([0, 0, -1, -1, -1, -2, 1]),
        same=rarely,
    )
    def challenge_statements(self, fault, actor, offset, same):
        number, culprit, t = max(1, self.model.round + offset), ADDRESSES[actor], self.model.transcripts[0]
        subjects = SUBJECTS[:1] * 2 if same else SUBJECTS
        where = _Where(self.ledger)
        digests = [statement_digest(where, fault, number, 5, subject, t, 9) for subject in subjects]
        signatures = [sign_digest(KEYS[actor], digest) for digest in digests]
        proof = keccak(b"".join(digests))
        allowed = not same and self.model.remove(self.block, number, fault, culprit, proof)
        self.agree(
            allowed,
            "challenge_statements",
            *(fault, number, 5, t, subjects, (9, 9), *signatures),
            sender=ADDRESSES[-1],
        )

    @rule(actor=actors, offset=st.sampled_from([0, 0, -1, -1, 1]), same=rarely)
    def challenge_certificates(self, actor, offset, same):
        number, culprit, t = max(1, self.model.round + offset), ADDRESSES[actor], self.model.transcripts[0]
        outcomes = [tuple(keccak(b"%d %d" % (k, k * i * (not same))) for k in range(3)) for i in (0, 1)]
        ends = [Certify(number, *outcome).after(t) for outcome in outcomes]
        digests = [certificate_digest(self.ledger.federation, number, end) for end in ends]
        signatures = [sign_digest(KEYS[actor], digest) for digest in digests]
        proof = keccak(b"".join(digests))
        allowed = not same and self.model.remove(self.block, number, Fault.TWO_CERTIFICATES, culprit, proof)
        arguments = (number, t, outcomes, *signatures)
        self.agree(allowed, "challenge_certificates", *arguments, sender=ADDRESSES[-1])

    @precondition(lambda self: self.model.contestable(self.block))
    @rule(actor=actors)
    def contest(self, actor):
        self.challenge_statements(Fault.TWO_LEAVES, actor, -1, False)

    def last_seal(self):
        """The place of the last seal in the history."""
        places = [place for place, step in enumerate(self.model.steps) if isinstance(step, Seal)]
        return places[-1] if places else None

    @precondition(lambda self: self.tree is not None and self.model.disputable_round(self.block))
    @rule(actor=st.one_of(st.none(), actors), index=st.integers(0, 5), broken=st.booleans(), stale=rarely)
    def challenge_receipt(self, actor, index, broken, stale):
        """By the sealer if no actor is named; `stale` leaves the last transition out."""
        place, number = self.last_seal(), self.model.disputable_round(self.block)
        seal, at = self.model.steps[place], self.model.transcripts[place]
        author = self.seated([self.model.sealer])[0] if actor is None else ADDRESSES[actor]
        sealed = self.tree.levels[0][index]
        receipted = keccak(b"receipted") if broken else sealed
        digest = receipt_digest(self.ledger.federation, seal.round, index, receipted, at)
        tail = tail_of(self.model.steps[place + 1 :][: -1 if stale else None])
        whole = tail_of(self.model.steps[place + 1 :])
        allowed = (
            number == seal.round
            and broken
            and tail == whole
            and self.model.seat(author) == self.model.sealer
            and self.model.remove(self.block, number, Fault.BROKEN_RECEIPT, author, keccak(digest + sealed))
        )
        shown = (index, receipted, sign_digest(KEY_OF[author], digest), sealed, self.tree.proof(index))
        arguments = (at, seal.root, seal.n, *shown, tail)
        self.agree(allowed, "challenge_receipt", *arguments, sender=ADDRESSES[-1])

    @precondition(lambda self: self.tree is not None and self.model.disputable_round(self.block))
    @rule(actor=actors, leaf=leaves, data=st.data())
    def challenge_doubled(self, actor, leaf, data):
        place, number = self.last_seal(), self.model.disputable_round(self.block)
        seal, at = self.model.steps[place], self.model.transcripts[place]
        since = self.model.steps[place + 1 :]
        forced = {step.index: step.leaf for step in since if step.kind == 2}
        index = data.draw(st.sampled_from([*forced, *forced, *forced, 5]))
        author = ADDRESSES[actor] if data.draw(rarely) else self.model.members[index]
        author = ADDRESSES[actor] if author == VACANT else author
        digest = leaf_digest(self.ledger.federation, seal.round, index, leaf, at, 33)
        member = self.model.nodes.get(author)
        allowed = (
            number == seal.round
            and forced.get(index, leaf) != leaf
            and member is not None
            and member.index == index
            and self.model.remove(
                self.block, number, Fault.DOUBLED_INDEX, author, keccak(digest + forced[index])
            )
        )
        arguments = (at, seal.root, seal.n, index, leaf, 33, sign_digest(KEY_OF[author], digest))
        self.agree(allowed, "challenge_doubled", *arguments, tail_of(since), sender=ADDRESSES[-1])

    @precondition(lambda self: self.certificates and self.model.contestable(self.block))
    @rule()
    def contest_the_median(self):
        self.challenge_median(1)

    @precondition(lambda self: len(self.certificates) > 1 and self.model.disputable_round(self.block))
    @rule(back=st.just(2))
    def challenge_median(self, back):
        """Of the last certificate, or of one before."""
        model, (place, scored) = self.model, self.certificates[-min(back, len(self.certificates))]
        number, certified = model.disputable_round(self.block), model.steps[place]
        since = model.steps[place + 1 :]
        allowed = (
            model.contestable(self.block)
            and certified.round == number
            and scored.median != lower_median(HEARD)
            and not any(isinstance(step, Certify) for step in since)
        )
        if allowed:
            model.remove_signers(self.block, number, scored.leaf)
        arguments = (model.transcripts[place], scored.outcome, *_shown(scored), tail_of(since))
        self.agree(allowed, "challenge_median", *arguments, sender=ADDRESSES[-1])

    # epochs and the owner

    @precondition(lambda self: self.model.notice != DUE)
    @rule(data=st.data(), stranger_to_it=rarely)
    def propose(self, data, stranger_to_it):
        sender = ADDRESSES[-1] if stranger_to_it else self.model.owner
        change = data.draw(changes(self.model))
        possible = change if self.model.changed(change) is not None else None
        allowed = self.model.propose(sender, possible)
        self.agree(allowed, "propose", as_tuple(change), sender=sender)

    @precondition(lambda self: self.model.notice == DUE)
    @rule(actor=actors, other=rarely)
    def open_epoch(self, actor, other):
        change = self.model.proposal
        if other or change is None:
            change = Change(keccak(b"never announced"), 1, (0,))
        allowed = self.model.open_epoch(self.block, change)
        self.agree(allowed, "open_epoch", as_tuple(change), sender=ADDRESSES[actor])

    @rule(sender=st.sampled_from(OWNERS), successor=st.sampled_from([*OWNERS, VACANT]), accepts=st.booleans())
    def hand_over(self, sender, successor, accepts):
        if accepts:
            return self.accept_ownership(sender)
        return self.propose_owner(sender, successor)

    def propose_owner(self, sender, successor):
        allowed = self.model.propose_owner(sender, successor)
        self.agree(allowed, "propose_owner", successor, sender=sender)

    def accept_ownership(self, sender):
        allowed = self.model.accept_ownership(sender)
        self.agree(allowed, "accept_ownership", sender=sender)

    # what holds after every step

    @invariant()
    def check(self):
        """After a call that was accepted; one that was refused has changed nothing."""
        if not self.moved:
            return
        (call,) = self.moved
        assert self.ledger.view("transcript") == self.model.t
        assert self.ledger.state() == self.model.state()
        assert self.ledger.view("relayer") == _hex(self.model.relayer())
        if call in ("deployed", "propose", "open_epoch", "propose_owner", "accept_ownership"):
            self.the_terms_are_those_of_the_model()
        if call in ("deployed", "force", "open_epoch") or call.startswith("challenge"):
            self.the_nodes_are_those_of_the_model()
        self.one_end_stands_for_every_round_before()
        self.a_leaf_counts_once_and_signers_are_a_quorum_that_stands()

    def the_terms_are_those_of_the_model(self):
        ledger, model = self.ledger, self.model
        assert ledger.view("quorum") == model.quorum
        assert ledger.view("committee") == model.committee
        assert ledger.view("config_hash") == model.config_hash
        assert (ledger.view("owner"), ledger.view("successor")) == (_hex(model.owner), _hex(model.successor))
        assert ledger.view("proposal") == (model.proposal.hash() if model.proposal else EMPTY)
        assert (model.notice in (ANNOUNCED, DUE)) == (model.proposal is not None)

    def the_nodes_are_those_of_the_model(self):
        ledger, model = self.ledger, self.model
        assert ledger.view("member_count") == len(model.members)
        for index, address in enumerate(model.members):
            assert ledger.view("member", index) == _hex(address)
            if address != VACANT:
                assert ledger.node(address) == model.node(address)
        for address in set(ADDRESSES) - set(model.nodes):
            with pytest.raises(RevertedError, match="not a registered node"):
                ledger.node(address)

    def one_end_stands_for_every_round_before(self):
        model = self.model
        assert set(model.ended) == set(range(1, model.round))
        standing = Counter(step.round for step in model.steps if isinstance(step, Certify))
        assert sum(standing.values()) - model.fallen == list(model.ended.values()).count(Phase.CERTIFIED)
        self.met.update(f"a round that ended {how.name}" for how in set(model.ended.values()))
        self.met["a certificate that fell"] += model.fallen

    def a_leaf_counts_once_and_signers_are_a_quorum_that_stands(self):
        model = self.model
        place = self.last_seal()
        forced = [step.index for step in model.steps[place or 0 :] if step.kind == 2]
        assert len(forced) == len(set(forced))
        assert len(forced) == model.forced or model.n == 0
        assert not model.signers or len(model.signers) >= model.quorum


class _Where:
    """What `statement_digest` needs of a play."""

    def __init__(self, ledger):
        self.ledger = ledger


def _shown(scored: Scored):
    return (scored.index, REPUTATION, scored.median, scored.row, scored.path)


def _hex(address):
    return "0x" + address.hex()


def walk(make, walks, length):
    """Walk at random, checking contract and model after each step; return what was met, and how often."""
    met = Counter()
    machine = type("Walk", (Walk,), {"deploy": staticmethod(make), "met": met})
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=walks,
            stateful_step_count=length,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return met


def test_random_walks_keep_contract_and_model_together(local_evm):
    """Many walks where a step costs least, each with an EVM of its own; together they meet everything."""
    met = walk(lambda **terms: deploy(local_evm(), **terms), walks=60, length=60)
    assert {what for what in EVERYTHING if not met[what]} == set()


def test_random_walks_keep_every_chain_and_model_together(deploy_ledger):
    met = walk(deploy_ledger, walks=3, length=60)
    assert met["seal"] + met["seal_leaves"], "no walk got anywhere"
