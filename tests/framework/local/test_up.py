"""`fairlead up` as a user has it: real processes, real servers, and nothing left behind."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg
import httpx
import psutil
import pytest

from fairlead.local.ports import free_port, holder
from fairlead.local.stack import telemetry
from fairlead.testing.otlp import OtlpReceiver

pytestmark = pytest.mark.deadline(120)
"""The servers are durable ones here: a disk that others keep busy can take its time."""

SERVICE = """
import asyncio
import asyncpg
import os
from redis.asyncio import Redis
from fairlead import App
from fairlead.response import json

app = App("{name}")

@app.get("/")
async def index(request):
    connection = await asyncpg.connect(os.environ["DATABASE_URL"])
    database = await connection.fetchval("SELECT current_database()")
    await connection.close()
    async with Redis.from_url(os.environ["REDIS_URL"]) as redis:
        visits = await redis.incr("visits")
    return json({{"database": database, "visits": visits, "other": os.environ["OTHER_URL"]}})

@app.get("/endless")
async def endless(request):
    response = await request.respond()
    await response.send(b"a")
    await asyncio.Future()
"""

TABLE = """
[tool.fairlead]
target = "{target}"
port = {port}
management-port = {management_port}
needs = ["postgres", "redis"]
{more}

[tool.fairlead.environment]
OTHER_URL = "{{{name}.url}}"
"""


class Checkout:
    """A folder with services, and the `fairlead up` that runs in it."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.mark = uuid.uuid4().hex
        self.ports: dict[str, tuple[int, int]] = {}
        self._started: list[asyncio.subprocess.Process] = []

    def add(self, name: str, *, target: str = "", more: str = "") -> None:
        folder = self.root / "services" / name
        folder.mkdir(parents=True)
        port, management_port = self.ports[name] = free_port(), free_port()
        target = target or f"{name}_service:app"
        text = TABLE.format(name=name, target=target, port=port, management_port=management_port, more=more)
        (folder / "pyproject.toml").write_text(text)
        (self.root / f"{name}_service.py").write_text(SERVICE.format(name=name))

    async def up(self, *options: str, **environment: str) -> asyncio.subprocess.Process:
        """Starts `fairlead up`."""
        kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_URL", "REDIS_URL")}
        own = {"UP_TEST_MARK": self.mark, "PYTHONPATH": str(self.root), "FAIRLEAD_WORKERS": "1"}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "fairlead", "up", "--root", str(self.root), *options),
            env={**kept, **own, **environment},
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        self._started.append(process)
        return process

    async def visit(self, name: str) -> dict[str, object]:
        async with httpx.AsyncClient() as client:
            answer = await client.get(f"http://127.0.0.1:{self.ports[name][0]}/")
        assert 200 == answer.status_code, answer.text
        return dict(answer.json())

    def processes(self) -> list[psutil.Process]:
        """Every living process that came from here, however far down."""
        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error):
                if process.environ().get("UP_TEST_MARK") == self.mark and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    async def all_gone(self, timeout_s: float = 15) -> list[psutil.Process]:
        """The processes that are still there when they had time to end."""
        _, alive = await asyncio.to_thread(psutil.wait_procs, self.processes(), timeout_s)
        return [process for process in alive if process.status() != psutil.STATUS_ZOMBIE]

    async def close(self) -> None:
        for process in self._started:
            if process.returncode is None:
                process.kill()
            await process.communicate()
        for leftover in await self.all_gone():
            leftover.kill()


async def read_until(process: asyncio.subprocess.Process, text: str) -> str:
    """The output up to the line that holds `text`."""
    assert process.stdout is not None
    lines = []
    async for line in process.stdout:
        lines.append(line.decode())
        if text in lines[-1]:
            return "".join(lines)
    raise AssertionError(f"{text!r} is not in:\n{''.join(lines)}")


async def rest(process: asyncio.subprocess.Process) -> str:
    """All output that is still to come; returns when the process has ended."""
    output, _ = await process.communicate()
    return output.decode()


RUNNING = "Ctrl-C stops everything"


@pytest.fixture
async def checkout(folder: Path) -> AsyncIterator[Checkout]:
    checkout = Checkout(folder)
    checkout.add("harbour")
    yield checkout
    await checkout.close()


