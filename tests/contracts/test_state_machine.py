"""The contract against a small Python model of docs/protocol.md, by random walks over its states."""

from dataclasses import dataclass, field

from chains import stranger
from deployed_ledger import deploy
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

from ledgerfed.protocol import transcript as reference
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.signature import address_of, sign_digest
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.typed_data import certificate_digest

NODES, COMMITTEE, QUORUM, MIN_UPDATES = 6, 4, 3, 2
WINDOWS = (6, 3, 5, 4, 2)
COMMIT, FORCE, SCORE, CERTIFY, CHALLENGE = WINDOWS
ROOT = keccak(b"root")
OUTCOME = (keccak(b"manifest"), keccak(b"model"), keccak(b"reputations"))


@dataclass
class Model:
    """What the contract must do, said once more without bits and bytes. Methods return whether they may."""

    t: bytes
    end: int
    round: int = 1
    phase: Phase = Phase.OPEN
    n: int = 0
    forced: set[int] = field(default_factory=set)
    ended: dict[int, Phase] = field(default_factory=dict)

    def may_send(self, actor: int, block: int, window: int) -> bool:
        if actor >= COMMITTEE or not self.end < block <= self.end + window:
            return False
        return block > self.end + window // 2 or actor == int.from_bytes(self.t, "big") % COMMITTEE

    def seal(self, actor: int, block: int, number: int, n: int) -> bool:
        allowed = (
            number == self.round
            and self.phase is Phase.OPEN
            and MIN_UPDATES <= n <= 8
            and self.may_send(actor, block, COMMIT)
        )
        if allowed:
            self.t = reference.after_seal(self.t, number, ROOT, n)
            self.phase, self.end, self.n = Phase.SEALED, block + FORCE, n
        return allowed

    def force(self, actor: int, block: int, number: int, leaf: bytes) -> bool:
        allowed = number == self.round and self.phase is Phase.SEALED and block <= self.end
        allowed = allowed and actor < NODES and actor not in self.forced
        if allowed:
            self.t = reference.after_force(self.t, number, actor, leaf)
            self.forced.add(actor)
        return allowed

    def scores(self, actor: int, block: int, number: int) -> bool:
        allowed = number == self.round and self.phase is Phase.SEALED and self.may_send(actor, block, SCORE)
        if allowed:
            self.t = reference.after_scores(self.t, number, ROOT)
            self.phase, self.end = Phase.SCORED, block + CERTIFY
        return allowed

    def certify(self, block: int, number: int, signers: list[int]) -> bool:
        good = len(signers) >= QUORUM and signers == sorted(set(signers)) and max(signers) < COMMITTEE
        allowed = good and number == self.round and self.phase is Phase.SCORED and block <= self.end
        if allowed:
            self.t = reference.after_certify(self.t, number, *OUTCOME)
            self._next(Phase.CERTIFIED, block + CHALLENGE)
        return allowed

    def abort(self, block: int, number: int) -> bool:
        grace = {Phase.OPEN: COMMIT, Phase.SEALED: SCORE, Phase.SCORED: 0}[self.phase]
        allowed = number == self.round and block > self.end + grace
        if allowed:
            self.t = reference.after_abort(self.t, number, self.phase)
            self._next(Phase.ABORTED, block)
        return allowed

    def _next(self, how: Phase, end: int) -> None:
        assert self.round not in self.ended
        self.ended[self.round] = how
        self.round, self.phase, self.end, self.n, self.forced = self.round + 1, Phase.OPEN, end, 0, set()


# Mostly the present round, sometimes one before or after it; mostly one block on, sometimes a long silence.
offsets = st.sampled_from([0, 0, 0, 0, 0, 0, 1, -1])
steps = st.sampled_from([0, 1, 1, 1, 2, 3, 4, 7])
actors = st.integers(0, NODES)  # the last one is an outsider
relayers = st.one_of(st.none(), actors)  # None is whoever has the turn


def test_random_walks_keep_contract_and_model_together(local_evm):
    """Many walks where a step costs least, each with an EVM of its own."""
    ended = walk(lambda **options: deploy(local_evm(), **options), walks=40)
    assert ended == {Phase.CERTIFIED, Phase.ABORTED}, "the walks did not reach both ends of a round"


def test_random_walks_keep_every_chain_and_model_together(deploy_ledger):
    assert walk(deploy_ledger, walks=3), "no walk ended a round"


