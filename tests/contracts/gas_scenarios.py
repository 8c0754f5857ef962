"""What calls cost, as named figures, and the most that each may cost (the goals of the ledger).

A scenario is a function that plays on the EVM alone (py-evm, Prague rules: gas is exact) and yields figures.
To add one, write the function and name it in SCENARIOS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from chains import stranger
from contract_values import Receipt
from deployed_ledger import Ledger, deploy
from local_evm import LocalEvm

from ledgerfed.protocol import transcript as reference
from ledgerfed.protocol.hashing import keccak
from ledgerfed.protocol.signature import address_of, sign_digest
from ledgerfed.protocol.typed_data import certificate_digest

ROOT, LEAF, SCORES = keccak(b"root"), keccak(b"leaf"), keccak(b"scores")
OUTCOME = (keccak(b"manifest"), keccak(b"new model"), keccak(b"new reputations"))
ANYBODY = address_of(stranger(b"anybody"))

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


def new_ledger(quorum: int, nodes: int = 0) -> Ledger:
    """A federation of so many nodes, at least its committee, with trees for 1,024, on an EVM of its own."""
    committee = COMMITTEES[quorum]
    return deploy(LocalEvm(), nodes=max(nodes, committee), committee=committee, depth=10, min_updates=1)


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
    ledger.transact("force", 1, LEAF, sender=address_of(ledger.keys[-1]))
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


SCENARIOS: tuple[Callable[[], Iterator[Figure]], ...] = (rounds, updates, forcing, aborting, deploying)


def measure() -> list[Figure]:
    """All figures of all scenarios."""
    return [figure for scenario in SCENARIOS for figure in scenario()]
