"""Start and stop by messages."""

from __future__ import annotations

import asyncio

import pytest

from fairlead import App, Request, text
from fairlead.errors import ConfigurationError
from fairlead.response import HTTPResponse
from tests.framework.asgi.harness import Call, http_scope

STARTUP = {"type": "lifespan.startup"}
SHUTDOWN = {"type": "lifespan.shutdown"}


async def test_a_whole_life(caplog: pytest.LogCaptureFixture) -> None:
    """Listeners run at both ends; those of a main process are named, for there is none."""
    app = App("life")
    events: list[str] = []
    app.before_server_start(lambda app: events.append("start"))
    app.after_server_stop(lambda app: events.append("stop"))
    app.main_process_start(lambda app: events.append("main"))
    call = Call(app, {"type": "lifespan"})
    call.give(STARTUP)
    assert await call.next() == {"type": "lifespan.startup.complete"}
    assert events == ["start"]
    call.give(SHUTDOWN)
    assert await call.next() == {"type": "lifespan.shutdown.complete"}
    assert events == ["start", "stop"]
    assert "these listeners don't run under an ASGI server" in caplog.text


async def test_streams_are_told_of_the_end() -> None:
    """What lasts (an event stream, say) hears of the server's stop; what comes later hears at once, what has ended never."""
    app = App("life")
    heard: list[str] = []

    @app.get("/<name>")
    async def handler(request: Request, name: str) -> HTTPResponse:
        take_back = request.exchange.when_draining(lambda: heard.append(name))
        if name == "ended":
            take_back()
        return text("")

    call = Call(app, {"type": "lifespan"})
    call.give(STARTUP)
    await call.next()
    for name in ("open", "ended"):
        await Call(app, http_scope(f"/{name}")).ended()
    call.give(SHUTDOWN)
    await call.next()
    assert heard == ["open"]
    await Call(app, http_scope("/late")).ended()
    assert heard == ["open", "late"]


@pytest.mark.parametrize(
    ("error", "message", "is_logged"),
    [
        (ConnectionError("no database"), "ConnectionError: no database", True),
        (ConfigurationError("PORT is no port"), "PORT is no port", False),
    ],
)
async def test_a_start_that_fails(error: Exception, message: str, is_logged: bool, caplog: pytest.LogCaptureFixture) -> None:
    """The server is told the cause in one line; the log has the traceback where one helps."""
    app = App("life")

    @app.after_server_start
    async def fail(app: App) -> None:
        raise error

    call = Call(app, {"type": "lifespan"})
    call.give(STARTUP)
    assert await call.ended() == [{"type": "lifespan.startup.failed", "message": message}]
    assert bool(caplog.records) is is_logged


async def test_registrations_that_contradict_each_other() -> None:
    """They are found at the start, not at the first request."""
    app = App("life")
    for _ in range(2):
        app.add_route(lambda request: None, "/", name="twice")
    call = Call(app, {"type": "lifespan"})
    call.give(STARTUP)
    (failed,) = await call.ended()
    assert failed["type"] == "lifespan.startup.failed"
    assert "twice" in failed["message"]


async def test_a_stop_that_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told as well."""
    app = App("life")

    async def fail(timeout_s: float = 5.0) -> None:
        raise TimeoutError("stuck")

    call = Call(app, {"type": "lifespan"})
    call.give(STARTUP)
    await call.next()
    monkeypatch.setattr(app, "shutdown", fail)
    call.give(SHUTDOWN)
    assert (await call.ended())[-1] == {"type": "lifespan.shutdown.failed", "message": "TimeoutError: stuck"}
    await asyncio.sleep(0)
