"""The commands of those who run a federation on a chain of their own: `deploy`, `node` and `key`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

key_app = typer.Typer(no_args_is_help=True, help="Make a key, and say whose it is.")
epoch_app = typer.Typer(no_args_is_help=True, help="Change members, committee and rules between rounds.")
owner_app = typer.Typer(no_args_is_help=True, help="Hand the ownership of a federation over, in two steps.")

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
    owner: Annotated[
        str | None,
        typer.Option(help="Who may propose epochs; default: nobody, and it never changes."),
    ] = None,
    leaves_on_chain: Annotated[
        bool, typer.Option("--leaves-on-chain", help="Seal with all leaves as calldata, for small models.")
    ] = False,
    fund: Annotated[
        bool, typer.Option("--fund", help="Pay members and deployer from a development chain's account.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Found a federation: deploy its contract, and write the file that its members need.

    Example: ledgerfed deploy --rpc http://127.0.0.1:8545 --member 0x…=http://127.0.0.1:9100 … --fund
    """
    from ledgerfed.cli.deploy import DeployOptions, run_deploy

    options = DeployOptions(
        rpc, federation, tuple(members), config, windows, owner, leaves_on_chain, keystore, password_file
    )
    raise typer.Exit(run_deploy(options, fund=fund, as_json=as_json))


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
    following: Annotated[
        list[Path] | None,
        typer.Option("--next", help="The federation file of an epoch to come; once each.", dir_okay=False),
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
        tuple(following or ()),
        rounds,
        poll,
    )
    raise typer.Exit(run_node(options, as_json=as_json))


OwnerDirectory = Annotated[
    Path, typer.Option("--dir", help="What the sender of these transactions keeps.", file_okay=False)
]
Following = Annotated[
    Path,
    typer.Argument(help="The federation file as it is to be: members, committee, rules.", dir_okay=False),
]
DEFAULT_OWNER = Path("ledgerfed-owner")


@epoch_app.command("show")
def epoch_show(rpc: Rpc, federation: FederationPath = DEFAULT_FEDERATION, as_json: AsJson = False) -> None:
    """Print the epoch, its committee and members, and what is announced.

    Example: ledgerfed epoch show --rpc http://127.0.0.1:8545
    """
    from ledgerfed.cli.epoch import run_show

    raise typer.Exit(run_show(rpc, federation, as_json=as_json))


@epoch_app.command("propose")
def epoch_propose(
    following: Following,
    rpc: Rpc,
    federation: FederationPath = DEFAULT_FEDERATION,
    directory: OwnerDirectory = DEFAULT_OWNER,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    as_json: AsJson = False,
) -> None:
    """Announce the next epoch; the owner's call. Copy the federation file, change it, and name the copy.

    Append a member to let it join, change an address for a new key, put the zero address for who leaves.

    Example: ledgerfed epoch propose next.json --rpc http://127.0.0.1:8545 --keystore owner.json
    """
    from ledgerfed.cli.epoch import OwnerOptions, run_propose

    options = OwnerOptions(rpc, federation, directory, keystore, password_file)
    raise typer.Exit(run_propose(options, following, as_json=as_json))


@epoch_app.command("open")
def epoch_open(
    following: Following,
    rpc: Rpc,
    federation: FederationPath = DEFAULT_FEDERATION,
    directory: OwnerDirectory = DEFAULT_OWNER,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    as_json: AsJson = False,
) -> None:
    """Begin the epoch that is due; anybody's call. Nodes do so by themselves.

    Example: ledgerfed epoch open next.json --rpc http://127.0.0.1:8545 --keystore key.json
    """
    from ledgerfed.cli.epoch import OwnerOptions, run_open

    options = OwnerOptions(rpc, federation, directory, keystore, password_file)
    raise typer.Exit(run_open(options, following, as_json=as_json))


@owner_app.command("propose")
def owner_propose(
    successor: Annotated[str, typer.Argument(help="Address of the next owner; zero takes it back.")],
    rpc: Rpc,
    federation: FederationPath = DEFAULT_FEDERATION,
    directory: OwnerDirectory = DEFAULT_OWNER,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    as_json: AsJson = False,
) -> None:
    """Name who may take over as owner.

    Example: ledgerfed owner propose 0x… --rpc http://127.0.0.1:8545 --keystore owner.json
    """
    from ledgerfed.cli.epoch import OwnerOptions, run_owner

    options = OwnerOptions(rpc, federation, directory, keystore, password_file)
    raise typer.Exit(run_owner(options, successor, as_json=as_json))


@owner_app.command("accept")
def owner_accept(
    rpc: Rpc,
    federation: FederationPath = DEFAULT_FEDERATION,
    directory: OwnerDirectory = DEFAULT_OWNER,
    keystore: Keystore = None,
    password_file: PasswordFile = None,
    as_json: AsJson = False,
) -> None:
    """Take over as owner, if the owner has named this key.

    Example: ledgerfed owner accept --rpc http://127.0.0.1:8545 --keystore new-owner.json
    """
    from ledgerfed.cli.epoch import OwnerOptions, run_owner

    options = OwnerOptions(rpc, federation, directory, keystore, password_file)
    raise typer.Exit(run_owner(options, None, as_json=as_json))


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
