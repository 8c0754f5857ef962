"""How fast chain_devnet commits, next to eth-tester and anvil, in one run: `make bench-chain`.

A commitment is a contract call that writes one storage slot and emits one event. It counts when its receipt
was read and says success. Transactions are signed beforehand. Rates on a shared machine vary; the ratios,
taken round by round from chains that take turns, say more. Nothing is asserted here.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from chain_memory import deploy
from chain_targets import anvil, devnet, eth_tester
from chain_workload import Sender, bytecode, in_batches, one_by_one, prepare
from rich.console import Console
from rich.table import Table

from chain_devnet import Chain, ChainConfig, open_chain
from chain_devnet.pyevm import PyEvmBackend

REFERENCE = "eth-tester, in process, one by one"
GOALS = {
    "chain_devnet, HTTP, batches": "at least 4 x eth-tester",
    "chain_devnet, raw, one a block": "",
    "chain_devnet, raw, many a block": "at least 450 a second",
}


@dataclass(frozen=True, slots=True)
class Contender:
    """A way to commit: its name, who signs, and what takes the signed transactions."""

    name: str
    sender: Sender
    commit: Callable[[Sequence[bytes]], object]


@dataclass(frozen=True, slots=True)
class Line:
    """A contender's median rate (commitments a second) and median ratio to the reference."""

    name: str
    rate: float
    ratio: float


def main(argv: Sequence[str] | None = None) -> None:
    """Measure and print."""
    options = _parser().parse_args(argv)
    with ExitStack() as stack:
        contenders = stack.enter_context(_contenders(options.batch))
        lines = measure(contenders, options.transactions, options.rounds)
    growth = _growth(options.blocks)
    if options.json:
        document = {"commits": [_fields(line) for line in lines], "growth": growth}
        sys.stdout.write(f"{json.dumps(document, indent=2)}\n")
        return
    console = Console()
    console.print(_throughput_table(lines, options))
    console.print(_growth_table(growth))


def measure(contenders: Sequence[Contender], count: int, rounds: int) -> list[Line]:
    """Let all contenders commit `count` transactions in turn, `rounds` times after a warm-up."""
    rates: dict[str, list[float]] = {contender.name: [] for contender in contenders}
    for turn in range(rounds + 1):
        for contender in contenders:
            raws = contender.sender.commitments(count)
            started = time.perf_counter()
            contender.commit(raws)
            if turn:
                rates[contender.name].append(count / (time.perf_counter() - started))
    reference = rates[REFERENCE]
    return [
        Line(name, median(found), median(a / b for a, b in zip(found, reference, strict=True)))
        for name, found in rates.items()
    ]


@contextmanager
def _contenders(batch: int) -> Iterator[list[Contender]]:
    code = bytecode()
    with ExitStack() as stack:
        tester, served, other = (stack.enter_context(chain()) for chain in (eth_tester, devnet, anvil))
        tester_sender, served_sender, other_sender = (prepare(web3, code) for web3 in (tester, served, other))
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        raw = open_chain(directory, ChainConfig(), PyEvmBackend())
        stack.callback(raw.close)
        raw_sender = deploy(raw)
        yield [
            Contender(REFERENCE, tester_sender, lambda raws: one_by_one(tester, raws)),
            Contender("chain_devnet, HTTP, one by one", served_sender, lambda raws: one_by_one(served, raws)),
            Contender(
                "chain_devnet, HTTP, batches", served_sender, lambda raws: in_batches(served, raws, batch)
            ),
            Contender("anvil, HTTP, one by one", other_sender, lambda raws: one_by_one(other, raws)),
            Contender("anvil, HTTP, batches", other_sender, lambda raws: in_batches(other, raws, batch)),
            Contender("chain_devnet, raw, one a block", raw_sender, lambda raws: _each(raw, raws)),
            Contender("chain_devnet, raw, many a block", raw_sender, lambda raws: _together(raw, raws)),
        ]


def _each(chain: Chain, raws: Sequence[bytes]) -> None:
    _expect_receipts(chain, [chain.submit(raw) for raw in raws])


def _together(chain: Chain, raws: Sequence[bytes]) -> None:
    _expect_receipts(chain, chain.submit_each(raws))


def _expect_receipts(chain: Chain, hashes: Sequence[object]) -> None:
    for tx_hash in hashes:
        stored = chain.store.transaction(tx_hash) if isinstance(tx_hash, bytes) else None
        if stored is None or stored.receipt.status != 1:
            raise RuntimeError(f"commitment {tx_hash!r} failed; the figures mean nothing")


def _growth(blocks: int) -> list[dict[str, float]]:
    heights = [height for height in (1_000, 10_000, 100_000) if height < blocks] + [blocks]
    command = [sys.executable, str(Path(__file__).with_name("chain_memory.py")), *map(str, heights)]
    ended = subprocess.run(command, capture_output=True, text=True, check=True)
    return [json.loads(line) for line in ended.stdout.splitlines()]


def _fields(line: Line) -> dict[str, Any]:
    return {"name": line.name, "per_second": round(line.rate, 1), "ratio": round(line.ratio, 2)}


def _throughput_table(lines: Sequence[Line], options: argparse.Namespace) -> Table:
    title = (
        f"Commitments with receipt: median of {options.rounds} rounds of {options.transactions}, "
        f"batches of {options.batch}"
    )
    table = Table("chain, way", title=title)
    table.add_column("a second", justify="right")
    table.add_column("x eth-tester", justify="right")
    table.add_column("goal")
    for line in lines:
        table.add_row(line.name, f"{line.rate:,.0f}", f"{line.ratio:.2f}", GOALS.get(line.name, ""))
    return table


def _growth_table(growth: Sequence[dict[str, float]]) -> Table:
    table = Table(title="One chain that grows, a commitment in each block")
    for name in ("blocks", "resident MB", "on disk MB", "bytes a block", "commitments a second"):
        table.add_column(name, justify="right")
    for line in growth:
        table.add_row(
            f"{line['blocks']:,}",
            f"{line['resident'] / 1e6:.1f}",
            f"{line['disk'] / 1e6:.1f}",
            f"{line['disk'] / line['blocks']:,.0f}",
            f"{line['blocks'] / line['seconds']:,.0f}",
        )
    return table


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(description="Commit throughput and growth of chain_devnet.")
    parser.add_argument("--transactions", type=int, default=200, help="per round (%(default)s)")
    parser.add_argument("--rounds", type=int, default=3, help="after a warm-up (%(default)s)")
    parser.add_argument("--batch", type=int, default=100, help="requests in a batch (%(default)s)")
    parser.add_argument("--blocks", type=int, default=10_000, help="height of the long chain (%(default)s)")
    parser.add_argument("--json", action="store_true", help="print one JSON document")
    return parser


if __name__ == "__main__":
    main()
