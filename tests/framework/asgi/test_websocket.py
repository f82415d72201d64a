"""Websockets by messages: refusals, closing, back-pressure, and what a server may do wrong."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from fairlead import App, Request, WebsocketClosed
from fairlead.asgi.exchange import Shared
from fairlead.asgi.websocket import HIGH_WATER_BYTES, WebsocketExchange, _frames, _masked
from fairlead.errors import RequestCancelled, Unauthorized
from fairlead.http.limits import Limits
from fairlead.websocket.frames import BINARY, TEXT, frame
from tests.framework.asgi.harness import CONNECT, Call, websocket_scope


def text_message(text: str) -> dict[str, Any]:
    return {"type": "websocket.receive", "text": text}


async def accepted(app: App, path: str = "/") -> Call:
    """A call whose websocket is open."""
    call = Call(app, websocket_scope(path))
    call.give(CONNECT)
    assert (await call.next())["type"] == "websocket.accept"
    return call


def make_app(handler: Any, **config: Any) -> App:
    app = App("sockets", config={"WEBSOCKET_TIMEOUT": 0.2, **config})
    app.add_websocket_route(handler, "/")
    return app


async def test_accept() -> None:
    """Subprotocol and request id are in the answer; nothing is received beyond the handshake before it."""

    async def handler(request: Request, ws: Any) -> None:
        await ws.send(f"{ws.subprotocol} {request.scheme}")

    app = App("sockets")
    app.add_websocket_route(handler, "/", subprotocols=["b"])
    headers = [(b"host", b"a"), (b"sec-websocket-protocol", b"a, b"), (b"x-request-id", b"one")]
    call = Call(app, websocket_scope(headers=headers))
    call.give(CONNECT)
    assert await call.next() == {"type": "websocket.accept", "subprotocol": "b", "headers": [(b"x-request-id", b"one")]}
    assert await call.next() == {"type": "websocket.send", "text": "b ws"}
    assert await call.next() == {"type": "websocket.close", "code": 1000, "reason": ""}
    await call.ended()


@pytest.mark.parametrize("has_denial", [True, False])
async def test_refusal(has_denial: bool) -> None:
    """With the extension the refusal keeps its status and body; without it, it is a close that servers make a 403 of."""

    async def handler(request: Request, ws: Any) -> None:
        raise AssertionError("unreachable")

    app = make_app(handler)

    @app.on_request
    async def guard(request: Request) -> None:
        await asyncio.sleep(0)
        raise Unauthorized("sign in")

    call = Call(app, websocket_scope(extensions={"websocket.http.response": {}} if has_denial else None))
    call.give(CONNECT)
    sent = await call.ended()
    if has_denial:
        assert [message["type"] for message in sent] == ["websocket.http.response.start", "websocket.http.response.body"]
        assert sent[0]["status"] == 401
    else:
        assert sent == [{"type": "websocket.close", "code": 1008}]


async def test_a_client_that_leaves_before_the_answer() -> None:
    """Before the handshake is read, and while it is being accepted."""

    async def handler(request: Request, ws: Any) -> None:
        raise AssertionError("unreachable")

    app = make_app(handler)
    call = Call(app, websocket_scope())
    call.give({"type": "websocket.disconnect", "code": 1006})
    assert await call.ended() == []
    call = Call(app, websocket_scope())
    call.send_error = OSError("gone")
    call.give(CONNECT)
    assert await call.ended() == []


async def test_a_guard_that_takes_too_long() -> None:
    """503 before the upgrade."""
    app = App("slow", config={"RESPONSE_TIMEOUT": 0.02})

    @app.on_request
    async def guard(request: Request) -> None:
        await asyncio.Event().wait()

    @app.websocket("/")
    async def handler(request: Request, ws: Any) -> None:
        raise AssertionError("unreachable")

    call = Call(app, websocket_scope())
    call.give(CONNECT)
    assert (await call.ended())[0]["status"] == 503


async def test_time_out_ends_with_the_upgrade() -> None:
    """A websocket lives as long as it likes."""
    app = App("long", config={"RESPONSE_TIMEOUT": 0.02})

    @app.on_request
    async def guard(request: Request) -> None:
        await asyncio.sleep(0)

    @app.websocket("/")
    async def handler(request: Request, ws: Any) -> None:
        await asyncio.sleep(0.06)
        await ws.send("still here")

    call = await accepted(app)
    assert (await call.next())["text"] == "still here"
    await call.ended()


@pytest.mark.parametrize(
    ("message", "code", "reason"),
    [
        ({"code": 1000}, 1000, ""),
        ({"code": 4000, "reason": "bye"}, 4000, "bye"),
        ({"code": 3000, "reason": "ü" * 200}, 3000, "ü" * 61),
        ({"code": 1005}, 1005, ""),
        ({}, 1005, ""),
        ({"code": None, "reason": None}, 1005, ""),
        ({"code": 1006}, 1006, ""),
        ({"code": 1015}, 1006, ""),
        ({"code": 7}, 1006, ""),
    ],
)
async def test_disconnect(message: dict[str, Any], code: int, reason: str) -> None:
    """The peer's code and reason reach the handler; what came before them is given out first."""
    heard: list[Any] = []

    async def handler(request: Request, ws: Any) -> None:
        try:
            while True:
                heard.append(await ws.recv())
        except WebsocketClosed as exc:
            heard.append((exc.code, exc.reason))

    call = await accepted(make_app(handler))
    call.give(
        text_message("a"), {"type": "websocket.receive", "bytes": b"b", "text": None}, {"type": "websocket.disconnect", **message}
    )
    await call.ended()
    assert heard == ["a", b"b", (code, reason)]


