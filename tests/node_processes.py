"""Chains, nodes and servers as a person starts them: processes of their own that print JSON."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

from client_programs import foundry_program
from command_line import PROGRAM, Ended

from ledgerfed.cli.app import run
from ledgerfed.ledger import demo_key

START_SECONDS = 30.0


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def called(*arguments: str, **environment: str) -> Ended:
    """Run a command line that ends by itself in this process, which saves its imports."""
    out, err, before = io.StringIO(), io.StringIO(), dict(os.environ)
    os.environ.update(environment)
    try:
        with redirect_stdout(out), redirect_stderr(err):
            code = run(arguments)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return Ended(code, out.getvalue(), err.getvalue())


class Running:
    """A process that prints JSON, one object a line."""

    def __init__(self, *command: str, **environment: str) -> None:
        self.said: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self._news = threading.Condition()
        self.process = subprocess.Popen(
            command,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **environment},
        )
        self._readers = [
            threading.Thread(target=self._read_out, daemon=True),
            threading.Thread(target=self._read_err, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def expect(
        self, wanted: Callable[[dict[str, Any]], bool], seconds: float = START_SECONDS, after: int = 0
    ) -> dict[str, Any]:
        """Wait for a line."""
        deadline = time.monotonic() + seconds
        with self._news:
            while True:
                found = next((line for line in self.said[after:] if wanted(line)), None)
                if found is not None:
                    return found
                left = deadline - time.monotonic()
                ended = self.process.poll()
                assert left > 0, f"waited {seconds} s in vain; last: {self.said[-3:]} {self.errors[-5:]}"
                assert ended is None, f"ended with {ended}: {self.said[-3:]} {self.errors[-5:]}"
                self._news.wait(min(left, 0.5))

    def end(self, how: signal.Signals = signal.SIGINT) -> int:
        """Send a signal and return the exit code; negative when the signal killed it."""
        if self.process.poll() is None:
            self.process.send_signal(how)
        code = self.process.wait(timeout=30)
        for reader in self._readers:
            reader.join(10)
        return code

    def kill(self) -> None:
        assert self.end(signal.SIGKILL) == -signal.SIGKILL

    def _read_out(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._news:
                self.said.append(json.loads(line))
                self._news.notify_all()

    def _read_err(self) -> None:
        assert self.process.stderr is not None
        self.errors.extend(self.process.stderr)


@contextmanager
def running_devnet(block_time: float, *options: str) -> Iterator[str]:
    command = (*PROGRAM, "devnet", "--in-memory", "--port", "0", "--json")
    chain = Running(*command, "--block-time", str(block_time), *options)
    try:
        yield str(chain.expect(lambda line: "url" in line)["url"])
    finally:
        chain.end(signal.SIGKILL)


@contextmanager
def running_anvil(block_time: float | None, *options: str) -> Iterator[str]:
    port = free_port()
    command = [foundry_program("anvil"), "--port", str(port), "--silent"]
    command += [] if block_time is None else ["--block-time", str(block_time)]
    process = subprocess.Popen([*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        deadline = time.monotonic() + START_SECONDS
        while True:
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    break
            assert process.poll() is None, "anvil did not start"
            assert time.monotonic() < deadline, "anvil did not start"
            time.sleep(0.05)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


class Federation:
    """A federation whose members run as processes; keys, data and files are those of a newcomer."""

    stations = ("Addison", "Ashland", "Belmont", "Clark_Lake", "Harlem")
    families = ("ar", "arx", "ar", "arx", "ar")

    def __init__(self, url: str, directory: Path, nodes: int = 4) -> None:
        self.url = url
        self.directory = directory
        self.file = directory / "federation.json"
        self.keys = [demo_key(5, index).key for index in range(nodes)]
        self.nodes: dict[int, Running] = {}

    def deploy(self, *options: str, windows: str = "60,3,40,40,2") -> Ended:
        members = []
        for key in self.keys:
            members += ["--member", f"0x{key.address.hex()}=http://127.0.0.1:{free_port()}"]
        place = ("--rpc", self.url, "--federation", str(self.file), "--windows", windows, "--json")
        return called("deploy", *place, *members, *options, **self.environment(0))

    def start(self, index: int, *options: str) -> Running:
        self.nodes[index] = Running(
            *PROGRAM,
            "node",
            *("--rpc", self.url, "--federation", str(self.file), "--index", str(index)),
            *("--dir", str(self.home(index)), "--poll", "0.1", "--json"),
            *("--demo-station", self.stations[index], "--family", self.families[index]),
            *options,
            **self.environment(index),
        )
        return self.nodes[index]

    def home(self, index: int) -> Path:
        return self.directory / f"node-{index}"

    def environment(self, index: int) -> dict[str, str]:
        return {"LEDGERFED_PRIVATE_KEY": "0x" + self.keys[index].private_key.hex()}

    def certified(self, index: int, number: int, seconds: float = 120) -> dict[str, Any]:
        """Wait until a node holds all of a certified round."""
        return self.nodes[index].expect(
            lambda line: line["event"] == "certified" and line["round"] == number, seconds
        )

    def close(self) -> None:
        for node in self.nodes.values():
            node.end(signal.SIGKILL)


@contextmanager
def federation(url: str, directory: Path, nodes: int = 4) -> Iterator[Federation]:
    with ExitStack() as stack:
        made = Federation(url, directory, nodes)
        stack.callback(made.close)
        yield made
