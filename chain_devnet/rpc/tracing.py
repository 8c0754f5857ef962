"""debug_* methods: what the machine did, step by step or call by call, and raw bytes of the chain.

Source: ethereum/execution-apis (debug namespace), geth's struct logger and callTracer.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from chain_devnet.backend import Call, Environment, NodeSource
from chain_devnet.block import Header, encode_block
from chain_devnet.calls import ERROR_SELECTOR, PANIC_SELECTOR, priced, revert_message
from chain_devnet.chain import Chain
from chain_devnet.rpc import params as read
from chain_devnet.rpc import views
from chain_devnet.rpc.ledger import block_at, eth_get_raw_transaction_by_hash
from chain_devnet.rpc.states import affordable, call_of, deadline, override, state_view
from chain_devnet.store import StoredTransaction
from chain_devnet.tracing import CallRecorder, Frame, Step, StructOptions, StructRecorder, TraceOutcome
from chain_devnet.transaction import Transaction
from ledgerfed.errors import InvalidValueError, NotFoundError

TRACE_SECONDS = 20.0  # beyond what a call has: a transaction that was mined ran to its end
STRUCT_LOGGER, CALL_TRACER = "", "callTracer"


@dataclass(frozen=True, slots=True)
class TraceOptions:
    """How a trace is told."""

    tracer: str
    struct: StructOptions
    only_top: bool
    with_logs: bool


@dataclass(frozen=True, slots=True)
class Scene:
    """Where a traced transaction or call begins: a state, a block, and what ran in it before."""

    nodes: NodeSource
    state_root: bytes
    environment: Environment
    before: tuple[Transaction, ...] = ()


def debug_trace_transaction(chain: Chain, params: Sequence[object]) -> views.Json:
    """Run a mined transaction again and tell what it did."""
    wanted, config = read.arguments(params, 1, 2)
    options = _options(config)
    stored = chain.store.transaction(read.block_hash(wanted, "transaction hash"))
    if stored is None:
        raise NotFoundError("transaction not found; only mined transactions can be traced")
    mined = chain.store.transactions(stored.block_number)
    return _trace(chain, _scene(chain, mined, stored.position), stored.transaction, options)[0]


def debug_trace_block_by_number(chain: Chain, params: Sequence[object]) -> list[views.Json]:
    """Run all transactions of a block again and tell what each did."""
    wanted, config = read.arguments(params, 1, 2)
    return _trace_block(chain, read.state_header(chain, wanted), _options(config))


def debug_trace_block_by_hash(chain: Chain, params: Sequence[object]) -> list[views.Json]:
    """Run all transactions of a block again and tell what each did."""
    wanted, config = read.arguments(params, 1, 2)
    header = read.state_header(chain, {"blockHash": views.hex_data(read.block_hash(wanted))})
    return _trace_block(chain, header, _options(config))


def debug_trace_call(chain: Chain, params: Sequence[object]) -> views.Json:
    """Run a call on the state after a block, and tell what it did."""
    fields, block, config = read.arguments(params, 1, 3)
    given = {} if config is None else read.mapping(config, "trace configuration")
    view = override(state_view(chain, block), given.get("stateOverrides"), given.get("blockOverrides"))
    call = affordable(view, call_of(read.mapping(fields, "transaction"), chain.config.gas_limit))
    view = priced(view, call)
    return _trace(chain, Scene(view.nodes, view.state_root, view.environment), call, _options(config))[0]


def debug_get_raw_header(chain: Chain, params: Sequence[object]) -> str:
    """RLP of a block's header."""
    (wanted,) = read.arguments(params, 1, 1)
    return views.hex_data(_mined_header(chain, wanted).encode())


def debug_get_raw_block(chain: Chain, params: Sequence[object]) -> str:
    """RLP of a whole block."""
    (wanted,) = read.arguments(params, 1, 1)
    header = _mined_header(chain, wanted)
    mined = chain.store.transactions(header.number)
    return views.hex_data(encode_block(header, [stored.transaction for stored in mined]))


def debug_get_raw_receipts(chain: Chain, params: Sequence[object]) -> list[str]:
    """Consensus bytes of a block's receipts."""
    (wanted,) = read.arguments(params, 1, 1)
    header = _mined_header(chain, wanted)
    return [views.hex_data(stored.receipt.encode()) for stored in chain.store.transactions(header.number)]


def debug_get_raw_transaction(chain: Chain, params: Sequence[object]) -> str:
    """The signed bytes of a transaction, mined or waiting."""
    raw = eth_get_raw_transaction_by_hash(chain, params)
    if raw is None:
        raise NotFoundError("transaction not found")
    return raw


def _scene(chain: Chain, mined: Sequence[StoredTransaction], position: int) -> Scene:
    number = mined[position].block_number
    block, parent = block_at(chain, number), block_at(chain, number - 1)
    if block is None or parent is None:
        raise NotFoundError(f"block {number} is not in this chain")
    view = chain.view(block.header)
    before = tuple(stored.transaction for stored in mined[:position])
    return Scene(view.nodes, chain.state_root(parent.header), view.environment, before)


