"""FastAPI below a prefix: routes, validation, its documentation page, background tasks, lifespan state, streams, websockets."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import fastapi
import httpx
import pytest
import websockets
from fastapi import BackgroundTasks, FastAPI, WebSocket, WebSocketException
from fastapi.responses import StreamingResponse
from websockets.exceptions import ConnectionClosed, InvalidStatus

from fairlead import App, json
from tests.framework.asgi.servers import Serve

WAIT_S = 5.0


def make_app(inner: FastAPI) -> App:
    app = App("outer")

    @app.get("/own")
    async def own(request: Any) -> Any:
        return json({"own": True})

    app.mount("/inner", inner)
    return app


async def test_requests(serve: Serve) -> None:
    """Paths, bodies, errors and generated URLs are those of the prefix; what the outer application has stays its own."""
    events: list[str] = []

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[dict[str, str]]:
        events.append("start")
        yield {"greeting": "hello"}
        events.append("stop")

    inner = FastAPI(lifespan=lifespan)
    done = asyncio.Event()

    @inner.get("/items/{number}")
    async def item(number: int, request: fastapi.Request, q: str = "") -> dict[str, Any]:
        return {
            "number": number,
            "q": q,
            "url": str(request.url),
            "url_for": str(request.url_for("item", number=5)),
            "state": request.state.greeting,
            "client": request.client.host if request.client else None,
        }

    @inner.post("/items")
    async def create(item: dict[str, int], background: BackgroundTasks) -> dict[str, int]:
        async def later() -> None:
            done.set()

        background.add_task(later)
        return item

    @inner.get("/crash")
    async def crash() -> None:
        raise ZeroDivisionError

    async with serve(make_app(inner)) as url, httpx.AsyncClient(base_url=url, timeout=WAIT_S) as client:
        assert (await client.get("/own")).json() == {"own": True}
        assert (await client.get("/inner/items/7?q=%C3%BC")).json() == {
            "number": 7,
            "q": "ü",
            "url": f"{url}/inner/items/7?q=%C3%BC",
            "url_for": f"{url}/inner/items/5",
            "state": "hello",
            "client": "127.0.0.1",
        }
        created = await client.post("/inner/items", json={"a": 1})
        assert (created.json(), created.headers["content-length"]) == ({"a": 1}, "7")
        async with asyncio.timeout(WAIT_S):
            await done.wait()
        assert (await client.get("/inner/items/no-number")).status_code == 422
        assert (await client.get("/inner/nothing")).json() == {"detail": "Not Found"}
        assert (await client.get("/inner/docs")).status_code == 200
        assert "/inner" in (await client.get("/inner/openapi.json")).text
        assert (await client.get("/inner/crash")).status_code == 500
        assert (await client.get("/own")).json() == {"own": True}
    assert events == ["start", "stop"]


async def test_streams(serve: Serve) -> None:
    """Pieces come when they are sent; a client that leaves ends the generator."""
    inner = FastAPI()
    ended = asyncio.Event()
    may_go_on = asyncio.Event()

    @inner.get("/stream")
    async def stream() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            yield b"first"
            await may_go_on.wait()
            yield b"second"

        return StreamingResponse(pieces(), media_type="text/plain")

    @inner.get("/endless")
    async def endless() -> StreamingResponse:
        async def pieces() -> AsyncIterator[bytes]:
            try:
                while True:
                    yield b"x" * 1000
                    await asyncio.sleep(0)
            finally:
                ended.set()

        return StreamingResponse(pieces(), media_type="text/plain")

    async with serve(make_app(inner)) as url, httpx.AsyncClient(base_url=url, timeout=WAIT_S) as client:
        async with client.stream("GET", "/inner/stream") as response:
            parts = response.aiter_raw()
            assert await anext(parts) == b"first"
            may_go_on.set()
            assert [part async for part in parts] == [b"second"]
        async with client.stream("GET", "/inner/endless") as response:
            await anext(response.aiter_raw())
        async with asyncio.timeout(WAIT_S):
            await ended.wait()


async def test_websockets(serve: Serve) -> None:
    """Subprotocol and headers of the accept, both directions, close codes; refusals before the upgrade."""
    inner = FastAPI()
    heard: asyncio.Future[int] = asyncio.get_running_loop().create_future()

    @inner.websocket("/ws/{room}")
    async def talk(ws: WebSocket, room: str) -> None:
        await ws.accept(subprotocol="chat", headers=[(b"x-room", room.encode())])
        try:
            while True:
                message = await ws.receive()
                if message["type"] == "websocket.disconnect":
                    heard.set_result(message["code"])
                    return
                if "text" in message:
                    await ws.send_text(message["text"].upper())
                else:
                    await ws.send_bytes(message["bytes"])
        finally:
            pass

    @inner.websocket("/close")
    async def close(ws: WebSocket) -> None:
        await ws.accept()
        await ws.close(4002, "bye")

    @inner.websocket("/refuse")
    async def refuse(ws: WebSocket) -> None:
        raise WebSocketException(1008)

    async with serve(make_app(inner)) as url:
        base = url.replace("http", "ws") + "/inner"
        async with websockets.connect(base + "/ws/blue", subprotocols=["other", "chat"]) as ws:  # type: ignore[list-item]
            assert ws.response is not None
            assert (ws.subprotocol, ws.response.headers["x-room"]) == ("chat", "blue")
            await ws.send("hi")
            assert await ws.recv() == "HI"
            await ws.send(b"\x00")
            assert await ws.recv() == b"\x00"
            await ws.close(4001)
        async with asyncio.timeout(WAIT_S):
            assert await heard == 4001
        async with websockets.connect(base + "/close") as ws:
            with pytest.raises(ConnectionClosed):
                await ws.recv()
            assert (ws.close_code, ws.close_reason) == (4002, "bye")
        for path in ("/refuse", "/nothing"):
            with pytest.raises(InvalidStatus) as refused:
                await websockets.connect(base + path)
            assert refused.value.response.status_code == 403
        with pytest.raises(InvalidStatus) as refused:
            await websockets.connect(base + "/close", origin="https://evil.example")  # type: ignore[arg-type]
        assert refused.value.response.status_code == 403
