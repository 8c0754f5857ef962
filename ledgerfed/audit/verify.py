"""The verification of an audit bundle, offline, in numbered steps.

Each step proves one thing from what the steps before it proved; it runs when those that it needs hold, and is
skipped with the reason otherwise. Nothing here asks a chain, a store or a clock.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ledgerfed.audit import steps
from ledgerfed.audit.report import AuditReport, Status, StepResult
from ledgerfed.audit.steps import Case
from ledgerfed.audit.summaries import dispute_summaries, epoch_summaries, round_summaries
from ledgerfed.audit.trust import TrustInputs
from ledgerfed.errors import InvalidValueError, VerificationError


@dataclass(frozen=True, slots=True)
class Step:
    """A numbered step: what it needs to have passed, and the check, which returns what it found."""

    number: int
    title: str
    needs: tuple[int, ...]
    check: Callable[[Case], str]


# One verification:
#
#  1. the archive is whole and canonical, and every file has the digest that its manifest gives;
#  2. every document is canonical, has no unknown key and integers only, and none is missing;
#  3. the contract runs this package's code with this configuration, which Genesis names;
#  4. the registry: every founder in its place, the hash over them, and the owner;
#  5. the genesis transcript over all of this, the first model and the first reputations;
#  6. every round, dispute and epoch: legal phases, blocks and senders, transcripts, roots, registrations and
#     configurations of later epochs;
#  7. every score reveal opens its commitment, and enough did;
#  8. every opening is the preimage of its leaf, with the payload that it names, and nothing else is enclosed;
#  9. every signature: on leaves, on score commitments, of a quorum on each certificate, also on those that
#     fell; nobody signs who was removed, and a wrong median is charged to those who signed it;
# 10. the chain of models: each round starts from the model of the last certified one;
# 11. every decision, replayed in integers: manifest, model and reputations byte by byte;
# 12. the last transcript is the one that the chain held.
STEPS = (
    Step(1, "archive and digests", (), steps.archive),
    Step(2, "canonical documents", (1,), steps.documents),
    Step(3, "contract and configuration", (2,), steps.contract),
    Step(4, "registry", (2,), steps.registry),
    Step(5, "genesis transcript", (3, 4), steps.genesis),
    Step(6, "rounds, disputes, epochs", (5,), steps.rounds),
    Step(7, "score commitments", (6,), steps.scores),
    Step(8, "openings and payloads", (7,), steps.openings),
    Step(9, "signatures", (6,), steps.signatures),
    Step(10, "chain of models", (6,), steps.models),
    Step(11, "replay of decisions", (7, 8, 9, 10), steps.decisions),
    Step(12, "final transcript", (6,), steps.final_transcript),
)
NO_TRUST = TrustInputs()


def verify_bundle(path: Path, trust: TrustInputs = NO_TRUST) -> AuditReport:
    """Verify the audit bundle at `path` from genesis to its last event, and report on every step.

    Args:
        path: an archive that `write_bundle` wrote.
        trust: facts from outside the bundle; without them it can only be consistent with itself.

    Raises:
        NotFoundError: there is no file.
    """
    case = Case(path, trust)
    results: list[StepResult] = []
    for step in STEPS:
        results.append(_run(step, case, results))
    passed = {result.number for result in results if result.status is Status.PASS}
    return AuditReport(
        digest=case.archive.digest if 1 in passed else None,
        federation=case.archive.federation if 1 in passed else None,
        steps=tuple(results),
        rounds=round_summaries(case) if 6 in passed else (),
        disputes=dispute_summaries(case.replay) if 6 in passed else (),
        epochs=epoch_summaries(case.replay) if 6 in passed else (),
        pinned=trust.pins_origin,
        complete=trust.final_transcript is not None and 12 in passed,
    )


def _run(step: Step, case: Case, before: Sequence[StepResult]) -> StepResult:
    missing = [r.number for r in before if r.number in step.needs and r.status is not Status.PASS]
    if missing:
        return StepResult(step.number, step.title, Status.SKIPPED, f"needs step {missing[0]}")
    try:
        found = step.check(case)
    except (VerificationError, InvalidValueError) as error:
        return StepResult(step.number, step.title, Status.FAIL, str(error))
    return StepResult(step.number, step.title, Status.PASS, found)
