"""What an evaluation found, as documents of plain numbers and as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, Final

from ledgerfed.evaluation.compare import Row
from ledgerfed.evaluation.guarantees import Exactness, Harm

DIGITS: Final = 6
COLUMNS: Final = {
    "ratio": "RMSE / naive",
    "to_own": "to own",
    "no_worse": "no worse",
    "worst": "worst",
    "p90": "p90",
    "better": "better",
    "mase": "MASE",
    "pinball": "pinball",
    "crps": "CRPS",
    "coverage_80": "cov. 80",
    "coverage_95": "cov. 95",
    "gini": "Gini",
    "jain": "Jain",
    "rounds": "rounds",
    "bytes_up": "B up",
    "bytes_down": "B down",
    "wire_up": "wire up",
}
"""The columns of the table: the key in a row's document, and its heading."""


def row_document(row: Row) -> dict[str, Any]:
    """Return a row as plain numbers, rounded to DIGITS; the errors of single rows are left out."""
    nodes = [
        {
            "node": s.node,
            "family": s.family,
            "ratio": _rounded(s.ratio),
            "to_own": _rounded(r),
            "rows": s.rows,
        }
        for s, r in zip(row.nodes, row.to_own_by_node, strict=True)
    ]
    return {
        "case": row.case,
        "method": row.method,
        "seed": row.seed,
        "horizon": row.horizon,
        "ratio": _rounded(row.ratio),
        "to_own": _rounded(row.to_own),
        **{name: _rounded(value) for name, value in asdict(row.fairness).items()},
        "better": row.better,
        "mase": _rounded(row.mase),
        "pinball": _rounded(row.pinball),
        "crps": _rounded(row.crps),
        "coverage_80": _rounded(row.coverage[0]),
        "coverage_95": _rounded(row.coverage[1]),
        "rounds": row.rounds,
        "bytes_up": row.bytes_up,
        "bytes_down": row.bytes_down,
        "wire_up": row.wire_up,
        "notes": {name: _rounded(value) for name, value in row.notes.items()},
        "nodes": nodes,
    }


def times_document(row: Row) -> dict[str, float]:
    """Return what fitting and fusing took, in seconds: of this machine, so no part of the comparison."""
    return {"fit_seconds": row.fit_seconds, "fuse_seconds": row.fuse_seconds}


def guarantee_document(found: Exactness | Harm) -> dict[str, Any]:
    """Return a guarantee as plain numbers, with three significant digits where they are differences."""
    return {name: float(f"{v:.3g}") if isinstance(v, float) else v for name, v in asdict(found).items()}


def as_text(rows: Sequence[Mapping[str, Any]]) -> Iterable[str]:
    """Return the rows as the lines of a table, a case after the other."""
    title = ""
    for row in rows:
        if (heading := case_title(row)) != title:
            title = heading
            yield f"\n{title}"
            yield f"{'':26}" + "".join(f"{name:>13}" for name in COLUMNS.values())
        yield f"{row['method']:26}" + "".join(f"{_cell(row[key]):>13}" for key in COLUMNS)


def as_csv(rows: Sequence[Mapping[str, Any]]) -> str:
    """Return the rows as comma-separated values (RFC 4180), a header first."""
    out = io.StringIO()
    writer = csv.writer(out)
    keys = ("case", "seed", "horizon", "method", *COLUMNS)
    writer.writerow(keys)
    writer.writerows([row[key] for key in keys] for row in rows)
    return out.getvalue()


def as_markdown(rows: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> Iterable[str]:
    """Return the rows as one table for a page, with the columns `keys` of COLUMNS."""
    yield "| case | method | " + " | ".join(COLUMNS[key] for key in keys) + " |"
    yield "|---|---|" + "---|" * len(keys)
    for row in rows:
        cells = " | ".join(_cell(row[key]) for key in keys)
        yield f"| {case_title(row)} | {row['method']} | {cells} |"


def case_title(row: Mapping[str, Any]) -> str:
    """Return how a row's case is called: its name, the horizon beyond one step, the seed beyond 0."""
    ahead = f", {row['horizon']} steps ahead" if row["horizon"] > 1 else ""
    return f"{row['case']}{ahead}" + (f", seed {row['seed']}" if row["seed"] else "")


def _cell(value: float | int) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:.3f}"


def _rounded(value: float) -> float:
    return round(float(value), DIGITS)
