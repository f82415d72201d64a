"""The same application under every server, in this process and loop, on a free port of 127.0.0.1.

Each `async with` gives the base URL of a server that takes requests, and raises `StartFailed` when its application can't start.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager, suppress
from typing import Any

import hypercorn.asyncio
import hypercorn.config
import uvicorn
from granian.constants import Interfaces
from granian.server.embed import Server as GranianServer

from fairlead import App
from fairlead.testing.server import AppServer

AnyApp = App[Any, Any]
Serve = Callable[[AnyApp], AbstractAsyncContextManager[str]]


class StartFailed(Exception):
    """The server has given up, with its cause."""


def free_port() -> int:
    """A port that nobody listens on at the moment."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


async def until(is_ready: Callable[[], bool], task: asyncio.Future[Any]) -> None:
    """Ask again and again: these servers have no event for it. Raises `StartFailed` when the server's task ends instead."""
    while not is_ready():
        if task.done():
            raise StartFailed("the server has ended") from task.exception()
        await asyncio.sleep(0.01)


def is_open(port: int) -> bool:
    """Whether somebody listens on `port`."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@asynccontextmanager
async def native(app: AnyApp) -> AsyncIterator[str]:
    """Fairlead's own server."""
    server = AppServer(app, live=True)
    try:
        await server.__aenter__()
    except Exception as exc:
        raise StartFailed(f"{type(exc).__name__}: {exc}") from exc
    try:
        yield "http://{}:{}".format(*server.address)
    finally:
        await server.__aexit__(None, None, None)


@asynccontextmanager
async def under_uvicorn(app: AnyApp, **options: Any) -> AsyncIterator[str]:
    """Uvicorn, as `uvicorn module:app` configures it."""
    listening = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, lifespan="on", timeout_graceful_shutdown=2, ws="websockets-sansio", **options)
    server = uvicorn.Server(config)
    task = asyncio.create_task(_until_exit(server, listening))
    try:
        await until(lambda: server.started, task)
    except StartFailed:
        listening.close()
        raise
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        server.should_exit = True
        await task
        listening.close()


async def _until_exit(server: uvicorn.Server, listening: socket.socket) -> None:
    with suppress(SystemExit):  # its word for an application that can't start; a task's would end the loop
        await server._serve([listening])


@asynccontextmanager
async def under_hypercorn(app: AnyApp) -> AsyncIterator[str]:
    """Hypercorn's asyncio worker."""
    port = free_port()
    config = hypercorn.config.Config()
    config.bind = [f"127.0.0.1:{port}"]
    config.accesslog = config.errorlog = None
    config.graceful_timeout = 2
    stop = asyncio.Event()
    task = asyncio.create_task(hypercorn.asyncio.serve(app, config, shutdown_trigger=stop.wait, mode="asgi"))  # type: ignore[arg-type]
    try:
        await until(lambda: is_open(port), task)
        yield f"http://127.0.0.1:{port}"
    finally:
        stop.set()
        await asyncio.wait([task])


@asynccontextmanager
async def under_granian(app: AnyApp) -> AsyncIterator[str]:
    """Granian, embedded in this loop."""
    port = free_port()
    server = GranianServer(app, port=port, interface=Interfaces.ASGI, log_enabled=False)
    task = asyncio.create_task(server.serve())
    try:
        await until(lambda: is_open(port), task)
        yield f"http://127.0.0.1:{port}"
    finally:
        server.stop()
        await asyncio.wait([task])


logging.getLogger("_granian").setLevel(logging.WARNING)

SERVERS: dict[str, Serve] = {
    "native": native,
    "uvicorn": under_uvicorn,
    "hypercorn": under_hypercorn,
    "granian": under_granian,
}
