"""A server as a child process: started on a free port, pinned, waited for, stopped."""

from __future__ import annotations

import contextlib
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from types import TracebackType
from typing import Self

from benchmarks import environment
from benchmarks.servers import Peer

START_TIMEOUT_S = 20.0
STOP_TIMEOUT_S = 5.0


class ServerFailed(Exception):
    """A server did not start; the message holds what it printed last."""


class ServerProcess:
    """One server, as a context: it listens when the context is entered, and is gone when it is left."""

    module = "benchmarks.servers"
    """What is run, with the peer's name, the port and the CPU."""

    def __init__(self, peer: Peer, core: int) -> None:
        self.peer = peer
        self.port = _free_port()
        self._core = core
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the context is left
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        command = [str(environment.PYTHON), "-m", self.module, self.peer.name, str(self.port), str(self._core)]
        self._process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=self._errors,
            env=environment.variables(),
            cwd=environment.ROOT,
        )
        try:
            self._wait()
        except BaseException:
            self._stop()
            raise
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._stop()

    def cpu_s(self) -> float:
        """CPU time that the server and its children have spent so far."""
        assert self._process is not None
        return _cpu_s(self._process.pid)

    def _wait(self) -> None:
        assert self._process is not None
        deadline = time.monotonic() + START_TIMEOUT_S
        while time.monotonic() < deadline:
            if self._process.poll() is not None:
                raise ServerFailed(f"{self.peer.title} ended with status {self._process.returncode}: {self._last_words()}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self.port), timeout=1):
                return
            time.sleep(0.05)
        raise ServerFailed(f"{self.peer.title} was not listening after {START_TIMEOUT_S:.0f} s: {self._last_words()}")

    def _last_words(self) -> str:
        self._errors.seek(0)
        lines = self._errors.read().decode("utf-8", "replace").strip().splitlines()
        return lines[-1] if lines else "without a word"

    def _stop(self) -> None:
        process = self._process
        if process is not None and process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(STOP_TIMEOUT_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self._errors.close()


def _cpu_s(pid: int) -> float:
    """Of its threads, as far as they still run, to the nanosecond: `stat` counts in hundredths of a second."""
    own_s = sum(int(file.read_text().split()[0]) for file in Path(f"/proc/{pid}/task").glob("*/schedstat")) / 1e9
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return own_s + sum(_cpu_s(int(child)) for child in children)


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
