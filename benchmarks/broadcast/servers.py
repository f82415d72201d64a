"""The servers of the broadcast, each a function that serves until SIGTERM."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import tracemalloc
from collections.abc import Awaitable, Callable
from typing import Any

from benchmarks.answers import upgrade_answer

MESSAGE = json.dumps(
    {"type": "message", "group": "room:1", "id": "1732101010101-0", "data": {"text": "a price has changed", "n": 1}}
)
LONG = json.dumps(
    {"type": "message", "products": [{"name": f"Brass lamp {n}", "price": {"amount": n, "currency": "EUR"}} for n in range(12)]}
)
TRACED_LINES = 50
LAG_STEP_S = 0.002
LAG_MESSAGES = 30
LAG_PAUSE_S = 0.1


async def repeat(count: int, send: Callable[[], Any]) -> None:
    """Broadcast so often, one in each turn of the loop."""
    for _ in range(count):
        answer = send()
        if isinstance(answer, Awaitable):
            await answer
        await asyncio.sleep(0)


def run(main: Callable[[], Awaitable[None]]) -> None:
    """On uvloop, until SIGTERM."""
    import uvloop

    async def forever() -> None:
        await main()
        await asyncio.get_running_loop().create_future()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(forever())


def limit(port: int) -> None:
    """A ready-made frame to each transport: nothing in Python could do less."""
    payload = MESSAGE.encode()
    frame = (
        bytes([0x81, 126, len(payload) >> 8, len(payload) & 255]) + payload
        if len(payload) > 125
        else bytes([0x81, len(payload)]) + payload
    )
    subscribers: set[asyncio.Transport] = set()

    class Subscriber(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.is_open = False

        def connection_lost(self, error: Exception | None) -> None:
            subscribers.discard(self.transport)

        def data_received(self, data: bytes) -> None:
            if not self.is_open:
                self.is_open = True
                self.transport.write(upgrade_answer(data))
                subscribers.add(self.transport)
                return
            subscribers.discard(self.transport)
            count = int(bytes(byte ^ data[2 + index % 4] for index, byte in enumerate(data[6:])))
            asyncio.get_running_loop().create_task(repeat(count, self.send))

        def send(self) -> None:
            for transport in subscribers:
                transport.write(frame)

    async def main() -> None:
        await asyncio.get_running_loop().create_server(Subscriber, "127.0.0.1", port, backlog=4096)

    run(main)


def bare(port: int) -> None:
    """The least that a websocket of the `websockets` library costs: its sans-IO object and a transport."""
    from websockets.http11 import Request
    from websockets.server import ServerProtocol

    class Idle(asyncio.Protocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport
            self.protocol = ServerProtocol()

        def data_received(self, data: bytes) -> None:
            self.protocol.receive_data(data)
            for event in self.protocol.events_received():
                if isinstance(event, Request):
                    self.protocol.send_response(self.protocol.accept(event))
            for out in self.protocol.data_to_send():
                self.transport.write(out)

    async def main() -> None:
        await asyncio.get_running_loop().create_server(Idle, "127.0.0.1", port, backlog=4096)

    run(main)


def fairlead(port: int) -> None:
    """Groups over the memory backend would add the same message once more: what is measured is the fan-out."""
    _fairlead(port, compression=None, message=MESSAGE)


def fairlead_deflate(port: int) -> None:
    """A longer message, compressed once."""
    _fairlead(port, compression="deflate", message=LONG)


def _fairlead(port: int, *, compression: str | None, message: str) -> None:
    import logging

    from fairlead import App, Request
    from fairlead.channels import Fanout, StreamPosition
    from fairlead.channels.stream import BEGINNING
    from fairlead.websocket import Websocket

    logging.disable(logging.INFO)
    app: App[Any, Any] = App("broadcast")
    fanout = Fanout(gap_notice="gap")
    fanout.history.restart(BEGINNING)
    published = 0

    def send() -> None:
        nonlocal published
        published += 1
        fanout.publish(StreamPosition(published, 0), message)

    @app.websocket("/", compression=compression, ping_interval=0)
    async def subscriber(request: Request[Any, Any], ws: Websocket) -> None:
        with fanout.subscribe(ws) as subscription:
            async for wish in ws:
                subscription.leave()
                if wish == "lag":
                    await ws.send(json.dumps(await _lag(send)))
                elif wish == "trace":
                    await ws.send(json.dumps(_traced()))
                else:
                    await repeat(int(wish), send)

    app.run("127.0.0.1", port, single_process=True, access_log=False, management_port=0)


async def _lag(send: Callable[[], None]) -> dict[str, float]:
    """How late a timer is while messages go to everybody, ten a second; and how much CPU the loop used until it looked at it, which
    is what a busy machine can't change."""
    loop, lags, turns, is_over = asyncio.get_running_loop(), [], [], False

    async def watch() -> None:
        while not is_over:
            due, cpu_s = loop.time() + LAG_STEP_S, time.thread_time()
            await asyncio.sleep(LAG_STEP_S)
            lags.append(loop.time() - due)
            turns.append(time.thread_time() - cpu_s)

    watching = asyncio.ensure_future(watch())
    for _ in range(LAG_MESSAGES):
        send()
        await asyncio.sleep(LAG_PAUSE_S)
    is_over = True
    await watching
    lags.sort()
    turns.sort()
    at = int(len(lags) * 0.99)
    return {
        "p50_ms": lags[len(lags) // 2] * 1000,
        "p99_ms": lags[at] * 1000,
        "max_ms": lags[-1] * 1000,
        "cpu_p99_ms": turns[at] * 1000,
    }


def _traced() -> dict[str, int]:
    """Line → bytes that were allocated there since this was first called, and are still in use: the lines that have most."""
    if not tracemalloc.is_tracing():
        tracemalloc.start()
        return {}
    statistics = tracemalloc.take_snapshot().statistics("lineno")[:TRACED_LINES]
    return {f"{'/'.join(part.traceback[0].filename.split('/')[-3:])}:{part.traceback[0].lineno}": part.size for part in statistics}


def websockets(port: int) -> None:
    """The library's own server and its `broadcast`."""
    _websockets(port, None, MESSAGE)


def websockets_deflate(port: int) -> None:
    """The same with permessage-deflate."""
    _websockets(port, "deflate", LONG)


def _websockets(port: int, compression: str | None, message: str) -> None:
    from websockets.asyncio.server import broadcast, serve

    subscribers: set[Any] = set()

    async def subscriber(ws: Any) -> None:
        subscribers.add(ws)
        try:
            async for wish in ws:
                subscribers.discard(ws)
                await repeat(int(wish), lambda: broadcast(subscribers, message))
        finally:
            subscribers.discard(ws)

    async def main() -> None:
        await serve(subscriber, "127.0.0.1", port, compression=compression, ping_interval=None, backlog=4096)

    run(main)


def aiohttp(port: int) -> None:
    """One `send_str` after the other, as its users write it."""
    _aiohttp(port, False, MESSAGE)


def aiohttp_deflate(port: int) -> None:
    """The same with permessage-deflate."""
    _aiohttp(port, True, LONG)


def _aiohttp(port: int, compress: bool, message: str) -> None:
    from aiohttp import web

    subscribers: set[Any] = set()

    async def send() -> None:
        for ws in subscribers:
            await ws.send_str(message)

    async def subscriber(request: Any) -> Any:
        ws = web.WebSocketResponse(compress=compress)
        await ws.prepare(request)
        subscribers.add(ws)
        async for wish in ws:
            subscribers.discard(ws)
            await repeat(int(wish.data), send)
        subscribers.discard(ws)
        return ws

    async def main() -> None:
        app = web.Application()
        app.router.add_get("/", subscriber)
        runner = web.AppRunner(app, access_log=None)
        await runner.setup()
        await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()

    run(main)


def starlette(port: int) -> None:
    """On uvicorn with the `websockets` library."""
    import uvicorn
    from starlette.applications import Starlette
    from starlette.routing import WebSocketRoute

    subscribers: set[Any] = set()

    async def send() -> None:
        for ws in subscribers:
            await ws.send_text(MESSAGE)

    async def subscriber(ws: Any) -> None:
        await ws.accept()
        subscribers.add(ws)
        async for wish in ws.iter_text():
            subscribers.discard(ws)
            await repeat(int(wish), send)
        subscribers.discard(ws)

    app = Starlette(routes=[WebSocketRoute("/", subscriber)])
    uvicorn.run(
        app, host="127.0.0.1", port=port, log_level="error", ws_per_message_deflate=False, ws_ping_interval=None, backlog=4096
    )


def sanic(port: int) -> None:
    """In its single process."""
    from sanic import Sanic

    app: Any = Sanic("broadcast")
    app.config.WEBSOCKET_PING_INTERVAL = None
    subscribers: set[Any] = set()

    async def send() -> None:
        for ws in subscribers:
            await ws.send(MESSAGE)

    @app.websocket("/")
    async def subscriber(request: Any, ws: Any) -> None:
        subscribers.add(ws)
        try:
            async for wish in ws:
                subscribers.discard(ws)
                await repeat(int(wish), send)
        finally:
            subscribers.discard(ws)

    app.run("127.0.0.1", port, single_process=True, access_log=False, motd=False, backlog=4096)


def picows(port: int) -> None:
    """In Cython, without a task."""
    from picows import WSFrame, WSListener, WSMsgType, WSTransport, ws_create_server

    subscribers: set[WSTransport] = set()
    message = MESSAGE.encode()

    def send() -> None:
        for transport in subscribers:
            transport.send(WSMsgType.TEXT, message)

    class Subscriber(WSListener):
        def on_ws_connected(self, transport: WSTransport) -> None:
            subscribers.add(transport)

        def on_ws_disconnected(self, transport: WSTransport) -> None:
            subscribers.discard(transport)

        def on_ws_frame(self, transport: WSTransport, frame: WSFrame) -> None:
            subscribers.discard(transport)
            if frame.msg_type is WSMsgType.TEXT:
                asyncio.get_running_loop().create_task(repeat(int(frame.get_payload_as_bytes()), send))

    async def main() -> None:
        await ws_create_server(lambda request: Subscriber(), "127.0.0.1", port, backlog=4096)

    run(main)


SERVERS: dict[str, Callable[[int], None]] = {
    function.__name__: function
    for function in (
        limit,
        bare,
        fairlead,
        fairlead_deflate,
        websockets,
        websockets_deflate,
        aiohttp,
        aiohttp_deflate,
        starlette,
        sanic,
        picows,
    )
}

if __name__ == "__main__":
    name, port, core = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    SERVERS[name](int(port))
