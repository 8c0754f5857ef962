"""The auditor's rules against the contract itself: random walks in which both judge every call alike.

Each step calls the contract, rightly or wrongly, and asks the rules about the events that the call would
make. What the contract does, the rules accept, and lead to the same state; what it refuses, they refuse.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from random import Random

import pytest
from deployed_ledger import OWNER, deploy
from faults import (
    broken_receipt,
    doubled_index,
    scored_outcome,
    two_certificates,
    two_statements,
    wrong_median,
)
from local_evm import LocalEvm
from played_rounds import ANYBODY, CHALLENGER, SCORE_ROOT, Play, as_tuple, leaf_of

from ledgerfed.audit import Certificate
from ledgerfed.audit.epochs import enrolments
from ledgerfed.audit.events import (
    Aborted,
    Certified,
    Disputed,
    EpochOpened,
    EpochProposed,
    Forced,
    Genesis,
    MemberLeft,
    MemberRegistered,
    OwnershipProposed,
    OwnershipTransferred,
    Place,
    RoundEvent,
    Scored,
    Sealed,
    transition_of,
)
from ledgerfed.audit.replay import check_certificate
from ledgerfed.audit.rules import Rules, advance, opening_state
from ledgerfed.errors import VerificationError
from ledgerfed.protocol.change import VACANT, Change
from ledgerfed.protocol.configuration import Windows
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.merkle import build_tree
from ledgerfed.protocol.signature import address_of, sign_digest
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Certify, Fault, Force, Seal
from ledgerfed.protocol.typed_data import certificate_digest

WINDOWS = (6, 3, 5, 4, 3)
NODES, COMMITTEE = 6, (0, 1, 3, 4)
OTHER_OWNER = keccak(b"other owner")[-20:]
WRONG = scored_outcome(0, -5, (-7, -5, -5, 4), 3)
BENT = scored_outcome(0, 4, (-7, -5, -5, 4), 3)
WALKS, STEPS = 16, 150
KINDS = {"MemberLeft": MemberLeft, "MemberRegistered": MemberRegistered}


def new_key(number):
    return keccak(b"new key" + number.to_bytes(2, "big"))


class Walk:
    """A contract and the auditor's state of it, side by side."""

    def __init__(self, seed, config):
        self.random = Random(seed)
        self.ledger = deploy(LocalEvm(), nodes=NODES, committee=COMMITTEE, windows=WINDOWS)
        self.play = Play(self.ledger)
        self.config = replace(config, committee=COMMITTEE, windows=Windows(*WINDOWS), min_updates=2)
        self.configs = {}
        self.rules = Rules(self.ledger.federation, self.config, self.ledger.members, self.configs)
        start = Genesis(
            self.place(self.ledger.genesis.block),
            *(keccak(b"x"),) * 4,
            self.play.t,
            COMMITTEE,
            3,
            WINDOWS,
            2,
            False,
        )
        self.state = opening_state(self.rules, start, OWNER)
        self.signers, self.serial, self.announced, self.done = (), 0, None, Counter()

    @property
    def block(self):
        return self.ledger.evm.block

    def place(self, block, log_index=0):
        tag = block.to_bytes(8, "big")
        return Place(block, keccak(b"block" + tag), keccak(b"tx" + tag), log_index, block)

    def told(self, *events):
        """Return the state after events of one transaction, or the reason why there is none."""
        state = self.state
        try:
            for number, (kind, *values) in enumerate(events):
                event = kind(self.place(self.block, number), *values)
                if isinstance(event, RoundEvent):
                    event = replace(event, transcript=transition_of(event).after(state.transcript))
                state = advance(self.rules, state, event)
        except VerificationError as error:
            return None, str(error)
        if state.doomed or state.enrolled:
            return None, "half a transaction"
        return state, ""

    def both(self, name, arguments, sender, *events, holds=True):
        """Let the contract and the rules judge one call."""
        self.done[name] += 1
        state, otherwise = self.told(*events)
        if state is not None and not holds:
            state, otherwise = None, "what the events do not tell"
        refusal = self.ledger.refusal(name, *arguments, sender=sender)
        told = f"{name} in block {self.block}: contract {refusal!r}, rules {otherwise!r}"
        assert (refusal is None) == (state is not None), told
        if state is None:
            return False
        self.done[f"{name} done"] += 1
        self.state = state
        steps = [kind(self.place(0), *values) for kind, *values in events]
        self.play.happened(*(transition_of(event) for event in steps if isinstance(event, RoundEvent)))
        self.agree()
        return True

    def agree(self):
        state, found = self.state, self.ledger.state()
        seats = {i: seat for seat, i in enumerate(state.epoch.config.committee)}
        assert state.transcript == self.ledger.view("transcript")
        assert {
            "round": state.trace.number,
            "phase": state.trace.phase,
            "end": state.end,
            "epoch": state.epoch.number,
            "committee": len(seats),
            "min_updates": state.epoch.config.min_updates,
            "notice": 2 if state.due else 1 if state.proposal else 0,
            "removed": sum(1 << seats[index] for index in state.removed),
        }.items() <= found.items()
        assert (state.last is not None) == (found["signers"] != 0 and found["phase"] == 0)
        assert tuple(self.ledger.view("committee")) == state.epoch.config.committee
        members = [bytes.fromhex(self.ledger.view("member", i)[2:]) for i in range(len(state.epoch.members))]
        assert tuple(members) == state.epoch.members
        assert self.ledger.view("member_count") == len(members)
        assert bytes.fromhex(self.ledger.view("owner")[2:]) == state.owner

    # --- calls, right and wrong ---

    def anybody(self):
        """Return the address of a node, mostly a member of the committee, sometimes of nobody."""
        members = [member for member in self.state.epoch.members if member != VACANT]
        committee = list(self.state.epoch.committee)
        return self.random.choice([*members, *committee, *committee, ANYBODY])

    def number(self):
        return self.state.trace.number + self.random.choice([0, 0, 0, 0, 0, 0, -1, 1])

    def seal(self, sender=None, number=None, n=None):
        leaves = {i: leaf_of(i) for i in range(3)}
        tree = build_tree(leaves, 3)
        sender = self.anybody() if sender is None else sender
        number = self.number() if number is None else number
        n = self.random.choice([1, 2, 3, 3, 3, 8, 9]) if n is None else n
        if number < 1:
            return
        event = (Sealed, number, tree.root, n, sender, keccak(b""))
        if self.both("seal", (number, tree.root, n), sender, event):
            self.play.tree, self.play.sealer = tree, self.state.epoch.members.index(sender)

    def force(self):
        members, sender = self.state.epoch.members, self.anybody()
        leaf, number = keccak(bytes([self.random.randrange(3)])), self.number()
        if sender not in members:
            assert self.ledger.refusal("force", number, leaf, sender=sender)
        elif number > 0:
            event = (Forced, number, members.index(sender), leaf, keccak(b""))
            self.both("force", (number, leaf), sender, event)

    def scores(self, sender=None, number=None):
        sender = self.anybody() if sender is None else sender
        number = self.number() if number is None else number
        if number > 0:
            event = (Scored, number, SCORE_ROOT, sender, keccak(b""))
            self.both("scores", (number, SCORE_ROOT), sender, event)

    def certify(self, signers=None, number=None):
        committee = self.state.epoch.config.committee
        number = self.number() if number is None else number
        if number < 1:
            return
        if signers is None:
            count = self.random.randrange(1, len(committee) + 2)
            signers = sorted(self.random.choices(range(len(self.state.epoch.members)), k=count))
            signers = [i for i in signers if self.state.epoch.members[i] != VACANT]
        outcome = self.random.choice([WRONG, BENT, BENT]).outcome
        digest = certificate_digest(
            self.ledger.federation, number, Certify(number, *outcome).after(self.play.t)
        )
        signatures = [sign_digest(self.play.keys[i], digest) for i in signers]
        holds = True
        try:
            certificate = Certificate(max(number, 1), b"".join(signatures)) if signatures else None
            assert certificate is not None
            check_certificate(self.state.epoch, self.state.removed, digest, certificate)
        except (VerificationError, AssertionError):
            holds = False
        event = (Certified, number, *outcome, keccak(b""))
        arguments = (number, *outcome, b"".join(signatures))
        if self.both("certify", arguments, ANYBODY, event, holds=holds):
            self.signers = tuple(signers)

    def abort(self):
        number = self.number()
        if number > 0:
            event = (Aborted, number, int(self.state.trace.phase), keccak(b""))
            self.both("abort", (number,), ANYBODY, event)

    def challenge(self, proof):
        """Bring a proof whose signatures hold."""
        dispute = proof.dispute
        last = self.state.contestable(self.block)
        contested = last is not None and last.number == dispute.round
        event = (
            Disputed,
            dispute.round,
            dispute.fault,
            dispute.culprits,
            dispute.proof,
            contested,
            b"\1" * 32,
        )
        abort = (Aborted, last.number if contested else self.state.trace.number, 5, b"\1" * 32)
        alone, _ = self.told(event)
        events = (event,) if alone is not None else (event, abort)
        if self.both(proof.call, tuple(proof.arguments.values()), CHALLENGER, *events):
            self.done[f"fault {dispute.fault}" + (" contested" if contested else "")] += 1
            self.done["aborted by a dispute"] += len(events) - 1

    def statements(self):
        culprit = self.random.choice(list(self.play.keys))
        fault = self.random.choice([Fault.TWO_LEAVES, Fault.TWO_RECEIPTS, Fault.TWO_COMMITMENTS, 4])
        number = self.state.trace.number + self.random.choice([-1, -1, 0, 0, 1, -2])
        if number < 0 or self.state.epoch.members[culprit] == VACANT:
            return
        if fault == Fault.TWO_CERTIFICATES:
            if number >= 1:
                self.challenge(two_certificates(self.play, culprit, number))
        else:
            self.challenge(two_statements(self.play, fault, culprit, number))

    def of_the_seal(self):
        if not any(isinstance(step, Seal) for step in self.play.steps):
            return
        present = [i for i in self.play.keys if self.state.epoch.members[i] != VACANT]
        node = self.random.choice(present)
        if self.random.random() < 0.3:
            signer = self.random.choice([node, self.play.sealer])
            if self.state.epoch.members[signer] != VACANT:
                self.challenge(
                    broken_receipt(self.play, self.random.randrange(8), keccak(b"promised"), signer)
                )
            return
        seal = next(k for k, step in enumerate(reversed(self.play.steps)) if isinstance(step, Seal))
        forced = [step for step in self.play.steps[len(self.play.steps) - seal :] if isinstance(step, Force)]
        node = self.random.choice([node, *(step.index for step in forced for _ in range(3))])
        leaf = next((step.leaf for step in forced if step.index == node), keccak(b"none"))
        if self.state.epoch.members[node] != VACANT:
            self.challenge(doubled_index(self.play, node, keccak(b"signed"), leaf))

    def median(self):
        if not any(isinstance(step, Certify) for step in self.play.steps):
            return
        last = next(step for step in reversed(self.play.steps) if isinstance(step, Certify))
        committee = self.state.epoch.config.committee
        if (last.manifest, last.model, last.reputations) != BENT.outcome:
            return
        mask = sum(1 << committee.index(i) for i in self.signers if i in committee)
        self.challenge(wrong_median(self.play, BENT, mask))

    def propose(self):
        members = self.state.epoch.members
        count = len(members)
        entries = {}
        for _ in range(self.random.randrange(4)):
            self.serial += 1
            index = self.random.choice([*range(count), count, count, count + 1])
            known = self.random.random() < 0.1
            address = self.random.choice(members) if known else address_of(new_key(self.serial))
            entries[index] = self.random.choice([address, address, VACANT])
        indices = tuple(sorted(entries))
        size = self.random.choice([1, 3, 4, 4, 4, 5])
        committee = tuple(sorted(self.random.sample(range(count + 1), min(size, count + 1))))
        least = self.random.choice([1, 1, 2, 2, 3, count + 1])
        digest = keccak(b"no configuration" + bytes([least]))
        if committee[-1] < 8 and least <= 8:
            config = replace(self.config, committee=committee, min_updates=least)
            digest = config.hash()
            self.configs[digest] = config
        change = Change(digest, least, committee, indices, tuple(entries[i] for i in indices))
        sender = self.state.owner
        event = (EpochProposed, self.state.epoch.number + 1, change)
        if self.both("propose", (as_tuple(change),), sender, event):
            self.announced = change

    def open_epoch(self, change=None):
        change = change or self.announced
        if change is None:
            return
        self.serial += 1
        epoch, number = self.state.epoch.number + 1, self.state.trace.number
        entries = [
            (KINDS[name], index, member, epoch)
            for name, index, member in enrolments(change, self.state.epoch.members)
        ]
        opening = (EpochOpened, epoch, number, change.config_hash, change.hash(), b"\1" * 32)
        if self.both("open_epoch", (as_tuple(change),), ANYBODY, *entries, opening):
            keys = {address_of(new_key(k)): new_key(k) for k in range(self.serial + 1)}
            for index, address in zip(change.indices, change.addresses, strict=True):
                if address != VACANT:
                    self.play.keys[index] = keys[address]
            self.announced = None

    def own(self):
        owners = [OWNER, OTHER_OWNER, ANYBODY]
        sender = self.random.choice([self.state.owner, *owners])
        if self.random.random() < 0.5:
            successor = self.random.choice([*owners, VACANT])
            event = (OwnershipProposed, sender, successor)
            self.both("propose_owner", (successor,), sender, event)
        else:
            event = (OwnershipTransferred, self.state.owner, sender)
            self.both("accept_ownership", (), sender, event)

    def go_on(self):
        """What honest nodes do next; without this a walk hardly ever gets past a seal."""
        state, number = self.state, self.state.trace.number
        seats = [i for i in state.epoch.config.committee if i not in state.removed]
        if state.trace.phase is Phase.SCORED:
            return self.certify(seats[: max(state.epoch.config.quorum, 1)], number)
        if state.due and state.trace.phase is Phase.OPEN:
            self.ledger.evm.block = max(self.block, state.end + 1)
            return self.open_epoch()
        turn = int.from_bytes(state.transcript, "big") % len(state.epoch.config.committee)
        self.ledger.evm.block = max(self.block, state.end + self.random.choice([1, 1, 4]))
        sender = state.epoch.committee[turn]
        return (
            self.seal(sender, number, 3) if state.trace.phase is Phase.OPEN else self.scores(sender, number)
        )

    def mine(self):
        to_the_end = max(0, self.state.end - self.block)
        self.ledger.evm.block += self.random.choice([0, 1, 1, 2, 3, 7, to_the_end, to_the_end + 1])

    def step(self):
        calls = [self.go_on] * 8 + [self.mine] * 3 + [self.statements] * 2
        calls += [
            self.seal,
            self.force,
            self.force,
            self.force,
            self.scores,
            self.certify,
            self.abort,
            self.abort,
        ]
        calls += [self.of_the_seal, self.of_the_seal, self.median, self.propose, self.open_epoch, self.own]
        if self.state.trace.forced:
            calls += [self.of_the_seal] * 4
        if self.state.contestable(self.block):
            calls += [self.median] * 6
        self.random.choice(calls)()


