"""W8: the six kinds of application that the reference page shows, written as its readers write them, all run."""

from __future__ import annotations

import asyncio
import json
import time
from collections import defaultdict, deque
from typing import Any

import pytest

from fairlead import App, Request, html
from fairlead import json as json_response
from fairlead.errors import Unauthorized
from fairlead.testing import AsyncTestClient, HandshakeRefused
from fairlead.websocket import Websocket, WebsocketClosed


async def test_echo_with_its_page() -> None:
    """An HTML page and the echo that it talks to."""
    app: App[Any, Any] = App("echo")

    @app.get("/")
    async def index(request: Request[Any, Any]) -> Any:
        return html("<script>new WebSocket(`ws://${location.host}/echo`)</script>")

    @app.websocket("/echo")
    async def echo(request: Request[Any, Any], ws: Websocket) -> None:
        while True:
            data = await ws.recv()
            await ws.send(f"Echo: {data!s}")

    async with AsyncTestClient(app) as client:
        assert "new WebSocket" in (await client.get("/")).text
        async with client.websocket("/echo", origin="http://testserver") as ws:
            await ws.send("hello")
            assert await ws.recv() == "Echo: hello"


async def test_subprotocols() -> None:
    """W6: the handler branches on the chosen subprotocol and closes with 1002 when there is none."""
    app: App[Any, Any] = App("subprotocols")

    @app.websocket("/data", subprotocols=["json.v1", "text.v1"])
    async def data(request: Request[Any, Any], ws: Websocket) -> None:
        if ws.subprotocol == "json.v1":
            await ws.send({"kind": "json"})
        elif ws.subprotocol == "text.v1":
            await ws.send("text")
        else:
            await ws.close(code=1002, reason="no supported subprotocol")

    async with AsyncTestClient(app) as client:
        async with client.websocket("/data", subprotocols=["text.v1", "json.v1"]) as ws:
            assert await ws.recv() == "text"
        async with client.websocket("/data", subprotocols=["json.v1"]) as ws:
            assert await ws.recv_json() == {"kind": "json"}
        async with client.websocket("/data", subprotocols=["other"]) as ws:
            await ws.wait_closed()
            assert (ws.close_code, ws.close_reason) == (1002, "no supported subprotocol")


async def test_authenticated() -> None:
    """W7: a guard refuses with 401 before the upgrade; a handler that checks later closes with 1008."""
    app: App[Any, Any] = App("authenticated")

    @app.on_request
    async def guard(request: Request[Any, Any]) -> None:
        if request.path == "/private" and request.token != "secret":
            raise Unauthorized("sign in", scheme="Bearer")

    @app.websocket("/private")
    async def private(request: Request[Any, Any], ws: Websocket) -> None:
        await ws.send("welcome")

    @app.websocket("/late")
    async def late(request: Request[Any, Any], ws: Websocket) -> None:
        if json.loads(await ws.recv(timeout=5))["token"] != "secret":
            await ws.close(code=1008, reason="bad token")
            return
        await ws.send("welcome")

    async with AsyncTestClient(app) as client:
        with pytest.raises(HandshakeRefused) as refused:
            async with client.websocket("/private"):
                raise AssertionError("unreachable")
        assert refused.value.response.status_code == 401
        assert refused.value.response.headers["www-authenticate"] == "Bearer"
        async with client.websocket("/private", headers={"authorization": "Bearer secret"}) as ws:
            assert await ws.recv() == "welcome"
        async with client.websocket("/late") as ws:
            await ws.send({"token": "guess"})
            with pytest.raises(WebsocketClosed) as closed:
                await ws.recv()
            assert (closed.value.code, closed.value.reason) == (1008, "bad token")


async def test_chat_rooms() -> None:
    """Rooms as sets of websockets, a broadcast to the others, the members counted over HTTP, left in `finally`."""
    app: App[Any, Any] = App("chat")
    rooms: dict[str, set[Websocket]] = defaultdict(set)

    @app.websocket("/chat/<room:str>")
    async def chat(request: Request[Any, Any], ws: Websocket, room: str) -> None:
        rooms[room].add(ws)
        try:
            async for message in ws:
                for member in rooms[room] - {ws}:
                    if not member.closed:
                        await member.send(message)
        finally:
            rooms[room].discard(ws)

    @app.get("/api/rooms")
    async def list_rooms(request: Request[Any, Any]) -> Any:
        return json_response({name: len(members) for name, members in rooms.items()})

    async with AsyncTestClient(app) as client:
        async with (
            client.websocket("/chat/blue") as one,
            client.websocket("/chat/blue") as two,
            client.websocket("/chat/red") as other,
        ):
            await one.send("hello")
            assert await two.recv() == "hello"
            with pytest.raises(TimeoutError):
                await other.recv(timeout=0.01)
            assert (await client.get("/api/rooms")).json() == {"blue": 2, "red": 1}
        assert (await client.get("/api/rooms")).json() == {"blue": 0, "red": 0}


async def test_data_stream() -> None:
    """Two tasks on one websocket, one that sends and one that receives; the first to end ends both."""
    app: App[Any, Any] = App("stream")
    ended: asyncio.Queue[str] = asyncio.Queue()

    @app.websocket("/stream")
    async def stream(request: Request[Any, Any], ws: Websocket) -> None:
        async def produce() -> None:
            number = 0
            while True:
                await ws.send({"number": number})
                number += 1
                await asyncio.sleep(0.001)

        async def consume() -> None:
            async for message in ws:
                if message == "stop":
                    return

        tasks = [asyncio.create_task(produce()), asyncio.create_task(consume())]
        _, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)
        ended.put_nowait("stopped")

    async with AsyncTestClient(app) as client, client.websocket("/stream") as ws:
        assert [(await ws.recv_json())["number"] for _ in range(3)] == [0, 1, 2]
        await ws.send("stop")
        assert await ended.get() == "stopped"
        await ws.wait_closed()
        assert ws.close_code == 1000


async def test_rate_limit() -> None:
    """A token in the query and a sliding window: too many messages are answered, then closed with 1008."""
    app: App[Any, Any] = App("limited")

    @app.websocket("/limited")
    async def limited(request: Request[Any, Any], ws: Websocket) -> None:
        if request.args.get("token") != "t":
            await ws.close(1008, "token")
            return
        window: deque[float] = deque()
        while True:
            message = await ws.recv()
            now = time.monotonic()
            while window and window[0] < now - 60:
                window.popleft()
            window.append(now)
            if len(window) > 3:
                await ws.send({"error": "rate limit exceeded"})
                await ws.close(1008, "rate limit")
                return
            await ws.send(message)

    async with AsyncTestClient(app) as client:
        async with client.websocket("/limited") as ws:
            await ws.wait_closed()
            assert ws.close_reason == "token"
        async with client.websocket("/limited?token=t") as ws:
            for number in range(4):
                await ws.send(str(number))
            assert [await ws.recv() for _ in range(4)] == ["0", "1", "2", '{"error":"rate limit exceeded"}']
            await ws.wait_closed()
            assert ws.close_reason == "rate limit"
