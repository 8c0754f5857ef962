"""`ledgerfed demo`: a federation from deployment to a verified audit bundle."""

from __future__ import annotations

import shutil
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ledgerfed.cli.output import emit
from ledgerfed.errors import ConfigurationError, VerificationError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from ledgerfed.audit import AuditReport, FederationHistory
    from ledgerfed.evaluation.demo import NodeErrors
    from ledgerfed.evaluation.demo_scenarios import DemoScenario
    from ledgerfed.evaluation.federation import SimulatedFederation

SEED_FILE = "seed"
OWN = {"blobs", "bundles", "cursor.key", "devnet", "federation.json", "locks", "nodes", SEED_FILE}
"""What a demonstration leaves in its workspace, besides the files of the database."""


def run_demo(
    directory: Path,
    seed: int,
    rounds: int,
    rpc: str | None,
    scenario_name: str = "transit",
    *,
    fresh: bool,
    as_json: bool,
) -> int:
    """Run the demonstration in `directory`, or go on where an earlier run stopped; return the exit code."""
    from ledgerfed.evaluation.demo_scenarios import find_scenario

    scenario = find_scenario(scenario_name)
    _claim(directory, f"{seed} {scenario.name}", fresh=fresh)
    if sys.stderr.isatty():
        sys.stderr.write("starting the chain and the nodes\n")
    from ledgerfed.audit import write_bundle
    from ledgerfed.cli.history import gas_by_round, read_history
    from ledgerfed.cli.workspace import chain_of
    from ledgerfed.evaluation.demo import errors_of_nodes, mean_errors
    from ledgerfed.ledger.rpc import JsonRpc

    with chain_of(directory, rpc) as url, _federation(directory, url, seed, rounds, scenario) as federation:
        chain, deployed_in = JsonRpc(url), federation.record.deployed_in
        history = read_history(federation.ledger, chain, deployed_in, federation.fetch)
        deployment, gas = gas_by_round(federation.ledger, chain, deployed_in)
        bundle = directory / "bundles" / f"round-{federation.agents[0].view.round - 1:04d}.zip"
        bundle.parent.mkdir(exist_ok=True)
        write_bundle(history, bundle)
        _index(federation, history, chain)
        errors = errors_of_nodes(federation, scenario)
        reputations = [r.trainer.value / 65536 for r in federation.agents[0].reputations()]
        report = _verify(bundle, federation)
    document = {
        "scenario": scenario.name,
        "contract": "0x" + history.federation.contract.hex(),
        "chain_id": history.federation.chain_id,
        "rounds": [{**r.document(), "gas": gas.get(r.number, {})} for r in report.rounds],
        "deployment_gas": deployment,
        "reputations": [round(value, 6) for value in reputations],
        "errors": {method: round(value, 6) for method, value in mean_errors(errors).items()},
        "bundle": str(bundle),
        "verified": report.passed,
    }
    emit(document, as_json=as_json, lines=_lines(document, errors, report, directory, scenario))
    return 0 if report.passed else VerificationError.exit_code


def _claim(directory: Path, seed: str, *, fresh: bool) -> None:
    """Make the workspace, or make sure that it belongs to a demonstration with this seed and scenario."""
    mark = directory / SEED_FILE
    if directory.exists() and not mark.exists() and any(directory.iterdir()):
        raise ConfigurationError(f"{directory} holds something else; choose another directory with --dir")
    if fresh and mark.exists():
        _require_own(directory)
        shutil.rmtree(directory)
    directory.mkdir(parents=True, exist_ok=True)
    if not mark.exists():
        mark.write_text(f"{seed}\n", "ascii")
    found = mark.read_bytes().decode("ascii", "backslashreplace").strip()
    if found != seed:
        raise ConfigurationError(
            f"{directory} holds the demonstration with seed {found or 'unknown'}, not {seed}; "
            "give those, another --dir, or --fresh to start over"
        )


def _require_own(directory: Path) -> None:
    names = sorted(entry.name for entry in directory.iterdir() if entry.name not in OWN)
    if strange := [name for name in names if not name.startswith(("ledgerfed.sqlite", ".federation.json"))]:
        raise ConfigurationError(
            f"{directory} holds something else too: {strange[0]}; move it away, or choose another --dir"
        )