def _trace_block(chain: Chain, header: Header | None, options: TraceOptions) -> list[views.Json]:
    if header is None or header.number == 0:
        raise NotFoundError("the genesis block and the pending one have no transactions to trace")
    mined = chain.store.transactions(header.number)
    traces: list[views.Json] = []
    size = 0
    for stored in mined:
        scene = _scene(chain, mined, stored.position)
        result, size = _trace(chain, scene, stored.transaction, options, size)
        traces.append({"txHash": views.hex_data(stored.transaction.hash), "result": result})
    return traces


def _trace(
    chain: Chain, scene: Scene, traced: Transaction | Call, options: TraceOptions, size: int = 0
) -> tuple[views.Json, int]:
    """The trace as JSON, and its size with the `size` of those that are told with it."""
    place = (scene.nodes, scene.state_root, scene.environment, scene.before, traced)
    end = deadline() + TRACE_SECONDS
    if options.tracer == CALL_TRACER:
        calls = CallRecorder()
        outcome = chain.backend.trace(*place, calls, end)
        return _call_tree(calls.root, traced, outcome, options), size
    steps = StructRecorder(options.struct, size)
    outcome = chain.backend.trace(*place, steps, end)
    told: views.Json = {
        "gas": outcome.gas_used,
        "failed": outcome.failed,
        "returnValue": views.hex_data(outcome.output),
        "structLogs": [_step_json(step) for step in steps.steps],
    }
    return told, steps.size


def _step_json(step: Step) -> views.Json:
    shown: views.Json = {
        "pc": step.pc,
        "op": step.op,
        "gas": step.gas,
        "gasCost": step.gas_cost,
        "depth": step.depth,
        "refund": step.refund,
    }
    if step.error is not None:
        shown["error"] = step.error
    if step.stack is not None:
        shown["stack"] = [hex(word) for word in step.stack]
    if step.memory is not None:
        shown["memory"] = [f"0x{step.memory[at : at + 32].hex()}" for at in range(0, len(step.memory), 32)]
    if step.return_data is not None:
        shown["returnData"] = views.hex_data(step.return_data)
    if step.storage is not None:
        shown["storage"] = {f"{slot:#066x}": f"{word:#066x}" for slot, word in step.storage.items()}
    return shown


def _call_tree(
    root: Frame | None, traced: Transaction | Call, outcome: TraceOutcome, options: TraceOptions
) -> views.Json:
    if root is None:
        raise InvalidValueError("the call was refused before any code ran: intrinsic gas too low")
    # The outermost frame stands for the whole transaction, with its intrinsic gas.
    whole = replace(root, gas=traced.gas, gas_used=outcome.gas_used)
    return _frame_json(whole, options)


def _frame_json(frame: Frame, options: TraceOptions) -> views.Json:
    shown: views.Json = {
        "from": views.hex_data(frame.sender),
        "gas": hex(frame.gas),
        "gasUsed": hex(frame.gas_used),
        "to": views.hex_data(frame.to),
        "input": views.hex_data(frame.input),
        "type": frame.kind,
    }
    if frame.kind not in ("STATICCALL", "DELEGATECALL"):
        shown["value"] = hex(frame.value)
    if frame.output:
        shown["output"] = views.hex_data(frame.output)
    if frame.error is not None:
        shown["error"] = frame.error
        if frame.output[:4] in (ERROR_SELECTOR, PANIC_SELECTOR):
            shown["revertReason"] = revert_message(frame.output).removeprefix("execution reverted: ")
    if options.with_logs and frame.logs:
        shown["logs"] = [views.bare_log_json(log) for log in frame.logs]
    if frame.calls and not options.only_top:
        shown["calls"] = [_frame_json(call, options) for call in frame.calls]
    return shown


def _options(config: object) -> TraceOptions:
    given = {} if config is None else read.mapping(config, "trace configuration")
    tracer = given.get("tracer") or STRUCT_LOGGER
    if tracer not in (STRUCT_LOGGER, CALL_TRACER):
        raise InvalidValueError(f"unknown tracer; leave it out for the struct log, or use {CALL_TRACER}")
    own = given.get("tracerConfig")
    details = {} if own is None else read.mapping(own, "tracerConfig")
    limit = given.get("limit")
    return TraceOptions(
        str(tracer),
        StructOptions(
            stack=not read.flag(given.get("disableStack"), "disableStack"),
            storage=not read.flag(given.get("disableStorage"), "disableStorage"),
            memory=read.flag(given.get("enableMemory"), "enableMemory"),
            return_data=read.flag(given.get("enableReturnData"), "enableReturnData"),
            limit=0 if limit is None else read.quantity(limit, "limit"),
        ),
        only_top=read.flag(details.get("onlyTopCall"), "onlyTopCall"),
        with_logs=read.flag(details.get("withLog"), "withLog"),
    )


def _mined_header(chain: Chain, wanted: object) -> Header:
    header = read.state_header(chain, wanted)
    if header is None:
        raise InvalidValueError("the pending block has no bytes yet; use latest or a number")
    return header


METHODS: dict[str, Callable[[Chain, Sequence[object]], object]] = {
    "debug_traceTransaction": debug_trace_transaction,
    "debug_traceBlockByNumber": debug_trace_block_by_number,
    "debug_traceBlockByHash": debug_trace_block_by_hash,
    "debug_traceCall": debug_trace_call,
    "debug_getRawHeader": debug_get_raw_header,
    "debug_getRawBlock": debug_get_raw_block,
    "debug_getRawReceipts": debug_get_raw_receipts,
    "debug_getRawTransaction": debug_get_raw_transaction,
}