@pytest.fixture(scope="module")
def config(begun):
    return begun().config


@pytest.fixture(scope="module")
def walks(config):
    """Walk at random; count what was called, and what the contract did."""
    done = Counter()
    for seed in range(WALKS):
        walk = Walk(seed, config)
        for _ in range(STEPS):
            walk.step()
        done += walk.done
    return done


def test_contract_and_rules_say_the_same_to_every_call(walks):
    assert sum(walks.values()) > WALKS * STEPS / 2


@pytest.mark.parametrize(
    "call",
    [
        "seal",
        "force",
        "scores",
        "certify",
        "abort",
        "challenge_statements",
        "challenge_certificates",
        "challenge_receipt",
        "challenge_doubled",
        "challenge_median",
        "propose",
        "open_epoch",
        "propose_owner",
        "accept_ownership",
    ],
)
def test_the_walks_make_every_call_both_rightly_and_wrongly(walks, call):
    assert 0 < walks[f"{call} done"] < walks[call]


def test_the_walks_see_every_fault_void_certificates_and_aborts_by_disputes(walks):
    for fault in Fault:
        assert walks[f"fault {fault} contested"] + walks[f"fault {fault}"] > 0, fault
    assert sum(count for name, count in walks.items() if name.endswith("contested")) > 5
    assert walks["aborted by a dispute"] > 0
