"""The commands that operate a running service, against its real management socket (mission K5)."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from fairlead.cli import main
from fairlead.management.fleet import FleetStatus, WorkerStatus
from fairlead.management.private_socket import close_private_socket, open_private_socket
from fairlead.management.server import serve_management
from fairlead.telemetry.metrics import Snapshot
from fairlead.workers.messages import WorkerState

Capture = pytest.CaptureFixture[str]

READY = WorkerStatus(0, WorkerState.READY, pid=70, restarts=1, silent_s=0.5, uptime_s=12.4, lag_s=0.003, in_flight=2, checks=())
GONE = WorkerStatus(1, WorkerState.STARTING, pid=None, restarts=30, silent_s=0.5)


class Service:
    """A service that notes what it is asked for, and has the problem that a test gives it."""

    def __init__(self) -> None:
        self.workers: tuple[WorkerStatus, ...] = (READY, GONE)
        self.problem = ""
        self.returned = "text"
        self.asked: list[tuple[object, ...]] = []
        self.was_looked_at = asyncio.Event()

    def status(self) -> FleetStatus:
        """What its workers do."""
        self.was_looked_at.set()
        return FleetStatus("shop", False, 30.0, 60.0, self.workers)

    async def metrics(self) -> Snapshot:
        """None."""
        return {}

    async def reload(self, cause: str) -> str:
        """Noted."""
        self.asked.append(("reload",))
        return self.problem

    async def scale(self, count: int, cause: str) -> str:
        """Noted."""
        self.asked.append(("scale", count))
        return self.problem

    async def stop(self, cause: str) -> str:
        """Noted; the service goes on until the test ends it."""
        self.was_looked_at.clear()
        self.asked.append(("stop",))
        return self.problem

    async def inspect(self, worker: int, seconds: float, format: str) -> tuple[str, str]:
        """Noted."""
        self.asked.append(("inspect", worker, seconds, format))
        return self.problem, self.returned

    async def call(self, worker: int, name: str, words: Sequence[str]) -> tuple[str, str]:
        """Noted."""
        self.asked.append(("call", worker, name, *words))
        return self.problem, self.returned


class Running:
    """The service behind its socket, and the commands of an operator."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.service = Service()
        self._open = AsyncExitStack()

    async def begin(self) -> None:
        """Answer at the socket."""
        listener = open_private_socket(self.path, make_folder=False)
        self._open.callback(close_private_socket, listener)
        await self._open.enter_async_context(serve_management(self.service, listener.dup(), self.service))

    async def end(self) -> None:
        """Answer no more."""
        await self._open.aclose()

    async def run(self, *words: str) -> int:
        """The exit status of a command."""
        name, *rest = words
        return await asyncio.to_thread(main, [name, "--socket", str(self.path), *rest])


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    """A service that runs."""
    running = Running(tmp_path / "m.sock")
    await running.begin()
    yield running
    await running.end()


async def test_status_is_a_table(running: Running, capsys: Capture) -> None:
    """A line for each worker, in columns; a slot without a process shows none; 0 as long as one worker is ready."""
    assert await running.run("status") == 0
    assert capsys.readouterr().out.splitlines() == [
        "shop: ready",
        "worker  state     pid  restarts  uptime  in flight  connections  lag",
        "0       ready     70   1         12 s    2          0            3 ms",
        "1       starting  -    30        0 s     0          0            0 ms",
    ]


async def test_status_of_a_service_that_is_not_ready(running: Running, capsys: Capture) -> None:
    """1, with the probe's reason; `--json` prints what the probe knows and ends with the same status."""
    running.service.workers = (GONE,)
    assert await running.run("status") == 1
    first, *_ = capsys.readouterr().out.splitlines()
    assert first.startswith("shop: ")
    assert await running.run("status", "--json") == 1
    document = json.loads(capsys.readouterr().out)
    assert (document["ok"], f"shop: {document['reason']}", document["workers"][0]["restarts"]) == (False, first, 30)


async def test_stop_waits_for_the_end(running: Running, capsys: Capture) -> None:
    """As long as the service still answers it has not ended; when nobody does, 0."""
    stopping = asyncio.create_task(running.run("stop"))
    await running.service.was_looked_at.wait()
    assert not stopping.done()
    await running.end()
    assert await stopping == 0
    assert capsys.readouterr().out == "done\n"
    assert running.service.asked == [("stop",)]


async def test_stop_that_is_refused(running: Running, capsys: Capture) -> None:
    """1 with the cause, at once: the service goes on, and there is no end to wait for."""
    running.service.problem = "it drains already"
    assert await running.run("stop") == 1
    assert capsys.readouterr().out == "it drains already\n"
    assert not running.service.was_looked_at.is_set()


@pytest.mark.parametrize(
    ("words", "asked"),
    [
        (["reload"], ("reload",)),
        (["scale", "3"], ("scale", 3)),
        (["dump", "--worker", "1"], ("inspect", 1, 0.0, "text")),
        (["profile", "--seconds", "0.5"], ("inspect", 0, 0.5, "text")),
        (["call", "--worker", "1", "count", "--least=3"], ("call", 1, "count", "--least=3")),
    ],
    ids=["reload", "scale", "dump", "profile", "call"],
)
async def test_a_command_and_its_outcome(running: Running, capsys: Capture, words: list[str], asked: tuple[object, ...]) -> None:
    """It arrives as it was given; 0 when it was carried out, 1 with the cause when not."""
    assert await running.run(*words) == 0
    assert capsys.readouterr().out in ("done\n", "text\n")
    running.service.problem = "a worker failed"
    assert await running.run(*words) == 1
    shown = capsys.readouterr()
    assert (shown.out + shown.err).removeprefix("fairlead: ") == "a worker failed\n"
    assert running.service.asked == [asked, asked]


async def test_call_that_returns_nothing(running: Running, capsys: Capture) -> None:
    """Nothing is printed, not even an empty line."""
    running.service.returned = ""
    assert await running.run("call", "tidy") == 0
    assert capsys.readouterr().out == ""


async def test_profile_as_a_page(running: Running, capsys: Capture, tmp_path: Path) -> None:
    """It goes to the file; without one for lack of a profile, nothing is written."""
    page = tmp_path / "profile.html"
    running.service.problem = "another one is being made"
    assert await running.run("profile", "--html", str(page)) == 1
    assert not page.exists()
    running.service.problem = ""
    capsys.readouterr()
    assert await running.run("profile", "--html", str(page)) == 0
    assert (capsys.readouterr().out, page.read_text()) == (f"written to {page}\n", "text")


async def test_nobody_answers(running: Running, capsys: Capture) -> None:
    """K5: one line that names the socket, and 1."""
    await running.end()
    assert await running.run("status") == 1
    assert f"no service answers at {running.path}: " in capsys.readouterr().err
