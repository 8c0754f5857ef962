"""docs/devnet.md says what is served, and no other."""

from __future__ import annotations

from pathlib import Path

import pytest

from chain_devnet import filters, tracing, watches, websocket
from chain_devnet.rpc import dispatch, ledger, params, reading, states, subscriptions
from chain_devnet.rpc import tracing as rpc_tracing
from chain_devnet.rpc.reference import method_table, renewed
from chain_devnet.web import MAX_BODY_BYTES

PAGE = Path(__file__).parents[2] / "docs" / "devnet.md"
MIB = 1024 * 1024
MINUTES = filters.IDLE_SECONDS / 60


def test_the_table_of_methods_is_the_one_that_the_methods_make() -> None:
    page = PAGE.read_text("utf-8")
    assert page == renewed(page), "run: python -m chain_devnet.rpc.reference docs/devnet.md"
    for name in (*dispatch.METHODS, *dispatch.SESSION_METHODS):
        assert f"`{name}`" in method_table()


@pytest.mark.parametrize(
    ("limit", "value"),
    [
        ("body or websocket message", f"{MAX_BODY_BYTES // MIB} MiB"),
        ("nesting of JSON", f"{reading.MAX_NESTING}"),
        ("requests in a batch", f"{dispatch.MAX_BATCH:,}"),
        ("answer to a batch", f"{dispatch.MAX_REPLY_BYTES // MIB} MiB"),
        ("blocks in a log query", f"{params.MAX_LOG_RANGE:,}"),
        ("logs in an answer", f"{ledger.MAX_LOGS:,}"),
        ("alternatives in a place of a log filter", f"{params.MAX_ALTERNATIVES:,}"),
        (
            "installed filters",
            f"{filters.MAX_FILTERS:,}, each for {MINUTES:.0f} minutes after it was last polled",
        ),
        (
            "websocket connections; subscriptions on one",
            f"{websocket.MAX_CONNECTIONS}; {subscriptions.MAX_SUBSCRIPTIONS}",
        ),
        ("a client that does not read", f"{websocket.SEND_SECONDS:.0f} s"),
        ("trace", f"{tracing.MAX_TRACE_BYTES // MIB} MiB of steps, {tracing.MAX_FRAMES:,} calls"),
        (
            "execution of a call, an estimate; of a trace",
            f"{states.CALL_SECONDS:.0f} s; {states.CALL_SECONDS + rpc_tracing.TRACE_SECONDS:.0f} s",
        ),
        ("slots in a state override", f"{params.MAX_OVERRIDDEN_SLOTS:,}"),
        ("storage keys in a proof", f"{states.MAX_PROOF_KEYS:,}"),
    ],
)
def test_the_limits_are_those_of_the_code(limit: str, value: str) -> None:
    assert f"| {limit} | {value} |" in PAGE.read_text("utf-8")


def test_what_is_told_at_once_fits_one_answer() -> None:
    assert watches.MAX_LOGS_TOLD <= ledger.MAX_LOGS
