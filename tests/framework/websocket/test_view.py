"""The class-based style: what is called when, and with which code it ends (W13)."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from fairlead import App, Blueprint
from fairlead.errors import Forbidden, ServiceUnavailable, WebsocketClosed
from fairlead.testing import AsyncTestClient
from fairlead.websocket import WebsocketView


class Recorder(WebsocketView):
    """Writes down what happens to it."""

    async def on_open(self, **parameters: Any) -> None:
        self.log: list[Any] = self.request.app.ctx.log
        self.log.append(("open", parameters))

    async def on_message(self, message: Any) -> None:
        self.log.append(message)
        if message == "fail":
            raise RuntimeError("broken")
        if message == "forbidden":
            raise Forbidden("not here")
        if message == "unavailable":
            raise ServiceUnavailable("later")
        if message == "close":
            await self.ws.close(4000, "enough")
        await self.ws.send(message)

    async def on_close(self, code: int, reason: str) -> None:
        self.log.append(("close", code, reason))
        self.request.app.ctx.closed.set()


def app_of(view: type[WebsocketView]) -> App[Any, Any]:
    app: App[Any, Any] = App("views")
    app.ctx.log, app.ctx.closed = [], asyncio.Event()
    view.attach(app, "/<room:str>")
    return app


async def test_a_conversation() -> None:
    """Open with the path's parameters, each message in its turn, close once with the peer's code and reason."""
    app = app_of(Recorder)
    async with AsyncTestClient(app) as client, client.websocket("/1") as ws:
        for message in ("a", b"b"):
            await ws.send(message)
            assert await ws.recv() == message
        await ws.close(1000, "bye")
        await app.ctx.closed.wait()
    assert app.ctx.log == [("open", {"room": "1"}), "a", b"b", ("close", 1000, "bye")]


@pytest.mark.parametrize(
    ("said", "code", "reason"),
    [
        ("fail", 1011, ""),
        ("forbidden", 1008, "not here"),
        ("unavailable", 1013, "later"),
        ("close", 4000, "enough"),
    ],
)
async def test_an_end_from_within(said: str, code: int, reason: str) -> None:
    """What a method raises becomes a close code, as with any handler, and `on_close` is told that code."""
    app = app_of(Recorder)
    async with AsyncTestClient(app) as client, client.websocket("/1") as ws:
        await ws.send(said)
        with pytest.raises(WebsocketClosed) as closed:
            await ws.recv()
        assert (closed.value.code, closed.value.reason) == (code, reason)
        await app.ctx.closed.wait()
    assert app.ctx.log[-1] == ("close", code, reason)


async def test_an_abnormal_end_is_no_error() -> None:
    """A peer that vanishes is 1006 to `on_close` and nothing in the log."""
    app = app_of(Recorder)
    async with AsyncTestClient(app) as client, client.websocket("/1") as ws:
        ws.abort()
        await app.ctx.closed.wait()
    assert app.ctx.log[-1] == ("close", 1006, "")


async def test_the_drain() -> None:
    """The server's end is 1012, with a hint when to come back (W12)."""
    app = app_of(Recorder)
    async with AsyncTestClient(app) as client, client.websocket("/1") as ws:
        await ws.ping()
        await client.server.__aexit__()
        await ws.wait_closed()
        assert ws.close_code == 1012
        assert ws.close_reason is not None
        assert ws.close_reason.startswith("service restart, retry in ")
        await client.server.__aenter__()
    assert app.ctx.log[-1][1] == 1012


class Point(msgspec.Struct):
    x: int
    y: int = 0


async def test_typed_messages() -> None:
    """JSON is converted to the type; what does not fit is 1007 with the reason, and never reaches the method."""

    class Typed(Recorder):
        message_type = Point

        async def on_message(self, message: Point) -> None:
            self.log.append(message)
            await self.ws.send([message.x])

    app = app_of(Typed)
    async with AsyncTestClient(app) as client:
        for wrong, reason in (('{"x": "1"}', "Expected `int`"), ("{", "truncated")):
            async with client.websocket("/1") as ws:
                await ws.send('{"x": 1}')
                assert await ws.recv_json() == [1]
                await ws.send(wrong)
                with pytest.raises(WebsocketClosed) as closed:
                    await ws.recv()
                assert closed.value.code == 1007
                assert reason in closed.value.reason
    assert [entry for entry in app.ctx.log if not isinstance(entry, tuple)] == [Point(1), Point(1)]


async def test_registering() -> None:
    """By `attach` and `uri` at the class, on apps and blueprints, with the options of a route; the defaults do nothing."""
    blueprint = Blueprint("silent", url_prefix="/silent")

    class Silent(WebsocketView, attach=blueprint, uri="/", subprotocols=["v1"]):
        """Hears and says nothing."""

    app: App[Any, Any] = App("registering")
    app.blueprint(blueprint)
    async with AsyncTestClient(app) as client, client.websocket("/silent/", subprotocols=["v1"]) as ws:
        await ws.send("anybody?")
        await ws.ping()
        assert ws.subprotocol == "v1"
    assert Silent.as_view().__name__ == "Silent"
    with pytest.raises(TypeError, match="uri, name without attach"):

        class Lost(WebsocketView, uri="/", name="lost"):
            pass


async def test_an_error_while_opening() -> None:
    """`on_close` is called all the same: what `on_open` has begun must be ended."""

    class Refusing(Recorder):
        async def on_open(self, **parameters: Any) -> None:
            await super().on_open(**parameters)
            raise Forbidden("full")

    app = app_of(Refusing)
    async with AsyncTestClient(app) as client, client.websocket("/1") as ws:
        with pytest.raises(WebsocketClosed):
            await ws.recv()
        await app.ctx.closed.wait()
    assert app.ctx.log[-1] == ("close", 1008, "full")
