"""python-socketio with its own client (W13): polling, websocket, the upgrade from one to the other, rooms, acknowledgements."""

from __future__ import annotations

import asyncio
from typing import Any

import aiohttp
import pytest
import socketio

from fairlead import App
from tests.framework.asgi.servers import Serve

WAIT_S = 10.0


def make_app() -> tuple[App, Any]:
    sio = socketio.AsyncServer(
        async_mode="asgi", cors_allowed_origins=[], ping_interval=0.5
    )  # a polling client leaves at the next ping

    @sio.event
    async def connect(sid: str, environ: dict[str, Any], auth: Any) -> None:
        if auth == "stranger":
            raise socketio.exceptions.ConnectionRefusedError("who are you?")
        await sio.save_session(sid, {"path": environ["asgi.scope"]["path"]})

    @sio.event
    async def join(sid: str, room: str) -> str:
        await sio.enter_room(sid, room)
        return f"joined {room}"

    @sio.event
    async def say(sid: str, data: dict[str, str]) -> None:
        await sio.emit("said", data["text"], room=data["room"], skip_sid=sid)

    app = App("live")
    app.mount("/socket.io", socketio.ASGIApp(sio))
    return app, sio


@pytest.mark.parametrize("transports", [["polling"], ["websocket"], ["polling", "websocket"]])
async def test_rooms(serve: Serve, transports: list[str]) -> None:
    """A message to a room reaches its members, whatever their transport, and nobody else."""
    app, _ = make_app()
    heard: asyncio.Queue[tuple[str, str]] = asyncio.Queue()
    async with serve(app) as url, asyncio.timeout(WAIT_S), aiohttp.ClientSession() as session:
        clients = {name: socketio.AsyncClient(reconnection=False, http_session=session) for name in ("anna", "ben", "carl")}
        for name, client in clients.items():

            def note(text: str, name: str = name) -> None:
                heard.put_nowait((name, text))

            client.on("said", note)
            await client.connect(url, transports=transports)
        for name, room in (("anna", "blue"), ("ben", "blue"), ("carl", "red")):
            assert await clients[name].call("join", room) == f"joined {room}"
        await clients["anna"].emit("say", {"room": "blue", "text": "hello"})
        assert await heard.get() == ("ben", "hello")
        await clients["ben"].emit("say", {"room": "red", "text": "x" * 100_000})
        assert (await heard.get())[0] == "carl"
        if transports == ["polling", "websocket"]:
            assert {client.transport() for client in clients.values()} == {"websocket"}
        for client in clients.values():
            await client.eio.disconnect(abort=True)  # in order, a polling client would wait for its last long poll
    assert heard.empty()


async def test_refusal_and_leaving(serve: Serve) -> None:
    """A connection that the application refuses fails; one that ends is told to the application."""
    app, sio = make_app()
    gone = asyncio.Event()

    @sio.event
    async def disconnect(sid: str, reason: str) -> None:
        gone.set()

    async with serve(app) as url, asyncio.timeout(WAIT_S):
        stranger = socketio.AsyncClient(reconnection=False)
        with pytest.raises(socketio.exceptions.ConnectionError):
            await stranger.connect(url, auth="stranger")
        friend = socketio.AsyncClient(reconnection=False)
        await friend.connect(url, transports=["websocket"])
        await friend.disconnect()
        await gone.wait()
