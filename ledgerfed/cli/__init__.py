"""The command line. Each command imports what it needs when it runs, so that `--help` answers at once."""

from __future__ import annotations


def main() -> None:
    """Run the command line and exit with its code."""
    from ledgerfed.cli.app import run

    raise SystemExit(run())