async def test_run_and_stop(checkout: Checkout) -> None:
    """Services run with a database each and one Valkey; SIGTERM stops all in reverse order; data survives (C2)."""
    checkout.add("pilot", more='after = ["harbour"]\nnote = "guides ships"')
    up = await checkout.up()
    shown = await read_until(up, RUNNING)
    for name in ("harbour", "pilot"):
        port, management_port = checkout.ports[name]
        assert f"http://127.0.0.1:{port}   http://127.0.0.1:{management_port}   1" in shown
    assert "guides ships" in shown
    assert {"database": "harbour", "visits": 1, "other": f"http://127.0.0.1:{checkout.ports['harbour'][0]}"} == (
        await checkout.visit("harbour")
    )
    assert "pilot" == (await checkout.visit("pilot"))["database"]
    up.send_signal(signal.SIGTERM)
    said = await rest(up)
    assert 0 == up.returncode
    assert "Stopped." in said
    order = said.partition("Stopping")[2]
    assert order.index("pilot ") < order.index("harbour ")
    assert [] == checkout.processes()

    up = await checkout.up()
    await read_until(up, RUNNING)
    assert 3 == (await checkout.visit("harbour"))["visits"]
    up.send_signal(signal.SIGINT)
    await rest(up)
    assert 0 == up.returncode

    up = await checkout.up("--clean")
    await read_until(up, RUNNING)
    assert 1 == (await checkout.visit("harbour"))["visits"]
    is_heard = signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN  # it is not below nohup(1), and should not be
    up.send_signal(signal.SIGHUP if is_heard else signal.SIGTERM)
    await rest(up)
    assert 0 == up.returncode


async def test_second_signal(checkout: Checkout) -> None:
    """A second Ctrl-C does not wait for requests in flight, however long they may take."""
    up = await checkout.up(FAIRLEAD_GRACEFUL_SHUTDOWN_TIMEOUT="300")
    await read_until(up, RUNNING)
    reader, writer = await asyncio.open_connection("127.0.0.1", checkout.ports["harbour"][0])
    try:
        writer.write(b"GET /endless HTTP/1.1\r\nHost: a\r\n\r\n")
        assert b"200 OK" in await reader.readline()
        up.send_signal(signal.SIGINT)
        await read_until(up, "service is draining")
        ended = asyncio.create_task(rest(up))
        while not ended.done():
            with suppress(ProcessLookupError):
                up.send_signal(signal.SIGINT)
            await asyncio.wait([ended], timeout=0.2)
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    assert 0 == up.returncode
    assert [] == checkout.processes()


async def test_second_run(checkout: Checkout) -> None:
    """A second run beside the first is one line with the pid of the first, which goes on."""
    first = await checkout.up()
    await read_until(first, RUNNING)
    second = await checkout.up()
    assert f"fairlead: the stack already runs in this folder (pid {first.pid}): stop that one first\n" == (await rest(second))
    assert 1 == second.returncode
    assert "harbour" == (await checkout.visit("harbour"))["database"]


async def test_taken_ports(checkout: Checkout) -> None:
    """Ports that are taken are found before anything starts: one line each, with the holder."""
    port, management_port = checkout.ports["harbour"]
    with socket.create_server(("127.0.0.1", port)), socket.create_server(("127.0.0.1", management_port)):
        up = await checkout.up()
        expected = [f"fairlead: port {each}, needed by harbour, is taken by {holder(each)}" for each in checkout.ports["harbour"]]
        assert expected == (await rest(up)).splitlines()
    assert 1 == up.returncode
    assert not (checkout.root / ".local" / "postgresql").exists()


@pytest.mark.parametrize(
    ("program", "message"),
    [
        ("-m fairlead serve", "harbour ended by itself with SIGKILL"),
        ("valkey-server", "Valkey ended with SIGKILL"),
        ("bin/postgres -D", "PostgreSQL ended with SIGKILL"),
    ],
)
async def test_child_dies(checkout: Checkout, program: str, message: str) -> None:
    """When a process ends by itself, the rest is stopped, and the last line says which it was and how it ended."""
    up = await checkout.up()
    await read_until(up, RUNNING)
    (victim,) = [process for process in checkout.processes() if program in " ".join(process.cmdline())]
    victim.kill()
    assert f"fairlead: {message}" in (await rest(up)).splitlines()[-1]
    assert 1 == up.returncode
    assert [] == await checkout.all_gone()


