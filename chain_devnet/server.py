"""A devnet that runs inside another program: the chain and its HTTP server in a thread."""

from __future__ import annotations

import socket
import time
from collections.abc import Mapping
from pathlib import Path
from threading import Thread
from types import TracebackType

import uvicorn
from starlette.applications import Starlette

from chain_devnet.accounts import DevAccount, dev_accounts
from chain_devnet.chain import Chain, Clock
from chain_devnet.config import CHAIN_ID, GENESIS_TIME, ChainConfig
from chain_devnet.opening import open_chain
from chain_devnet.producer import IntervalProducer, Sealing, SealingProducer, checked_block_time
from chain_devnet.pyevm import PyEvmBackend
from chain_devnet.sealing import SealedChain
from chain_devnet.web import MAX_BODY_BYTES, build_app
from chain_devnet.websocket import SEND_SECONDS
from ledgerfed.errors import ConfigurationError, InvalidValueError

START_SECONDS = 10.0
DRAIN_SECONDS = 1
DEAD_PEER_MILLISECONDS = 60_000


class DevnetServer:
    """A chain behind JSON-RPC on `url`, from `start` (or `with`) to `stop`.

    Everything that can be wrong with the directory or the port is raised by `start`, before a thread runs.
    """

    def __init__(
        self,
        directory: Path | str | None = None,
        host: str = "127.0.0.1",
        port: int = 0,
        chain_id: int = CHAIN_ID,
        block_time: float | None = None,
        fund: Mapping[str, int] | None = None,
        genesis_time: int = GENESIS_TIME,
        clock: Clock | None = None,
        slow_client_seconds: float = SEND_SECONDS,
        sealing: Sealing | None = None,
    ) -> None:
        """Describe the devnet; nothing is opened yet.

        Args:
            directory: where the chain lives; None keeps it in memory.
            host: address to listen on.
            port: TCP port; 0 takes a free one.
            chain_id: EIP-155 chain id.
            block_time: seconds between blocks; None mines a block for every transaction.
            fund: wei for further addresses (0x strings) in the genesis block, beside the dev accounts.
            genesis_time: Unix time of block 0.
            clock: Unix time in seconds; None lets a logical second pass with each block.
            slow_client_seconds: how long a websocket client may take to read one message.
            sealing: who seals the blocks in turn, and this node's part in it; None for a single producer.

        Raises:
            InvalidValueError: a parameter is out of range.
        """
        if not 0 <= port < 65_536:
            raise InvalidValueError(f"port {port} does not exist; use 0 to 65535")
        self._directory = None if directory is None else Path(directory)
        self._host = host
        self._port = port
        self._block_time = checked_block_time(block_time)
        if sealing is not None and block_time is not None:
            raise InvalidValueError("a chain with signers has a period of its own; leave the block time away")
        self._sealing = sealing
        self._config = ChainConfig(
            chain_id=chain_id,
            genesis_time=genesis_time,
            fund={_address(name): amount for name, amount in (fund or {}).items()},
            authority=None if sealing is None else sealing.authority,
        )
        self._clock = clock
        self._slow_client_seconds = slow_client_seconds
        self._running: _Running | None = None

    @property
    def url(self) -> str:
        """Where the running server answers, such as http://127.0.0.1:8545."""
        return self._live().url

    @property
    def chain(self) -> Chain:
        """The running chain, for use without HTTP."""
        return self._live().chain

    @property
    def accounts(self) -> tuple[DevAccount, ...]:
        """The funded accounts with their public keys."""
        return dev_accounts()

    def start(self) -> None:
        """Open the chain and answer requests.

        Raises:
            ConfigurationError: the port is taken, or the directory holds another chain.
            StoreError: the directory cannot be used.
        """
        if self._running is not None:
            raise ConfigurationError("the devnet is running already; stop it first")
        listener = _listen(self._host, self._port)
        try:
            key = None if self._sealing is None else self._sealing.key
            chain = open_chain(self._directory, self._config, PyEvmBackend(), self._clock, key=key)
        except BaseException:
            listener.close()
            raise
        app = build_app(chain, self._slow_client_seconds)
        self._running = _Running(chain, app, listener, self._host, self._producer(chain))

    def _producer(self, chain: Chain) -> IntervalProducer | SealingProducer | None:
        if isinstance(chain, SealedChain):
            return SealingProducer(chain, () if self._sealing is None else self._sealing.peers)
        return None if self._block_time is None else IntervalProducer(chain, self._block_time)

    def stop(self) -> None:
        """Finish the requests in hand and release port and directory. Stopping twice is fine."""
        running, self._running = self._running, None
        if running is not None:
            running.close()

    def __enter__(self) -> DevnetServer:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def _live(self) -> _Running:
        if self._running is None:
            raise ConfigurationError("the devnet is not running; call start() or use it in a with statement")
        return self._running


class _Running:
    """The threads of a started devnet."""

    def __init__(
        self,
        chain: Chain,
        app: Starlette,
        listener: socket.socket,
        host: str,
        producer: IntervalProducer | SealingProducer | None,
    ) -> None:
        self.chain = chain
        self.url = f"http://{f'[{host}]' if ':' in host else host}:{listener.getsockname()[1]}"
        self._listener = listener
        self._producer = producer
        config = uvicorn.Config(
            app,
            lifespan="off",
            access_log=False,
            log_config=None,
            ws="websockets-sansio",
            ws_max_size=MAX_BODY_BYTES,
            ws_per_message_deflate=False,
            timeout_keep_alive=60,
            timeout_graceful_shutdown=DRAIN_SECONDS,
        )
        self._server = uvicorn.Server(config)
        self._thread = Thread(target=self._server.run, args=([listener],), name="chain-http", daemon=True)
        self._thread.start()
        self._await_start()
        if self._producer is not None:
            self._producer.start()

    def close(self) -> None:
        """Stop producing, then serving, then the store."""
        if self._producer is not None:
            self._producer.stop()
        self._server.should_exit = True
        self._thread.join()
        self._listener.close()
        self.chain.close()

    def _await_start(self) -> None:
        deadline = time.monotonic() + START_SECONDS
        while not self._server.started and self._thread.is_alive() and time.monotonic() < deadline:
            time.sleep(0.005)
        if not self._server.started:
            self.close()
            raise ConfigurationError(f"the server on {self.url} did not start; see the log")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # With the protocol named, asyncio sees TCP and switches Nagle off; otherwise each answer waits 40 ms.
    listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if hasattr(socket, "TCP_USER_TIMEOUT"):
            # A peer that takes nothing any more is dropped by the kernel, with what was written for it.
            listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, DEAD_PEER_MILLISECONDS)
        listener.bind((host, port))
        listener.listen(128)
    except OSError as error:
        listener.close()
        raise ConfigurationError(
            f"cannot listen on {host}:{port}: {error.strerror}; choose another port, or 0 for any free one"
        ) from error
    return listener


def _address(name: str) -> bytes:
    try:
        address = bytes.fromhex(name.removeprefix("0x"))
    except ValueError:
        address = b""
    if len(address) != 20:
        raise InvalidValueError(f"{name} is no address; expected 0x and 40 hex digits")
    return address
