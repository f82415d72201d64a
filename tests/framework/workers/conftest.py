"""A service as an operator has it: `fairlead serve` in processes of its own, watched through its log, ports and signals."""

from __future__ import annotations

import asyncio
import inspect
import json
import logging
import os
import re
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

MODULE = "service_under_test"

APP = """
import asyncio, os, time
from fairlead import App
from fairlead.response import text

app = App("tested")

@app.get("/")
async def hello(request):
    return text("hello")

@app.get("/pid")
async def pid(request):
    return text(str(os.getpid()))

@app.get("/slow/<seconds:float>")
async def slow(request, seconds):
    await asyncio.sleep(seconds)
    return text("slow and whole")

@app.get("/block/<seconds:float>")
async def block(request, seconds):
    time.sleep(seconds)
    return text("blocked")
"""


class Service:
    """A running service. `event` waits for a line of its log; leaving the fixture kills what is left."""

    def __init__(self, process: Process, folder: Path) -> None:
        self.process = process
        self.folder = folder
        self.events: list[dict[str, Any]] = []
        self.stderr = ""
        self._connections: list[Connection] = []
        self._news = asyncio.Condition()
        self._readers = [asyncio.create_task(self._read_log()), asyncio.create_task(self._read_stderr())]

    async def _read_log(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            async with self._news:
                self.events.append(json.loads(line))
                self._news.notify_all()
        async with self._news:
            self.events.append({"event": "end of the log"})
            self._news.notify_all()

    async def _read_stderr(self) -> None:
        assert self.process.stderr is not None
        self.stderr = (await self.process.stderr.read()).decode()

    def find(self, event: str, **fields: Any) -> list[dict[str, Any]]:
        """The lines so far that say this, and have these fields."""
        wanted = {"event": event, **fields}
        return [line for line in self.events if wanted.items() <= line.items()]

    async def event(self, event: str, count: int = 1, **fields: Any) -> dict[str, Any]:
        """Wait for a line of the log (for the `count`-th of its kind) and return it."""
        async with self._news:
            while len(found := self.find(event, **fields)) < count:
                assert not self.find("end of the log"), f"the log ended without {event!r} {fields}\n{self.shown}"
                await self._news.wait()
        return found[count - 1]

    @property
    def shown(self) -> str:
        """Everything it said, for a failing assertion."""
        return "\n".join([*map(str, self.events), self.stderr])

    async def ready(self) -> Service:
        """Wait until every worker is ready."""
        await self.event("service is ready")
        return self

    def port(self, which: str = "serving") -> int:
        """The port of the traffic, or of the "management"; known once the service is ready."""
        return int(self.find("service is ready")[0][which].rpartition(":")[2])

    def worker_pid(self, worker: int = 0) -> int:
        """The pid of the newest process in a slot."""
        return int(self.find("worker is starting", worker=worker)[-1]["worker_pid"])

    def signal(self, number: signal.Signals) -> None:
        """Send a signal to the supervisor, and to nobody else."""
        self.process.send_signal(number)

    async def connect(self, path: str, which: str = "serving") -> Connection:
        """Connect and send a request, without waiting for the answer."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.port(which))
        writer.write(f"GET {path} HTTP/1.1\r\nHost: tested\r\nConnection: close\r\n\r\n".encode())
        await writer.drain()
        self._connections.append(Connection(reader, writer))
        return self._connections[-1]

    async def get(self, path: str, which: str = "serving") -> tuple[int, str]:
        """Status and body of a request on a connection of its own."""
        return await (await self.connect(path, which)).answer()

    async def probe(self, path: str) -> tuple[int, str]:
        """Status and body of a request to the management port."""
        return await self.get(path, "management")

    async def exit_status(self) -> int:
        """Wait for the end."""
        status = await self.process.wait()
        await asyncio.gather(*self._readers)
        return status

    def processes(self) -> list[int]:
        """The pids of its processes that still run (zombies of somebody else don't)."""
        pids = {line["worker_pid"] for line in self.events if "worker_pid" in line}
        return [pid for pid in sorted(pids) if _is_worker(pid, self.folder)]

    async def gone(self) -> None:
        """Wait until no worker is left."""
        await until(lambda: not self.processes())

    async def until(self, holds: Callable[[], Any]) -> None:
        """Wait for something that gives no notice."""
        await until(holds)

    async def file(self, name: str) -> None:
        """Wait until its code has made a file."""
        await until((self.folder / name).exists)

    async def answers(self, path: str, status: int) -> str:
        """Wait until a probe answers with a status; gives the body."""
        answer = 0, ""

        async def does() -> bool:
            nonlocal answer
            answer = await self.probe(path)
            return answer[0] == status

        await until(does)
        return answer[1]

    async def in_flight(self, count: int) -> None:
        """Wait until the workers say that they have that many requests in hand."""
        series = re.compile(r"^fairlead_worker_requests_in_flight\{.*\} (\d+)", re.MULTILINE)

        async def are() -> bool:
            return sum(map(int, series.findall((await self.probe("/metrics"))[1]))) == count

        await until(are)

    async def clear(self) -> None:
        """Kill whatever is left."""
        for connection in self._connections:
            connection.close()
        if self.process.returncode is None:
            self.process.kill()
        await self.process.wait()
        for pid in self.processes():
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        await asyncio.gather(*self._readers, return_exceptions=True)


class Connection:
    """A request that is under way."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    async def answer(self) -> tuple[int, str]:
        """Status and body; 0 and "" when the connection was closed without an answer."""
        try:
            raw = await self._reader.read()
        except ConnectionError:
            raw = b""
        finally:
            self.close()
        head, _, body = raw.partition(b"\r\n\r\n")
        return (int(head.split()[1]), body.decode()) if head else (0, "")

    def close(self) -> None:
        """Give up on it."""
        self._writer.close()


async def until(holds: Callable[[], Any]) -> None:
    """Wait for something of another process that gives no notice; the test's deadline ends it."""
    while not (await result if inspect.isawaitable(result := holds()) else result):  # noqa: ASYNC110
        await asyncio.sleep(0.05)


def _is_worker(pid: int, folder: Path) -> bool:
    """True for a live worker of the service in that folder: a pid alone may long be somebody else's."""
    process = Path(f"/proc/{pid}")
    with suppress(OSError):
        is_zombie = (process / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
        is_ours = (process / "cwd").readlink() == folder
        return is_ours and not is_zombie and b"fairlead.workers.worker" in (process / "cmdline").read_bytes()
    return False


Start = Callable[..., Awaitable[Service]]


@pytest.fixture
async def start(tmp_path: Path) -> AsyncIterator[Start]:
    """`await start("--workers", "2", more=…, FAIRLEAD_DRAIN_DELAY="1")`: a service on free ports.

    `more` is added to the usual app's module, `code` replaces it; `program` replaces the command, `prefix` precedes it.
    """
    services: list[Service] = []

    async def start_one(
        *options: str,
        code: str = APP,
        more: str = "",
        name: str = "app",
        program: tuple[str, ...] = (),
        prefix: tuple[str, ...] = (),
        pass_fds: tuple[int, ...] = (),
        **environment: str,
    ) -> Service:
        (tmp_path / f"{MODULE}.py").write_text(code + more)
        served = ("-m", "fairlead", "serve", f"{MODULE}:{name}", "--port", "0", "--management-port", "0")
        clean = {name: value for name, value in os.environ.items() if not name.startswith("FAIRLEAD_")}
        process = await asyncio.create_subprocess_exec(
            *prefix,
            sys.executable,
            *(program or (*served, "--log-format", "json", "--no-access-log", *options)),
            cwd=tmp_path,
            env={**clean, "PYTHONDONTWRITEBYTECODE": "1", **environment},
            stdin=asyncio.subprocess.DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            start_new_session=True,
            pass_fds=pass_fds,
        )
        services.append(Service(process, tmp_path))
        return services[-1]

    yield start_one
    for service in services:
        await service.clear()


@pytest.fixture
def loggers() -> Iterator[None]:
    """Puts the process's loggers back as they were: a dict configuration that is refused has silenced them by then."""
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    awake = [found for found in root.manager.loggerDict.values() if isinstance(found, logging.Logger) and not found.disabled]
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    for logger in awake:
        logger.disabled = False
    logging.captureWarnings(False)


class Operator:
    """`fairlead status|reload|scale|stop` in processes of their own."""

    def __init__(self, socket: Path) -> None:
        self.socket = socket

    async def __call__(self, *words: str) -> tuple[int, str]:
        """Exit status and what was printed."""
        command = (sys.executable, "-m", "fairlead", *words, "--socket", str(self.socket))
        process = await asyncio.create_subprocess_exec(*command, stdout=PIPE, stderr=PIPE)
        printed, complaint = await process.communicate()
        return process.returncode or 0, (printed + complaint).decode().strip()


@pytest.fixture
def operator(tmp_path: Path) -> Operator:
    """For the service that is started with this socket."""
    return Operator(tmp_path / "m.sock")