@pytest.mark.skipif(sys.platform != "linux", reason="the parent-death signal exists on Linux only")
async def test_killed(checkout: Checkout) -> None:
    """SIGKILL to the run leaves no process, and the next run starts on the same data without help."""
    up = await checkout.up()
    await read_until(up, RUNNING)
    await checkout.visit("harbour")
    up.kill()
    await rest(up)
    again = await checkout.up()
    await read_until(again, RUNNING)
    assert 2 == (await checkout.visit("harbour"))["visits"]
    again.kill()
    await rest(again)
    assert [] == await checkout.all_gone()


async def test_caller_killed(checkout: Checkout) -> None:
    """`make` killed with SIGKILL takes the run along: it watches its caller."""
    up = await checkout.up("--stop-with", "0")
    assert "Stopping" in await rest(up)
    assert 0 == up.returncode
    assert [] == checkout.processes()


async def test_interrupted_start(checkout: Checkout) -> None:
    """Ctrl-C while things start stops what had started."""
    up = await checkout.up()
    await read_until(up, "PostgreSQL | ready")
    up.send_signal(signal.SIGINT)
    await rest(up)
    assert 0 == up.returncode
    assert [] == checkout.processes()


async def test_reader_gone(checkout: Checkout) -> None:
    """A reader that leaves (`make run | head -1`) ends the run in order."""
    read, write = os.pipe()
    up = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "fairlead", "up", "--root", str(checkout.root)),
        env={**os.environ, "UP_TEST_MARK": checkout.mark, "PYTHONPATH": str(checkout.root), "FAIRLEAD_WORKERS": "1"},
        stdout=write,
    )
    os.close(write)
    os.close(read)
    assert 0 == await up.wait()
    assert [] == checkout.processes()


async def test_servers_from_outside(checkout: Checkout, postgres_url: str, redis_url: str) -> None:
    """With DATABASE_URL and REDIS_URL nothing embedded starts; the given database itself stays untouched."""
    up = await checkout.up(DATABASE_URL=postgres_url, REDIS_URL=redis_url)
    shown = await read_until(up, RUNNING)
    assert "PostgreSQL |" not in shown
    assert "Valkey" not in shown
    given = urlsplit(postgres_url).path[1:]
    assert f"{given}_harbour" == (await checkout.visit("harbour"))["database"]
    up.send_signal(signal.SIGTERM)
    await rest(up)
    assert not (checkout.root / ".local" / "postgresql").exists()
    connection = await asyncpg.connect(postgres_url)
    await connection.execute(f'DROP DATABASE "{given}_harbour"')
    await connection.close()


def rename_service(checkout: Checkout) -> None:
    checkout.add("wreck", target="no_such_module:app")


def break_migration(checkout: Checkout) -> None:
    checkout.add("wreck", more='migrations = "no_such_package"')


@pytest.mark.parametrize(
    ("damage", "messages"),
    [
        (rename_service, ["no_such_module", "wreck ended by itself with exit status"]),
        (break_migration, ["no_such_package", "wreck: the migration ended with exit status"]),
    ],
)
async def test_cannot_start(checkout: Checkout, damage: Callable[[Checkout], None], messages: list[str]) -> None:
    """A service that can't start ends the run with its own words and its name; nothing is left."""
    damage(checkout)
    up = await checkout.up()
    said = await rest(up)
    for message in messages:
        assert message in said
    assert 1 == up.returncode
    assert [] == await checkout.all_gone()


async def test_malformed_plan(checkout: Checkout) -> None:
    """A malformed [tool.fairlead] is one line and exit status 2 (K7)."""
    checkout.add("wreck", more="depth = 3")
    up = await checkout.up()
    line = "services/wreck/pyproject.toml: [tool.fairlead]: Object contains unknown field `depth`"
    assert f"fairlead: {line}\n" == await rest(up)
    assert 2 == up.returncode


def test_traces_go_to_whoever_listens() -> None:
    """`make observe`, or a collector: unless the caller says anything of OpenTelemetry, or nobody is there."""
    with OtlpReceiver() as receiver:
        told = telemetry({"HOME": "/"}, receiver.port)
        assert told["OTEL_EXPORTER_OTLP_ENDPOINT"] == f"http://127.0.0.1:{receiver.port}"
        assert telemetry({"OTEL_SDK_DISABLED": "true"}, receiver.port) == {}
    assert telemetry({}, free_port()) == {}
