"""What calls cost, as named figures, and the most that each may cost (the goals of the ledger).

A scenario is a function that plays on the EVM alone (py-evm, Prague rules: gas is exact) and yields figures.
To add one, write the function and name it in SCENARIOS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from chains import node_key, stranger
from contract_values import Receipt
from deployed_ledger import Ledger, deploy
from faults import (
    STATEMENTS,
    Proof,
    broken_receipt,
    doubled_index,
    scored_outcome,
    two_certificates,
    two_statements,
    wrong_median,
)
from local_evm import LocalEvm
from played_rounds import Play

from ledgerfed.protocol import transcript as reference
from ledgerfed.protocol.change import MAX_ENTRIES, Change
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.signature import address_of, sign_digest
from ledgerfed.protocol.transcript import Phase
from ledgerfed.protocol.transition import Abort
from ledgerfed.protocol.typed_data import certificate_digest

ROOT, LEAF, SCORES = keccak(b"root"), keccak(b"leaf"), keccak(b"scores")
OUTCOME = (keccak(b"manifest"), keccak(b"new model"), keccak(b"new reputations"))
ANYBODY = address_of(stranger(b"anybody"))

# What fits the code that is sent to deploy (EIP-3860); the others join, 64 an epoch.
MOST_AT_GENESIS = 600
COMMITTEES = {3: 4, 5: 7, 9: 13, 21: 31}  # C = 3f + 1 by quorum q = 2f + 1
FORCE_GOAL, CHALLENGE_GOAL, DIFFERENCE_GOAL = 42_000, 65_000, 100
ROUND_GOALS = {3: 135_000, 9: 180_000}


@dataclass(frozen=True)
class Figure:
    """Gas under a name; `at_most` is a goal, `tracked` says whether growth against the snapshot matters."""

    name: str
    gas: int
    at_most: int | None = None
    tracked: bool = True


def new_ledger(quorum: int, nodes: int = 0, leaves_on_chain: bool = False) -> Ledger:
    """A federation of so many nodes, at least its committee, with trees for 1,024, on an EVM of its own."""
    committee = COMMITTEES[quorum]
    there = min(max(nodes, committee), MOST_AT_GENESIS)
    terms = {
        "depth": 10,
        "min_updates": 1,
        "leaves_on_chain": leaves_on_chain,
        "windows": (10, 5, 10, 10, 10),
    }
    ledger = deploy(LocalEvm(), nodes=there, committee=committee, **terms)
    play = Play(ledger)
    for first in range(there, nodes, MAX_ENTRIES):
        joining = range(first, min(first + MAX_ENTRIES, nodes))
        enter(play, joined(joining, tuple(range(committee))))
    return ledger


def joined(indices: Iterable[int], committee: tuple[int, ...]) -> Change:
    """A change with which nodes join."""
    addresses = tuple(address_of(node_key(index)) for index in indices)
    return Change(keccak(b"configuration"), 1, committee, tuple(indices), addresses)


def enter(play: Play, change: Change) -> tuple[Receipt, Receipt]:
    """Announce a change and open its epoch."""
    proposed = play.propose(change)
    play.abort()
    return proposed, play.open_epoch(change)


def sealed(ledger: Ledger, n: int = 10) -> Receipt:
    """Seal the present round with n leaves."""
    ledger.evm.block = max(ledger.evm.block, ledger.state()["end"] + 1)
    return ledger.transact("seal", ledger.state()["round"], ROOT, n, sender=ledger.relayer())


def scored(ledger: Ledger) -> Receipt:
    """Anchor the scores of the present round."""
    ledger.evm.block = ledger.state()["end"] + 1
    return ledger.transact("scores", ledger.state()["round"], SCORES, sender=ledger.relayer())


def certified(ledger: Ledger) -> Receipt:
    """Certify the present round with the first q signatures."""
    number = ledger.state()["round"]
    t = reference.after_certify(ledger.view("transcript"), number, *OUTCOME)
    digest = certificate_digest(ledger.federation, number, t)
    signatures = b"".join(sign_digest(key, digest) for key in ledger.keys[: ledger.view("quorum")])
    return ledger.transact("certify", number, *OUTCOME, signatures, sender=ANYBODY)


def later_ledger(quorum: int, nodes: int = 0) -> Ledger:
    """A new federation in its second round."""
    return in_second_round(new_ledger(quorum, nodes))


def in_second_round(ledger: Ledger) -> Ledger:
    """Play the first round: from there on no slot is written for the first time."""
    sealed(ledger)
    ledger.transact("force", ledger.state()["round"], LEAF, sender=address_of(ledger.keys[-1]))
    scored(ledger)
    certified(ledger)
    return ledger


def whole_round(quorum: int, n: int) -> dict[str, int]:
    """Gas of the three transactions of a round of n nodes that all take part."""
    return round_gas(later_ledger(quorum, n), n)


def round_gas(ledger: Ledger, n: int) -> dict[str, int]:
    """Gas of the three transactions of the present round, by their names."""
    calls = {"seal": sealed(ledger, n), "scores": scored(ledger), "certify": certified(ledger)}
    return {name: receipt.gas_used for name, receipt in calls.items()}


def rounds() -> Iterator[Figure]:
    """A round by quorum, equal for 10 and 1,000 nodes, and what that is for each update."""
    for quorum in COMMITTEES:
        few, many = (whole_round(quorum, n) for n in (10, 1_000))
        for name, gas in few.items():
            yield Figure(f"{name} q={quorum}", gas)
        totals = {10: sum(few.values()), 1_000: sum(many.values())}
        for n, total in totals.items():
            yield Figure(f"round q={quorum} n={n}", total, ROUND_GOALS.get(quorum))
        difference = abs(totals[10] - totals[1_000])
        yield Figure(f"round q={quorum} n=1000-10", difference, DIFFERENCE_GOAL, tracked=False)


def updates() -> Iterator[Figure]:
    """A round at q = 3, shared by its updates and rounded up."""
    for n in (10, 100, 1_000):
        yield Figure(f"per update q=3 n={n}", -(-sum(whole_round(3, n).values()) // n))


def forcing() -> Iterator[Figure]:
    """A node puts its own leaf in."""
    ledger = later_ledger(3)
    sealed(ledger)
    receipt = ledger.transact("force", 2, LEAF, sender=address_of(ledger.keys[-1]))
    yield Figure("force", receipt.gas_used, FORCE_GOAL)


def aborting() -> Iterator[Figure]:
    """A round that ran out of time."""
    ledger = later_ledger(3)
    ledger.evm.block += 1_000
    yield Figure("abort", ledger.transact("abort", 2, sender=ANYBODY).gas_used)


def deploying() -> Iterator[Figure]:
    """A new federation by the size of its committee."""
    for quorum in COMMITTEES:
        yield Figure(f"deploy q={quorum}", new_ledger(quorum).genesis.gas_used)


def challenging() -> Iterator[Figure]:
    """Every challenge in a later round, by the size of the committee; its culprit has the last seat."""
    for quorum, committee in COMMITTEES.items():
        culprit, q = committee - 1, f"q={quorum}"
        for fault in STATEMENTS:
            play = _later(quorum).seal().scores()
            yield _challenge(f"{fault.name.lower()} {q}", play, two_statements(play, fault, culprit))
        play = _later(quorum).seal().scores()
        yield _challenge(f"two_certificates {q}", play, two_certificates(play, culprit))
        play = _later(quorum).seal().scores().certify()
        yield _challenge(f"broken_receipt {q}", play, broken_receipt(play, 3, LEAF))
        play = _later(quorum).seal().force(3, LEAF).scores().certify()
        yield _challenge(f"doubled_index {q}", play, doubled_index(play, 3, ROOT, LEAF))
        scored = scored_outcome(3, 7, [5] * (2 * committee), depth=10)
        play = _later(quorum).seal().scores().certify(scored.outcome)
        proof = wrong_median(play, scored, (1 << quorum) - 1)
        yield _challenge(f"wrong_median {q}", play, proof, Abort(2, Phase.DISPUTED))


def _later(quorum: int) -> Play:
    return Play(new_ledger(quorum)).certified()


def _challenge(name: str, play: Play, proof: Proof, *after: Abort) -> Figure:
    return Figure(name, play.challenge(proof, *after).gas_used, CHALLENGE_GOAL)


def epochs() -> Iterator[Figure]:
    """A change that nobody joins with, and one with 64 entries, in federations of 31 seats."""
    for entries in (0, MAX_ENTRIES):
        play = Play(new_ledger(21))
        proposed, opened = enter(play, joined(range(31, 31 + entries), tuple(range(31))))
        yield Figure(f"propose entries={entries}", proposed.gas_used)
        yield Figure(f"open_epoch entries={entries}", opened.gas_used)


def sealing_leaves() -> Iterator[Figure]:
    """A seal with its leaves as calldata, and its share of an update rounded up."""
    for n in (10, 100, 1_000):
        ledger = new_ledger(3, leaves_on_chain=True)
        leaves = [keccak(b"%d" % index) for index in range(n)]
        for number in (1, 2):
            ledger.evm.block = max(ledger.evm.block, ledger.state()["end"] + 1)
            receipt = ledger.transact("seal_leaves", number, leaves, sender=ledger.relayer())
            scored(ledger)
            certified(ledger)
        yield Figure(f"seal_leaves n={n}", receipt.gas_used)
        yield Figure(f"seal_leaves per update n={n}", -(-receipt.gas_used // n))


SCENARIOS: tuple[Callable[[], Iterator[Figure]], ...] = (
    rounds,
    updates,
    forcing,
    aborting,
    challenging,
    epochs,
    sealing_leaves,
    deploying,
)


def measure() -> list[Figure]:
    """All figures of all scenarios."""
    return [figure for scenario in SCENARIOS for figure in scenario()]
