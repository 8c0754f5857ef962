"""Memory and disk of a chain that grows, measured in a process that does nothing else.

`python tests/benchmarks/chain_memory.py 1000 10000` prints one JSON line for each height: blocks, resident
bytes, bytes on disk, seconds. Every block holds one commitment.
"""

from __future__ import annotations

import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from chain_workload import DEPLOYMENT_GAS, Sender, bytecode, sign

from chain_devnet import Chain, ChainConfig, dev_accounts, open_chain
from chain_devnet.pyevm import PyEvmBackend

CHUNK = 250


def grow(chain: Chain, heights: Sequence[int]) -> Iterator[int]:
    """Let `chain` grow; yields each of `heights` when it is reached."""
    sender = deploy(chain)
    for height in heights:
        while (missing := height - chain.head.header.number) > 0:
            for raw in sender.commitments(min(missing, CHUNK)):
                chain.submit(raw)
        yield height


def deploy(chain: Chain) -> Sender:
    """A sender of commitments to a contract on `chain`, which is in this process."""
    account = dev_accounts()[0]
    raw = sign(account.key, chain.config.chain_id, 0, None, bytecode(), DEPLOYMENT_GAS)
    stored = chain.store.transaction(chain.submit(raw))
    if stored is None or stored.receipt.created is None:
        raise RuntimeError("the contract was not deployed")
    return Sender(account.key, chain.config.chain_id, stored.receipt.created, nonce=1)


def resident_bytes() -> int:
    """Memory of this process that is in RAM now (Linux)."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024
    raise RuntimeError("/proc/self/status has no VmRSS; memory is measured on Linux only")


def main(heights: Sequence[int]) -> None:
    """Print one line for each height."""
    with tempfile.TemporaryDirectory() as directory:
        chain = open_chain(Path(directory), ChainConfig(), PyEvmBackend())
        started = time.perf_counter()
        for height in grow(chain, heights):
            disk = sum(file.stat().st_size for file in Path(directory).iterdir())
            seconds = time.perf_counter() - started
            line = {"blocks": height, "resident": resident_bytes(), "disk": disk, "seconds": seconds}
            sys.stdout.write(f"{json.dumps(line)}\n")
            sys.stdout.flush()
        chain.close()


if __name__ == "__main__":
    main([int(height) for height in sys.argv[1:]])
