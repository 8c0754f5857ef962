"""The commands of `ledgerfed`, and how they end.

Exit codes: 0 ok, 1 unexpected, 2 usage or configuration, 3 verification failed, 4 not found, 5 conflict or
refused by the contract, 6 chain or peer unreachable, 8 timeout, 130 interrupted.
"""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException
from typer.main import get_command

from ledgerfed.cli import federation
from ledgerfed.errors import ConfigurationError, LedgerFedError

EPILOG = (
    "Exit codes: 0 ok, 1 unexpected, 2 usage or configuration, 3 verification failed, 4 not found, "
    "5 conflict or refused by the contract, 6 chain unreachable, 8 timeout, 130 interrupted."
)
app = typer.Typer(
    name="ledgerfed",
    help="Federated forecasting with no trusted server.",
    epilog=EPILOG,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=True,
)
audit_app = typer.Typer(no_args_is_help=True, help="Export a federation's history, and verify one offline.")
app.add_typer(audit_app, name="audit")
app.add_typer(federation.key_app, name="key")
app.add_typer(federation.epoch_app, name="epoch")
app.add_typer(federation.owner_app, name="owner")
app.command()(federation.deploy)
app.command()(federation.node)

Workspace = Annotated[Path, typer.Option("--dir", help="Workspace directory.", file_okay=False)]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object as the last line of stdout.")]
DEFAULT_WORKSPACE = Path("ledgerfed-demo")
DEFAULT_EVALUATION = Path("ledgerfed-evaluation")
DEFAULT_DEVNET = Path(".ledgerfed/devnet")
INTERRUPTED = 130