async def test_a_server_whose_receive_fails() -> None:
    """1006, and a line in the log."""

    async def handler(request: Request, ws: Any) -> None:
        with pytest.raises(WebsocketClosed):
            await ws.recv()
        assert ws.close_code == 1006

    call = await accepted(make_app(handler))
    call.give(RuntimeError("broken"))
    await call.ended()


@pytest.mark.parametrize("error", [OSError("gone"), RuntimeError("already closed")])
async def test_a_server_whose_send_fails(error: Exception) -> None:
    """The websocket is over; the handler's next call says so."""
    ended: list[int] = []

    async def handler(request: Request, ws: Any) -> None:
        try:
            while True:
                await ws.send("x")
        finally:
            ended.append(ws.close_code)

    call = await accepted(make_app(handler))
    call.send_error = error
    await call.ended()
    assert ended == [1006]


async def test_a_slow_peer_holds_up_its_sender() -> None:
    """`send` waits while the server's `send` does, and goes on with it."""
    sent = 0

    async def handler(request: Request, ws: Any) -> None:
        nonlocal sent
        for _ in range(10):
            await ws.send(b"x" * (HIGH_WATER_BYTES // 2 + 1))
            sent += 1

    call = await accepted(make_app(handler))
    call.may_send.clear()
    for _ in range(50):
        await asyncio.sleep(0)
    assert sent < 4
    call.may_send.set()
    await call.ended()
    assert (sent, len([message for message in call.sent if message["type"] == "websocket.send"])) == (10, 10)


async def test_a_close_that_the_server_does_not_take() -> None:
    """It is given up after the closing time-out: nobody waits for ever."""

    async def handler(request: Request, ws: Any) -> None:
        return None

    call = await accepted(make_app(handler, WEBSOCKET_TIMEOUT=0.05))
    call.may_send.clear()
    async with asyncio.timeout(5):
        await call.task


async def test_a_handler_that_does_not_take_messages() -> None:
    """Past `max_queue` messages the server is asked for no more."""
    may_read = asyncio.Event()

    async def handler(request: Request, ws: Any) -> None:
        await may_read.wait()
        for _ in range(10):
            await ws.recv()

    call = await accepted(make_app(handler, WEBSOCKET_MAX_QUEUE=4))
    call.give(*[text_message(str(number)) for number in range(10)])
    for _ in range(50):
        await asyncio.sleep(0)
    assert call._incoming.qsize() == 6
    may_read.set()
    await call.ended()


async def test_ping_and_pong() -> None:
    """ASGI has no words for them: a ping is answered here, a pong is nobody's."""

    async def handler(request: Request, ws: Any) -> None:
        await ws.pong()
        await (await ws.ping(b"x"))
        await ws.send("alive")

    call = await accepted(make_app(handler))
    assert (await call.next())["text"] == "alive"
    await call.ended()


async def test_the_server_cancels() -> None:
    """1012, and the cancellation goes on."""

    async def handler(request: Request, ws: Any) -> None:
        await asyncio.Event().wait()

    call = await accepted(make_app(handler))
    call.task.cancel()
    closed = await call.next()
    assert (closed["type"], closed["code"]) == ("websocket.close", 1012)
    await call.ended()


async def test_a_handler_that_raises_after_the_end() -> None:
    """`abort`, which a dispatcher calls when an open websocket's request fails, ends it at once."""

    async def handler(request: Request, ws: Any) -> None:
        request.exchange.abort()
        await ws.wait_closed()
        raise RequestCancelled("the client is gone")

    call = await accepted(make_app(handler))
    await call.ended()
    assert [message["type"] for message in call.sent] == ["websocket.accept"]


async def test_header_of_the_accept_is_checked() -> None:
    """A header that would break out of its line is a 500, with nothing accepted."""
    app = App("fields")

    @app.get("/")
    async def handler(request: Request) -> None:
        options = {"origins": (), "subprotocols": (), "headers": [("x-evil", "a\r\nb: c")]}
        await request.exchange.upgrade(request, options)

    call = Call(app, websocket_scope())
    call.give(CONNECT)
    assert (await call.ended())[0]["status"] == 500


def test_frames_round_trip() -> None:
    """Every length of §5.2: taken apart as it was put together, and masked without a change."""
    for size in (0, 1, 125, 126, 65535, 65536):
        payload = b"x" * size
        assert list(_frames(frame(TEXT, payload) + frame(BINARY, payload))) == [(TEXT, payload), (BINARY, payload)]
        masked = _masked(frame(TEXT, payload))
        assert (masked[1] & 0x80, masked.endswith(bytes(4) + payload)) == (0x80, True)


async def test_nothing_more_than_asked_for() -> None:
    """Without REQUEST_ID_HEADER the accept has no fields; a transport that closes takes nothing; a refusal has none to cut."""
    transports: list[Any] = []

    async def handler(request: Request, ws: Any) -> None:
        transports.append(ws._transport)
        ws._transport.close()
        ws._transport.write(frame(TEXT, b"too late"))

    call = Call(make_app(handler, REQUEST_ID_HEADER=False), websocket_scope())
    call.give(CONNECT)
    assert await call.next() == {"type": "websocket.accept", "subprotocol": None, "headers": []}
    await call.ended()
    assert [message["type"] for message in call.sent] == ["websocket.accept"]
    exchange = WebsocketExchange(Shared(Limits()), websocket_scope(), call._receive, call._send)
    exchange.abort()
    assert not exchange.upgraded