@contextmanager
def _federation(
    directory: Path, url: str, seed: int, rounds: int, scenario: DemoScenario
) -> Iterator[SimulatedFederation]:
    """Yield the federation after its rounds, shown as they happen."""
    from ledgerfed.cli.live import Watcher
    from ledgerfed.evaluation.demo import demo_config, demo_members
    from ledgerfed.evaluation.federation import SimulatedFederation

    members = demo_members(seed, scenario)
    watcher = Watcher(
        [m.panel.name for m in members], [m.family for m in members], [m.attack for m in members], rounds
    )
    config = demo_config(len(members), scenario)
    with SimulatedFederation(
        directory, url, config, members, scenario.basis, watcher.told, scenario.windows
    ) as federation:
        with watcher.watching():
            for number in range(1, rounds + 1):
                federation.run(number)
                for manifest in federation.agents[0].manifests()[-1:]:
                    if manifest.round == number:  # neither aborted nor of a run before this one's
                        watcher.certified(manifest)
        yield federation


def _index(federation: SimulatedFederation, history: FederationHistory, chain: Any) -> None:
    """Bring the workspace's index up to date, so that it can be served and exported."""
    from ledgerfed.observer import Finality, observe
    from ledgerfed.observer.ledger_source import LedgerSource

    for blob in (history.config, *history.blobs.values()):
        federation.index.blobs.put(blob)
    source = LedgerSource(federation.ledger, chain)
    record = federation.record
    observe(federation.index, source, record.federation, record.deployed_in, Finality(0)).advance()


def _verify(bundle: Path, federation: SimulatedFederation) -> AuditReport:
    """Verify the bundle against what is known without it: rules, members, the chain's transcript."""
    from ledgerfed.audit import TrustInputs, verify_bundle

    trust = TrustInputs(
        config_hash=federation.config.hash(),
        members=tuple(member.signer.address for member in federation.members),
        final_transcript=federation.ledger.transcript(),
    )
    return verify_bundle(bundle, trust)


def _lines(
    document: dict[str, Any],
    errors: tuple[NodeErrors, ...],
    report: AuditReport,
    directory: Path,
    scenario: DemoScenario,
) -> Iterator[str]:
    from ledgerfed.evaluation.demo import METHODS

    yield ""
    yield (
        f"contract {document['contract']} on chain {document['chain_id']}, "
        f"deployed for {document['deployment_gas']:,} gas"
    )
    for entry in document["rounds"]:
        rejected = ", ".join(f"{r['node']} {r['reason']}" for r in entry["rejected"]) or "none"
        gas = ", ".join(f"{kind} {used:,}" for kind, used in entry["gas"].items())
        yield f"round {entry['number']} {entry['phase']}: admitted {entry['admitted']}; not {rejected}"
        yield f"  model {entry['model_hash'][:18]}…  gas: {gas}"
    yield ""
    yield scenario.caption
    yield f"{'node':>4} {'':16}{'model':14}" + "".join(f"{method:>13}" for method in METHODS)
    for e in errors:
        hostile = f"  hostile: {e.attack}" if e.attack else ""
        yield f"{e.index:>4} {e.node:16}{e.family:14}" + _row(e.ratios, METHODS) + hostile
    yield f"{'':>4} {'honest nodes':16}{'geom. mean':14}" + _row(document["errors"], METHODS)
    values = "  ".join(f"{k}:{value:.2f}" for k, value in enumerate(document["reputations"]))
    yield f"reputations  {values}"
    yield ""
    yield from report.lines()
    yield ""
    yield f"bundle  {document['bundle']}"
    program = "ledgerfed" if shutil.which("ledgerfed") else sys.argv[0]
    yield f"serve   {program} serve --dir {directory}"
    yield "query   curl http://127.0.0.1:8080/v1/federations"
    yield f"export  {program} audit export --dir {directory} -o bundle.zip"
    yield f"verify  {program} audit verify {document['bundle']}"


def _row(ratios: Mapping[str, float], methods: Sequence[str]) -> str:
    return "".join(f"{ratios[method]:13.3f}" for method in methods)
