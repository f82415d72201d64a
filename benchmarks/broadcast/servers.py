"""The servers of the broadcast, each a function that serves until SIGTERM: the limit, Fairlead, and the peers."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
import tracemalloc
from collections.abc import Callable
from typing import Any

from benchmarks.answers import upgrade_answer
from benchmarks.broadcast import native, peers
from benchmarks.broadcast.task import LONG, MESSAGE, repeat, run

TRACED_LINES = 50
LAG_STEP_S = 0.002
LAG_MESSAGES = 30
LAG_PAUSE_S = 0.1


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


def fairlead_send(port: int) -> None:
    """One `send` after the other, as in a chat room of the guide, without any of our means."""
    import logging

    from fairlead import App, Request
    from fairlead.websocket import Websocket

    logging.disable(logging.INFO)
    app: App[Any, Any] = App("broadcast")
    subscribers: set[Websocket] = set()

    async def send() -> None:
        for ws in subscribers:
            await ws.send(MESSAGE)

    @app.websocket("/", ping_interval=0)
    async def subscriber(request: Request[Any, Any], ws: Websocket) -> None:
        subscribers.add(ws)
        try:
            async for wish in ws:
                subscribers.discard(ws)
                await repeat(int(wish), send)
        finally:
            subscribers.discard(ws)

    app.run("127.0.0.1", port, single_process=True, access_log=False, management_port=0)


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


SERVERS: dict[str, Callable[[int], None]] = {
    function.__name__: function
    for function in (
        limit,
        bare,
        fairlead,
        fairlead_send,
        fairlead_deflate,
        native.picows,
        native.picows_prebuilt,
        native.granian_asgi,
        native.granian_rsgi,
        native.robyn,
        native.socketify,
        peers.websockets,
        peers.websockets_deflate,
        peers.aiohttp,
        peers.aiohttp_deflate,
        peers.starlette,
        peers.sanic,
        peers.tornado,
        peers.tornado_deflate,
    )
}

if __name__ == "__main__":
    name, port, core = sys.argv[1:]
    os.sched_setaffinity(0, {int(core)})
    SERVERS[name](int(port))
