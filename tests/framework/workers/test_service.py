"""An app on its server, in this process: order of the listeners, checks, beats, drain (missions K1, K2, S)."""

from __future__ import annotations

import asyncio
import logging
import socket
import sys
import time
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest

from fairlead import App, text
from fairlead.telemetry.logging import LogStream
from fairlead.workers.listener import open_listener
from fairlead.workers.service import Service


@pytest.fixture
async def listener() -> AsyncIterator[socket.socket]:
    """A listening socket on a free port."""
    with open_listener("127.0.0.1", 0) as listener:
        yield listener


def service_of(app: App[Any, Any], listener: socket.socket) -> Service:
    """A service whose logs go nowhere."""
    app.config.update(ACCESS_LOG=False)
    return Service(app, [listener], LogStream({}, "json", None, lambda event: b""))


async def test_listeners_run_around_the_server(listener: socket.socket) -> None:
    """S, K2: Sanic's order; requests are answered until `before_server_stop` is done, and refused after the end."""
    order: list[str] = []
    app: App[Any, Any] = App("ordered")
    url = f"http://127.0.0.1:{listener.getsockname()[1]}/"

    @app.get("/")
    async def hello(request: Any) -> Any:
        return text("hello")

    async def note(event: str) -> None:
        try:
            async with httpx.AsyncClient() as client:
                order.append(f"{event}: {(await client.get(url, timeout=0.5)).text}")
        except httpx.TransportError:
            order.append(f"{event}: not served")

    def noting(event: str) -> Any:
        return lambda app: note(event)

    for event in ("before_server_start", "after_server_start", "before_server_stop", "after_server_stop"):
        app.listener(event)(noting(event))
    service = service_of(app, listener)
    await service.start()
    await service.drain(time.monotonic() + 5)
    assert order == [
        "before_server_start: not served",
        "after_server_start: hello",
        "before_server_stop: hello",
        "after_server_stop: not served",
    ]


async def test_a_beat_carries_the_checks(listener: socket.socket) -> None:
    """K1: results of both kinds, with the error's first line; the first round is done before the start is."""
    app: App[Any, Any] = App("checked")

    async def well() -> None:
        """Nothing is wrong."""

    async def sick() -> None:
        raise ConnectionError("refused\nby the peer")

    app.health.add("database", well)
    app.health.add("cache", sick, critical=False)
    app.health.add_startup("schema", well)
    service = service_of(app, listener)
    assert service.beat().checks is None
    await service.start()
    beat = service.beat(0.5)
    assert [(check.name, check.kind, check.critical, check.error) for check in beat.checks or ()] == [
        ("schema", "startup", True, ""),
        ("database", "readiness", True, ""),
        ("cache", "readiness", False, "refused"),
    ]
    assert (beat.lag_s, beat.in_flight, beat.connections) == (0.5, 0, 0)
    await service.drain(time.monotonic() + 5)


async def test_checks_are_run_again(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """K1: a dependency that goes away, and one that comes back, both show."""
    monkeypatch.setattr("fairlead.workers.service.CHECK_INTERVAL_S", 0.01)
    errors = iter(["away", "away", ""])
    runs: asyncio.Queue[str] = asyncio.Queue()
    app: App[Any, Any] = App("checked")

    async def check() -> None:
        error = next(errors, "")
        runs.put_nowait(error)
        if error:
            raise ConnectionError(error)

    app.health.add("database", check)
    service = service_of(app, listener)
    await service.start()
    seen = [service.beat().checks]
    checking = asyncio.create_task(service.keep_checking())
    for _ in range(5):
        await runs.get()
        seen.append(service.beat().checks)
    checking.cancel()
    assert {checks[0].error for checks in seen if checks} == {"away", ""}
    await service.drain(time.monotonic() + 5)


async def test_a_start_is_given_up_when_asked_to_stop(listener: socket.socket) -> None:
    """K3: a listener that waits is cancelled."""
    app: App[Any, Any] = App("waiting")
    asked = asyncio.Event()
    cancelled: list[bool] = []

    @app.before_server_start
    async def wait(app: Any) -> None:
        asked.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    assert not await service_of(app, listener).start_unless(asked)
    assert cancelled == [True]


async def test_a_start_that_fails_says_why(listener: socket.socket) -> None:
    """K3: the listener's own exception."""
    app: App[Any, Any] = App("failing")

    @app.before_server_start
    async def connect(app: Any) -> None:
        raise ConnectionError("no route")

    with pytest.raises(ConnectionError, match="no route"):
        await service_of(app, listener).start_unless(asyncio.Event())


async def test_listeners_that_hang_do_not_stop_the_drain(
    listener: socket.socket, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """K2: one deadline; whatever is not done by then is left, and named."""
    monkeypatch.setattr("fairlead.workers.service.CLEANUP_S", 0.1)
    app: App[Any, Any] = App("hanging")
    for event in ("before_server_stop", "after_server_stop"):
        app.listener(event)(lambda _: asyncio.Event().wait())
    service = service_of(app, listener)
    await service.start()
    with caplog.at_level(logging.ERROR):
        await service.drain(time.monotonic() + 0.1)
    late = [vars(record)["on"] for record in caplog.records if record.getMessage() == "listeners were not done in time"]
    assert late == ["before_server_stop", "after_server_stop"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells the length of the queue")
async def test_the_queue_keeps_its_length(listener: socket.socket) -> None:
    """K4: BACKLOG holds after the server has listened again on the supervisor's socket."""
    app: App[Any, Any] = App("queued", {"BACKLOG": 300})
    service = service_of(app, listener)
    await service.start()
    info = listener.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    assert int.from_bytes(info[28:32], sys.byteorder) == 300  # tcpi_sacked: of a listening socket, its queue's length
    await service.drain(time.monotonic() + 5)


async def test_beats_come_from_the_loop(listener: socket.socket, monkeypatch: pytest.MonkeyPatch) -> None:
    """K1, T3: each says how late the loop was."""
    monkeypatch.setattr("fairlead.workers.service.BEAT_INTERVAL_S", 0.01)
    service = service_of(App("beating"), listener)
    await service.start()
    beats = service.beats()
    punctual = await anext(beats)
    next_beat = asyncio.ensure_future(anext(beats))
    await asyncio.sleep(0)
    time.sleep(0.2)
    late = await next_beat
    assert late.lag_s > 0.15 > punctual.lag_s
    assert late.time_s > punctual.time_s
    await beats.aclose()
    await service.drain(time.monotonic() + 5)
