"""`python -m benchmarks.websocket_path`: what an echo costs without a network, in microseconds.

Frames go into real connections, the handlers' answers come out at transports that keep the last of them, and the loop turns once
for all connections, as it does under load.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from typing import Any

import uvloop

from benchmarks.answers import client_frame, server_frame, upgrade_request
from benchmarks.request_path import Transport
from benchmarks.servers import fairlead
from benchmarks.workloads import BY_NAME, ECHO
from fairlead.server.connection import HttpConnection
from fairlead.server.shared import Shared

CONNECTIONS = 64
ROUNDS = 300
RUNS = 40


async def measure(frame: bytes, echo: bytes) -> float:
    """Microseconds for one echo: the best of many runs."""
    app = fairlead.build()
    shared = Shared(app.finalise(), app.config.limits(), asyncio.get_running_loop())
    links = [_open(shared) for _ in range(CONNECTIONS)]
    handshake = upgrade_request(BY_NAME["websocket"].target, 1)
    for connection, _ in links:
        await _turn(partial(connection.data_received, handshake))
    feeds = [transport.protocol.data_received for _, transport in links]

    def feed_all() -> None:
        for feed in feeds:
            feed(frame)

    best = float("inf")
    for _ in range(RUNS):
        started = time.perf_counter()
        for _ in range(ROUNDS):
            await _turn(feed_all)
        best = min(best, time.perf_counter() - started)
    if not all(transport.last == echo for _, transport in links):
        raise RuntimeError("a message was not echoed")
    for connection, _ in links:
        connection.connection_lost(None)
    await asyncio.wait(list(shared.runner.in_flight))
    shared.runner.close()
    return best / ROUNDS / CONNECTIONS * 1e6


async def _turn(event: Callable[[], Any]) -> None:
    """The event comes from the loop, as bytes do; then whoever it has woken runs."""
    loop = asyncio.get_running_loop()
    over = loop.create_future()
    loop.call_soon(event)
    loop.call_soon(loop.call_soon, loop.call_soon, over.set_result, None)
    await over


def _open(shared: Shared) -> tuple[HttpConnection, Transport]:
    connection, transport = HttpConnection(shared), Transport()
    connection.connection_made(transport)  # type: ignore[arg-type]
    return connection, transport


def main() -> None:
    """Measure and print."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        print(f"echo {runner.run(measure(client_frame(ECHO), server_frame(ECHO))):8.2f} µs")


if __name__ == "__main__":
    main()
