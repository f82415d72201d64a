"""The service that chaos befalls. Every answer is the pid of the worker that gave it."""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import Any

from fairlead import App
from fairlead.request import Request
from fairlead.response import HTTPResponse, text

app: App[Any, Any] = App("chaos")
PID = str(os.getpid())
logger = logging.getLogger("chaos")


@app.get("/")
async def hello(request: Request[Any, Any]) -> HTTPResponse:
    """The usual, short request."""
    return text(PID)


@app.get("/slow/<seconds:float>")
async def slow(request: Request[Any, Any], seconds: float) -> HTTPResponse:
    """A long one."""
    await asyncio.sleep(seconds)
    return text(PID)


@app.get("/block")
async def block_for_ever(request: Request[Any, Any]) -> HTTPResponse:
    """The loop turns no more."""
    while True:
        time.sleep(60)


@app.get("/eat")
async def eat(request: Request[Any, Any]) -> HTTPResponse:
    """More memory than there is."""
    eaten = [bytearray(8 * 1024 * 1024) for _ in range(1000)]
    return text(str(len(eaten)))


@app.get("/events")
async def events(request: Request[Any, Any]) -> None:
    """A stream that goes on until somebody ends it."""
    async with request.sse() as stream:
        while True:
            await stream.send(PID)
            await asyncio.sleep(0.2)


@app.after_server_start
async def work_in_the_background(app: App[Any, Any]) -> None:
    """Something that tidies up when it is told to end."""
    app.add_task(_wait(), name="waiting")


async def _wait() -> None:
    try:
        await asyncio.Event().wait()
    finally:
        await asyncio.sleep(0.01)
        logger.info("background task has tidied up")


@app.websocket("/ws")
async def echo(request: Request[Any, Any], ws: Any) -> None:
    """An open websocket, mostly silent."""
    async for message in ws:
        await ws.send(message)


def failing() -> App[Any, Any]:
    """The same service with a listener that raises at the start."""

    @app.before_server_start
    async def connect(app: App[Any, Any]) -> None:
        raise RuntimeError("no route to the moon")

    return app


def lingering() -> App[Any, Any]:
    """The same service with a start that takes its time."""
    time.sleep(1.5)
    return app


def rooms() -> App[Any, Any]:
    """Rooms over several workers and instances; what is said in them comes from elsewhere."""
    from fairlead import redis
    from fairlead.channels import Channels
    from fairlead.channels.redis import RedisBackend

    speaking: App[Any, Any] = App("rooms")
    backend = RedisBackend(redis.attach(speaking, os.environ["REDIS_URL"]))
    channels = Channels(backend, max_entries=100_000, announces_presence=False).attach(speaking)

    @speaking.websocket("/rooms/<name:str>")
    async def room(request: Request[Any, Any], ws: Any, name: str) -> None:
        async with channels.group(name).join(ws, after=request.args.get("after")):
            await ws.send({"pid": PID})
            async for _ in ws:
                pass

    return speaking
