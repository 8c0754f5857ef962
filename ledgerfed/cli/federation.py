"""The commands of those who run a federation on a chain of their own: `deploy`, `node` and `key`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

key_app = typer.Typer(no_args_is_help=True, help="Make a key, and say whose it is.")

Rpc = Annotated[str, typer.Option("--rpc", help="The chain by URL (JSON-RPC over HTTP).")]
FederationPath = Annotated[Path, typer.Option("--federation", help="The federation file.", dir_okay=False)]
Keystore = Annotated[
    Path | None,
    typer.Option(help="The key, as a keystore v3 file; default: the key in LEDGERFED_PRIVATE_KEY."),
]
PasswordFile = Annotated[
    Path | None, typer.Option(help="A file with the keystore's password; default: ask the terminal.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON, one object a line.")]
DEFAULT_FEDERATION = Path("federation.json")


def deploy(
    rpc: Rpc,
    members: Annotated[
        list[str], typer.Option("--member", help="ADDRESS=URL of a member's node, once each, by index.")
    ],
    federation: FederationPath = DEFAULT_FEDERATION,
    config: Annotated[
        Path | None,
        typer.Option(help="The configuration as a JSON document; default: the demonstration's."),
    ] = None,
    windows: Annotated[
        str | None, typer.Option(help="Blocks of the windows: commit,force,score,certify,challenge.")
    ] = None,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    fund: Annotated[
        bool, typer.Option("--fund", help="Pay members and deployer from a development chain's account.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Found a federation: deploy its contract, and write the file that its members need.

    Example: ledgerfed deploy --rpc http://127.0.0.1:8545 --member 0x…=http://127.0.0.1:9100 … --fund
    """
    from ledgerfed.cli.deploy import run_deploy

    key = (keystore, password_file)
    raise typer.Exit(run_deploy(rpc, federation, members, config, windows, *key, fund=fund, as_json=as_json))


def node(
    rpc: Rpc,
    federation: FederationPath = DEFAULT_FEDERATION,
    index: Annotated[
        int | None, typer.Option(min=0, help="Registry index; default: that of the key.")
    ] = None,
    directory: Annotated[Path, typer.Option("--dir", help="What this node keeps.", file_okay=False)] = Path(
        "ledgerfed-node"
    ),
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    panel: Annotated[Path | None, typer.Option(help="The node's data: a CSV table.", dir_okay=False)] = None,
    known_ahead: Annotated[
        list[str] | None, typer.Option(help="A modality that is known before its time; once each.")
    ] = None,
    demo_station: Annotated[
        str | None, typer.Option(help="To try it: the riders of this station instead of --panel.")
    ] = None,
    rows: Annotated[str | None, typer.Option(help="Rows at the end of the data: holdout,train,test.")] = None,
    family: Annotated[str, typer.Option(help="The model family that it fits.")] = "ar",
    listen: Annotated[
        str | None, typer.Option(help="HOST:PORT to listen on; default: those of its URL.")
    ] = None,
    rounds: Annotated[int | None, typer.Option(min=1, help="End after this round; default: never.")] = None,
    poll: Annotated[float, typer.Option(min=0.01, help="Seconds between looks at the chain.")] = 1.0,
    as_json: AsJson = False,
) -> None:
    """Run one node. Ctrl-C or a crash loses nothing: the same command goes on.

    Example: ledgerfed node --rpc http://127.0.0.1:8545 --keystore key.json --panel load.csv
    """
    from ledgerfed.cli.node import NodeOptions, run_node

    options = NodeOptions(
        rpc,
        federation,
        index,
        directory,
        keystore,
        password_file,
        panel,
        tuple(known_ahead or ()),
        demo_station,
        rows,
        family,
        listen,
        rounds,
        poll,
    )
    raise typer.Exit(run_node(options, as_json=as_json))


@key_app.command("new")
def key_new(
    keystore: Annotated[Path, typer.Argument(help="Where the key goes; it must not exist yet.")],
    password_file: PasswordFile = None,
    as_json: AsJson = False,
) -> None:
    """Make a key, write it encrypted (keystore v3, the format of geth), and print its address.

    Example: ledgerfed key new keys/north.json --password-file north.password
    """
    from ledgerfed.cli.key import run_new

    raise typer.Exit(run_new(keystore, password_file, as_json=as_json))


@key_app.command("show")
def key_show(
    keystore: Annotated[Path | None, typer.Argument(help="The key file.")] = None,
    password_file: PasswordFile = None,
    as_json: AsJson = False,
) -> None:
    """Open a key and print its address.

    Example: ledgerfed key show keys/north.json
    """
    from ledgerfed.cli.key import run_show

    raise typer.Exit(run_show(keystore, password_file, as_json=as_json))