def walk(deploy_ledger, walks):
    """Walk at random, checking contract and model after each step; return how rounds have ended."""
    terminals = set()

    class Walk(RuleBasedStateMachine):
        @initialize()
        def start(self):
            self.ledger = deploy_ledger(
                nodes=NODES, committee=COMMITTEE, windows=WINDOWS, min_updates=MIN_UPDATES
            )
            self.model = Model(self.ledger.view("transcript"), self.ledger.state()["end"])
            self.keys = (*self.ledger.keys, stranger(b"outsider"))
            self.addresses = (*self.ledger.members, address_of(stranger(b"outsider")))

        def agree(self, allowed, name, *arguments, sender):
            reason = self.ledger.refusal(name, *arguments, sender=self.addresses[sender])
            if allowed:
                assert reason is None, f"{name} was refused: {reason}"
            else:
                assert reason, f"{name} was accepted, or refused without words"
                assert not reason.startswith("no reason"), f"{name} reverts without a reason"

        def turn(self, actor):
            return int.from_bytes(self.model.t, "big") % COMMITTEE if actor is None else actor

        @rule(step=steps)
        def mine(self, step):
            self.ledger.evm.block += step

        @rule()
        def mine_to_the_deadline(self):
            self.ledger.evm.block = max(self.ledger.evm.block, self.model.end)

        @rule(actor=relayers, offset=offsets, n=st.sampled_from([1, 2, 3, 8, 9]))
        def seal(self, actor, offset, n):
            number, actor = self.model.round + offset, self.turn(actor)
            allowed = self.model.seal(actor, self.ledger.evm.block, number, n)
            self.agree(allowed, "seal", number, ROOT, n, sender=actor)

        @rule(actor=actors, offset=offsets, leaf=st.binary(min_size=32, max_size=32).filter(any))
        def force(self, actor, offset, leaf):
            number = self.model.round + offset
            allowed = self.model.force(actor, self.ledger.evm.block, number, leaf)
            self.agree(allowed, "force", number, leaf, sender=actor)

        @rule(actor=relayers, offset=offsets)
        def scores(self, actor, offset):
            number, actor = self.model.round + offset, self.turn(actor)
            allowed = self.model.scores(actor, self.ledger.evm.block, number)
            self.agree(allowed, "scores", number, ROOT, sender=actor)

        @rule()
        def go_on_as_meant(self):
            """Without this a walk hardly ever gets past a seal."""
            phase, number = self.model.phase, self.model.round
            if phase is Phase.SCORED:
                return self.certify(0, number, [0, 1, 2])
            self.ledger.evm.block = max(self.ledger.evm.block, self.model.end + 1)
            return self.seal(None, 0, 3) if phase is Phase.OPEN else self.scores(None, 0)

        @precondition(lambda self: self.model.phase is Phase.SCORED)
        @rule(actor=actors, offset=offsets, signers=st.lists(actors, max_size=5))
        def certify_by_somebody(self, actor, offset, signers):
            self.certify(actor, self.model.round + offset, signers)

        @rule(actor=actors, signers=st.sampled_from([[0, 1, 2], [1, 2, 3], [0, 1, 2, 3]]))
        def certify_by_a_quorum(self, actor, signers):
            self.certify(actor, self.model.round, signers)

        def certify(self, actor, number, signers):
            t = reference.after_certify(self.model.t, number, *OUTCOME)
            digest = certificate_digest(self.ledger.federation, number, t)
            signatures = b"".join(sign_digest(self.keys[i], digest) for i in signers)
            allowed = self.model.certify(self.ledger.evm.block, number, signers)
            self.agree(allowed, "certify", number, *OUTCOME, signatures, sender=actor)

        @rule(actor=actors, offset=offsets)
        def abort(self, actor, offset):
            number = self.model.round + offset
            allowed = self.model.abort(self.ledger.evm.block, number)
            self.agree(allowed, "abort", number, sender=actor)

        @invariant()
        def contract_and_model_agree(self):
            if not hasattr(self, "model"):
                return
            model = self.model
            assert self.ledger.view("transcript") == model.t
            assert self.ledger.state() == {
                "round": model.round,
                "phase": model.phase,
                "end": model.end,
                "n": model.n,
                "forced": len(model.forced),
                "epoch": 0,
                "attempt": 0,
            }

        @invariant()
        def every_round_before_ended_once(self):
            if hasattr(self, "model"):
                assert set(self.model.ended) == set(range(1, self.model.round))
                terminals.update(self.model.ended.values())

    run_state_machine_as_test(
        Walk,
        settings=settings(
            max_examples=walks,
            stateful_step_count=60,
            deadline=None,
            derandomize=True,
            suppress_health_check=list(HealthCheck),
        ),
    )
    return terminals
