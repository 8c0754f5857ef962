"""The table as a program of its own.

python -m ledgerfed.evaluation.digits.table [--seeds 2] [--quick] [--only DEFENCE] [--json]
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Sequence
from multiprocessing import get_context

from ledgerfed.evaluation.digits.defences import DEFENCES
from ledgerfed.evaluation.digits.parts import digit_parts, digits_summary, do_digits
from ledgerfed.evaluation.digits.summary import as_markdown

PROCESSES = 2


def main(arguments: Sequence[str] | None = None) -> int:
    """Print the table; return the exit code."""
    parser = argparse.ArgumentParser(prog="python -m ledgerfed.evaluation.digits.table")
    parser.add_argument("--seeds", type=int, default=2, help="runs of each attack")
    parser.add_argument(
        "--quick", action="store_true", help="the few attacks that were worst, 4 hostile nodes"
    )
    parser.add_argument("--only", choices=list(DEFENCES), help="one defence, all of its parts")
    parser.add_argument("--json", action="store_true", help="all trials as JSON")
    options = parser.parse_args(arguments)
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    with get_context("spawn").Pool(PROCESSES) as pool:
        parts = digit_parts(options.seeds, options.quick)
        chosen = [part for part in parts if options.only in (None, part.defence)]
        documents = pool.map(do_digits, chosen, chunksize=1)
    if options.json:
        sys.stdout.write(json.dumps(documents, indent=1) + "\n")
        return 0
    found = digits_summary(documents)
    sys.stdout.write("\n".join([*as_markdown(found["rows"]), "", *found["lines"]]) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