@app.command()
def demo(
    directory: Workspace = DEFAULT_WORKSPACE,
    seed: Annotated[
        int, typer.Option(min=0, max=(1 << 64) - 1, help="Decides keys, attackers and noise.")
    ] = 0,
    rounds: Annotated[int, typer.Option(min=1, max=1000, help="How many rounds to run.")] = 3,
    rpc: Annotated[
        str | None, typer.Option(help="A development chain by URL instead of the embedded one.")
    ] = None,
    scenario: Annotated[str, typer.Option(help="transit, health or industry.")] = "transit",
    fresh: Annotated[bool, typer.Option("--fresh", help="Start over in an existing workspace.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a federation of eight nodes, two of them hostile, and verify its history offline.

    Example: ledgerfed demo --seed 7 --dir /tmp/federation
    """
    from ledgerfed.cli.demo import run_demo

    raise typer.Exit(run_demo(directory, seed, rounds, rpc, scenario, fresh=fresh, as_json=as_json))


@app.command()
def evaluate(
    scenario: Annotated[
        str,
        typer.Option(help="health, industry, transit, with --attacks digits; all; or a case by name."),
    ] = "all",
    seeds: Annotated[
        int, typer.Option(min=1, max=100, help="How often model families are dealt out anew.")
    ] = 1,
    directory: Annotated[
        Path, typer.Option("--dir", help="Where results are kept.", file_okay=False)
    ] = DEFAULT_EVALUATION,
    workers: Annotated[int, typer.Option(min=0, max=64, help="Processes; 0 for one per processor core.")] = 0,
    plots: Annotated[bool, typer.Option("--plots", help="Draw pictures too (extra `plots`).")] = False,
    check: Annotated[
        Path | None, typer.Option(help="Compare with committed results; exit 3 if they differ.")
    ] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what an earlier run computed.")] = False,
    attacks: Annotated[
        bool,
        typer.Option("--attacks", help="Let hostile nodes attack; search for their worst."),
    ] = False,
    quick: Annotated[
        bool, typer.Option("--quick", help="With --attacks: fewer strengths and nodes drawn once.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Compare this federation with other ways to forecast, on real data, and with what it is held to.

    Example: ledgerfed evaluate --scenario transit --plots
    """
    from ledgerfed.cli.evaluate import run_evaluate

    if attacks:
        from ledgerfed.cli.attacks import run_attacks

        raise typer.Exit(
            run_attacks(
                scenario,
                directory,
                workers,
                check,
                quick=quick,
                plots=plots,
                fresh=fresh,
                as_json=as_json,
            )
        )
    if quick:
        raise ConfigurationError("--quick is for --attacks; the comparison has no quick form")

    code = run_evaluate(scenario, seeds, directory, workers, check, plots=plots, fresh=fresh, as_json=as_json)
    raise typer.Exit(code)


@app.command()
def devnet(
    directory: Annotated[
        Path, typer.Option("--dir", help="Where the chain lives.", file_okay=False)
    ] = DEFAULT_DEVNET,
    in_memory: Annotated[bool, typer.Option("--in-memory", help="Keep nothing.")] = False,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0 takes a free one.")] = 8545,
    block_time: Annotated[
        float | None, typer.Option(help="Seconds between blocks; default: a block per transaction.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Run the development chain until interrupted.

    Example: ledgerfed devnet --dir chain --port 8545
    """
    from chain_devnet.cli import run as run_devnet

    place = None if in_memory else directory
    raise typer.Exit(run_devnet(place, host, port, block_time=block_time, as_json=as_json))


@app.command()
def serve(
    directory: Workspace = DEFAULT_WORKSPACE,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="TCP port; 0 takes a free one.")] = 8080,
    rpc: Annotated[str | None, typer.Option(help="Follow this chain while serving.")] = None,
    finality: Annotated[
        str,
        typer.Option(
            envvar="LEDGERFED_FINALITY",
            help="How many blocks make a block final, or the chain's tag: safe, finalized.",
        ),
    ] = "1",
    as_json: AsJson = False,
) -> None:
    """Serve the workspace's index over HTTP, read only.

    Example: ledgerfed serve --dir ledgerfed-demo --port 8080
    """
    from ledgerfed.cli.serve import run_serve

    raise typer.Exit(run_serve(directory, host, port, rpc, finality, as_json=as_json))


@audit_app.command("export")
def audit_export(
    directory: Workspace = DEFAULT_WORKSPACE,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Where the bundle goes; default: the workspace.")
    ] = None,
    rpc: Annotated[
        str | None, typer.Option(help="The chain by URL; default: the workspace's embedded one.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Write the audit bundle of the workspace's federation, read afresh from its chain.

    Example: ledgerfed audit export --dir ledgerfed-demo -o bundle.zip
    """
    from ledgerfed.cli.audit import run_export

    raise typer.Exit(run_export(directory, output, rpc, as_json=as_json))


@audit_app.command("verify")
def audit_verify(
    bundle: Annotated[Path, typer.Argument(help="The bundle to verify.")],
    genesis: Annotated[
        str | None, typer.Option(help="The genesis transcript that you know (0x, 32 bytes).")
    ] = None,
    config_hash: Annotated[
        str | None, typer.Option(help="The configuration hash that you know (0x, 32 bytes).")
    ] = None,
    members: Annotated[
        str | None, typer.Option(help="The addresses that you know, by index, separated by commas.")
    ] = None,
    code_hash: Annotated[
        str | None, typer.Option(help="The keccak-256 of the contract's code that you know.")
    ] = None,
    transcript: Annotated[
        str | None, typer.Option(help="The transcript that the chain holds now (0x, 32 bytes).")
    ] = None,
    page: Annotated[Path | None, typer.Option("--html", help="Write the report as a page, too.")] = None,
    as_json: AsJson = False,
) -> None:
    """Verify a bundle offline, step by step; exit 0 only if every step holds, 3 if one fails.

    Example: ledgerfed audit verify bundle.zip --genesis 0x…
    """
    from ledgerfed.cli.audit import run_verify

    trust = {
        "genesis_transcript": genesis,
        "config_hash": config_hash,
        "members": members,
        "contract_code_hash": code_hash,
        "final_transcript": transcript,
    }
    raise typer.Exit(run_verify(bundle, trust, page, as_json=as_json))


@app.command()
def version(as_json: AsJson = False) -> None:
    """Print the version of this program and of the protocol it speaks."""
    from importlib.metadata import version as version_of

    from ledgerfed.cli.output import emit
    from ledgerfed.protocol.configuration import PROTOCOL

    found = {"ledgerfed": version_of("ledgerfed"), "protocol": PROTOCOL}
    emit(found, as_json=as_json, lines=[f"ledgerfed {found['ledgerfed']}, protocol {PROTOCOL}"])


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; an error is one line on stderr."""
    _write_anywhere()
    try:
        code = get_command(app).main(args=arguments, prog_name="ledgerfed", standalone_mode=False)
    except TyperException as error:
        what = error.format_message()  # empty when the help was shown instead
        return _fail(f"{what}; see --help", error.exit_code) if what else error.exit_code
    except LedgerFedError as error:
        return _fail(str(error), error.exit_code)
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    except OSError as error:
        return _fail(str(error), ConfigurationError.exit_code)
    if code == INTERRUPTED:  # typer makes this code of a Ctrl-C, and says nothing
        return _fail("interrupted; the same command goes on where it stopped", INTERRUPTED)
    return int(code or 0)


def _write_anywhere() -> None:
    """Let no terminal's encoding and no closed stream end a command that has done its work."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115
        elif isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace" if name == "stderr" else "replace")


def _fail(message: str, code: int) -> int:
    sys.stderr.write(f"ledgerfed: {' '.join(message.split())}\n")
    return code
