"""`ledgerfed devnet`: the development chain as a command."""

from __future__ import annotations

from pathlib import Path


def run_devnet(
    directory: Path | None, host: str, port: int, block_time: float | None, *, in_memory: bool
) -> int:
    """Run `chain_devnet` with these options until interrupted; return the exit code."""
    from chain_devnet.cli import main

    arguments = ["--host", host, "--port", str(port)]
    if directory is not None:
        arguments += ["--dir", str(directory)]
    if block_time is not None:
        arguments += ["--block-time", str(block_time)]
    if in_memory:
        arguments.append("--in-memory")
    return main(arguments)
