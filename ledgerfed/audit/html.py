"""The report as one HTML page that needs nothing else: no script, no font, no network, everything escaped."""

from __future__ import annotations

from collections.abc import Iterable
from html import escape

from ledgerfed.audit.report import AuditReport, DisputeSummary, EpochSummary, RoundSummary
from ledgerfed.protocol.hashing import to_hex

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1c2128; }
body { margin: 2rem auto; max-width: 62rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; margin: 1rem 0 2rem; }
th, td { text-align: left; vertical-align: top; padding: .35rem .6rem; border-bottom: 1px solid #d0d7de; }
td.hash, .found { font-family: ui-monospace, monospace; font-size: 12px; overflow-wrap: anywhere; }
.PASS { color: #1a7f37; } .FAIL { color: #cf222e; } .SKIPPED { color: #6e7781; }
.verdict { border-left: 4px solid currentColor; padding: .5rem 1rem; font-weight: 600; }
"""


def html_report(report: AuditReport) -> str:
    """Return the page; opened from a file, it asks nobody for anything."""
    verdict = "PASS" if report.passed else "FAIL"
    digest = (
        "" if report.digest is None else f"<p class=found>SHA-256 of the archive: {report.digest.hex()}</p>"
    )
    steps = (
        f"<td>{step.number}</td><td>{escape(step.title)}</td>"
        f'<td class="{step.status.value}">{step.status.value}</td><td class=found>{escape(step.found)}</td>'
        for step in report.steps
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in report.notes)
    return (
        '<!doctype html><html lang=en><meta charset=utf-8><meta http-equiv="Content-Security-Policy" '
        "content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f"<title>Audit of {_federation(report)}</title><style>{_STYLE}</style>"
        f"<h1>Audit of {_federation(report)}</h1>"
        f'<p class="verdict {verdict}">{escape(report.verdict)}</p>{digest}'
        f"<h2>Steps</h2>{_table(('', 'step', 'result', 'found'), steps)}"
        f"<h2>Rounds</h2>{_table(_ROUND_HEAD, map(_round, report.rounds))}"
        f"{_section('Disputes', _DISPUTE_HEAD, map(_dispute, report.disputes))}"
        f"{_section('Epochs', _EPOCH_HEAD, map(_epoch, report.epochs))}"
        f"<h2>What this does not prove</h2><ul>{notes}</ul></html>\n"
    )


_ROUND_HEAD = ("round", "epoch", "end", "admitted", "not admitted", "model", "manifest", "transcript")
_DISPUTE_HEAD = ("block", "round", "what was proven", "what followed", "proof")
_EPOCH_HEAD = ("epoch", "from block", "rounds", "members", "committee", "quorum", "changes", "configuration")


def _federation(report: AuditReport) -> str:
    found = report.federation
    return "a broken bundle" if found is None else f"{to_hex(found.contract)} on chain {found.chain_id}"


def _table(head: Iterable[str], rows: Iterable[str]) -> str:
    cells = "".join(f"<th>{escape(name)}</th>" for name in head)
    return f"<table><tr>{cells}</tr>{''.join(f'<tr>{row}</tr>' for row in rows)}</table>"


def _section(title: str, head: Iterable[str], rows: Iterable[str]) -> str:
    """Return a headed table, or nothing for no rows."""
    found = list(rows)
    return f"<h2>{title}</h2>{_table(head, found)}" if found else ""


def _cells(texts: Iterable[object], hashes: Iterable[str]) -> str:
    plain = "".join(f"<td>{escape(str(text))}</td>" for text in texts)
    return plain + "".join(f"<td class=hash>{text}</td>" for text in hashes)


def _dispute(summary: DisputeSummary) -> str:
    texts = (summary.block, summary.round, summary.fault, summary.consequence)
    return _cells(texts, (to_hex(summary.proof),))


def _epoch(summary: EpochSummary) -> str:
    rounds = f"{summary.rounds[0]} to {summary.rounds[-1]}" if summary.rounds else "none yet"
    committee = ", ".join(map(str, summary.committee))
    who = (summary.members, committee, summary.quorum, summary.changes)
    return _cells((summary.number, summary.block, rounds, *who), (to_hex(summary.config_hash),))


def _round(summary: RoundSummary) -> str:
    rejected = ", ".join(f"{node}: {reason}" for node, reason in summary.rejected)
    manifest = "" if summary.manifest_hash is None else to_hex(summary.manifest_hash)
    hashes = (to_hex(summary.model_hash), manifest, to_hex(summary.transcript))
    admitted = ", ".join(map(str, summary.admitted))
    return _cells((summary.number, summary.epoch, _end(summary), admitted, rejected), hashes)


def _end(summary: RoundSummary) -> str:
    """Return how a round ended, in words."""
    fell = len(summary.fell)
    before = f", after {fell} certificate{'s' * (fell > 1)} that fell" if fell else ""
    until = summary.contestable_until
    after = "" if until is None else f"; can be disputed until block {until}"
    return "; ".join((summary.phase + before, *summary.findings)) + after
